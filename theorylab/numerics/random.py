"""The vocabulary of random draws: numbers of JAX's default generator, two to four times faster on a CPU.

The generator is Threefry-2x32 (Salmon, Moraes, Dror and Shaw 2011, 20 rounds) in counter mode, as in ``jax.random``:
:func:`bits` returns the very words of ``jax.random.bits``, :func:`split` and :func:`fold_in` JAX's own keys. On a CPU
JAX runs the rounds as a loop through memory; here they are unrolled, so that the compiler keeps them in registers. Each
draw is a routine of its own in the compiled program (:func:`theorylab.numerics.xla.apart`).

JAX rolled the rounds to save compile time (jax-ml/jax pull request 1175) and unrolls them on a CPU again since pull
request 37872. When the oldest JAX that we support has that change, :func:`bits`, :func:`split` and :func:`fold_in` call
JAX's own, and the cipher goes; the numbers stay the same.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, UInt32

from theorylab.numerics import xla
from theorylab.numerics.xla import apart

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
#: Proposals that are drawn at once for each chi-square number, off the processor.
ROUNDS = 12


def _words(key: jax.Array, count: int, dtype: Any = np.uint32) -> UInt32[Array, " count"]:
    if not _is_threefry(key):
        return jax.random.bits(key, (count,), jnp.uint32)
    return _threefry(jax.random.key_data(key), count)


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _threefry(key_data: UInt32[Array, " 2"], count: int) -> UInt32[Array, " count"]:
    """Hash the counters 0, 1, ..., count - 1; the two words of each are joined by exclusive or, as JAX does."""
    x, y = _hash(key_data, _counters(count))
    return x ^ y


def _counters(count: int) -> UInt32[Array, " count"]:
    if count >= 2**32:  # they would begin again, and the numbers with them
        raise OverflowError(f"{count:,} random numbers of one key, which has fewer than 2^32")
    return jnp.arange(count, dtype=jnp.uint32)


def _hash(key_data: UInt32[Array, " 2"], counters: UInt32[Array, " ..."]) -> tuple[Array, Array]:
    """Encipher the pairs (0, counter); returns their two words."""
    first, second = key_data
    schedule = (first, second, first ^ second ^ PARITY)
    x = jnp.full(counters.shape, schedule[0])
    y = counters + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation)))
        x = x + schedule[(group + 1) % 3]
        y = y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


@functools.partial(jax.jit, inline=True)
def _keys_of(key: jax.Array, counters: UInt32[Array, " ..."]) -> jax.Array:
    """One new key per counter: the two words of its hash."""
    # Both words of each, one of them used: the rounds then stand once in the program.
    x, y = _hash(jax.random.key_data(key), jnp.stack([counters, counters], axis=-1))
    second = jax.lax.broadcasted_iota(jnp.uint32, x.shape, x.ndim - 1) == 1
    return jax.random.wrap_key_data(jnp.where(second, y, x), impl="threefry2x32")


def _is_threefry(key: jax.Array) -> bool:
    return str(jax.random.key_impl(key)) == "threefry2x32"


def _is_typed_threefry(key: jax.Array) -> bool:
    # JAX's old keys, bare words, are to give such keys again.
    return jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and _is_threefry(key)


def split(key: jax.Array, count: int = 2) -> jax.Array:
    """``count`` independent keys, those of ``jax.random.split(key, count)``, in a third of the time to compile."""
    if not _is_typed_threefry(key):
        return jax.random.split(key, count)
    return _keys_of(key, _counters(count))


def fold_in(key: jax.Array, number: ArrayLike) -> jax.Array:
    """The key of ``jax.random.fold_in(key, number)``, which is also entry ``number`` of a :func:`split`.

    ``number`` is a whole number from 0 to 2³² - 1, and may be traced.
    """
    if not _is_typed_threefry(key):
        return jax.random.fold_in(key, number)
    return _keys_of(key, jnp.asarray(number).astype(jnp.uint32))


def _uniforms(key: jax.Array, count: int, dtype: Any) -> Float[Array, " count"]:
    return uniform_of(_words(key, count), dtype)


def _normals(key: jax.Array, count: int, dtype: Any) -> Float[Array, " count"]:
    return normal_of(_words(key, count), dtype)


_draw_words, _draw_uniforms, _draw_normals = (apart(draw, (1, 2)) for draw in (_words, _uniforms, _normals))


def bits(key: jax.Array, count: int) -> UInt32[Array, " count"]:
    """``count`` uniform 32-bit words, those of ``jax.random.bits(key, (count,))``, for fewer than 2³² of them.

    Keys of another generator than Threefry are passed on to JAX.
    """
    return _draw_words(key, count, np.uint32)


def uniform(key: jax.Array, *shape: int, dtype: Any = None) -> Float[Array, " ..."]:
    """Numbers uniform on the open interval (0, 1), on a grid of 2⁻³² (2⁻²³ in float32); default dtype: JAX's float."""
    return _draw_uniforms(key, math.prod(shape), jax.dtypes.canonicalize_dtype(dtype or float)).reshape(shape)


def normal(key: jax.Array, *shape: int, dtype: Any = None) -> Float[Array, " ..."]:
    """Standard normal numbers by inversion, one word each; default dtype: JAX's float.

    The largest magnitude is 6.4 standard deviations (5.3 in float32, as in ``jax.random.normal``). With one key the
    entries of a smaller array are the first of a larger one, in C order.
    """
    return _draw_normals(key, math.prod(shape), jax.dtypes.canonicalize_dtype(dtype or float)).reshape(shape)


def uniform_of(words: UInt32[Array, " count"], dtype: Any) -> Float[Array, " count"]:
    """Uniform numbers of given words, see :func:`uniform`."""
    if dtype == jnp.float32:
        return ((words >> np.uint32(9)).astype(dtype) + 0.5) * np.float32(2.0**-23)
    return (words.astype(dtype) + 0.5) * np.asarray(2.0**-32, dtype)


def normal_of(words: UInt32[Array, " count"], dtype: Any) -> Float[Array, " count"]:
    """Normal numbers of given words, see :func:`normal`."""
    signed = jax.lax.bitcast_convert_type(words, jnp.int32)
    if dtype == jnp.float32:
        # 24 bits are exact; the half keeps the grid off 0 and ±1.
        centred = ((signed >> 8).astype(dtype) + 0.5) * np.float32(2.0**-23)
    else:
        centred = (signed.astype(dtype) + 0.5) * np.asarray(2.0**-31, dtype)
    return jax.lax.erf_inv(centred) * np.asarray(math.sqrt(2), dtype)


def chi_square_proposal(
    z: Float[Array, "*shape"], u: Float[Array, "*shape"], degrees: Float[Array, " ..."]
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


def chi_square_of(
    z: Float[Array, " proposals *shape"], u: Float[Array, " proposals *shape"], degrees: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Chi-square numbers with ``degrees`` >= 2 of freedom: of several proposals for each the first that is accepted.

    For numbers drawn in advance, together with others. Eight proposals leave one in 10¹⁰ without an accepted one, which
    then takes the first.
    """
    proposed, accepted = chi_square_proposal(z, u, degrees[None])
    first = jnp.argmax(accepted, axis=0)
    return jnp.take_along_axis(proposed, first[None], axis=0)[0]


def chi_square(
    key: jax.Array, degrees: Float[Array, " entries"], count: int, dtype: Any = None, *, minimum_degrees: int = 1
) -> Float[Array, "count entries"]:
    """``count`` chi-square numbers for each of some degrees of freedom (all >= ``minimum_degrees`` >= 1).

    Proposals are repeated until all are accepted (three rounds or so); one degree of freedom is the square of a normal
    number. A GPU's host would wait in each round: off the processor twelve are drawn at once, the same ones, which
    leave one number in 10¹⁵ without an accepted one.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype or float)
    shape = degrees.astype(dtype) / 2
    # The sampler wants a shape of at least 1: one degree of freedom (shape 1/2) gains two and loses them below.
    small = shape < 1
    enough = jnp.where(small, 2 * shape + 2, 2 * shape)
    entries = degrees.shape[0]

    def draw(round_: Any) -> tuple[Array, Array]:
        normal_key, uniform_key = split(fold_in(key, round_))
        z = normal(normal_key, count, entries, dtype=dtype)
        return z, uniform(uniform_key, count, entries, dtype=dtype)

    def attempt(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        round_, value, done = state
        proposed, accepted = chi_square_proposal(*draw(round_), enough[None])
        return round_ + 1, jnp.where(done | ~accepted, value, proposed), done | accepted

    if xla.on_processor():
        start = (jnp.int32(0), jnp.zeros((count, entries), dtype), jnp.zeros((count, entries), bool))
        _, value, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), attempt, start)
    else:
        numbers = jax.vmap(draw)(jnp.arange(ROUNDS, dtype=jnp.int32))
        value = chi_square_of(*numbers, jnp.broadcast_to(enough[None], (count, entries)))
    if minimum_degrees > 1:
        return value
    # Gamma(a) = Gamma(a + 1) U^(1/a), here with a = 1/2.
    u = uniform(fold_in(key, 1_000_000), count, dtype=dtype)
    return jnp.where(small[None], value * u[:, None] ** 2, value)
