"""Instances of matrix sensing: the target, the initialisation, and the measurements."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.numerics.xla import host_program
from theorylab.settings.factorisation.factors import initial_factor, target_spectrum
from theorylab.settings.factorisation.matrix_sensing.config import Config, num_columns, num_entries


class Instance(NamedTuple):
    """One instance.

    Attributes
    ----------
    spectrum
        Singular values of the target, M = diag(spectrum, 0, …) in its own singular basis.
    left, right
        Initial factors X or F, and G (``None`` for the symmetric model).
    rows
        Measurements A_i as rows, svec (symmetric) or row-major (asymmetric), entries N(0, 1); ``None`` in the
        population. Divide by sqrt(m) for the operator with A*A ≈ 1.
    """

    spectrum: Float[Array, " rank"]
    left: Float[Array, "rows k"]
    right: Float[Array, "cols k"] | None
    rows: Float[Array, "m entries"] | None


def sample(key: jax.Array, config: Config) -> Instance:
    """Draw an instance: X_0 = α N(0, 1/n), or F_0 = α N(0, 1/n_1) and G_0 = (α/γ) N(0, 1/n_2), and A_i.

    With ``init="orthonormal"`` the Gaussian factors are replaced by their orthonormal Q-factors. One flat draw
    serves everything: in JAX each shape of random numbers costs its own compilation.
    """
    n, n2, k = config.dim, num_columns(config), config.model_rank
    asymmetric, orthonormal = config.model == "asymmetric", config.init == "orthonormal"
    m, entries = config.num_measurements if config.operator == "gaussian" else 0, num_entries(config)
    ends = np.cumsum((n * k, n2 * k if asymmetric else 0, m * entries))
    left, right, rows = jnp.split(random.normal(key, int(ends[-1])), [int(end) for end in ends[:-1]])
    small = config.init_scale / config.init_ratio
    return Instance(
        target_spectrum(config),
        initial_factor(left, n, config.init_scale, orthonormal=orthonormal),
        initial_factor(right, n2, small, orthonormal=orthonormal) if asymmetric else None,
        rows.reshape(m, entries) if m else None,
    )


#: :func:`sample` compiled: shared by all theories of the instance, so that its random numbers are compiled once.
draw = host_program(sample)


def drawn(key: jax.Array, config: Config) -> Any:
    """Draw the :class:`Instance` of a key as NumPy arrays, for closed forms: nothing more is compiled then."""
    parts: Any = [None if part is None else np.asarray(part) for part in draw(key, config)]
    return Instance(*parts)
