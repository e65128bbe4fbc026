"""Standard errors: one formula for every kind of array."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from scipy import stats

from theorylab.numerics.statistics import mean_of_finite, standard_error

VALUES = np.random.default_rng(0).normal(size=(7, 3))


def test_it_is_scipys_for_every_kind_of_array():
    expected = stats.sem(VALUES)
    labelled = xarray.DataArray(VALUES, dims=("seed", "x"), name="v")
    for found in (
        standard_error(VALUES),
        standard_error(VALUES.T, -1),
        standard_error(jnp.asarray(VALUES)),
        jax.jit(standard_error)(jnp.asarray(VALUES)),
        standard_error(labelled, "seed"),
        standard_error(labelled.to_dataset(), "seed")["v"],
        standard_error(VALUES, of_finite=True),
        standard_error(labelled, "seed", of_finite=True),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_it_covers_the_mean_as_often_as_it_should():
    draws = np.random.default_rng(1).normal(size=(20, 4000))
    z = draws.mean(0) / standard_error(draws)
    assert stats.kstest(z, stats.t(19).cdf).pvalue > 1e-3
    assert stats.kstest(1.2 * z, stats.t(19).cdf).pvalue < 1e-3  # negative control


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning")
def test_values_that_are_missing():
    values = VALUES.copy()
    values[2, 0], values[3:, 1], values[1:, 2] = np.nan, np.inf, np.nan
    expected = [stats.sem(np.delete(values[:, 0], 2)), stats.sem(values[:3, 1]), np.nan]
    labelled = xarray.DataArray(values, dims=("seed", "x"))
    for found in (
        standard_error(values, of_finite=True),
        standard_error(jnp.asarray(values), of_finite=True),
        standard_error(labelled, "seed", of_finite=True),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    with np.errstate(invalid="ignore"):
        assert np.isnan(standard_error(values)).all()
    assert np.isnan(standard_error(labelled, "seed")).all()
    np.testing.assert_allclose(mean_of_finite(values)[:2], [np.delete(values[:, 0], 2).mean(), values[:3, 1].mean()])
    assert np.isnan(mean_of_finite(np.full((3, 1), np.nan))).all()


def test_one_value_has_no_error():
    assert np.isnan(standard_error(VALUES[:1])).all()
    assert np.isnan(standard_error(jnp.ones(1)))
