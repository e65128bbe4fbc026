"""Random numbers of JAX's default generator, drawn two to four times faster on a CPU, to compile and to run.

The generator is Threefry-2x32 (Salmon, Moraes, Dror and Shaw 2011, 20 rounds) in counter mode, as in ``jax.random``:
:func:`bits` returns the very words of ``jax.random.bits``. On a CPU JAX runs the rounds as a loop through memory; here
they are unrolled, so that the compiler keeps them in registers and fuses them with what follows.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


def bits(key: jax.Array, count: int) -> UInt32[Array, " count"]:
    """``count`` uniform 32-bit words, those of ``jax.random.bits(key, (count,))``, for fewer than 2³² of them.

    Keys of another generator than Threefry are passed on to JAX.
    """
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)
    return _threefry(jax.random.key_data(key), count)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _threefry(key_data: UInt32[Array, 2], count: int) -> UInt32[Array, " count"]:
    """Hash the counters 0, 1, ..., count - 1; the two words of each are joined by exclusive or, as JAX does."""
    first, second = key_data
    schedule = (first, second, first ^ second ^ PARITY)
    x = jnp.full((count,), schedule[0])
    y = jnp.arange(count, dtype=jnp.uint32) + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation)))
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x ^ y


def uniform(key: jax.Array, *shape: int, dtype: Any = None) -> Float[Array, ...]:
    """Numbers uniform on the open interval (0, 1), on a grid of 2⁻³² (2⁻²³ in float32); default dtype: JAX's float."""
    dtype = jax.dtypes.canonicalize_dtype(dtype or float)
    words = bits(key, math.prod(shape))
    if dtype == jnp.float32:
        words = words >> np.uint32(9)
        return ((words.astype(dtype) + 0.5) * np.float32(2.0**-23)).reshape(shape)
    return ((words.astype(dtype) + 0.5) * np.asarray(2.0**-32, dtype)).reshape(shape)


def normal(key: jax.Array, *shape: int, dtype: Any = None) -> Float[Array, ...]:
    """Standard normal numbers by inversion, one word each; default dtype: JAX's float.

    The largest magnitude is 6.4 standard deviations (5.3 in float32, as in ``jax.random.normal``). With one key the
    entries of a smaller array are the first of a larger one, in C order.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype or float)
    words = jax.lax.bitcast_convert_type(bits(key, math.prod(shape)), jnp.int32)
    if dtype == jnp.float32:
        # 24 bits are exact; the half keeps the grid off 0 and ±1.
        centred = ((words >> 8).astype(dtype) + 0.5) * np.float32(2.0**-23)
    else:
        centred = (words.astype(dtype) + 0.5) * np.asarray(2.0**-31, dtype)
    return (jax.lax.erf_inv(centred) * np.asarray(math.sqrt(2), dtype)).reshape(shape)


def chi_square_proposal(
    z: Float[Array, "*shape"], u: Float[Array, "*shape"], degrees: Float[Array, ...]
) -> tuple[Float[Array, "*shape"], Bool[Array, "*shape"]]:
    """Proposed chi-square numbers with ``degrees`` >= 2 of freedom, and whether each is accepted.

    One round of Marsaglia and Tsang's (2000) rejection sampler of the gamma law, from standard normal ``z`` and uniform
    ``u``; more than 95% are accepted.
    """
    d = degrees / 2 - 1 / 3
    v = (1 + z / jnp.sqrt(9 * d)) ** 3
    safe = jnp.where(v > 0, v, 1.0)
    accepted = (v > 0) & (jnp.log(u) < 0.5 * z**2 + d * (1 - safe + jnp.log(safe)))
    return 2 * d * safe, accepted
