"""XOR clusters: simulation against theory, each with theories that must be rejected."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from theorylab.lab.grid import seed_keys
from theorylab.lab.sweep import sweep
from theorylab.settings.two_layer.xor import PRESETS, SETTING, predictions
from theorylab.settings.two_layer.xor.data import sample_labels
from theorylab.settings.two_layer.xor.theory import cell_model, first_step
from theorylab.settings.two_layer.xor.train import recorded_steps
from theorylab.verdict.compare import check, compare

CASES = {case.name: case for case in PRESETS["default"]}
LARGE, SMALL_STEPS = CASES["large steps"].config, CASES["small steps"].config
FLAT = dataclasses.replace(SMALL_STEPS, num_steps=40)  # long enough for its checks
NAMES = ("train_accuracy", "test_accuracy", "own_alignment", "other_alignment")


@functools.partial(jax.jit, static_argnames=("steps", "wrong_reference"))
def cells(keys, config, steps, arcsine, feedback, wrong_reference=False):
    """The cell model on the labels of every key, right or wrong on purpose."""
    step = cell_model.step
    if wrong_reference:  # v instead of v − v(0) in the feedback

        def from_zero(state, instance, config, *, feedback):
            return step(state, instance._replace(alignment=0 * instance.alignment), config, feedback=feedback)

    def one(key):
        original = cell_model.step
        if wrong_reference:
            cell_model.step = from_zero
        try:
            labels = sample_labels(key, config)
            paths = cell_model.trajectory(key, labels, config, steps, arcsine=arcsine, feedback=feedback)
        finally:
            cell_model.step = original
        return {name: paths[name] for name in NAMES}

    return jax.lax.map(one, keys)


def keys_of(seeds):
    return seed_keys(0, np.arange(seeds))


def differences(data, config, seeds, arcsine=1.0, feedback=1.0, **wrong):
    """Mean simulation, mean paired difference (simulation − cell model), by observable and step."""
    steps = recorded_steps(config)
    paths = cells(keys_of(seeds), config, steps, arcsine, feedback, **wrong)
    simulated = {name: data[name].values[:seeds] for name in NAMES}
    return {
        name: dict(zip(steps, (simulated[name] - np.asarray(paths[name])).mean(0), strict=True)) for name in NAMES
    }, {name: dict(zip(steps, simulated[name].mean(0), strict=True)) for name in NAMES}


# --- whole checks -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    return {case.name: (case, data, rows) for case, data, rows in check(SETTING, PRESETS["tiny"])}


def test_the_tiny_preset_agrees(tiny):
    rows = [row for _, _, rows in tiny.values() for row in rows]
    assert not [row for row in rows if row.failed]
    agreeing = {row.theory for row in rows if row.status == "agrees"}
    assert agreeing == {"reduction", "first_step", "memorisation", "cell_model", "importance_sampling"}


def test_wrong_theories_are_rejected_by_the_check(tiny):
    case, data, _ = tiny["memorisation"]
    right = SETTING.theory("memorisation")

    def slower(key, config):  # one active neuron in two, whatever the step
        return right.predict(key, dataclasses.replace(config, learning_rate=config.learning_rate / 2))

    rows = compare(SETTING, data, case.config, theories=[dataclasses.replace(right, name="slower", predict=slower)])
    assert {row.verdict for row in rows} == {"disagrees"}


def test_memorisation_curve(tiny):
    case, data, _ = tiny["memorisation"]
    n, seeds = case.config.num_train, case.seeds
    steps = np.array(recorded_steps(case.config))
    predicted = jax.jit(predictions.predict_memorisation)(jax.random.key(0), case.config)
    predicted = {name: np.asarray(value) for name, value in predicted.items()}
    shown = np.isin(steps, (1, 2, 3, 5, 8, 10, 20))
    accuracy = predicted["train_accuracy"][shown]
    gap = np.abs(data.train_accuracy.mean("seed").values[shown] - accuracy)
    assert np.all(gap < 0.04 + 4 * np.sqrt(accuracy * (1 - accuracy) / (n * seeds)))
    late = steps >= 10
    margin = data.train_margin.values[:, late]
    error = margin.std(0, ddof=1) / np.sqrt(seeds)
    target = predicted["train_margin"][late]
    assert np.all(np.abs(margin.mean(0) - target) < 0.04 * target + 4 * error)


# --- the paper's experiment at width 300 ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large():
    return sweep(SETTING, LARGE, {}, seeds=40)


def test_it_groks(large, tiny):
    """Everything is memorised after one step, nothing is generalised; then it is."""
    fitted = large.train_accuracy.sel(step=slice(1, None)).min("step")
    assert float((fitted == 1).mean()) >= 0.9  # at this width; the rest lack one sample or two
    assert float(fitted.mean()) > 0.998
    small = tiny["large steps"][1]
    fitted = small.train_accuracy.sel(step=slice(1, None)).min("step")
    assert float((fitted == 1).mean()) >= 0.8  # here too, one sample of one seed is lost for a while
    assert float(fitted.min()) > 0.98
    for data, gain in ((large, 0.4), (small, 0.2)):
        test = data.test_accuracy.mean("seed")
        assert float(test.sel(step=1)) < 0.6
        assert float(test[-1] - test.sel(step=1)) > gain
    assert abs(float(large.test_accuracy.sel(step=1).mean()) - 0.5) < 0.04
    assert float(large.linear_part.sel(step=1).mean()) > 4 * float(large.even_part.sel(step=1).mean())
    assert float(large.linear_part.sel(step=15).mean()) < float(large.even_part.sel(step=15).mean())


def test_first_step_is_linear_and_known_from_the_labels(large):
    keys = keys_of(40)
    labels = jax.jit(jax.vmap(lambda key: sample_labels(key, LARGE)))(keys)
    predicted = np.asarray(jax.jit(jax.vmap(lambda l: first_step.cluster_accuracy(l, LARGE)))(labels))
    np.testing.assert_allclose(predicted.mean(1), 0.5, atol=1e-12)
    simulated = large.first_cluster_accuracy.values
    assert np.corrcoef(simulated.ravel(), predicted.ravel())[0, 1] > 0.95

    def gap(theory):
        return np.abs(simulated - theory).mean()

    assert gap(predicted) <= 0.055
    assert gap(ndtr(ndtri(predicted) / 2)) > 0.055  # half the argument: the correlation would not see it
    cosine, ratio = large.linear_cosine.values, large.linear_ratio.values
    assert cosine.min() > 0.99
    assert 0.98 < ratio.mean() < 1.02


def test_first_alignments_have_the_arcsine_law(large):
    labels = jax.jit(jax.vmap(lambda key: sample_labels(key, LARGE)))(keys_of(40))
    law = jax.jit(
        jax.vmap(lambda l: (first_step.alignment_law(l, LARGE), first_step.alignment_law(l, LARGE, arcsine=False)))
    )
    ((drift, variance), (_, without)) = jax.tree.map(np.asarray, law(labels))
    members = 150  # of each sign, on average; 110 at the least
    measured = large.alignment_variance.values
    assert np.all(np.abs(measured / variance - 1) < 4 * np.sqrt(2 / 110))
    assert np.all(np.abs(large.alignment_drift.values - drift) < 4.5 * np.sqrt(variance / 110))
    assert abs((measured / variance).mean() - 1) < 4 * np.sqrt(2 / members) / np.sqrt(160)
    assert (measured / without).mean() > 2


def within(gap, level):
    """The cell model's limits on 20 seeds: own alignments 4%, others 10%, test accuracy 0.03, training 0.005.

    Test accuracy is left out at steps 2 and 3, where it differs by 0.12 from seed to seed.
    """
    steps = (1, 2, 3, 5, 8, 10, 15)
    return (
        all(abs(gap["own_alignment"][s]) < 0.04 * level["own_alignment"][s] for s in steps)
        and all(abs(gap["other_alignment"][s]) < 0.10 * level["other_alignment"][s] for s in steps)
        and all(abs(gap["test_accuracy"][s]) < 0.03 for s in steps if s not in (2, 3))
        and all(abs(gap["train_accuracy"][s]) < 0.005 for s in steps)
    )


def test_cell_model_follows_the_papers_experiment(large):
    assert within(*differences(large, LARGE, 20))


@pytest.mark.parametrize("wrong", [{"arcsine": 0.0}, {"feedback": 0.5}])
def test_cell_model_needs_the_arcsine_law_and_the_feedback(large, wrong):
    assert not within(*differences(large, LARGE, 20, **wrong))


def test_sign_of_the_arcsine_law():
    """Initial alignments and first kicks are correlated; trajectories alone would hardly see the sign."""

    def correlation(signs, start, kick):
        chosen = np.asarray(signs) > 0  # y sgn(a) is the label there: +1 on pair 1, −1 on pair 2
        return np.mean([sign * np.corrcoef(np.asarray(start)[chosen, k], np.asarray(kick)[chosen, k])[0, 1]
                        for k, sign in ((0, 1), (1, -1))])  # fmt: skip

    config = PRESETS["tiny"][0].config
    simulated, modelled = [], {1.0: [], 0.0: [], -1.0: []}
    draw_cells = jax.jit(cell_model.draw)
    for key in keys_of(6):
        instance = predictions.draw(key, config)
        labels = jax.tree.map(np.asarray, instance.labels)
        weights, signs = np.asarray(instance.weights), np.asarray(instance.signs)
        side = np.stack([(1 - labels.pair) * labels.side, labels.pair * labels.side], axis=1)
        kick = (signs[:, None] * labels.observed * (weights @ np.asarray(instance.features).T > 0)) @ side
        simulated.append(correlation(signs, weights[:, :2], kick))
        for arcsine, found in modelled.items():
            model = draw_cells(key, instance.labels, config, arcsine=arcsine)
            pushed = cell_model.SIDE * np.asarray(model.signs)[:, None] * cell_model.LABEL * np.asarray(model.active)
            found.append(correlation(model.signs, model.alignment, pushed @ cell_model.MEMBER.T))
    measured = np.mean(simulated)
    assert measured > 0.5
    for arcsine, found in modelled.items():
        error = np.hypot(np.std(simulated, ddof=1), np.std(found, ddof=1)) / np.sqrt(6)
        assert (abs(np.mean(found) - measured) < 4 * error) == (arcsine == 1.0), (arcsine, found, measured)


@pytest.mark.slow
def test_cell_model_at_small_steps():
    """Own alignments within 10%, others within 20%; feedback from v instead of v − v(0) is off by more."""
    data = sweep(SETTING, FLAT, {}, seeds=6)
    verdicts = []
    for wrong in (False, True):
        gap, level = differences(data, FLAT, 6, wrong_reference=wrong)
        own = gap["own_alignment"][40] / level["own_alignment"][40]
        other = gap["other_alignment"][40] / level["other_alignment"][40]
        verdicts.append(abs(own) < 0.10 and abs(other) < 0.20)
        assert wrong or abs(gap["test_accuracy"][40]) < 0.08
    assert verdicts == [True, False]


@pytest.mark.slow
def test_default_preset_agrees():
    for _, _, rows in check(SETTING, PRESETS["default"]):
        assert not [row for row in rows if row.failed]


@pytest.mark.slow
def test_curves_collapse_on_rescaled_time():
    """Gradient flow: κ = 0.1 and κ = 0.01 give the same curves of κ t, from the same draws."""
    case = PRESETS["tiny"][1]
    fine = dataclasses.replace(
        case.config, learning_rate=case.config.learning_rate / 10, num_steps=600, loss_slope="half"
    )
    coarse = dataclasses.replace(case.config, num_steps=60, loss_slope="half")
    slow, fast = (sweep(SETTING, config, {}, seeds=8) for config in (fine, coarse))
    for step in (10, 20, 40, 60):
        # 10^(i/10): the schedule of the longer run holds ten times most steps of the shorter
        later = int(slow.step[int(np.argmin(np.abs(slow.step.values - 10 * step)))])
        assert abs(later / (10 * step) - 1) < 0.03
        for name in ("train_accuracy", "test_accuracy"):
            assert abs(float((slow[name].sel(step=later) - fast[name].sel(step=step)).mean())) < 0.03
