"""Kernel sums: exact means against known numbers and direct draws, their limits, refusals."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from scipy import stats

from theorylab.contract import ConfigError
from theorylab.numerics.chi_square import chi_square_of_normal, gauss_nodes, noncentral_log_density
from theorylab.settings.statistics import energies, limits, nearest
from theorylab.settings.statistics.random_energy import SETTING, Config, divergence, exact_means
from theorylab.settings.statistics.random_energy.model import relative_variance, simulate
from theorylab.settings.statistics.random_energy.predictions import annealed, exact, extreme_values, frozen, moments
from theorylab.settings.statistics.random_energy.predictions.finite import central_share

KEY = jax.random.key(0)


def at(dim, load, ratio, num=None):
    """A configuration at h = ratio h_G."""
    num = math.exp(load * dim) if num is None else num
    return Config(dim=dim, num_samples=num, bandwidth=ratio * limits.condensation_bandwidth(load))


@pytest.mark.parametrize(
    ("dim", "load", "num", "ratios", "participations"),
    [
        (20, 0.4, 2981, (0.5, 0.75, 1, 1.25, 1.5, 2), (0.8165409307532, 0.5967, 0.3359, 0.1286, 0.0355, 0.0040)),
        (40, 0.3, 162755, (0.5, 0.75, 1, 1.25, 1.5, 2), (0.7951, 0.5479, 0.2563, 0.0565, 0.0057, 0.0002)),
        (400, 0.3, None, (0.75,), (0.4557,)),
    ],
)
def test_participation_has_the_values_of_another_implementation(dim, load, num, ratios, participations):
    found = [exact_means(at(dim, load, ratio, num))[0] for ratio in ratios]
    np.testing.assert_allclose(found, participations, atol=6e-5)
    if dim == 20:
        np.testing.assert_allclose(found[0], participations[0], rtol=1e-10)


def test_one_point_has_all_the_weight():
    found = exact_means(Config(num_samples=1, bandwidth=0.7))
    np.testing.assert_allclose(found, [1, -(20 + 20) / (2 * 0.49) / 20], rtol=1e-9)


@pytest.mark.parametrize(
    ("dim", "load", "ratio"), [(20, 0.4, 0.25), (400, 0.3, 0.75), (100, 2.0, 0.5), (1000, 0.3, 1.0)]
)
def test_finer_steps_change_nothing(dim, load, ratio):
    config = at(dim, load, ratio)
    scale, log_num = 1 / (2 * config.bandwidth**2), math.log(config.num_samples)
    found = []
    for step in (energies.STEP, energies.STEP / 2):
        law = energies.energies(scale, dim, dim, log_num, step)
        sums = energies.sums(law, config.num_samples, step=step)
        found.append([sums.participation, sums.log_partition[0]])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_means_of_both_queries_against_direct_draws():
    """Vectors drawn with NumPy, in another shape than the simulator's: 12 dimensions, 300 points."""
    rng, draws = np.random.default_rng(0), 3000
    for query in ("typical", "gaussian"):
        config = dataclasses.replace(Config(dim=12, num_samples=300, query=query), bandwidth=0.7)
        found = []
        for _ in range(draws):
            x = rng.standard_normal(12) if query == "gaussian" else np.ones(12)
            u = np.exp(-np.sum((rng.standard_normal((300, 12)) - x) ** 2, axis=1) / (2 * 0.49))
            found.append([np.sum(u**2) / np.sum(u) ** 2, np.log(np.mean(u)) / 12])
        error = np.std(found, axis=0) / math.sqrt(draws)
        assert np.all(np.abs(np.mean(found, axis=0) - exact_means(config)) < 4 * error)


def test_share_within_quartiles_inverts_the_known_medians():
    """Half of all draws are within the median of |Z/E Z - 1|, which two implementations gave to four digits."""
    for ratio, median in ((1.2, 0.5102), (2**0.5, 0.6149), (2.2, 0.6732)):
        assert abs(central_share(at(20, 0.18, ratio, 37), median) - 0.5) < 2e-4
    # A single exponential of probability one half each way is its own law: two points against enumeration.
    law = energies.Energies(np.array([0.0, math.log(4)]), np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(energies.central_share(law, 3, math.log(0.625), 0.35, 0.002), 0.75, atol=2e-3)


def test_variance_of_a_sum_is_that_of_its_terms():
    """Var u/(E u)² over n, on either side of where E u² is e times (E u)²."""
    for beta, num in ((0.05, 3), (0.5, 100), (2.0, 1000)):
        law = energies.energies(beta / 2, 20, 20.0, 0.0, 0.1)
        u, p = np.exp(-law.nodes), law.weights[0]
        wanted = (p @ u**2 / (p @ u) ** 2 - 1) / num
        with jax.enable_x64(True):
            np.testing.assert_allclose(relative_variance(20, 20.0, beta, math.log(num)), wanted, rtol=1e-7)


def test_the_best_bandwidth_is_the_distance_to_the_nearest_point():
    for load, condensation, optimal in ((0.1, 1.3708, 1.0386), (0.25, 0.9468, 0.8344), (1, 0.3721, 0.3693)):
        beta = limits.condensation_bandwidth(load) ** -2
        np.testing.assert_allclose(beta**-0.5, condensation, atol=6e-5)
        np.testing.assert_allclose(limits.optimal_bandwidth(load), optimal, atol=6e-5)
        np.testing.assert_allclose(
            limits.optimal_bandwidth(load) ** 2, 1 / (1 + beta) + 1 / (1 + beta) ** 2, rtol=1e-12
        )
    for dim, found in ((20, 0.9516), (400, 0.8467)):
        grid = found + np.array([-0.02, 0.0, 0.02])
        config = Config(dim=dim, num_samples=math.exp(0.25 * dim), sampler="nearest" if dim > 40 else "radial")
        low, middle, high = (divergence(dataclasses.replace(config, bandwidth=h)) for h in grid.tolist())
        least = found + 0.01 * (low - high) / (low - 2 * middle + high)
        assert abs(least - found) < 1e-3
        assert least > limits.optimal_bandwidth(0.25)


def test_limits_within_their_declared_errors_where_they_were_not_measured():
    for dim, load in ((30, 0.15), (200, 0.7)):
        for ratio in (0.35, 0.55, 0.77, 1.05, 1.4):
            config = at(dim, load, ratio)
            right = exact(KEY, config)
            for theory in (frozen, extreme_values, annealed):
                if theory.holds(config) is None:
                    for name, value in theory(KEY, config).items():
                        assert abs(value / right[name] - 1) < 1.3 * theory.relative_error(config, name), (
                            theory.name,
                            name,
                        )


@pytest.mark.slow
def test_samplers_have_one_law():
    """Vectors, radii and the nearest of 20 000 points: means within four standard errors of the exact ones."""
    config = Config(dim=12, num_samples=20_000, bandwidth=0.55, num_draws=40)
    right = exact_means(dataclasses.replace(config, num_draws=1))
    for sampler, seeds in (("radial", 3), ("nearest", 8)):
        chosen = dataclasses.replace(config, sampler=sampler)
        found = jax.vmap(lambda key, chosen=chosen: simulate(key, chosen))(jax.random.split(jax.random.key(0), seeds))
        for name, value in zip(("participation", "log_partition"), right, strict=True):
            error = float(found[name].std(ddof=1)) / math.sqrt(seeds)
            assert abs(float(found[name].mean()) - value) < 4 * error
    assert nearest.unseen_share(12, math.log(20_000), 0.55) < 0.5


def test_heavy_tails_are_not_judged():
    assert "heavy tails" in moments.holds(at(20, 0.4, 1.0, 2981))
    assert moments.holds(at(20, 0.4, 2.0, 2981)) is None
    assert "farther points" in moments.holds(dataclasses.replace(at(100, 0.3, 2.0), sampler="nearest"))


def test_what_a_sampler_cannot_draw_is_refused():
    for change, message in (
        ({"num_samples": 1e30}, "num_samples = 1e\\+30 is not allowed"),
        ({"num_samples": 20.5}, "needs a whole number"),
        ({"num_samples": 0}, "num_samples"),
        ({"dim": 4}, "dim = 4 is not allowed"),
        ({"bandwidth": 0.0}, "bandwidth"),
        ({"sampler": "nearest"}, "needs >= 20000"),
        ({"sampler": "nearest", "num_samples": 1e9, "query": "gaussian"}, "query = gaussian"),
    ):
        with pytest.raises(ConfigError, match=message):
            SETTING.validate(Config(**change))


def test_chi_square_laws():
    x = np.array([0.5, 10.0, 40.0, 150.0])
    for degrees, noncentrality in ((3, 2.0), (20, 20.0), (100, 30.0), (300, 200.0)):
        wanted = stats.ncx2.logpdf(x, degrees, noncentrality)
        kept = wanted > -300  # SciPy's density ends there
        found = noncentral_log_density(x, degrees, noncentrality)
        np.testing.assert_allclose(found[kept], wanted[kept], rtol=0, atol=1e-9)
    nodes, weights = gauss_nodes(700, 6)
    np.testing.assert_allclose([weights.sum(), weights @ nodes, weights @ nodes**2], [1, 700, 700 * 702], rtol=1e-12)
    z = np.linspace(-6.4, 6.4, 101)
    with jax.enable_x64(True):
        for degrees, error in ((5, 2e-7), (6, 1e-8), (14, 1e-8), (200, 1e-12)):
            drawn = np.asarray(chi_square_of_normal(jax.numpy.asarray(z), degrees))
            back = np.where(z < 0, stats.chi2.logcdf(drawn, degrees), stats.chi2.logsf(drawn, degrees))
            wanted = np.where(z < 0, stats.norm.logcdf(z), stats.norm.logsf(z))
            np.testing.assert_allclose(back, wanted, atol=200 * error)


def test_extreme_bandwidths_are_left_to_others():
    """At 1000 the log was wrong by 2e-8 of itself, at 1e8 altogether; at 0.02 a cell took seconds."""
    exact = SETTING.theory("exact")
    assert "rounding" in exact.holds(Config(bandwidth=1000.0))
    assert "too many nodes" in exact.holds(Config(dim=20, bandwidth=1e-3))
    assert exact.holds(Config(bandwidth=300.0)) is exact.holds(Config(dim=400, bandwidth=0.1)) is None
    assert exact_means(Config(num_samples=1, bandwidth=300.0))[1] * 300**2 == pytest.approx(-1, rel=1e-8)
