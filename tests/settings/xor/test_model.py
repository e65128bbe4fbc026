"""The trainers, the sampler and the exact identities of XOR clusters, against NumPy in the paper's own units."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from theorylab.contract import ConfigError
from theorylab.lab.layout import first_bad_step
from theorylab.numerics import random
from theorylab.settings.two_layer.xor import SETTING, Config, at_ratio, check_assumptions
from theorylab.settings.two_layer.xor import config as numbers
from theorylab.settings.two_layer.xor.data import cluster_order, project, sample
from theorylab.settings.two_layer.xor.model import output, split_centres
from theorylab.settings.two_layer.xor.theory import first_step, late, memorisation
from theorylab.settings.two_layer.xor.train import final_weights, train
from theorylab.settings.two_layer.xor.train import first_step as measure_first_step

RNG = np.random.default_rng(0)
FULL = Config(
    sampler="full", num_train=40, input_dim=1500, width=60, num_steps=20, num_test=8, mean_norm=12.0, label_noise=0.1,
    learning_rate=1e-12, init_scale=1e-15,
)  # fmt: skip
RECORD = (0, 1, 5, 20)


@jax.jit
def orbit(instance, config):
    """Final weights; training and test outputs and alignments along the way."""

    def record(state):
        return {
            "train": output(instance.signs, state.train),
            "test": output(instance.signs, state.test),
            "alignment": state.alignment,
        }

    state, records = train(instance, config, record, RECORD)
    return {"coefficients": state, "weights": final_weights(instance, config, state), **records}


draw, reduce = jax.jit(sample), jax.jit(project)


def by_hand(instance, config):
    """Gradient descent in the paper's units, with whole input vectors, and what the odd-part identity sums."""
    n, m, alpha = config.num_train, config.width, config.learning_rate
    unit = alpha / (2 * n * np.sqrt(m))
    x, y, sign, weights, tests = (
        np.asarray(a) for a in (instance.features, instance.labels.observed, instance.signs, instance.weights,
                                instance.test_features)
    )  # fmt: skip
    a, w = sign / np.sqrt(m), unit * weights
    start, pulls, rows = a @ w, np.zeros(n), {"train": [], "test": [], "alignment": []}
    for step in range(config.num_steps + 1):
        h = w @ x.T
        f = a @ np.maximum(h, 0)
        if step in RECORD:
            rows["train"].append(f)
            rows["test"].append(a @ np.maximum(w @ tests.T, 0))
            rows["alignment"].append(w[:, :2] * config.mean_norm)
        if step == config.num_steps:
            break
        g = 1 / (1 + np.exp(y * f))
        pulls += g * (h > 0).mean(0)
        w = w + alpha / n * (a[:, None] * (h > 0) * (g * y)) @ x
    beta = start + alpha / n * (pulls * y) @ x
    np.testing.assert_allclose(a @ w, beta, rtol=0, atol=1e-12 * np.abs(beta).max())  # the odd part is linear, exactly
    return {name: np.array(values) for name, values in rows.items()}


@pytest.mark.parametrize(("rate", "scale"), [(1e-12, 1e-15), (1e-2, 1e-4), (0.05, 1e-3)])
def test_all_trainers_are_gradient_descent_in_the_papers_units(rate, scale):
    """From outputs of 1e-12 up to slopes of the loss far from 1/2: whole vectors, n + 2 coordinates, coefficients."""
    config = dataclasses.replace(FULL, learning_rate=rate, init_scale=scale)
    instance = draw(jax.random.key(1), config)
    expected = by_hand(instance, config)
    f, v = numbers.output_unit(config), rate * config.mean_norm**2 / (2 * 40 * np.sqrt(60))
    direct = dataclasses.replace(config, trainer="direct")
    small = reduce(instance)
    assert small.features.shape == (40, 42)
    runs = [orbit(instance, direct), orbit(small, direct), orbit(small, config), orbit(instance, config)]
    for run in runs:
        for name, unit in (("train", f), ("test", f), ("alignment", v)):
            gap = np.abs(unit * np.asarray(run[name]) - expected[name]).max()
            assert gap < 1e-12 * np.abs(expected[name]).max(), name
    if rate == 0.05:
        margins = expected["train"][-1] * np.asarray(instance.labels.observed)
        assert margins.max() > 1  # the slope of the loss is far from 1/2 here
        halved = orbit(instance, dataclasses.replace(config, loss_slope="half"))["train"]
        assert np.abs(f * np.asarray(halved) - expected["train"]).max() > 0.01 * np.abs(expected["train"]).max()


def test_scale_is_a_symmetry():
    """(α, ω) → (8α, 8ω): bit for bit with the half slope, up to the outputs themselves with the true loss."""
    scales = ({"learning_rate": 1e-9, "init_scale": 1e-12}, {"learning_rate": 8e-9, "init_scale": 8e-12})
    configs = [dataclasses.replace(FULL, **scale) for scale in scales]
    instances = [draw(jax.random.key(2), config) for config in configs]
    half, true = (
        [orbit(i, dataclasses.replace(c, loss_slope=slope)) for i, c in zip(instances, configs, strict=True)]
        for slope in ("half", "true")
    )
    np.testing.assert_array_equal(half[0]["weights"], half[1]["weights"])
    a, b = (np.asarray(run["weights"]) for run in true)
    largest = numbers.output_unit(configs[1]) * np.abs(true[1]["train"]).max()
    np.testing.assert_allclose(a, b, rtol=0, atol=largest * np.abs(a).max())
    assert not np.array_equal(a, b)


def test_linear_part_knows_nothing_of_xor():
    signs, alignment = RNG.choice([-1.0, 1.0], 30), RNG.standard_normal((30, 2))
    config = dataclasses.replace(FULL, width=30)
    odd, even = split_centres(jnp.asarray(signs), jnp.asarray(alignment), config)
    size = config.mean_norm**2 / config.input_dim
    at = [
        float(output(jnp.asarray(signs), jnp.asarray(s * size * alignment[:, [k]]))[0]) for k in (0, 1) for s in (1, -1)
    ]
    np.testing.assert_allclose(np.array(at).reshape(2, 2), np.stack([odd + even, even - odd], 1), rtol=1e-12)
    linear = np.array([odd[0], -odd[0], odd[1], -odd[1]])
    assert np.mean(linear * np.array([1, 1, -1, -1]) > 0) == 0.5


# --- sampler ----------------------------------------------------------------------------------------------------------


def test_chi_numbers_have_their_law():
    degrees = np.array([2.0, 3.0, 5.0, 50.0, 39_998.0])
    many = np.repeat(degrees, 4000)
    z, u = RNG.standard_normal((8, many.size)), RNG.random((8, many.size))
    values = np.asarray(jax.jit(random.chi_square_of)(z, u, many)).reshape(len(degrees), -1)
    for df, column in zip(degrees, values, strict=True):
        assert stats.kstest(column, stats.chi2(df).cdf).pvalue > 1e-3
        assert stats.kstest(column, stats.chi2(df + max(1, df / 30)).cdf).pvalue < 1e-3


def test_reduced_coordinates_have_the_moments_of_the_noise():
    """Gram matrix of the noise: p ± √(2p) on the diagonal, 0 ± √p off it; one degree of freedom less is seen."""
    n, p = 24, 60
    config = Config(num_train=n, input_dim=p, width=2, num_test=4, mean_norm=1e-9, label_noise=0.0)
    grams = np.asarray(
        jax.jit(jax.vmap(lambda k: sample(k, config).features))(jax.random.split(jax.random.key(0), 1500))
    )
    grams = grams @ grams.transpose(0, 2, 1)
    diagonal = grams[:, range(n), range(n)]
    off = grams[:, *np.triu_indices(n, 1)]
    # The diagonal entries of one instance are independent; those off it nearly so.
    error = 4 / np.sqrt(diagonal.size)
    assert abs(diagonal.mean() - p) < error * np.sqrt(2 * p) < 1
    assert abs(diagonal.mean() - (p - 1)) > error * np.sqrt(2 * p)
    assert abs(diagonal.var() / (2 * p) - 1) < error * np.sqrt(2 + 12 / p)
    assert abs(off.mean()) < 4 * np.sqrt(p / off.size)
    assert abs(off.var() / p - 1) < 4 * np.sqrt((2 + 12 / p) / diagonal.size)


def test_labels_are_flipped_and_clusters_drawn():
    config = dataclasses.replace(FULL, num_train=4000, sampler="reduced", input_dim=8000, width=1)
    from theorylab.settings.two_layer.xor.data import sample_labels

    labels = jax.jit(sample_labels)(jax.random.key(5), config)
    flipped = np.asarray(labels.observed != labels.clean)
    assert abs(flipped.mean() - 0.1) < 4 * np.sqrt(0.09 / 4000)
    cells = np.asarray(2 * labels.pair + (1 - labels.side) / 2).astype(int)
    assert np.all(np.abs(np.bincount(cells, minlength=4) / 4000 - 0.25) < 4 * np.sqrt(0.1875 / 4000))
    assert np.all((np.asarray(labels.pair) == 0) == (np.asarray(labels.clean) == 1))
    pair, side = cluster_order(8)
    np.testing.assert_array_equal(pair, [0, 0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_array_equal(side, [1, 1, -1, -1, 1, 1, -1, -1])


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_scale": 0.0}, "init_scale = 0.0 is not allowed"),
        ({"label_noise": 0.5}, "label_noise = 0.5 is not allowed"),
        ({"label_noise": -0.1}, "label_noise = -0.1 is not allowed"),
        ({"mean_norm": -1.0}, "mean_norm = -1.0 is not allowed"),
        ({"width": 0}, "width = 0 is not allowed"),
        ({"num_test": 10}, "must be a multiple of 4"),
    ],
)
def test_bad_input_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        SETTING.validate(dataclasses.replace(Config(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_dim": 201, "mean_norm": 1.0}, "whole input vectors are drawn"),
        ({"input_dim": 5000, "mean_norm": 5.0}, "not nearly orthogonal"),
        ({"mean_norm": 45.0}, "flipped labels are not all memorised"),
        ({"learning_rate": 1e-3, "init_scale": 1e-6}, "slope of the loss is no longer 1/2"),
    ],
)
def test_doubtful_regimes_warn(change, message):
    config = dataclasses.replace(Config(), **change)
    with pytest.warns(UserWarning, match=message):
        SETTING.validate(config)
    cell = SETTING.theory("cell_model").holds(config)
    assert (cell is None) == ("memorised" in message)


def test_cell_model_needs_flipped_labels_at_large_steps():
    """At κ = 100, λ = 0.5, n = 100 without label noise it has 1.45 for an alignment of 3.04 ± 0.19."""
    holds = SETTING.theory("cell_model").holds
    for ratio, noise, said in ((100.0, 0.0, True), (100.0, 0.02, False), (0.3, 0.0, False)):
        sizes = {"num_train": 100, "input_dim": 60_000, "width": 100}
        config = at_ratio(ratio, cluster_coupling=0.5, label_noise=noise, **sizes)
        assert ("single samples" in (holds(config) or "")) == said


def test_fallback_draws_whole_vectors():
    config = Config(num_train=20, input_dim=21, width=4, num_test=4, mean_norm=1.0)
    assert jax.eval_shape(sample, jax.random.key(0), config).features.shape == (20, 21)


def test_dimensionless_numbers():
    paper = Config(width=1000)
    assert numbers.step_init_ratio(paper) == pytest.approx(15.811, rel=1e-4)
    assert numbers.cluster_coupling(paper) == pytest.approx(6.25)
    assert numbers.kick(paper) == pytest.approx(1e-12 * 40_000 / (400 * np.sqrt(1000)))
    assert numbers.output_unit(paper) == pytest.approx(numbers.kick(paper) * np.sqrt(1000) / 4)
    assert numbers.snr(paper) == pytest.approx(39.0625)
    made = at_ratio(3.0, snr=7.0, num_train=50, input_dim=9000, width=70)
    assert numbers.step_init_ratio(made) == pytest.approx(3.0)
    assert numbers.snr(made) == pytest.approx(7.0)
    with pytest.raises(ValueError, match="give one of them"):
        at_ratio(1.0, snr=1.0, cluster_coupling=1.0)


def test_assumptions_are_reported_with_numbers():
    report = {a.name: a for a in check_assumptions(Config(width=1000))}
    assert [a.name for a in report.values() if not a.holds] == ["A1", "A2", "A5"]  # of the paper's own experiment
    assert report["A5"].value == pytest.approx(1.25e-9)
    assert report["A5"].bound == pytest.approx(2.53e-4, rel=1e-2)
    assert "violated" in str(report["A2"])
    assert not check_assumptions(Config(label_noise=0.4), constant=10.0)[2].holds


# --- closed forms -----------------------------------------------------------------------------------------------------


def test_memorisation_moments_are_those_of_independent_neurons():
    config = at_ratio(0.02, width=100)
    unit = np.sqrt(100) / 4
    scales = {"step_init_ratio": numbers.step_init_ratio(config), "width": config.width}
    moments = jax.jit(lambda: memorisation.margin_moments((0, 10, 50, 150), **scales))()
    mean, variance = (np.asarray(a) for a in moments)
    start = np.sort(stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)) / 0.02
    for i, t in enumerate((0, 10, 50, 150)):
        up, down = np.where(start > 0, start + t, 0), np.maximum(start - t, 0)
        z = np.sqrt(100) / 2 * (up.mean() - down.mean())
        assert mean[i] == pytest.approx(z / unit, rel=1e-4, abs=1e-9)
        both = np.concatenate([up, -down])
        assert variance[i] == pytest.approx(both.var() / unit**2, rel=1e-4)
    assert memorisation.memorisation_time(1000) * np.sqrt(1000) == pytest.approx(3.29, abs=0.01)


def test_rates_and_first_alignments_in_numbers():
    assert late.limiting_rate(label_noise=0.1, cluster_coupling=0.5) == pytest.approx(0.1111, abs=1e-4)
    assert late.limiting_rate(label_noise=0.0, cluster_coupling=6.25) == pytest.approx(0.125)
    paper = Config()
    sizes = {"num_train": paper.num_train, "input_dim": paper.input_dim}
    noise = {"label_noise": paper.label_noise}
    assert first_step.mean_alignment(**sizes, **noise, mean_norm=paper.mean_norm) == pytest.approx(3.76, abs=0.01)
    # Without the arcsine law, as between samples of no common mean:
    assert first_step.mean_alignment(**sizes, **noise, mean_norm=0.0) == pytest.approx(2.82, abs=0.01)
    mean, deviation = first_step.margin(**sizes, mean_norm=paper.mean_norm, width=400)
    assert (mean, float(deviation)) == pytest.approx((1.03125, 0.33), abs=0.01)
    assert late.theorem_bound(num_train=200, snr=numbers.snr(paper)) > 1  # vacuous at the paper's sizes
    assert 1 / late.limiting_error_exponent(0.0) == pytest.approx(76, abs=0.1)


def test_too_few_neurons_of_a_sign_are_no_divergence():
    """A group without neurons has no mean, one of a single neuron no variance: that is said, and the run goes on."""
    config = Config(num_train=4, input_dim=50, width=2, num_steps=1, num_test=4)

    @jax.jit
    @jax.vmap
    def measured(key):
        instance = sample(key, config)
        initial = instance.weights @ instance.features.T / config.input_dim
        return instance.signs, measure_first_step(instance, config, initial)

    signs, found = measured(jax.random.split(jax.random.key(0), 8))
    found = {name: np.asarray(value) for name, value in found.items()}
    assert (first_bad_step(SETTING, config, found, 1) == -1).all()
    members = np.stack([(signs > 0).sum(1), (signs < 0).sum(1)], 1).repeat(2, axis=1)
    np.testing.assert_array_equal(np.isnan(found["alignment_drift"]), members < 1)
    np.testing.assert_array_equal(np.isnan(found["alignment_variance"]), members < 2)
    assert set(np.unique(members)) == {0, 1, 2}
