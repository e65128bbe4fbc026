"""Where gradients vanish in each precision, how margins grow, and what homogeneity says."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.step_size import numerical_collapse as nc
from theorylab.training.iterate import iterate

sys.path.insert(0, str(Path(__file__).parents[3]))  # scripts of figures lie in the root of the repository

from paper_figures.numerical_collapse import figure_3_networks


@pytest.mark.parametrize(
    ("dtype", "collapse", "tolerance"),
    [("float64", 36.737, 0.02), ("float32", 16.636, 0.02), ("bfloat16", 5.545, 0.04), ("float16", 7.625, 0.02)],
)
def test_first_zeros_on_a_grid(dtype, collapse, tolerance):
    """Of the loss and of the correct class's gradient; log(1/ε) is 0.69 off. The other gradient is not 0."""
    gaps = np.arange(4, 40, 0.01)
    margins = jnp.asarray(gaps / 2).astype(dtype)
    losses = jax.jit(jax.vmap(lambda z: nc.cross_entropy(z, -z, "softmax")))(margins)
    correct, other = (
        np.asarray(g) for g in jax.jit(jax.vmap(lambda z: nc.gradients(z, -z, dtype, "softmax")))(margins)
    )
    for values in (np.asarray(losses, float), correct):
        assert gaps[np.argmax(values == 0)] == pytest.approx(collapse, abs=tolerance)
    assert nc.collapse_gap(dtype, "softmax") == pytest.approx(collapse, abs=1e-3)
    assert nc.collapse_gap(dtype, "softmax", units=1.0) == pytest.approx(collapse - np.log(2), abs=1e-3)
    beyond = np.searchsorted(gaps, collapse + 1)
    assert correct[beyond] == 0
    assert other[beyond] > 0
    underflow = gaps[np.argmax(other == 0)] if np.any(other == 0) else np.inf
    assert underflow == (pytest.approx(17.34, abs=0.02) if dtype == "float16" else np.inf)


@pytest.mark.parametrize(("dtype", "gap"), [("float32", 8190), ("float64", 2 * (2**27 - 1)), ("bfloat16", 30)])
def test_stablemax_collapses_far_away(dtype, gap):
    """At a power of 2, where the spacing of numbers doubles."""
    assert nc.collapse_gap(dtype, "stablemax") == gap
    for relative, zero in ((0.98, False), (1.02, True)):
        margin = jnp.asarray(relative * gap / 2).astype(dtype)
        assert bool(nc.cross_entropy(margin, -margin, "stablemax") == 0) == zero


def test_gradients_are_halved_after_and_coarse_before():
    exact = lambda gap: 1 / (1 + np.exp(gap))  # noqa: E731
    for gap in (16.7, 18.0, 30.0):
        correct, other = nc.gradients(gap / 2, -gap / 2, "float32", "softmax")
        assert float(other - correct) / (2 * exact(gap)) == pytest.approx(0.5, abs=1e-5)
    for gap, error in ((16.0, 0.06), (16.6, 0.94)):  # of the correct class; half of that of the margin
        correct, _ = nc.gradients(gap / 2, -gap / 2, "float32", "softmax")
        assert float(-correct) / exact(gap) - 1 == pytest.approx(error, abs=0.02)


def descend(config, at):
    steps = tuple(at)

    def step(gap, _):
        correct, other = nc.gradients(gap / 2, -gap / 2, config.dtype, config.loss)
        return gap - 2 * config.learning_rate * (correct - other)

    orbit = iterate(
        step, jnp.asarray(config.init_gap), num_steps=steps[-1], record=lambda gap: {"gap": gap}, record_at=steps
    )
    return np.asarray(orbit.observables["gap"])


def test_growth_through_the_collapse():
    """At float32 from a gap of 14, against a run whose weights are in float32 too, and exact arithmetic."""
    steps = (1000, 10_000, 100_000, 200_000)
    found = descend(nc.Config(), steps)
    np.testing.assert_allclose(found, [17.209, 19.162, 21.419, 22.114], atol=3e-3)
    law = nc.softmax_gap(jnp.asarray(steps, float), 1e4, 14.0, nc.collapse_gap("float32", "softmax"))
    np.testing.assert_allclose(law, [17.182, 19.158, 21.421, 22.112], atol=2e-3)
    exact = nc.softmax_gap(jnp.asarray(steps, float), 1e4, 14.0, 1e3)
    np.testing.assert_allclose(exact, [17.534, 19.810, 22.110, 22.803], atol=2e-3)  # the flow; ours has finite steps
    np.testing.assert_allclose(descend(nc.Config(dtype="float64"), steps[:2]), exact[:2], atol=1e-3)


def test_growth_in_exact_arithmetic():
    """Softmax: 2z - log 4t; StableMax: (1 + z)/(8t)^(1/4), from z = 0 at rate 1."""
    steps = (100, 1000, 10_000)
    times = jnp.asarray(steps, float)
    found = descend(nc.Config(dtype="float64", learning_rate=1.0, init_gap=0.0), steps)
    np.testing.assert_allclose(found - np.log(4 * np.array(steps)), [0.0186, 0.0024, 0.0003], atol=6e-5)
    np.testing.assert_allclose(nc.softmax_gap(times, 1.0, 0.0, 1e3)[1:], found[1:], atol=0.003)
    config = nc.Config(dtype="float64", loss="stablemax", learning_rate=1.0, init_gap=0.0)
    found = descend(config, steps)
    np.testing.assert_allclose((1 + found / 2) / (8 * np.array(steps)) ** 0.25, [0.9910, 0.9955, 0.9984], atol=6e-5)
    np.testing.assert_allclose(nc.stablemax_gap(times, 1.0, 0.0)[1:], found[1:], rtol=1e-3)


def test_gradients_of_stablemax_are_those_of_its_formula():
    for margin in (0.0, 0.3, 4.0):
        correct, other = nc.gradients(margin, -margin, "float64", "stablemax")
        exact = float(nc.exact_gradient(jnp.asarray(margin), "stablemax"))
        np.testing.assert_allclose([float(-correct), float(other)], exact, rtol=1e-12)
    np.testing.assert_allclose(nc.stablemax(jnp.array([-1.0, 0.0, 2.0])), [0.5, 1, 3])


@pytest.mark.slow
def test_homogeneous_networks():
    """Two layers of ReLU, three classes: -g·θ = 2 mean (y - p)·f, and the norm along an orthogonal step."""
    rng = np.random.default_rng(0)
    x, labels = jnp.asarray(rng.standard_normal((20, 5))), jnp.asarray(rng.integers(0, 3, 20))
    weights = jnp.asarray(rng.standard_normal(5 * 7 + 7 * 3))

    def outputs(theta):
        return jax.nn.relu(x @ theta[:35].reshape(5, 7)) @ theta[35:].reshape(7, 3)

    def loss(theta):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(outputs(theta)), labels[:, None], 1))

    gradient, f = jax.grad(loss)(weights), outputs(weights)
    radial = jnp.mean(jnp.sum((jax.nn.one_hot(labels, 3) - jax.nn.softmax(f)) * f, axis=1))
    assert float(-gradient @ weights) == pytest.approx(2 * float(radial), rel=1e-12)
    across = nc.project_orthogonal(gradient, weights)
    after = weights - 0.3 * across
    assert float(after @ after) == pytest.approx(float(weights @ weights + 0.09 * across @ across), rel=1e-13)
    plain = weights - 0.3 * gradient
    assert float(plain @ plain) != pytest.approx(float(weights @ weights + 0.09 * gradient @ gradient), rel=1e-4)


@pytest.mark.slow
@pytest.mark.tiny
def test_networks_collapse_where_two_classes_say():
    """Every sample of a network of K classes: collapsed beyond log(2/ε), and not below that less log(K - 1)."""
    found = figure_3_networks.data("tiny")
    gap, collapsed = found.gap.values, found.collapsed.values
    collapse, earliest = found.attrs["collapse"], found.attrs["collapse"] - np.log(found.attrs["classes"] - 1)
    assert collapsed[gap > collapse + 1e-3].all()
    assert not collapsed[gap < earliest - 1e-3].any()
    assert np.mean(collapsed[-1]) > 0.5 > np.mean(collapsed[0])
    np.testing.assert_array_equal(found.ratio.values == 0, collapsed)
    # Before, gradients are multiples of ε: as exact as that allows.
    before = (gap > 0) & (gap < 10)
    np.testing.assert_allclose(found.ratio.values[before], 1, atol=2 * np.exp(10) * nc.machine_eps("float32"))


def test_where_theories_do_not_speak(monkeypatch):
    assert "softmax" in nc.softmax_growth.holds(nc.Config(loss="stablemax"))
    assert "first step" in nc.softmax_growth.holds(nc.Config(learning_rate=1.0, init_gap=0.0))
    assert "beyond" in nc.softmax_growth.holds(nc.Config(init_gap=17.0))
    assert "first step" in nc.stablemax_growth.holds(nc.Config(loss="stablemax", learning_rate=0.05, init_gap=0.0))
    assert "coarse" in nc.stablemax_growth.holds(
        nc.Config(loss="stablemax", dtype="bfloat16", learning_rate=0.02, init_gap=0.0)
    )
    with pytest.raises(ConfigError, match="init_gap = -1"):
        nc.SETTING.validate(nc.Config(init_gap=-1.0))
    assert nc.needs(nc.Config(dtype="float64")) is None
    monkeypatch.setattr(jax.dtypes, "canonicalize_dtype", lambda kind: np.dtype("float32"))
    assert "dtype = 'float64' needs" in nc.needs(nc.Config(dtype="float64"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["softmax", "stablemax"])
def test_the_declared_error_of_ratios_covers_coarse_numbers(dtype, loss):
    config = nc.Config(dtype=dtype, loss=loss, num_steps=1)
    found = jax.jit(lambda key: nc.simulate(key, config))(jax.random.key(0))
    for name, value in nc.half_gradient(jax.random.key(0), config).items():
        assert abs(float(found[name] / value) - 1) < nc.half_gradient.relative_error(config, name)
