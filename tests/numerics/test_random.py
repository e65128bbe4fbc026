"""The fast generator gives JAX's own words and keys; numbers made of them have their laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from theorylab.numerics import random

COUNT = 200_001


@pytest.mark.parametrize("seed", [0, 1, 2**31 + 5])
def test_words_are_those_of_jax(seed):
    key = jax.random.key(seed)
    for count in (1, 2, 1001):
        np.testing.assert_array_equal(random.bits(key, count), jax.random.bits(key, (count,), jnp.uint32))


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5])
def test_keys_are_those_of_jax(seed):
    key, words = jax.random.key(seed), jax.random.key_data
    for count in (1, 2, 5):
        np.testing.assert_array_equal(words(random.split(key, count)), words(jax.random.split(key, count)))
    for number in (0, 3, 2**31 + 5, 2**32 - 1):
        np.testing.assert_array_equal(words(random.fold_in(key, number)), words(jax.random.fold_in(key, number)))
    traced = jax.jit(lambda keys, number: jax.vmap(lambda key: random.fold_in(key, number))(keys))
    expected = jax.vmap(lambda key: jax.random.fold_in(key, 4))(jax.random.split(key, 3))
    np.testing.assert_array_equal(words(traced(random.split(key, 3), 4)), words(expected))


def test_keys_map_and_other_generators_are_passed_on():
    keys = jax.random.split(jax.random.key(3), 4)
    mapped = jax.vmap(lambda key: random.bits(key, 7))(keys)
    np.testing.assert_array_equal(mapped[2], random.bits(keys[2], 7))
    other = jax.random.key(1, impl="rbg")
    np.testing.assert_array_equal(random.bits(other, 9), jax.random.bits(other, (9,), jnp.uint32))
    words = jax.random.key_data
    np.testing.assert_array_equal(words(random.split(other, 3)), words(jax.random.split(other, 3)))
    np.testing.assert_array_equal(words(random.fold_in(other, 3)), words(jax.random.fold_in(other, 3)))
    bare = jax.random.PRNGKey(4)
    np.testing.assert_array_equal(random.split(bare, 3), jax.random.split(bare, 3))
    np.testing.assert_array_equal(random.fold_in(bare, 3), jax.random.fold_in(bare, 3))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_numbers_have_their_laws(dtype):
    key = jax.random.key(2)
    normal = np.asarray(random.normal(key, COUNT, dtype=dtype))
    uniform = np.asarray(random.uniform(key, COUNT, dtype=dtype))
    assert normal.dtype == uniform.dtype == dtype
    for values, law in ((normal, stats.norm), (uniform, stats.uniform)):
        assert stats.kstest(values.astype(float), law.cdf).pvalue > 1e-3
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / np.sqrt(COUNT)
        # Negative control: a scale that is 2% too large.
        assert stats.kstest(1.02 * values.astype(float), law.cdf).pvalue < 1e-3
    assert np.abs(normal).max() > 4
    assert 0 < uniform.min() < uniform.max() < 1


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_extreme_words_stay_finite(dtype):
    extremes = jnp.array([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF], jnp.uint32)
    normal = np.asarray(random.normal_of(extremes, dtype))
    uniform = np.asarray(random.uniform_of(extremes, dtype))
    assert np.all(np.isfinite(normal))
    assert np.all((uniform > 0) & (uniform < 1))
    assert 5 < np.abs(normal).max() < 6.5


def test_a_smaller_array_is_the_beginning_of_a_larger_one():
    key = jax.random.key(5)
    np.testing.assert_array_equal(random.normal(key, 3, 4), random.normal(key, 7, 4)[:3])
