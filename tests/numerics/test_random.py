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


@pytest.mark.parametrize("degrees", [1.0, 2.0, 7.0, 300.0])
def test_chi_square_numbers_have_their_law(degrees):
    key = jax.random.key(3)
    count = 20_001
    found = {"repeated": np.asarray(random.chi_square(key, jnp.array([degrees, 5.0]), count)[:, 0])}
    if degrees >= 2:
        z, u = random.normal(key, 8, count), random.uniform(random.fold_in(key, 1), 8, count)
        found["in advance"] = np.asarray(random.chi_square_of(z, u, jnp.full(count, degrees)))
    for values in found.values():
        assert stats.kstest(values, stats.chi2(degrees).cdf).pvalue > 1e-3
        # Negative control: a fifth of a degree of freedom more, a hundredth of them where there are many.
        assert stats.kstest(values, stats.chi2(degrees + max(0.2, degrees / 100)).cdf).pvalue < 1e-3


@pytest.mark.slow
def test_chi_square_numbers_are_those_of_the_settings_that_drew_them_first():
    """Golden values: results that are stored must not change."""
    key = jax.random.key(11)
    values = random.chi_square(key, jnp.array([1.0, 3.0, 40.0]), 2)
    golden = [[1.3391752253270774, 0.7935928486743871, 55.129501103093375],
              [0.006965187881107395, 3.0964224189805245, 47.05419325326537]]  # fmt: skip
    np.testing.assert_allclose(values, golden, rtol=1e-12)
    z, u = random.normal(key, 4, 2), random.uniform(random.fold_in(key, 1), 4, 2)
    np.testing.assert_allclose(
        jnp.sqrt(random.chi_square_of(z, u, jnp.array([2.0, 9.0]))),
        [1.5668379216866022, 2.9200543151291245],
        rtol=1e-12,
    )


@pytest.mark.parametrize("draw", [random.bits, random.normal, random.uniform, random.split])
def test_one_key_does_not_begin_again(draw):
    """Its counters have 32 bits; JAX's own words go on with another layout there."""
    key = jax.random.key(0)
    assert jax.eval_shape(lambda: draw(key, 2**32 - 1)).shape == (2**32 - 1,)
    with pytest.raises(OverflowError, match="4,294,967,296 random numbers of one key"):
        jax.eval_shape(lambda: draw(key, 2**32))
