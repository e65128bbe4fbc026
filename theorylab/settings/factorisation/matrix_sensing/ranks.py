"""Many model ranks and initial scales on one instance, in one program (symmetric model)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import xla
from theorylab.settings.factorisation.factors import recovery_error, residual
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate
from theorylab.settings.factorisation.matrix_sensing.data import Instance
from theorylab.settings.factorisation.matrix_sensing.train import descent_step, measured_map
from theorylab.settings.factorisation.operators import svec, unsvec
from theorylab.training.iterate import iterate


def sweep_ranks(
    instance: Instance,
    config: Config,
    ranks: Sequence[int],
    scales: ArrayLike,
    *,
    record_at: Sequence[int] | None = None,
) -> tuple[Float[Array, "ranks scales steps"], Float[Array, "ranks scales n k"]]:
    """Errors and final factors of every model rank and initial scale on one instance, in one program.

    Symmetric model. A column of X that starts at zero stays there: rank k is the first k columns of the largest
    model's initialisation, padded with zeros, and all runs share every product with A*A, whose states are
    columns of one matrix: it is read once per step for all of them.
    """
    width = max(ranks)
    config = dataclasses.replace(config, model_rank=width)
    unit = instance.left[:, :width] / config.init_scale
    mask = jnp.asarray(np.arange(width)[None, :] < np.asarray(ranks)[:, None])
    starts = jnp.asarray(scales)[None, :, None, None] * jnp.where(mask[:, None, None, :], unit[None, None], 0.0)
    shape = starts.shape
    step = columns_step(instance, config)

    def record(state: Array) -> dict[str, Array]:
        return {"error": jax.vmap(lambda x: recovery_error(x, None, instance.spectrum))(state)}

    orbit = iterate(
        step, starts.reshape(-1, *shape[2:]), num_steps=config.num_steps, record=record, record_at=record_at
    )
    errors = orbit.observables["error"].T.reshape(*shape[:2], -1)
    return errors, orbit.state.reshape(shape)


def columns_step(instance: Instance, config: Config) -> Callable[[Array, Any], Array]:
    """Gradient descent of many symmetric models at once, ``[runs, n, k]``, on the same measurements."""
    spectrum, rate, n = instance.spectrum, effective_rate(config), config.dim
    if instance.rows is None:
        one = descent_step(instance, config)
        return lambda x, t: jax.vmap(lambda left: one((left, None), t)[0])(x)
    gradient = measured_map(instance.rows, config)

    def step(x: Array, t: Any) -> Array:
        # The states are the columns of one contiguous matrix: A*A is read once for all runs. The barriers keep XLA
        # from folding the transposes into the product, which then takes three times as long on a CPU.
        errors = jax.vmap(lambda left: svec(residual(left, None, spectrum)), out_axes=1)(x)
        gradients = xla.stored(gradient(xla.stored(errors)))
        h = jax.vmap(lambda vector: unsvec(vector, n), in_axes=1)(gradients)
        return x - rate * jax.vmap(lambda h, left: h @ left)(h, x)

    return step
