"""Errors of layers fitted to few tasks: published numbers, exact pools, the limit of large dimension."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.fidelity.few_tasks import fitted_errors
from theorylab.contract import ConfigError
from theorylab.settings.in_context import dimension_correction, leverages, task_diversity
from theorylab.settings.in_context.losses import Regression


@pytest.mark.parametrize(
    ("alpha", "kappa", "rho", "fresh", "pool"),
    [(2, 0.5, 0.1, 0.8024, 0.2931), (2, 2, 0.1, 0.5203, 0.4113), (5, 1, 0.01, 0.3302, 0.1394)],
)
def test_infinitely_many_prompts_on_few_tasks(alpha, kappa, rho, fresh, pool):
    """Exact errors at d = 200 against the limit of large dimension, tau = infinity."""
    limit = task_diversity.infinite_prompts_errors(alpha, kappa, rho)
    np.testing.assert_allclose([limit.fresh, limit.pool], [fresh, pool], atol=6e-5)
    d, rng = 200, np.random.default_rng(11)
    case = Regression(jnp.eye(d) / d, jnp.eye(d), rho)
    errors = jax.jit(task_diversity.finite_pool_errors)
    draws = []
    for _ in range(3):
        w = rng.standard_normal((round(kappa * d), d))
        w *= math.sqrt(d) / np.linalg.norm(w, axis=1, keepdims=True)
        lengths = alpha * d, alpha * d / 2, 4 * alpha * d
        draws.append([[float(e) for e in errors(jnp.array(w), case, float(alpha * d), float(m))] for m in lengths])
    mean = np.mean(draws, 0)
    np.testing.assert_allclose(mean[0], limit, rtol=0.011)
    wrong = task_diversity.infinite_prompts_errors(alpha, 1.2 * kappa, rho)
    assert np.any(np.abs(mean[0] / np.array(wrong) - 1) > 0.011)
    for ratio, found in zip((alpha / 2, 4 * alpha), mean[1:], strict=True):
        there = task_diversity.pretraining_errors(alpha, kappa, 1e7, rho, ratio)
        np.testing.assert_allclose(found, there, rtol=0.015)
        assert np.all(np.abs(found / np.array(limit) - 1) > 0.05)


def test_finitely_many_prompts_have_the_published_values():
    errors = task_diversity.pretraining_errors
    np.testing.assert_allclose(errors(2, 2, 3, 0.1), (0.7718, 0.6169), atol=6e-5)
    np.testing.assert_allclose(errors(2, 0.5, 2, 0.1), (1.3385, 0.5863), atol=6e-5)
    np.testing.assert_allclose(errors(2, 1, 0.5, 0.1), (1.2854, 0.9989), atol=6e-5)
    for arguments, name in (
        ((2, 1, 1, 0.1), "prompt_ratio"),
        ((0, 1, 2, 0.1), "context_ratio"),
        ((1, 1, 2, -1), "noise"),
    ):
        with pytest.raises(ValueError, match=name):
            errors(*arguments)


@pytest.mark.parametrize(("ratios", "d"), [((1, 0.5, 1.5, 0.01), 16), ((2, 1, 0.5, 0.1), 14)])
def test_the_first_correction_is_that_of_least_squares_in_numpy(ratios, d):
    """Layers fitted in NumPy, their errors exact at any length: the limit's deviation is slope/d, and not minus it."""
    alpha, kappa, r, noise = ratios
    lengths = np.array([1, 0.5, 4]) * alpha
    corrected = jax.jit(jax.vmap(dimension_correction.first_correction, (None, None, None, None, 0)), static_argnums=2)
    limits, slopes = map(np.asarray, corrected(alpha, kappa, r, noise, jnp.asarray(lengths)))
    theory = [task_diversity.pretraining_errors(alpha, kappa, r, noise, ratio) for ratio in lengths.tolist()]
    np.testing.assert_allclose(limits, theory, rtol=1e-10)
    rng, prompts, tokens = np.random.default_rng(5), round(r * d * (d + 1)), (lengths * d).tolist()
    runs = [fitted_errors(rng, d, round(alpha * d), round(kappa * d), prompts, noise, tokens) for _ in range(50)]
    mean, error = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1) / math.sqrt(50)
    tolerance = 4 * error + 0.04 * mean
    assert np.all(np.abs(np.exp(slopes / limits / d) * limits - mean) < tolerance)
    for wrong in (limits[:1], np.exp(-slopes / limits / d)[:1] * limits[:1]):
        assert np.all(np.abs(wrong - mean[:1]) > tolerance[:1])
    assert np.all(np.abs(np.exp(slopes / limits / d)[:1] * limits[:1] - mean[1:]) > tolerance[1:])  # another length


def test_few_tokens_where_prompts_are_interpolated_are_ruled_by_a_pole():
    """Four tokens: the mean of 1/mean(y²) is twice that of many, of which the first order in 1/d has half."""
    config = task_diversity.Config(dim=16, context_length=4, num_tasks=8, prompt_ratio=136 / 256)
    rng = np.random.default_rng(5)
    runs = [fitted_errors(rng, 16, 4, 8, 136, config.noise_variance) for _ in range(250)]
    mean, error = np.mean(runs, axis=0), np.std(runs, axis=0, ddof=1) / math.sqrt(250)
    predicted = np.array([*jax.jit(task_diversity.pool_regression.predict)(jax.random.key(0), config).values()])
    tolerance = 4 * error + task_diversity.second_order(config, "pool_error") * mean
    assert np.all(np.abs(predicted - mean) < tolerance)
    poles = (1 - 2 / 4) * math.exp(2 / 4) * (1 - 2 / 16) * math.exp(2 / 16)
    assert np.all(np.abs(predicted * poles - mean) > tolerance)
    assert "heavy tails" in task_diversity.pool_regression.holds(dataclasses.replace(config, context_length=3))


def test_less_than_one_prompt_is_refused():
    """A layer fitted to nothing would be a run like any other."""
    config = task_diversity.Config(dim=3, prompt_ratio=0.05)
    with pytest.raises(ConfigError, match=r"prompt_ratio = 0\.05 is not allowed: at dim = 3 .*must be >= 0\.111"):
        task_diversity.SETTING.validate(config)
    task_diversity.SETTING.validate(dataclasses.replace(config, prompt_ratio=1 / 9))


def test_the_threshold_is_refused_or_not_judged():
    with pytest.raises(ConfigError, match="prompt_ratio = 1"):
        task_diversity.SETTING.validate(task_diversity.Config(prompt_ratio=1.0))
    as_many = task_diversity.Config(dim=4, prompt_ratio=1.25)  # 20 prompts, 20 weights
    assert "threshold" in task_diversity.pool_regression.holds(as_many)


@pytest.mark.slow
def test_published_simulations_at_a_hundred_dimensions():
    """Lu et al. measured 1.3050 on fresh tasks at half a prompt per weight; their limit is 3.9% lower."""
    config = task_diversity.Config(dim=100, context_length=100, num_tasks=50, prompt_ratio=0.5, noise_variance=0.01)
    limit = float(task_diversity.pretraining_errors(1, 0.5, 50 / 101, 0.01).fresh)
    np.testing.assert_allclose(limit, 1.2541, atol=1e-4)
    found = float(task_diversity.finite_dimension(jax.random.key(0), config)["fresh_task_error"])
    assert abs(found / 1.3050 - 1) < task_diversity.finite_error(config, "fresh_task_error") < 0.013
    assert 1.3050 / limit - 1 > 0.039
    corrected = float(task_diversity.pool_regression(jax.random.key(0), config)["fresh_task_error"])
    assert abs(corrected / 1.3050 - 1) < 0.01


def test_leverages_of_gaussian_summaries_give_the_textbooks_variance():
    """Noise alone, fitted with twice as many prompts as weights: 1 + p/(N - p) of it on fresh prompts."""
    rng, d = np.random.default_rng(3), 80
    contexts = leverages.Contexts(rng.standard_normal((6000, d + 1)), np.zeros((6000, d)))
    fit = leverages.fitted(contexts, 2 * d * (d + 1), 0.5, 1e-6, generator=rng)
    np.testing.assert_array_equal(fit.mean, 0)
    # Rows x ⊗ h have norms that fluctuate by (2/d + 2/d), which raises it by three quarters of that.
    np.testing.assert_allclose(leverages.error(fit, contexts, 0.5, fitted=True), 0.5 * 2, rtol=0.05)


def test_the_limit_is_not_judged_where_it_is_far():
    limit, finite = task_diversity.pool_regression, task_diversity.finite_dimension
    assert "large dimension may be" in limit.holds(task_diversity.Config(dim=10, prompt_ratio=1.5, num_tasks=2))
    assert finite.holds(task_diversity.Config(dim=10, prompt_ratio=1.5)) is None
    assert "too near the interpolation threshold" in finite.holds(task_diversity.Config(dim=10, prompt_ratio=1.1))
