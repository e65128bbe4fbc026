"""The theories of linear attention as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from theorylab.contract import Observables, Theory
from theorylab.numerics import random
from theorylab.settings.in_context.linear_attention.config import FLOWS, TRAINED, Config
from theorylab.settings.in_context.linear_attention.data import eigenvalues, sample_pool
from theorylab.settings.in_context.linear_attention.problem import (
    best_loss,
    best_preconditioner,
    closed_form,
    prior,
    target_moments,
)
from theorylab.settings.in_context.linear_attention.theory import baselines, dynamics, nonlinear
from theorylab.settings.in_context.linear_attention.theory.risk import risk
from theorylab.settings.in_context.linear_attention.theory.task_diversity import pretraining_errors
from theorylab.settings.in_context.linear_attention.train import (
    CONTEXT_RATIOS,
    GRADIENT_STEPS,
    has_exact_loss,
    recorded_steps,
    test_lengths,
)

ONE_STEP_PAPER = "Mahankali, Hashimoto and Ma 2023, arXiv 2307.03576"
DERIVED = "derived here by Isserlis' theorem"


def _pool(key: jax.Array, config: Config) -> jax.Array | None:
    return sample_pool(random.split(key, 4)[1], config)


def _one_layer(config: Config) -> bool:
    return config.training in TRAINED and config.attention == "linear" and config.num_layers == 1


# --- the optimum ----------------------------------------------------------------------------------------------


def predict_minimum(key: jax.Array, config: Config) -> Observables:
    """Predict the smallest exact loss of one layer, L_min; for a finite pool that of the pool, and on fresh tasks."""
    if not _one_layer(config) or not has_exact_loss(config):
        return {}
    pool = _pool(key, config)
    predicted = {"final_loss": jnp.asarray(best_loss(config, pool))}
    if pool is not None:
        best = best_preconditioner(config, pool)
        predicted["fresh_task_loss"] = risk(best, prior(config), config.context_length)
    return predicted


def predict_one_step(key: jax.Array, config: Config) -> Observables:
    """Predict the learned preconditioner, and that the layer's predictions are those of one step of gradient descent.

    Cosine and agreement (1 - relative error) of the two prediction vectors are 1.
    """
    if not _one_layer(config):
        return {}
    gains = config.context_length * jnp.diagonal(best_preconditioner(config, _pool(key, config)))
    one = jnp.ones(())
    return {
        "learned_rate": jnp.mean(gains),
        "preconditioner": jnp.stack([gains[0], gains[-1]]),
        "alignment": one,
        "prediction_cosine": one,
        "prediction_agreement": one,
    }


def is_optimal(config: Config) -> str | None:
    """Say why a trained layer need not be at the closed-form optimum; None where it should be."""
    reason = closed_form(config)
    if reason is not None:
        return reason
    if config.dim < 2:
        return "at dim = 1 there is a second optimal branch, which attends on labels"
    gapped = math.isfinite(config.num_tasks) or max(abs(config.covariate_exponent), abs(config.task_exponent)) > 0.75
    if config.num_starts < 4 and gapped:
        return (
            "with a gap in the spectrum (or few tasks) a third of the starts end in a local minimum: raise num_starts"
        )
    if config.num_steps < 500:
        return f"num_steps = {config.num_steps}: fewer than 500 steps do not reach the optimum"
    return None


#: Largest relative errors that finite training leaves in every seed: measured at the presets' sizes.
#: Fresh prompts leave excess loss of order (Adam's final rate)/(prompts seen); the exact loss leaves rounding.
FINITE_TRAINING = {
    "population": {"final_loss": 1e-6, "fresh_task_loss": 1e-4, "prediction_cosine": 1e-6},
    "statistics": {"final_loss": 0.01, "learned_rate": 0.025, "prediction_cosine": 0.005},
    "prompts": {"final_loss": 0.01, "learned_rate": 0.05, "prediction_cosine": 0.01, "alignment": 0.01},
}
DEFAULT_ERROR = {"population": 1e-4, "statistics": 0.06, "prompts": 0.12}


def finite_training(config: Config, observable: str) -> float:
    """Relative error that is left after training: 1e-6 to 1e-4 on the exact loss, percents on fresh prompts."""
    return FINITE_TRAINING[config.training].get(observable, DEFAULT_ERROR[config.training])


# --- on test prompts ------------------------------------------------------------------------------------------


def predict_context_length(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of the optimal layer at other context lengths than the one it was trained at."""
    if not _one_layer(config) or math.isfinite(config.num_tasks):
        return {}
    n, noise, lengths = config.context_length, config.noise_variance, test_lengths(config)
    mean = config.normalisation == "mean"
    if config.target != "linear":
        if not mean:
            return {}
        moments = target_moments(config)
        losses = [nonlinear.nonlinear_context_length_risk(moments, config.dim, m, n, noise) for m in lengths]
    elif config.covariates == "uniform":
        # Only the training length: (1/n) times the minimum of the quadratic in the learning rate.
        return {"sampled_loss": jnp.asarray(best_loss(config, None))}
    else:
        problem, best = prior(config), best_preconditioner(config, None)
        losses = [risk(best * (n / m if mean else 1.0), problem, m) for m in lengths]
    stacked = jnp.stack([jnp.asarray(loss) for loss in losses])
    return {"test_loss": stacked, "sampled_loss": stacked[CONTEXT_RATIOS.index(1.0)]}


def context_length_holds(config: Config) -> str | None:
    """Say where the sampled losses of a trained layer need not be those of the optimum."""
    if math.isfinite(config.num_tasks):
        return "for a finite pool see 'minimum'"
    return is_optimal(config)


def context_length_error(config: Config, observable: str) -> float:
    """Relative error left by training: nothing on the exact loss, 1% to 2% on fresh prompts."""
    return {"population": 1e-6, "statistics": 0.01, "prompts": 0.02}[config.training]


def predict_steps(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of layers that update labels only, one optimal step of gradient descent each.

    For one or two layers also their step sizes, in increasing order.
    """
    if config.attention != "preconditioned":
        return {}
    n, noise = config.context_length, config.noise_variance
    excess = baselines.gradient_steps_excess(n, config.dim, noise, config.num_layers)
    predicted = {"sampled_loss": excess + noise}
    if config.num_layers <= 2:
        predicted["step_sizes"] = n * baselines.gradient_step_sizes(n, config.dim, noise, config.num_layers)
    return predicted


def isotropic_only(config: Config) -> str | None:
    """Say that covariates or tasks are not isotropic; None where they are."""
    if config.covariate_exponent != 0 or config.task_exponent != 0 or config.covariate_variance != 1:
        return "the closed form is for standard normal covariates and tasks"
    if math.isfinite(config.num_tasks):
        return "the closed form is for fresh tasks"
    return None


def steps_are_reached(config: Config) -> str | None:
    """Say where trained layers need not be at the optimal steps; None where they should be.

    Four layers of d = 5 at learning rate 0.02 are 24% (of the excess) above the optimum after 1000 steps, and at it
    after 4000: the larger the largest step size, the longer its way.
    """
    if config.num_layers > 2 and config.num_steps < 1000 * config.num_layers:
        return f"num_steps = {config.num_steps}: {config.num_layers} layers need {1000 * config.num_layers}"
    return isotropic_only(config)


# --- gradient flow --------------------------------------------------------------------------------------------


def predict_flow(key: jax.Array, config: Config) -> Observables:
    """Predict the loss along gradient flow from the structured start, and its conserved quantity."""
    if config.training not in FLOWS:
        return {}
    values, separate = eigenvalues(config)[0], config.training == "separate_flow"
    gamma = dynamics.curvatures(values, config.context_length, config.noise_variance)
    steps = jnp.array(recorded_steps(config), dtype=float)
    start = dynamics.structured_start(config.initial_scale, values, separate=separate)
    path = dynamics.solve_flow(start, steps * config.learning_rate, values, gamma, separate=separate, substeps=100)
    gains = path.readout[:, None] * path.attention ** (2 if separate else 1)
    loss = jax.vmap(lambda gain: dynamics.flow_loss(gain, values, gamma, config.noise_variance))(gains)
    return {
        "loss": loss,
        "final_loss": loss[-1],
        "conserved": jnp.ones(()),
        "preconditioner": jnp.stack([gains[-1, 0], gains[-1, -1]]),
    }


def flow_error(config: Config, observable: str) -> float:
    """Euler's error, proportional to the time step (it grows with the time to escape, log(1/initial_scale))."""
    return 10 * float(config.learning_rate)


def predict_logistic(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of the isotropic flow in closed form: each gain follows a logistic curve."""
    if config.training != "flow":
        return {}
    d, noise = config.dim, config.noise_variance
    values = eigenvalues(config)[0]
    gamma = dynamics.curvatures(values, config.context_length, noise)
    times = jnp.array(recorded_steps(config), dtype=float) * config.learning_rate
    first = config.initial_scale**2 / jnp.sqrt(1.0 * d)
    gains = dynamics.logistic_gain(times, first, d, gamma[0])
    return {"loss": jnp.asarray(d * (1 + gains * (gamma[0] * gains - 2)) + noise)}


# --- without a layer ------------------------------------------------------------------------------------------


def predict_baselines(key: jax.Array, config: Config) -> Observables:
    """Predict the losses of zero, least squares, and the best one and two steps of gradient descent, exactly."""
    if config.training != "baselines":
        return {}
    n, d, noise = config.context_length, config.dim, config.noise_variance
    steps = [baselines.gradient_steps_excess(n, d, noise, k) + noise for k in GRADIENT_STEPS]
    return {
        "zero_loss": jnp.asarray(d + noise),
        "least_squares_loss": baselines.least_squares_excess(n, d, noise) + noise,
        "gradient_steps_loss": jnp.stack(steps),
    }


def least_squares_has_variance(config: Config) -> str | None:
    """Say where the mean of sampled losses is not to be trusted: heavy tails of least squares near n = d."""
    if config.training == "baselines" and abs(config.context_length - config.dim) <= 3:
        return "least squares has no finite variance within three samples of n = d"
    return None


def predict_bayes(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of Bayes' ridge by the Marchenko-Pastur law with its correction for real Gaussians."""
    if config.training != "baselines":
        return {}
    noise = config.noise_variance
    excess = baselines.bayes_excess(1.0 * config.context_length, 1.0 * config.dim, noise)
    return {"bayes_loss": jnp.asarray(excess + noise)}


def bayes_holds(config: Config) -> str | None:
    """Say where the corrected Marchenko-Pastur law is not to be trusted."""
    if config.noise_variance <= 0:
        return "it needs noise"
    ratio = config.dim / config.context_length
    if 0.5 < ratio < 2 and config.noise_variance / config.context_length < 0.05:
        return "the correction is unreliable for context_length near dim and little noise"
    return None


def prompts_per_weight(config: Config) -> float:
    """Prompts of a pool regression over the d(d+1) weights of the reduced layer; 1 is its interpolation threshold."""
    d = config.dim
    return round(config.prompt_ratio * d**2) / (d * (d + 1))


def off_threshold(config: Config) -> str | None:
    """Say that there are as many prompts as weights, where both errors are infinite; None elsewhere."""
    if config.training == "pool_regression" and prompts_per_weight(config) == 1:
        return "as many prompts as weights: both errors are infinite at the interpolation threshold"
    return None


def predict_pool_regression(key: jax.Array, config: Config) -> Observables:
    """Predict both errors of the reduced layer fitted to finitely many prompts, in the limit of large dimension.

    The layer has d(d+1) weights (the mean of y² adds d to the d² of the limit), so the ratio that decides is prompts
    over weights; with prompts/d² the deviations at d = 20 are 12% instead of 9%.
    """
    if config.training != "pool_regression":
        return {}
    d = config.dim
    errors = pretraining_errors(
        config.context_length / d, config.num_tasks / d, prompts_per_weight(config), config.noise_variance
    )
    return {"fresh_task_error": jnp.asarray(errors.fresh), "pool_error": jnp.asarray(errors.pool)}


MINIMUM = Theory(
    "minimum",
    predict_minimum,
    "exact",
    f"{ONE_STEP_PAPER}; L_min = t - n tr(Λ P* Λ Σ_w) + σ² of theory/risk.py",
    holds=is_optimal,
    error=finite_training,
)
ONE_STEP = Theory(
    "one_step",
    predict_one_step,
    "exact",
    f"{ONE_STEP_PAPER}: P* = [(n+1) Λ + s Σ_w⁻¹]⁻¹, isotropic η* = 1/(n+d+1+σ²); nonlinear a/((n-1)a + β + σ²)",
    holds=is_optimal,
    error=finite_training,
)
CONTEXT_LENGTH = Theory(
    "context_length",
    predict_context_length,
    "ensemble",
    f"risk of the optimal layer at m tokens, {DERIVED}; limit: Zhang, Frei and Bartlett 2023, arXiv 2306.09927",
    holds=context_length_holds,
    error=context_length_error,
)
STEPS = Theory(
    "gradient_steps",
    predict_steps,
    "ensemble",
    "optimal steps of gradient descent from Wishart moments; layers: Ahn et al. 2023, arXiv 2306.00297",
    holds=steps_are_reached,
    error=lambda config, observable: 0.03 if observable == "step_sizes" else 0.01,
)
FLOW = Theory(
    "gradient_flow",
    predict_flow,
    "exact",
    "dα/dt, du/dt of theory/dynamics.py; Zhang, Frei and Bartlett 2023, arXiv 2306.09927, in the commuting case",
    error=flow_error,
)
LOGISTIC = Theory(
    "logistic",
    predict_logistic,
    "exact",
    "isotropic balanced flow, ds/dt = 2 sqrt(d) s (1 - γ s), a logistic curve",
    holds=isotropic_only,
    error=flow_error,
)
BASELINES = Theory(
    "baselines",
    predict_baselines,
    "ensemble",
    "means of inverse Wishart matrices; Wishart moments for the steps of gradient descent",
    holds=least_squares_has_variance,
)
BAYES = Theory(
    "bayes",
    predict_bayes,
    "ensemble",
    "Marchenko-Pastur law with the mean correction of Bai and Silverstein 2004",
    holds=bayes_holds,
    error=lambda config, observable: 0.02 / min(config.dim, config.context_length),
)
POOL_REGRESSION = Theory(
    "pool_regression",
    predict_pool_regression,
    "ensemble",
    "Lu, Letey, Zavatone-Veth, Maiti and Pehlevan 2024, arXiv 2405.11751, ridgeless",
    holds=off_threshold,
    error=lambda config, observable: 2 / config.dim,
)
THEORIES = (MINIMUM, ONE_STEP, CONTEXT_LENGTH, STEPS, FLOW, LOGISTIC, BASELINES, BAYES, POOL_REGRESSION)
