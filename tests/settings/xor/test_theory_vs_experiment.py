"""XOR clusters: what the simulation does, and theory against it where the comparison of means says too little."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

import theorylab as tl
from theorylab.lab.grid import seed_keys
from theorylab.settings.two_layer.xor import SETTING, adapter, at_ratio
from theorylab.settings.two_layer.xor.data import sample, sample_labels
from theorylab.settings.two_layer.xor.theory import cell_model, first_step

LARGE = SETTING.case("default", "large steps").config
SHORT = at_ratio(
    10.0, cluster_coupling=4.0, num_train=60, input_dim=60_000, width=200, num_steps=40, label_noise=0.1, num_test=400
)


def keys_of(seeds):
    return seed_keys(0, np.arange(seeds))


@pytest.fixture(scope="module")
def large():
    """The paper's experiment at width 300."""
    return tl.sweep(SETTING, LARGE, seeds=40)


def given(labels, config):
    return (labels.pair, labels.side, labels.observed), {"mean_norm": config.mean_norm, "input_dim": config.input_dim}


def test_it_groks(large):
    """Everything is memorised after one step, nothing is generalised; then it is."""
    fitted = large.train_accuracy.sel(step=slice(1, None)).min("step")
    assert float((fitted == 1).mean()) >= 0.9  # at this width; the rest lack one sample or two
    assert float(fitted.mean()) > 0.998
    test = large.test_accuracy.mean("seed")
    assert abs(float(test.sel(step=1)) - 0.5) < 0.04
    assert float(test[-1] - test.sel(step=1)) > 0.4
    assert float(large.linear_part.sel(step=1).mean()) > 4 * float(large.even_part.sel(step=1).mean())
    assert float(large.linear_part.sel(step=15).mean()) < float(large.even_part.sel(step=15).mean())


def test_first_step_is_linear_and_known_from_the_labels(large):
    """Seed by seed: the accuracies' means over seeds are 1/2 in a wrong theory too."""

    def accuracy(key):
        labels, scales = given(sample_labels(key, LARGE), LARGE)
        return first_step.cluster_accuracy(*labels, **scales)

    predicted = np.asarray(jax.jit(jax.vmap(accuracy))(keys_of(40)))
    np.testing.assert_allclose(predicted.mean(1), 0.5, atol=1e-12)
    simulated = large.first_cluster_accuracy.values
    assert np.corrcoef(simulated.ravel(), predicted.ravel())[0, 1] > 0.95

    def gap(theory):
        return np.abs(simulated - theory).mean()

    assert gap(predicted) <= 0.055
    assert gap(ndtr(ndtri(predicted) / 2)) > 0.055  # half the argument: the correlation would not see it
    assert gap(1 - predicted) > 0.5  # the other sign
    cosine, ratio = large.linear_cosine.values, large.linear_ratio.values
    assert cosine.min() > 0.99
    assert 0.98 < ratio.mean() < 1.02


def test_even_part_of_the_first_step_shifts_accuracies():
    """Weak clusters: more neurons of one sign than of the other decide; strong ones: those that the start steers."""
    config = at_ratio(
        4.0, cluster_coupling=0.15, num_train=40, input_dim=8000, width=64, num_steps=1, num_test=400, label_noise=0.05
    )
    norms = (config.mean_norm, config.mean_norm * (5 / 0.15) ** 0.5)
    weak, strong = tl.sweep(SETTING, config, {"mean_norm": norms}, seeds=96).first_cluster_accuracy.values

    @jax.jit
    @jax.vmap
    def accuracies(key, norm):
        labels, scales = given(sample_labels(key, config), dataclasses.replace(config, mean_norm=norm))
        signs = jnp.sum(sample(key, config).signs)
        options = {"width": config.width, "step_init_ratio": 4.0}
        return [first_step.cluster_accuracy(*labels, **scales, **options, sign_sum=s) for s in (signs, None)]

    right, without = (
        np.asarray(a).reshape(2, 96, 4)
        for a in accuracies(keys_of(96)[jnp.arange(192) % 96], jnp.repeat(jnp.array(norms), 96))
    )
    assert (weak - right[0]).std() < 0.45 * right[0].std() < 0.45 * (weak - without[0]).std()
    gaps = (strong - right[1]).mean(1)
    error = 4 * gaps.std() / np.sqrt(96)
    assert abs(gaps.mean()) < error + 0.01
    # Clusters of a pair average to more than a half, but not without what initial weights steer.
    assert strong.mean() - 0.5 > error


def test_first_alignments_have_the_arcsine_law(large):
    def law(key):
        labels, scales = given(sample_labels(key, LARGE), LARGE)
        independent = first_step.alignment_law(*labels, **scales | {"mean_norm": 0.0})
        return *first_step.alignment_law(*labels, **scales), independent[1]

    drift, variance, without = (np.asarray(a) for a in jax.jit(jax.vmap(law))(keys_of(40)))
    members = 150  # of each sign, on average; 110 at the least
    measured = large.alignment_variance.values
    assert np.all(np.abs(measured / variance - 1) < 4 * np.sqrt(2 / 110))
    assert np.all(np.abs(large.alignment_drift.values - drift) < 4.5 * np.sqrt(variance / 110))
    assert not np.all(np.abs(large.alignment_drift.values + drift) < 4.5 * np.sqrt(variance / 110))
    assert abs((measured / variance).mean() - 1) < 4 * np.sqrt(2 / members) / np.sqrt(160)
    assert (measured / without).mean() > 2


@pytest.mark.slow
def test_cell_model_follows_the_papers_experiment(large):
    """On 20 seeds: own alignments 4%, others 10%, test accuracy 0.03, training accuracy 0.005; as declared, or less.

    Test accuracy is left out at steps 2 and 3, where it differs by 0.12 from seed to seed.
    """
    steps = [1, 2, 3, 5, 8, 10, 15]
    names = ("own_alignment", "other_alignment", "test_accuracy", "train_accuracy")
    simulated = large[list(names)].isel(seed=slice(20)).sel(step=steps)
    predicted = tl.predict(SETTING, LARGE, seeds=20, theory="cell_model", observables=names).sel(step=steps)
    gap, level = np.abs((simulated - predicted).mean("seed")), simulated.mean("seed")
    assert bool((gap.own_alignment < 0.04 * level.own_alignment).all())
    assert bool((gap.other_alignment < 0.10 * level.other_alignment).all())
    assert bool((gap.test_accuracy.drop_sel(step=[2, 3]) < 0.03).all())
    assert bool((gap.train_accuracy < 0.005).all())


def test_sign_of_the_arcsine_law():
    """Initial alignments and first kicks are correlated; trajectories alone would hardly see the sign."""

    def correlation(signs, start, kick):
        chosen = np.asarray(signs) > 0  # y sgn(a) is the label there: +1 on pair 1, −1 on pair 2
        return np.mean([sign * np.corrcoef(np.asarray(start)[chosen, k], np.asarray(kick)[chosen, k])[0, 1]
                        for k, sign in ((0, 1), (1, -1))])  # fmt: skip

    simulated, modelled = [], {1.0: [], 1e-9: [], -1.0: []}
    draw_cells = jax.jit(adapter.cells_at)
    for key in keys_of(6):
        instance = adapter.draw(key, SHORT)
        labels = jax.tree.map(np.asarray, instance.labels)
        weights, signs = np.asarray(instance.weights), np.asarray(instance.signs)
        side = np.stack([(1 - labels.pair) * labels.side, labels.pair * labels.side], axis=1)
        kick = (signs[:, None] * labels.observed * (weights @ np.asarray(instance.features).T > 0)) @ side
        simulated.append(correlation(signs, weights[:, :2], kick))
        model = draw_cells(key, instance.labels, SHORT)
        for factor, found in modelled.items():
            # Activations that know of another mean than the alignments do: none, or the opposite one.
            other = draw_cells(key, instance.labels, dataclasses.replace(SHORT, mean_norm=factor * SHORT.mean_norm))
            pushed = cell_model.SIDE * np.asarray(model.signs)[:, None] * cell_model.LABEL * np.asarray(other.active)
            found.append(correlation(model.signs, model.alignment, pushed @ cell_model.MEMBER.T))
    measured = np.mean(simulated)
    assert measured > 0.5
    for factor, found in modelled.items():
        error = np.hypot(np.std(simulated, ddof=1), np.std(found, ddof=1)) / np.sqrt(6)
        assert (abs(np.mean(found) - measured) < 4 * error) == (factor == 1.0), (factor, found, measured)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:cluster_coupling")
def test_flipped_labels_are_given_up_where_clusters_pull_too_strongly():
    """The end of benign overfitting, far beyond the couplings of the presets; the cell model has it."""
    case = SETTING.case("default", "flips")
    config = dataclasses.replace(case.config, width=100, num_steps=20, num_test=40)
    norms = case.grid["mean_norm"]
    data = tl.sweep(SETTING, config, {"mean_norm": (norms[0], norms[-2])}, seeds=8)
    memorised, given_up = data.flipped_accuracy.isel(step=-1).mean("seed").values
    assert memorised > 0.95
    assert given_up < 0.7
    assert not [row for row in tl.compare(SETTING, data, theories=["cell_model"]) if row.failed]


@pytest.mark.slow
def test_default_preset_agrees():
    for _, _, rows in tl.verdict.compare.check(SETTING, SETTING.presets["default"]):
        assert not [row for row in rows if row.failed]


@pytest.mark.slow
def test_curves_collapse_on_rescaled_time():
    """Gradient flow: κ = 0.1 and κ = 0.01 give the same curves of κ t, from the same draws."""
    rate = SHORT.learning_rate
    coarse = dataclasses.replace(SHORT, learning_rate=rate / 100, num_steps=60, loss_slope="half")
    fine = dataclasses.replace(coarse, learning_rate=rate / 1000, num_steps=600)
    slow, fast = (tl.sweep(SETTING, config, seeds=8) for config in (fine, coarse))
    for step in (10, 20, 40, 60):
        # 10^(i/10): the schedule of the longer run holds ten times most steps of the shorter
        later = int(slow.step[int(np.argmin(np.abs(slow.step.values - 10 * step)))])
        assert abs(later / (10 * step) - 1) < 0.03
        for name in ("train_accuracy", "test_accuracy"):
            assert abs(float((slow[name].sel(step=later) - fast[name].sel(step=step)).mean())) < 0.03
