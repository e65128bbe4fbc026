"""Memorisation: exact means against known numbers and direct draws, the crossover, refusals."""

import math

import jax
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.statistics import memorisation
from theorylab.settings.statistics.memorisation import Config, annealed_weight, collapse_time, exact_means, snr_at

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("dim", "num", "time", "weights"),
    [
        (16, 200, 0.3625, (0.9986, 0.9462, 0.7834, 0.5806, 0.4042, 0.2729, 0.1219)),
        (64, 2000, 0.7769, (1, 0.9979, 0.8985, 0.5655, 0.2449, 0.0827, 0.0084)),
    ],
)
def test_planted_weight_has_the_values_of_another_implementation(dim, num, time, weights):
    collapse = collapse_time(num, dim)
    assert abs(collapse - time) < 6e-5
    for share, weight in zip((0.25, 0.5, 0.75, 1, 1.25, 1.5, 2), weights, strict=True):
        assert abs(exact_means(num, dim, snr_at(share * collapse)).planted_weight - weight) < 6e-5


def test_separation_has_the_values_of_another_implementation():
    for dim, snrs, values in (
        (16, (0.1, 0.3, 0.6, 1, 1.73, 3), (0.0144, 0.0960, 0.3579, 0.7673, 0.9917, 1.0)),
        (64, (0.1, 0.3, 0.6, 1), (0.0172, 0.2457, 0.9321, 1.0)),
    ):
        found = [exact_means(256, dim, snr).separation for snr in snrs]
        np.testing.assert_allclose(found, values, atol=6e-5)


def test_means_against_direct_draws():
    """Vectors drawn with NumPy at a size of their own: 10 dimensions, 80 points."""
    rng, draws, dim, num, snr = np.random.default_rng(1), 4000, 10, 80, 0.9
    found = []
    for _ in range(draws):
        y = rng.standard_normal((num, dim))
        o = y[0] + rng.standard_normal(dim) / snr
        exponent = -(snr**2) / 2 * np.sum((o - y) ** 2, axis=1)
        w = np.exp(exponent - exponent.max())
        w /= w.sum()
        m = w @ y
        found.append([w[0], 1 + np.log(w[0]) / math.log(num), m @ m / dim, w @ w, m @ y[0] / dim])
    right = exact_means(num, dim, snr)
    wanted = np.array([*right, right.planted_weight, right.separation])
    error = np.std(found, axis=0) / math.sqrt(draws)
    assert np.all(np.abs(np.mean(found, axis=0) - wanted) < 4 * error)
    # The others at their mean: the weight is too low, by the values of another implementation.
    collapse = collapse_time(200, 16)
    found = [annealed_weight(200, 16, snr_at(share * collapse)) for share in (0.75, 1, 1.5)]
    np.testing.assert_allclose(found, [0.6860, 0.4990, 0.2394], atol=4e-3)


def test_two_points_are_a_coin_that_noise_decides():
    """n = 2: the weight is a logistic function of one normal number given the distance of the points."""
    rng, dim, snr = np.random.default_rng(2), 9, 0.4
    distance = np.sqrt(2 * rng.chisquare(dim, 400_000))
    exponent = snr * distance * rng.standard_normal(400_000) + snr**2 * distance**2 / 2
    weight = 1 / (1 + np.exp(-exponent))
    assert abs(weight.mean() - exact_means(2, dim, snr).planted_weight) < 4 * weight.std() / math.sqrt(400_000)


def test_the_crossover_does_not_sharpen_with_the_dimension():
    for ratio, weight in ((0.3, 0.0104), (1, 0.5706), (2, 0.9996)):
        for dim in (512, 4096):
            snr = ratio * memorisation.critical_snr(256, dim)
            assert abs(exact_means(256, dim, snr).planted_weight - weight) < 6e-4
    assert abs(memorisation.crossover_width(256, 10**6) - (2 * math.log(256)) ** -0.5) < 1e-4


def test_limits_within_their_declared_errors_where_they_were_not_measured():
    for dim, num in ((24, 5000), (150, 400)):
        for ratio in (0.15, 0.7, 1.05, 1.45, 2.2):
            config = Config(dim=dim, num_samples=num, snr=ratio * memorisation.critical_snr(num, dim))
            right = exact_means(num, dim, config.snr)._asdict()
            for theory in (memorisation.crossover, memorisation.jump):
                if theory.holds(config) is None:
                    for name, value in theory(KEY, config).items():
                        gap = abs(right[name] / value - 1)
                        assert gap < theory.relative_error(config, name), (theory.name, name, ratio)


def test_where_theories_do_not_speak():
    critical = memorisation.critical_snr(256, 16)
    assert "no jump" in memorisation.jump.holds(Config(snr=critical))
    for snr in (1e-4, 100.0):  # a weight of 0.41 for 1/2, and minutes
        assert "grid is for" in memorisation.exact.holds(Config(num_samples=2, dim=8, snr=snr))
    assert "too rare" in memorisation.exact.holds(Config(dim=64, num_samples=2000, snr=1.2, num_draws=50))
    rare = Config(dim=200, num_samples=150, snr=0.07)  # recall is rare there, and still more than the Gaussian law
    assert set(memorisation.jump.predict(jax.random.key(0), rare)) == {"information"}
    assert "100 points" in memorisation.jump.holds(Config(num_samples=50, snr=5 * critical))
    assert "judged from -1 to 3" in memorisation.crossover.holds(Config(snr=0.2 * critical))
    for change, message in (({"dim": 6}, "dim = 6"), ({"num_samples": 1}, "num_samples"), ({"snr": 0.0}, "snr")):
        with pytest.raises(ConfigError, match=message):
            memorisation.SETTING.validate(Config(**change))


def test_whole_vectors_agree_with_the_exact_means():
    """Also where JAX promotes no ranks by itself, as in these tests."""
    config = Config(dim=4, num_samples=3, num_draws=4000, sampler="vectors")
    found = jax.jit(lambda key: memorisation.simulate(key, config))(jax.random.key(0))
    right = exact_means(3, 4, config.snr)
    for name in ("planted_weight", "separation"):
        assert abs(float(found[name]) - getattr(right, name)) < 0.05
