"""Means and their standard errors."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def standard_error(values: Any, axis: int | str = 0, *, of_finite: bool = False) -> Any:
    """Standard error of the mean of independent values: their standard deviation (n - 1) over the square root of n.

    NaN where there are fewer than two values.

    Parameters
    ----------
    values
        An array of NumPy or JAX, or an array or dataset of xarray.
    axis
        Along which they are independent; for xarray the name of a dimension.
    of_finite
        Leave non-finite values out, instead of returning NaN where there is one.

    Examples
    --------
    >>> import numpy as np
    >>> print(standard_error(np.array([1.0, 2.0, 3.0, 2.0])), standard_error(np.array([1.0])))
    0.408248290463863 nan
    """
    if isinstance(axis, str):
        finite = values.where(np.isfinite(values)) if of_finite else values
        count = finite.notnull().sum(axis) if of_finite else values.sizes[axis]
        return finite.std(axis, ddof=1, skipna=of_finite) / np.sqrt(count)
    xp: Any = jnp if isinstance(values, jax.Array) else np
    if of_finite:
        finite = xp.isfinite(values)
        count = finite.sum(axis)
        squares = xp.where(finite, values - xp.expand_dims(mean_of_finite(values, axis), axis), 0.0) ** 2
        error = xp.sqrt(squares.sum(axis) / xp.maximum(count - 1, 1) / xp.maximum(count, 1))
        return xp.where(count > 1, error, xp.nan)
    length = np.shape(values)[axis]
    if length < 2:
        return xp.full_like(xp.mean(values, axis=axis), xp.nan)
    return xp.std(values, axis=axis, ddof=1) / math.sqrt(length)


def mean_of_finite(values: Any, axis: int = 0) -> Any:
    """Mean of the finite values along an axis; NaN where there are none."""
    xp: Any = jnp if isinstance(values, jax.Array) else np
    finite = xp.isfinite(values)
    count = finite.sum(axis)
    return xp.where(count > 0, xp.where(finite, values, 0.0).sum(axis) / xp.maximum(count, 1), xp.nan)
