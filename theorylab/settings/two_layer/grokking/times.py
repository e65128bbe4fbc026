"""When the data are fitted, when the target is learned, and the delay between the two."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float


def first_crossing(
    times: Float[Array | np.ndarray, " records"], values: Float[Array | np.ndarray, " records"], threshold: ArrayLike
) -> Float[Array, ""]:
    """First time at which positive ``values`` are at or below ``threshold``; NaN if never (censored).

    Between two records the logarithm of the value is taken as linear in time.
    """
    grid, tiny = jnp.asarray(times), jnp.finfo(jnp.asarray(values).dtype).tiny
    logs = jnp.log(jnp.maximum(jnp.asarray(values), tiny))
    before = jnp.concatenate([logs[:1], logs[:-1]])
    start = jnp.concatenate([grid[:1], grid[:-1]])
    drop = before - logs
    share = jnp.where(drop > 0, (before - jnp.log(threshold)) / jnp.where(drop > 0, drop, 1.0), 0.0)
    # Every record below has a crossing, the first one the earliest: a minimum compiles faster than gathers.
    crossings = start + jnp.clip(share, 0.0, 1.0) * (grid - start)
    first = jnp.min(jnp.where(values <= threshold, crossings, jnp.inf))
    return jnp.where(jnp.isfinite(first), first, jnp.nan)


class GrokkingTimes(NamedTuple):
    """Time τ at which each loss first passes its threshold (NaN: not within the run), and the gap.

    ``gap`` = log10(test_time/train_time), dimensionless.
    """

    train_time: Float[Array, ""]
    test_time: Float[Array, ""]
    gap: Float[Array, ""]


def grokking_times(
    times: Float[Array | np.ndarray, " records"],
    train_loss: Float[Array | np.ndarray, " records"],
    test_loss: Float[Array | np.ndarray, " records"],
    train_threshold: ArrayLike = 0.05,
    test_threshold: ArrayLike = 0.15,
) -> GrokkingTimes:
    """Measure grokking by the losses, not by accuracies, which would show it without any delay of the loss."""
    losses, thresholds = jnp.stack([train_loss, test_loss]), jnp.stack([train_threshold, test_threshold])
    train, test = jax.vmap(first_crossing, in_axes=(None, 0, 0))(times, losses, thresholds)
    positive = jnp.where(train > 0, train, jnp.nan)
    return GrokkingTimes(train, test, jnp.log10(test / positive))


def halfway_threshold(test_loss: Float[Array | np.ndarray, " records"]) -> Float[Array, ""]:
    """A threshold without a free constant: halfway, in the logarithm, between the highest and the final test loss."""
    loss = jnp.asarray(test_loss)
    return jnp.sqrt(jnp.max(loss) * loss[-1])


class CensoredMedian(NamedTuple):
    """Median over runs of which some never got there, with the counts.

    ``median`` is NaN where half of the runs or more are censored: it then lies beyond ``end``.
    """

    median: float
    reached: int
    censored: int
    end: float


def censored_median(times: Float[np.ndarray, " runs"], end: float) -> CensoredMedian:
    """Median of first-passage times over runs that all end at ``end``; NaN marks a run that was not there by then.

    All runs are censored at the same time, so that the order statistics below it are exact: the median is known as
    soon as more than half of the runs got there. A mean over the finite ones would be too small.
    """
    values = np.asarray(times, float)
    reached = int(np.isfinite(values).sum())
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf))
    middle = len(ordered) // 2
    with np.errstate(invalid="ignore"):
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return CensoredMedian(float(median) if np.isfinite(median) else float("nan"), reached, len(values) - reached, end)
