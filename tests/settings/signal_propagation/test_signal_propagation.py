"""Random networks: exact laws against SciPy, expansions against published tables, samplers against matrices."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import integrate, special, stats

import theorylab as tl
from theorylab.contract import ConfigError
from theorylab.numerics.gaussian import variance_derivatives
from theorylab.settings.wide_networks.signal_propagation import Config, model
from theorylab.settings.wide_networks.signal_propagation.predictions import exact_moments, ntk_exact, vertex
from theorylab.settings.wide_networks.signal_propagation.regimes import network_of
from theorylab.settings.wide_networks.signal_propagation.theory import cosines, exact, expansion

TANH = Config(activation="tanh", weight_variance=1.0)


def test_log_moments_are_those_of_gamma_functions():
    for width in (2, 20, 50):
        found = exact.log_factor_moments(width, 1.0, 1.0)
        wanted = special.digamma(width / 2) - np.log(width / 2), special.polygamma(1, width / 2)
        np.testing.assert_allclose(found, wanted, atol=1e-11)
        active = np.arange(1, width + 1)
        weights = stats.binom.pmf(active, width, 0.5) / (1 - 0.5**width)
        means = special.digamma(active / 2) + np.log(4 / width)
        mean = weights @ means
        variance = weights @ (special.polygamma(1, active / 2) + (means - mean) ** 2)
        np.testing.assert_allclose(exact.log_factor_moments(width, 0.0, 2.0), (mean, variance), atol=1e-10)


def test_moments_are_those_of_a_mixture():
    """E X⁴/(E X²)² of one ReLU factor, from moments of chi-square numbers of a binomial count."""
    width, active = 12, np.arange(1, 13)
    weights = stats.binom.pmf(active, width, 0.5)
    second, fourth = (weights @ np.exp(t * np.log(4 / width) + special.gammaln(active / 2 + t)
                                       - special.gammaln(active / 2)) for t in (2, 4))  # fmt: skip
    np.testing.assert_allclose(exact.fourth_moment_ratio(width, 1, 0.0), fourth / second**2, rtol=1e-12)
    np.testing.assert_allclose(exact.kernel_moments(width, 1, 0.0, 1.0).variance, second - 1, rtol=1e-12)


def test_tangent_kernel_by_hand():
    """At width one: a product of numbers."""
    assert [float(exact.ntk_ratio(1, depth, c)) for depth, c in ((2, 2.0), (3, 2.0), (2, 5.0))] == [2, 5, 4]


def test_published_tables_of_the_expansions():
    rows = (
        ("tanh", 1.0, 0.0, 0.5, 16, 17, 0.023156, 0.024259, 6.342e-4, 4.655e-4),
        ("sin", 1.0, 0.0, 1.0, 32, 17, 0.048034, 0.048621, 1.020e-3, 8.537e-4),
        ("tanh", 2.0, 0.0, 1.0, 32, 21, 0.607213, 0.606729, 1.3541e-2, 1.3532e-2),
        ("tanh", 1.5, 0.2, 1.0, 16, 21, 0.688419, 0.688382, 1.3257e-2, 1.3132e-2),
    )
    for name, weights, biases, start, width, depth, *wanted in rows:
        config = Config(activation=name, weight_variance=weights, bias_variance=biases, input_kernel=start)
        laws = [law(network_of(config), depth, width) for law in (expansion.vertex, expansion.closure)]
        found = [law.kernel[-1] + law.shift[-1] for law in laws] + [law.variance[-1] for law in laws]
        np.testing.assert_allclose(found, wanted, rtol=2e-4)
    deep = expansion.vertex(network_of(TANH), 1000, 1.0)
    np.testing.assert_allclose(deep.variance[-1] / deep.kernel[-1] ** 2 / 999, 0.66481, rtol=1e-5)


def test_expansions_are_the_exact_laws_of_piecewise_linear_networks():
    for slope, rate in ((0.0, 5.0), (1.0, 2.0)):
        config = Config(activation="leaky_relu", negative_slope=slope, weight_variance=2 / (1 + slope**2))
        network = network_of(config)
        second = expansion.closure(network, 5, 20).variance[-1]
        np.testing.assert_allclose(second, (1 + rate / 20) ** 4 - 1, rtol=1e-11)
        tangent, length = expansion.ntk_vertex(network, 6), 6
        slope_of_exact = rate * (length - 1) - 2 / 9 * (rate + 1) * (length**2 - 1) / length
        np.testing.assert_allclose(tangent.variance / tangent.mean**2, slope_of_exact, rtol=1e-11)
        wrong = expansion.ntk_vertex(network, 6, covariance=0.0)
        assert slope == 1 or abs(wrong.variance / tangent.variance - 1) > 0.1
    found = [expansion.ntk_vertex(network_of(TANH), depth) for depth in (10, 30)]
    np.testing.assert_allclose([one.variance for one in found], [2.4833, 6.0681], rtol=1e-4)
    np.testing.assert_allclose(found[0].mean, 0.62413, rtol=1e-5)


def test_cosines_follow_the_arc_cosine_kernel():
    rho = 0.2
    for layer in cosines.cosine_vertex(0.0, 6, 0.2).cosine:
        np.testing.assert_allclose(layer, rho, rtol=1e-12)
        rho = (np.sqrt(1 - rho**2) + rho * (np.pi - np.arccos(rho))) / np.pi
    variances = [
        cosines.cosine_vertex(0.0, depth, start).variance[-1] for start, depth in ((0, 11), (0.6, 11), (0.2, 6))
    ]
    np.testing.assert_allclose(variances, [0.43864, 0.30228, 0.73824], rtol=2e-5)
    linear = cosines.cosine_vertex(1.0, 11, 0.3)
    np.testing.assert_allclose((linear.cosine[-1], linear.variance[-1]), (0.3, 10 * 0.91**2), rtol=1e-12)


def test_derivatives_in_the_variance():
    def average(variance):
        return integrate.quad(lambda z: np.tanh(z) ** 2 * stats.norm.pdf(z, scale=variance**0.5), -12, 12)[0]

    found = variance_derivatives(lambda z: np.tanh(z) ** 2, 1, 0.7, order=200)
    np.testing.assert_allclose(found, (average(0.7), (average(0.701) - average(0.699)) / 0.002), rtol=1e-6)


def test_samplers_have_one_law():
    """With biases, at small width: what is conditioned on in the backward pass is the weights' part alone."""
    config = Config(
        width=8, depth=5, num_networks=8000, activation="tanh", weight_variance=1.5, bias_variance=0.4,
        input_cosine=0.2, bias_learning_rate=0.5,
    )  # fmt: skip
    drawn = [
        jax.jit(model.sample)(jax.random.key(index), dataclasses.replace(config, sampler=sampler))
        for index, sampler in enumerate(("matrix_free", "matrices"))
    ]
    for one, other in zip(*drawn, strict=True):
        assert stats.ks_2samp(np.asarray(one), np.asarray(other)).pvalue > 1e-4


def test_chi_square_chain_has_the_law_of_the_vectors():
    config = Config(width=30, depth=6, num_networks=8000, activation="leaky_relu", weight_variance=2 / 1.09)
    chain = jax.jit(model.sample_kernels, static_argnums=2)(jax.random.key(0), config, 8000)
    one = exact.log_factor_moments(30, 0.3, 2 / 1.09)
    z = (np.mean(chain) - 5 * one.mean) / np.sqrt(5 * one.variance / 8000)
    assert abs(z) < 4
    assert abs(np.var(chain) / (5 * one.variance) - 1) < 0.08


def test_bad_input_is_refused_and_heavy_tails_are_not_judged():
    setting = tl.get("signal_propagation")
    for wrong, field in (
        ({"width": 1}, "width"),
        ({"depth": 0}, "depth"),
        ({"negative_slope": 2.0}, "negative_slope"),
        ({"weight_variance": 0.0}, "weight_variance"),
        ({"input_kernel": 0.1, "bias_variance": 0.2}, "input_kernel"),
        ({"input_cosine": -0.9, "bias_variance": 0.2}, "input_cosine"),
    ):
        with pytest.raises(ConfigError, match=field):
            setting.validate(dataclasses.replace(Config(), **wrong))
    deep = Config(width=10, depth=20)
    assert "heavy tails" in exact_moments.holds(deep)
    assert "heavy tails" in ntk_exact.holds(deep)
    assert "no small parameter" in vertex.holds(deep)


@pytest.mark.parametrize(
    ("activation", "width", "depth", "weight_variance", "seen"),
    [
        ("tanh", 32, 6, 3.0, 0.199), ("tanh", 64, 11, 1.5, 0.181), ("tanh", 64, 11, 2.0, 0.254),
        ("tanh", 128, 11, 3.0, 0.166), ("tanh", 64, 12, 0.7, 0.047), ("sin", 64, 12, 2.0, 0.246),
    ],
)  # fmt: skip
def test_the_declared_error_of_the_tangent_kernel_s_variance_is_not_below_what_was_seen(
    activation, width, depth, weight_variance, seen
):
    """In the chaotic phase it grows as the square of the depth: where it is above 30% nothing is predicted."""
    config = Config(width=width, depth=depth, activation=activation, weight_variance=weight_variance)
    theory = tl.get("signal_propagation").theory("ntk_vertex")
    assert theory.relative_error(config, "ntk_variance") >= seen
    assert theory.holds(dataclasses.replace(config, width=32, depth=6, weight_variance=1.5)) is None
    assert "next order" in theory.holds(dataclasses.replace(config, width=128, depth=22, weight_variance=3.0))
