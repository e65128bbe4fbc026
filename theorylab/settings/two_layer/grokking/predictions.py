"""The theories of the grokking model as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import ROUNDING, Theory
from theorylab.settings.two_layer.grokking.config import Config, initial_overlap, sample_ratio
from theorylab.settings.two_layer.grokking.data import sample
from theorylab.settings.two_layer.grokking.mean_field import MEAN_FIELD_THEORIES
from theorylab.settings.two_layer.grokking.model import Moments, labels, moments_output
from theorylab.settings.two_layer.grokking.theory.lazy import lazy_curves
from theorylab.settings.two_layer.grokking.theory.marchenko_pastur import memorisation
from theorylab.settings.two_layer.grokking.theory.ntk import tangent_kernel
from theorylab.settings.two_layer.grokking.theory.population import OrderParameters, population_curves
from theorylab.settings.two_layer.grokking.theory.risk import population_risk
from theorylab.settings.two_layer.grokking.train import crossing_times, recorded_steps, run

KUMAR = "Kumar, Bordelon, Gershman and Pehlevan 2024, arXiv 2310.06110"
CLOSED_KERNEL = {"kernel_target_alignment": "closed_kernel_alignment", "kernel_trace": "closed_kernel_trace"}
REDUCED = (
    "train_loss", "test_loss", "variance_error", "misalignment_error", "linear_power", "target_overlap", "weight_norm",
)  # fmt: skip
#: Below this share of the initial train loss rounding takes over, and nothing is predicted.
FLOOR = 1e-12

Prediction = dict[str, Any]


def above_rounding(values: jax.Array, train_loss: jax.Array) -> jax.Array:
    """Keep what is recorded before the train loss has fallen to rounding; NaN afterwards."""
    return jnp.where(train_loss > FLOOR * train_loss[0], values, jnp.nan)


# --- the moments of a network of any width ------------------------------------------------------------------------


def predict_reduction(key: jax.Array, config: Config) -> Prediction:
    """The closed recursion of (w̄, M) from the moments of the same initial weights."""
    if config.trainer != "network":
        return {}
    instance = sample(key, config)
    values = run(instance._replace(test_inputs=None), dataclasses.replace(config, trainer="moments", num_test=0))
    # At the start a centred network has C = 0 up to rounding: nothing to compare relatively.
    values["linear_power"] = jnp.where(values["linear_power"] > 1e-20, values["linear_power"], jnp.nan)
    return {name: above_rounding(values[name], values["train_loss"]) for name in REDUCED}


def predict_kernel(key: jax.Array, config: Config) -> Prediction:
    """The closed form of the tangent kernel from the moments of the weights (it comes with every simulation)."""
    values = run(sample(key, config), config)
    return {name: values[closed] for name, closed in CLOSED_KERNEL.items() if closed in values}


def is_network(config: Config) -> str | None:
    """Say that there is nothing to predict where the simulation is the reduction itself."""
    return None if config.trainer == "network" else f"trainer = {config.trainer!r} already works with the moments"


# --- the exact test loss -----------------------------------------------------------------------------------------


def predict_sampled_risk(key: jax.Array, config: Config) -> Prediction:
    """The exact test loss in place of that on ``num_test`` fresh samples (it comes with every simulation)."""
    values = run(sample(key, config), config)
    return {"sampled_test_loss": values["test_loss"]} if config.num_test else {}


def has_test_set(config: Config) -> str | None:
    """Say that there is no test set."""
    return None if config.num_test else "num_test = 0: no test set to compare with"


# --- the lazy network --------------------------------------------------------------------------------------------


def predict_lazy(key: jax.Array, config: Config) -> Prediction:
    """Train and test loss of the linearised network in the eigenbasis of K_0, with the times they give."""
    if config.trainer != "linearised":
        return {}
    alpha, eps = config.output_scale, config.quadratic_coeff
    inputs, target, start, _, _ = sample(key, config)
    y = labels(inputs, target)
    residual = y if config.centred else y - moments_output(start, inputs, alpha, eps)
    curves = lazy_curves(
        inputs, residual, start, tangent_kernel(start, inputs, eps), recorded_steps(config),
        output_scale=alpha, quadratic_coeff=eps, scaled_learning_rate=config.scaled_learning_rate,
    )  # fmt: skip
    offset = start if config.centred else Moments(jnp.zeros_like(start.mean), jnp.zeros_like(start.second))

    def risk(moments: Moments) -> Any:
        change = Moments(moments.mean - offset.mean, moments.second - offset.second)
        return population_risk(change, target, alpha, eps)

    risks = jax.vmap(risk)(curves.moments)
    train = jnp.mean(curves.residual**2, axis=1)
    values = {"train_loss": above_rounding(train, train), "test_loss": risks.total, **risks._asdict()}
    # C is zero at the start, A may pass through zero: both are compared relatively.
    for name in ("variance_error", "linear_power"):
        values[name] = jnp.where(values[name] > 1e-6 * risks.total, values[name], jnp.nan)
    times = crossing_times(train, risks.total, config)
    return values | {name: times[name] for name in ("train_time", "test_time")}


def is_linearised(config: Config) -> str | None:
    """Say that the network is not the linearised one."""
    return None if config.trainer == "linearised" else f"for the linearised network, not trainer = {config.trainer!r}"


def predict_memorisation(key: jax.Array, config: Config) -> Prediction:
    """Marchenko–Pastur averages, over twice the initial train loss; NaN once 5% of that loss is left."""
    if config.trainer != "linearised":
        return {}
    curves = memorisation(
        recorded_steps(config), sample_ratio=sample_ratio(config), quadratic_coeff=config.quadratic_coeff,
        scaled_learning_rate=config.scaled_learning_rate, init_scale=config.init_scale,
    )  # fmt: skip
    # Later on single small eigenvalues decide: their relative fluctuation grows with time.
    early = curves.train_loss > 0.05 * curves.train_loss[0]
    shown = jnp.where(early, curves.train_loss, jnp.nan)
    power = jnp.where(curves.linear_power > 1e-2 * jnp.max(curves.linear_power), curves.linear_power, jnp.nan)
    return {"relative_train_loss": shown, "relative_linear_power": power}


def memorises(config: Config) -> str | None:
    """Say why the Marchenko–Pastur averages do not apply."""
    kappa = config.output_scale * config.quadratic_coeff * config.init_scale**2
    if config.trainer != "linearised":
        return is_linearised(config)
    if not math.isinf(config.width) or config.planted:
        return "for infinite width and an isotropic start"
    if config.centred or abs(kappa - 1) > 1e-6:
        return f"for a residual of mean zero, output_scale · quadratic_coeff · init_scale² = 1 (here {kappa:g})"
    return None


# --- infinitely many samples -------------------------------------------------------------------------------------


def predict_population(key: jax.Array, config: Config) -> Prediction:
    """Two order parameters on the population loss."""
    if sees_the_population(config):
        return {}
    dim, overlap = config.input_dim, initial_overlap(config)
    variance = jnp.asarray(config.init_scale, float) ** 2
    start = OrderParameters(variance * overlap * dim, variance)
    state, risk = population_curves(
        start, recorded_steps(config), input_dim=dim, sample_ratio=sample_ratio(config),
        output_scale=config.output_scale, quadratic_coeff=config.quadratic_coeff,
        scaled_learning_rate=config.scaled_learning_rate, centred=config.centred,
    )  # fmt: skip
    return {
        "test_loss": risk.total,
        "target_overlap": state.along / dim,
        "weight_norm": jnp.sqrt((state.along + (dim - 1) * state.across) / dim),
        "test_time": crossing_times(risk.total, risk.total, config)["test_time"],
    }


def sees_the_population(config: Config) -> str | None:
    """Say why the samples are not as good as infinitely many."""
    if config.trainer != "moments" or not math.isinf(config.width):
        return "for trainer = 'moments' at infinite width"
    if not config.normalise_target:
        return "for a normalised target"
    if config.num_samples < 100 * config.input_dim**2:
        return f"for num_samples far above input_dim² (at least {100 * config.input_dim**2})"
    return None


THEORIES: tuple[Theory, ...] = (
    Theory(
        "reduction",
        predict_reduction,
        kind="exact",
        source=f"{KUMAR}, sufficient statistics (w̄, M); closed recursion of gradient descent",
        holds=is_network,
        error=ROUNDING,
    ),
    Theory(
        "tangent_kernel",
        predict_kernel,
        kind="exact",
        source=f"{KUMAR}, the NTK in (w̄, M)",
        holds=is_network,
        error=ROUNDING,
        estimates=CLOSED_KERNEL,
    ),
    Theory(
        "exact_risk",
        predict_sampled_risk,
        kind="instance",
        source=f"{KUMAR}, test loss in (w̄, M)",
        holds=has_test_set,
        estimates={"sampled_test_loss": "test_loss"},
    ),
    Theory(
        "lazy",
        predict_lazy,
        kind="exact",
        source=f"{KUMAR}, the linearised network; solved in the eigenbasis of its kernel",
        holds=is_linearised,
        error=ROUNDING,
    ),
    Theory(
        "memorisation",
        predict_memorisation,
        kind="ensemble",
        source="lazy network averaged over the Marchenko–Pastur law (Marčenko and Pastur 1967)",
        holds=memorises,
        error=lambda config, observable: 4 / config.input_dim,
    ),
    Theory(
        "population",
        predict_population,
        kind="ensemble",
        source=f"{KUMAR}, test loss in (w̄, M); gradient descent on it in two order parameters",
        holds=sees_the_population,
        error=lambda config, observable: 0.6 * config.input_dim / math.sqrt(config.num_samples),
    ),
    *MEAN_FIELD_THEORIES,
)
