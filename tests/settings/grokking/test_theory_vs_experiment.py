"""Grokking: the phenomenon itself, and the recursion of the moments written out in NumPy."""

import dataclasses

import jax
import numpy as np
import pytest

from theorylab.settings.two_layer.grokking import SETTING
from theorylab.settings.two_layer.grokking.data import sample
from theorylab.settings.two_layer.grokking.predictions import lazy as lazy_theory
from theorylab.settings.two_layer.grokking.presets import PUBLISHED
from theorylab.settings.two_layer.grokking.train import recorded_steps, scaled_times, simulate


def test_network_follows_the_recursion_with_the_square_of_the_step():
    config = SETTING.case("tiny", "network").config
    losses = [np.asarray(jax.jit(simulate)(jax.random.key(seed), config)["train_loss"]) for seed in range(2)]
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


# --- the phenomenon ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    """One seed at D = 100, P = 550 until τ = 40, and its linearised network."""
    config = dataclasses.replace(PUBLISHED, num_steps=400)
    full = jax.jit(simulate)(jax.random.key(0), config)
    lazy = jax.jit(lazy_theory.predict)(jax.random.key(0), dataclasses.replace(config, trainer="linearised"))
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
