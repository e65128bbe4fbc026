"""How layers are trained: Adam with clipped gradients and a cosine schedule, the loss recorded along the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.training import gradient_descent, log_spaced_steps

#: Recorded steps per decade of a training.
RECORDS_PER_DECADE = 6


class Schedule(Protocol):
    """The fields of a configuration that say how long and how fast it trains."""

    @property
    def num_steps(self) -> int:
        """Updates."""

    @property
    def learning_rate(self) -> ArrayLike:
        """Adam's peak learning rate."""

    @property
    def clip_norm(self) -> ArrayLike:
        """Global norm at which gradients are clipped."""


def recorded_steps(num_steps: int) -> tuple[int, ...]:
    """Steps at which the loss is recorded: 0, log-spaced ones, the last."""
    return log_spaced_steps(num_steps, RECORDS_PER_DECADE)


def optimizer(schedule: Schedule) -> Any:
    """Adam (0.9, 0.999, 1e-8) with gradients clipped by their global norm and a cosine schedule to zero."""
    import optax

    rate = optax.cosine_decay_schedule(schedule.learning_rate, schedule.num_steps)
    return optax.chain(optax.clip_by_global_norm(schedule.clip_norm), optax.adam(rate))


def descend(
    loss: Callable[..., Array],
    params: Any,
    schedule: Schedule,
    record: Callable[[Any], Array],
    *,
    key: jax.Array | None = None,
    sample_batch: Callable[[jax.Array], Any] | None = None,
) -> tuple[Any, Float[Array, " steps"]]:
    """Train on ``loss(params)``, or on ``loss(params, batch)`` of fresh batches.

    Returns
    -------
    tuple
        The final parameters, and ``record(params)`` at :func:`recorded_steps`.
    """
    run = gradient_descent(
        loss,
        params,
        optimizer(schedule),
        num_steps=schedule.num_steps,
        record=lambda params: {"loss": record(params)},
        record_at=recorded_steps(schedule.num_steps),
        key=key,
        sample_batch=sample_batch,
    )
    return run.params, run.observables["loss"]
