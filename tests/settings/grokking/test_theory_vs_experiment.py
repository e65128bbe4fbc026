"""Grokking: simulation against theory, each with theories that the same comparison rejects."""

import dataclasses
import warnings

import jax
import numpy as np
import pytest

from theorylab.settings.two_layer.grokking import SETTING
from theorylab.settings.two_layer.grokking.config import PUBLISHED
from theorylab.settings.two_layer.grokking.data import sample
from theorylab.settings.two_layer.grokking.predictions import predict_lazy
from theorylab.settings.two_layer.grokking.theory.marchenko_pastur import memorisation
from theorylab.settings.two_layer.grokking.theory.population import OrderParameters, population_curves
from theorylab.settings.two_layer.grokking.train import recorded_steps, scaled_times, simulate
from theorylab.verdict.compare import check, compare

CORE = {"reduction", "tangent_kernel", "exact_risk", "lazy", "memorisation", "population"}


@pytest.fixture(scope="module")
def tiny():
    """``{case name: (case, results, rows)}`` of the tiny preset's own cases: one simulation for many tests."""
    names = ("grokking", "network", "memorisation", "many samples")
    cases = [case for case in SETTING.presets["tiny"] if case.name in names]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return {case.name: (case, data, rows) for case, data, rows in check(SETTING, cases, theories=sorted(CORE))}


def rejected(case, data, theory, **predictions):
    """Names of the observables on which a theory with these ensemble predictions fails the same comparison."""
    names = tuple(predictions)
    wrong = dataclasses.replace(
        SETTING.theory(theory), name="wrong", predict=lambda key, config: predictions, traceable=False, predicts=names
    )
    return {row.observable for row in compare(SETTING, data, case.config, theories=[wrong]) if row.failed}


def test_the_tiny_preset_agrees(tiny):
    rows = [row for _, _, rows in tiny.values() for row in rows]
    assert not [row for row in rows if row.failed]
    assert {row.theory for row in rows if row.status == "agrees"} == CORE


# --- exact theories -------------------------------------------------------------------------------------------------


def test_sampled_loss_rejects_a_dropped_factor(tiny):
    case, data, _ = tiny["grokking"]

    def verdicts(loss):
        rows = compare(SETTING, data.assign(test_loss=loss), case.config, case.grid, theories=["exact_risk"])
        return {row.cell["output_scale"]: row.status for row in rows}

    a, b, c = data.variance_error, data.misalignment_error, data.linear_power
    assert set(verdicts(a + b + c).values()) == {"agrees"}
    assert verdicts(a + 2 * b + c)[1.0] == "disagrees"
    assert verdicts(a / 4 + b + c)[1.0] == "disagrees"
    assert verdicts(a + b)[1.0] == "disagrees"


def test_network_rejects_a_recursion_without_the_square_of_the_step(tiny):
    case, data, _ = tiny["network"]
    config, losses = case.config, data.train_loss.values
    for seed in range(2):
        key = jax.random.key(seed)
        inputs, target, (mean, second), *_ = (jax.tree.map(np.asarray, part) for part in jax.jit(sample)(key, config))
        y = (inputs @ target) ** 2 / 2
        for square, agrees in ((1.0, True), (0.0, False)):
            w, m, curve = mean, second, []
            for _ in range(config.num_steps + 1):
                delta = y - inputs @ w - config.quadratic_coeff / 2 * np.einsum("pd,de,pe->p", inputs, m, inputs)
                curve.append(np.mean(delta**2))
                c, u = config.scaled_learning_rate, inputs.T @ delta
                step = np.eye(len(w)) + c * config.quadratic_coeff * (inputs.T * delta) @ inputs
                moved = step @ w
                cross = c * np.outer(moved, u)
                m = step @ m @ step + cross + cross.T + square * c**2 * np.outer(u, u)
                w = moved + c * u
            deviation = np.abs(np.array(curve)[list(recorded_steps(config))] / losses[seed] - 1).max()
            assert bool(deviation < 1e-8) is agrees


# --- many dimensions, many samples ----------------------------------------------------------------------------------


def test_memorisation_rejects_wrong_kernels(tiny):
    case, data, _ = tiny["memorisation"]
    config = case.config
    right = {"sample_ratio": 4.0, "quadratic_coeff": 0.5, "scaled_learning_rate": config.scaled_learning_rate}

    def curves(**changes):
        train, power = memorisation(recorded_steps(config), **{**right, **changes})
        shown = np.where(train > 0.05 * train[0], train, np.nan)
        return {"relative_train_loss": shown, "relative_linear_power": np.where(power > 0, power, np.nan)}

    assert not rejected(case, data, "memorisation", **{"relative_train_loss": curves()["relative_train_loss"]})
    assert "relative_train_loss" in rejected(case, data, "memorisation", **curves(quadratic_coeff=0.25))
    assert "relative_train_loss" in rejected(case, data, "memorisation", **curves(sample_ratio=6.0))
    assert "relative_linear_power" in rejected(case, data, "memorisation", **curves(quadratic_coeff=1e-3))
    flat = curves()
    flat["relative_linear_power"] = 2 * flat["relative_linear_power"]  # the factor 1/2 of the target's variance
    assert "relative_linear_power" in rejected(case, data, "memorisation", **flat)


def test_population_rejects_a_dropped_factor(tiny):
    case, data, _ = tiny["many samples"]
    config = case.config
    dim, kappa = config.input_dim, config.output_scale * config.quadratic_coeff

    def curves(**changes):
        options = {"sample_ratio": config.num_samples / dim, "quadratic_coeff": config.quadratic_coeff, **changes}
        return population_curves(
            OrderParameters(1.0, 1.0), recorded_steps(config), input_dim=dim, output_scale=config.output_scale,
            scaled_learning_rate=config.scaled_learning_rate, **options,
        )  # fmt: skip

    state, (a, b, _) = curves()
    assert not rejected(case, data, "population", test_loss=np.asarray(a + b))
    assert rejected(case, data, "population", test_loss=np.asarray(4 * a + b))
    assert rejected(case, data, "population", test_loss=np.asarray(a + 2 * b))
    slow, _ = curves(sample_ratio=0.8 * config.num_samples / dim)
    assert rejected(case, data, "population", target_overlap=np.asarray(slow.along) / dim)
    assert float(state.along[-1]) / dim == pytest.approx(1 / kappa, rel=0.06)


# --- the phenomenon ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    """One seed at D = 100, P = 550 until τ = 40, and its linearised network."""
    config = dataclasses.replace(PUBLISHED, num_steps=400)
    full = jax.jit(simulate)(jax.random.key(0), config)
    lazy = jax.jit(predict_lazy)(jax.random.key(0), dataclasses.replace(config, trainer="linearised"))
    return config, {k: np.asarray(v) for k, v in full.items()}, {k: np.asarray(v) for k, v in lazy.items()}


def test_the_network_groks_and_its_linearisation_does_not(published):
    config, full, lazy = published
    times = np.asarray(scaled_times(config))
    assert full["test_time"] / full["train_time"] > 2
    assert full["test_loss"][-1] < 0.05
    fitted = full["train_loss"] < 0.05
    assert full["test_loss"][fitted][0] > 0.25
    assert lazy["test_loss"].min() >= 0.5
    assert lazy["train_loss"][-1] < 0.02
    early = times < 0.3
    np.testing.assert_allclose(full["train_loss"][early], lazy["train_loss"][early], rtol=0.05)


def test_weights_grow_and_the_kernel_turns_to_the_target(published):
    _, full, _ = published
    assert full["weight_norm"][-1] > 1.5 * full["weight_norm"][0]
    assert full["kernel_target_alignment"][-1] > 3 * full["kernel_target_alignment"][0]
    # First the linear power rises (memorisation), then the misalignment falls (features).
    assert full["linear_power"].argmax() < np.argmax(full["misalignment_error"] < 0.5 * full["misalignment_error"][0])
    total = full["variance_error"] + full["misalignment_error"] + full["linear_power"]
    np.testing.assert_allclose(total, full["test_loss"], rtol=1e-12)
