"""Scaling laws: recursions against matrices, contours against published tables, floors, frontiers, refusals."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

import theorylab as tl
from theorylab.contract import ConfigError
from theorylab.numerics import contours
from theorylab.settings.kernels.scaling_laws import SETTING, Config, predictions, simulate
from theorylab.settings.kernels.scaling_laws.config import largest_learning_rate, powers, recorded_steps
from theorylab.settings.kernels.scaling_laws.data import samples, sketch, sketch_matrix
from theorylab.settings.kernels.scaling_laws.theory import equivalent, power_laws

SMALL = Config(num_features=48, width=8, num_steps=30, num_replicas=60, learning_rate=0.3)


def law(features, a, b):
    index = np.arange(1, features + 1.0)
    return index**-a, index**-b


# --- one-pass SGD on a sketch -----------------------------------------------------------------------------------------


def test_mean_losses_are_those_of_the_whole_matrix_of_second_moments():
    """E w wᵀ as a matrix, with θ* and s by least squares; the recursion of modes in JAX and in NumPy."""
    key, batch = jax.random.key(3), 3
    config = dataclasses.replace(SMALL, batch_size=batch)
    variances, energies = powers(config)
    w = np.asarray(sketch_matrix(key, config), float)
    roots = np.sqrt(variances)[:, None]
    best, *_ = np.linalg.lstsq(roots * w, np.sqrt(energies), rcond=None)
    hessian, s = w.T @ (variances[:, None] * w), np.sum((roots * w @ best[:, None] - np.sqrt(energies)[:, None]) ** 2)
    second, losses, rate = np.outer(best, best), [], 0.3
    for _ in range(config.num_steps + 1):
        losses.append(np.sum(hessian * second) + s)
        noise = (1 + 1 / batch) * hessian @ second @ hessian + losses[-1] / batch * hessian
        second = second - rate * (hessian @ second + second @ hessian) + rate**2 * noise
    steps = list(recorded_steps(config))
    if jax.config.jax_enable_x64:
        told = jax.jit(predictions.sgd_mean.predict)(key, config)["loss"]
        np.testing.assert_allclose(told, np.array(losses)[steps], rtol=1e-10)
    drawn = sketch(key, config)
    h, f = np.asarray(drawn.eigenvalues, float), np.asarray(drawn.energies, float)
    modes = equivalent.Modes(h, f, h**2, float(drawn.irreducible))
    np.testing.assert_allclose(equivalent.sgd_losses(modes, rate, batch, steps), np.array(losses)[steps], rtol=1e-4)
    np.testing.assert_allclose(losses[0], energies.sum(), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.tiny
def test_both_trainers_have_the_mean_of_the_theory():
    """Steps by their sufficient statistics, and sample by sample in all features; at batches of 1 and 3."""
    data = tl.sweep(SETTING, SMALL, {"trainer": ("modes", "plain"), "batch_size": (1, 3)}, seeds=16)
    rows = tl.compare(SETTING, data, theories=["sgd_mean"])
    assert len(rows) == 4
    gaps = [abs(row.empirical - row.predicted) / row.predicted for row in rows if row.failed]
    assert not gaps or (max(gaps) < 1e-4 and not jax.config.jax_enable_x64), rows  # rounding before the first step


def test_losses_converge_to_the_irreducible_one_over_one_minus_the_noise():
    variances, energies = law(200, 1.5, 1.8)
    modes = equivalent.width_modes(variances, energies, 20, 0.25 * 20_000)
    share = equivalent.noise_share(modes, 0.25, 4)
    limit = equivalent.width_irreducible_loss(variances, energies, 20) / (1 - share)
    np.testing.assert_allclose(equivalent.sgd_losses(modes, 0.25, 4, [20_000]), limit, rtol=1e-8)


def test_the_contour_has_the_values_of_an_independent_implementation():
    variances, energies = law(300, 1.5, 1.8)
    modes = equivalent.width_modes(variances, energies, 40, 0.25 * 300)
    np.testing.assert_allclose(
        equivalent.sgd_losses(modes, 0.25, 4, [1, 3, 10, 30, 100, 300]),
        [1.42001, 0.95903, 0.54938, 0.35251, 0.23992, 0.19305],
        atol=6e-6,
    )
    assert equivalent.noise_share(modes, 0.25, 4) == pytest.approx(0.0858455, abs=1e-7)
    variances, energies = law(500, 1.2, 3.0)
    modes = equivalent.width_modes(variances, energies, 60, 0.15 * 1000)
    np.testing.assert_allclose(
        equivalent.sgd_losses(modes, 0.15, 2, [1, 10, 100, 1000]), [0.9409, 0.2033, 0.0555, 0.0447], atol=6e-5
    )
    variances, energies = law(400, 1.5, 1.8)
    floors = [equivalent.width_irreducible_loss(variances, energies, width) for width in (20, 40, 80)]
    np.testing.assert_allclose(floors, [0.30110, 0.16725, 0.08519], atol=6e-6)


def test_as_many_weights_as_features_leave_nothing():
    variances, energies = law(30, 1.5, 1.8)
    assert equivalent.width_irreducible_loss(variances, energies, 30) == 0
    modes = equivalent.width_modes(variances, energies, 30, 10.0)
    np.testing.assert_allclose(modes.energies.sum().real, energies.sum(), rtol=1e-12)


# --- descent on samples -----------------------------------------------------------------------------------------------

TABLES = [
    ((300, 1.5, 1.8, 40, 0.0, 0.3), [1.27698, 0.45004, 0.18268, 0.12577, 0.12333]),
    ((300, 1.5, 1.8, 120, 0.2, 0.3), [1.27379, 0.42293, 0.15048, 0.12141, 0.23528]),
    ((300, 1.2, 2.5, 60, 0.1, 0.3), [0.7742, 0.0993, 0.0397, 0.0701, 0.0736]),
    ((300, 2.0, 1.5, 30, 0.0, 0.3), [1.921, 1.104, 0.6825, 0.5218, 0.5223]),
    ((200, 1.4, 2.2, 50, 0.15, 0.25), [0.99847, 0.21812, 0.07495, 0.11607, 0.14868]),
]


@pytest.mark.parametrize(("numbers", "expected"), TABLES)
def test_the_double_contour_has_the_values_of_an_independent_implementation(numbers, expected):
    features, a, b, n, noise, rate = numbers
    variances, energies = law(features, a, b)
    contour = contours.around_spectrum(variances, n, rate * 10_000)
    losses = equivalent.descent_losses(contour, variances, energies, n, noise, rate, [0, 1, 10, 100, 1000, 10_000])
    np.testing.assert_allclose(losses[1:], expected, atol=6e-5 if a in (1.2, 1.5) or b == 2.2 else 6e-4)
    np.testing.assert_allclose(losses[0], energies.sum(), rtol=1e-10)


def test_long_descent_interpolates():
    variances, energies = law(100, 1.5, 1.8)
    contour = contours.around_spectrum(variances, 10, 0.3 * 1e5)
    late = equivalent.descent_losses(contour, variances, energies, 10, 0.0, 0.3, [100_000])
    np.testing.assert_allclose(late, equivalent.sample_irreducible_loss(variances, energies, 10), rtol=1e-9)


def test_filters_of_eigenvalues_are_the_descent_itself():
    """Both trainers, step by step, and interpolation by the pseudo-inverse; fewer and more samples than features."""
    for n in (20, 60):
        config = dataclasses.replace(SMALL, regime="offline", num_samples=n, noise_variance=0.1, learning_rate=0.7)
        key = jax.random.key(2)
        found, plain = (
            jax.jit(simulate)(key, dataclasses.replace(config, trainer=name)) for name in ("modes", "plain")
        )
        x, noise, beta, variances = (np.asarray(part, float) for part in samples(key, config))
        theta, losses = np.zeros(48), []
        for _ in range(config.num_steps + 1):
            losses.append(np.sum(variances * (theta - beta) ** 2))
            theta = theta - 0.7 * x.T @ (x @ theta - x @ beta - noise) / n
        expected = np.array(losses)[list(recorded_steps(config))]
        rtol = 1e-9 if jax.config.jax_enable_x64 else 1e-3
        np.testing.assert_allclose(found["loss"], expected, rtol=rtol)
        np.testing.assert_allclose(plain["loss"], expected, rtol=rtol)
        limit = np.sum(variances * (np.linalg.pinv(x) @ x @ beta - beta) ** 2)
        np.testing.assert_allclose(found["irreducible_loss"], limit, rtol=rtol, atol=rtol)


# --- power laws -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(2.0, 1.9), (2.0, 2.5), (2.0, 3.0), (2.0, 3.4), (2.5, 4.5), (1.8, 5.5)])
def test_floors_have_their_amplitudes(a, b):
    """In every phase and between two, where the two terms have poles; wrong exponents are far off."""
    variances, energies = law(50_000, a, b)
    for size in (32, 64):
        for found, told in (
            (equivalent.width_irreducible_loss, power_laws.width_floor),
            (equivalent.sample_irreducible_loss, power_laws.sample_floor),
        ):
            value = found(variances, energies, size)
            assert told(a, b, size).loss == pytest.approx(value, rel=0.012)
            if b != a + 1:  # a logarithm there
                exponent = np.log2(value / found(variances, energies, 2 * size))
                assert told(a, b, size).exponent == pytest.approx(exponent, rel=0.15)


def test_declared_errors_of_power_laws_cover_few_features_and_small_sizes():
    used = []
    floors = {"online": equivalent.width_irreducible_loss, "offline": equivalent.sample_irreducible_loss}
    choices = itertools.product(floors, (256, 2048), (8, 64), (1.3, 1.5, 2.0, 3.0), (1.3, 1.8, 2.5, 3.4, 4.0, 5.0))
    for regime, features, size, a, b in choices:
        config = Config(
            regime=regime, num_features=features, width=size, num_samples=size, spectrum_exponent=a, target_exponent=b
        )
        declared = predictions.power_law_error(config, "irreducible_loss")
        assert (predictions.power_law_floor.holds(config) is None) == (declared <= 0.2)
        if declared <= 0.2:
            told = float(predictions.power_law_floor(jax.random.key(0), config)["irreducible_loss"])
            used.append(abs(floors[regime](*powers(config), size) / told - 1) / declared)
    assert len(used) > 60
    assert 0.6 < max(used) < 1


@pytest.mark.parametrize(("a", "b"), [(1.5, 1.8), (1.5, 3.0), (2.0, 1.4), (2.5, 1.5)])
def test_floors_know_the_features_that_are_not_there(a, b):
    """Sums over the features there are; without the two corrections the floors are 13 to 76% off."""
    for (size, features), (found, told) in itertools.product(
        ((40, 512), (25, 300)),
        (
            (equivalent.width_irreducible_loss, power_laws.width_floor),
            (equivalent.sample_irreducible_loss, power_laws.sample_floor),
        ),
    ):
        value = found(*law(features, a, b), size)
        floor = told(a, b, size, features)
        assert floor.loss == pytest.approx(value, rel=0.003 + floor.neglected)
        assert abs(told(a, b, size).loss / value - 1) > 5 * abs(floor.loss / value - 1)


def test_phases_agree_at_their_edges():
    for a in (1.2, 1.5, 2.0, 3.0):
        for edge, names in ((a + 1, "I II"), (2 * a, "II III")):
            before, after = power_laws.phase(a, edge - 1e-9), power_laws.phase(a, edge + 1e-9)
            assert f"{before.name} {after.name}" == names
            np.testing.assert_allclose(before[1:], after[1:], atol=1e-8)


@pytest.mark.parametrize(
    ("a", "b", "rate", "loss", "width"),
    [(1.5, 1.8, 0.2, 0.32, 0.4), pytest.param(2.0, 3.4, 0.1, 0.7059, 0.4118, marks=pytest.mark.slow)],
)
def test_the_frontier_approaches_its_exponents(a, b, rate, loss, width):
    """The last local slope of six widths is within 3%; the other phase's exponents are not."""
    variances, energies = law(6000, a, b)
    widths, steps = np.array([16, 32, 64, 128, 256, 512.0]), 20_000
    losses = [
        equivalent.sgd_losses(equivalent.width_modes(variances, energies, m, rate * steps), rate, 1, range(steps + 1))
        for m in widths
    ]
    found, told = power_laws.frontier(np.array(losses), widths), power_laws.phase(a, b)
    np.testing.assert_allclose(told[1:], [loss, width], atol=1e-4)
    assert -found.loss_slopes[-1] == pytest.approx(told.loss, rel=0.03)
    assert found.width_slopes[-1] == pytest.approx(told.width, rel=0.03)
    other = {"I": (b - 1) / b, "II": (b - 1) / (a + 1)}[told.name]
    assert abs(-found.loss_slopes[-1] / other - 1) > 0.1


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"spectrum_exponent": 1.0}, "spectrum_exponent"),
        ({"target_exponent": 0.9}, "target_exponent"),
        *(({name: 1e3}, f"{name} = 1000") for name in ("spectrum_exponent", "target_exponent")),  # 0 from j = 2 on
        ({"width": 600}, "width = 600"),
        ({"num_features": 10**9}, "num_features = 1000000000"),  # its powers would be 8 GB each
        ({"batch_size": 1.5}, "whole number"),
        ({"learning_rate": 1.0}, "must be below 0."),
        ({"regime": "offline", "learning_rate": 2.0}, "must be below 2"),
    ],
)
def test_bad_configurations_are_refused(fields, said):
    with pytest.raises(ConfigError, match=said):
        SETTING.validate(Config(**fields))


def test_steps_up_to_the_named_bound_are_allowed():
    bound = largest_learning_rate(Config())
    SETTING.validate(Config(learning_rate=0.999 * bound))
    with pytest.raises(ConfigError, match=f"{bound:.4g}"):
        SETTING.validate(Config(learning_rate=1.001 * bound))
    assert "half" in predictions.sgd_mean.holds(Config(learning_rate=0.9 * bound))


def test_theories_say_where_they_do_not_apply():
    offline = Config(regime="offline")
    assert "online" in predictions.sgd_mean.holds(offline)
    assert "offline" in predictions.double_contour.holds(Config())
    assert "within 10" in predictions.double_contour.holds(dataclasses.replace(offline, num_samples=505))
    assert "half" in predictions.deterministic_equivalent.holds(Config(width=400))
    assert "contour" in predictions.double_contour.holds(dataclasses.replace(offline, learning_rate=1.5))
    assert "contour" in predictions.deterministic_equivalent.holds(Config(batch_size=1000, learning_rate=0.8))
    assert "power law" in predictions.power_law_floor.holds(Config(width=256))
    for bad in ((1.0, 2.0), (2.0, 1.0)):
        with pytest.raises(ValueError, match="must be > 1"):
            power_laws.phase(*bad)
    with pytest.raises(ValueError, match="do not cross"):
        power_laws.frontier(np.array([[1, 0.5, 0.2], [1, 0.9, 0.8]]), np.array([1.0, 2.0]))
