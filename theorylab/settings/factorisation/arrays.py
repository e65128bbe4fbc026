"""Closed forms that work on NumPy and on JAX arrays: on NumPy nothing is compiled, on JAX they can be traced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Numbers = jax.Array | np.ndarray


def namespace(*arrays: Any) -> Any:
    """``jax.numpy`` if any of the arguments is a JAX array, else ``numpy``."""
    return jnp if any(isinstance(a, jax.Array) for a in arrays) else np
