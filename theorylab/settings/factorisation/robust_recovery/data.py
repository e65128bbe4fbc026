"""Instances of robust recovery: the target, the initialisation, the measurements and their corruption."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.numerics.xla import host_program
from theorylab.settings.factorisation.arrays import Numbers
from theorylab.settings.factorisation.factors import initial_factor, target_spectrum
from theorylab.settings.factorisation.operators import unsvec
from theorylab.settings.factorisation.robust_recovery.config import Config, num_entries


class Instance(NamedTuple):
    """One instance.

    Attributes
    ----------
    spectrum
        Singular values of the target, M = diag(spectrum, 0, …) in its own singular basis.
    left
        Initial factor U.
    rows
        Measurements A_i as rows (svec), entries N(0, 1); ``None`` in the population.
    corruption
        What is added to <A_i, M>; ``None`` in the population.
    """

    spectrum: Float[Array, " rank"]
    left: Float[Array, "n k"]
    rows: Float[Array, "m entries"] | None
    corruption: Float[Array, " m"] | None


def sample(key: jax.Array, config: Config) -> Instance:
    """Draw an instance: U_0 = α N(0, 1/n), A_i, and c_i ~ N(0, τ²) with probability p.

    One flat draw serves everything: in JAX each shape of random numbers costs its own compilation.
    """
    n, k, entries = config.dim, config.model_rank, num_entries(config)
    m = config.num_measurements if config.operator == "gaussian" else 0
    ends = np.cumsum((n * k, m * entries, m, m))
    parts = jnp.split(random.normal(key, int(ends[-1])), [int(end) for end in ends[:-1]])
    left, rows, size, which = parts
    hit = which < jax.scipy.special.ndtri(jnp.maximum(config.outlier_prob, 1e-300))
    return Instance(
        target_spectrum(config),
        initial_factor(left, n, config.init_scale),
        rows.reshape(m, entries) if m else None,
        jnp.where(hit & (config.outlier_prob > 0), config.outlier_scale * size, 0.0) if m else None,
    )


#: :func:`sample` compiled: shared by all theories of the instance, so that its random numbers are compiled once.
draw = host_program(sample)


def drawn(key: jax.Array, config: Config) -> Any:
    """Draw the :class:`Instance` of a key as NumPy arrays, for closed forms: nothing more is compiled then."""
    parts: Any = [None if part is None else np.asarray(part) for part in draw(key, config)]
    return Instance(*parts)


def noise_matrix(rows: Float[Numbers, "m entries"], corruption: Float[Numbers, " m"], n: int) -> Float[Numbers, "n n"]:
    """N = (1/m) Σ_i c_i A_i, the corruption as gradient descent on the square loss sees it."""
    return unsvec(corruption @ rows / rows.shape[0], n)
