"""The theories of the grokking model as the laboratory sees them: predictors of (key, config)."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import ROUNDING, Observables, Theory, at_config, theory, times
from theorylab.settings.two_layer.grokking import controls, mean_field
from theorylab.settings.two_layer.grokking.config import Config, initial_overlap, sample_ratio
from theorylab.settings.two_layer.grokking.data import Instance, initial_residual, sample
from theorylab.settings.two_layer.grokking.moments import Moments, population_risk, tangent_kernel
from theorylab.settings.two_layer.grokking.theory import marchenko_pastur
from theorylab.settings.two_layer.grokking.theory.lazy import lazy_curves
from theorylab.settings.two_layer.grokking.theory.population import OrderParameters, population_curves, stationary_loss
from theorylab.settings.two_layer.grokking.train import crossing_times, optimiser_of, recorded_steps, run
from theorylab.settings.two_layer.papers import KUMAR

CLOSED_KERNEL = {"kernel_target_alignment": "closed_kernel_alignment", "kernel_trace": "closed_kernel_trace"}
PARTS = ("variance_error", "misalignment_error", "linear_power")
REDUCED = ("train_loss", "clean_train_loss", "test_loss", *PARTS, "target_overlap", "weight_norm", "spike_gain")
MEAN_FIELD = ("train_loss", "test_loss", "misalignment_error", "linear_power", "target_overlap", "weight_norm")
MEAN_FIELD_SOURCE = (
    "dynamical mean-field theory derived here for the model of Kumar, Bordelon, Gershman and Pehlevan 2024, "
    "arXiv 2310.06110"
)
#: Below this share of the initial train loss rounding takes over, and nothing is predicted.
FLOOR = 1e-12
#: Share of the initial test loss below which what P = ∞ leaves out is no small part of it, in the population's theory.
LEARNED = 0.05
#: Its largest relative deviation over D²/P, at random configurations (D = 4 to 12, P/D² = 100 to 400, α = ½ to 4,
#: ε = 0.2 to 1, σ = ½ to 1½, ρ_0 = 0.1/D to 3/D, centred and not; 16 to 32 seeds): 24(9), 6(3), 1.7(4) and 4.6(2.0).
#: With decay, Λ = 0.2 to 0.9, and momentum 0 and ½ it is 10(9), 3(3), 0.7(13) and 5(7) in six configurations (D = 4).
POPULATION_ERROR = {"test_loss": 20.0, "target_overlap": 6.0, "weight_norm": 1.7, "test_time": 4.6}
#: Decay Λ = λ' α/(ν ε) up to which the weights stay; all of them vanish from 3/2 on, each error in a rate then grows.
LARGEST_DECAY = 1.0
#: Fresh samples from which on a mean squared error has Gaussian fluctuations, which a comparison counts on.
ENOUGH_TEST = 1000


def above_rounding(values: jax.Array, train_loss: jax.Array) -> jax.Array:
    """Keep what is recorded before the train loss has fallen to rounding; NaN afterwards."""
    return jnp.where(train_loss > FLOOR * train_loss[0], values, jnp.nan)


def _half_the_rate(config: Config) -> Config:
    return dataclasses.replace(config, scaled_learning_rate=config.scaled_learning_rate / 2)


HALF_THE_RATE = {"γ = η₀/P, without the factor 2 of the squared error": at_config(_half_the_rate)}


# --- the moments of a network of any width ------------------------------------------------------------------------


def is_network(config: Config) -> str | None:
    """Say that there is nothing to predict where the simulation is the reduction itself."""
    return None if config.trainer == "network" else f"trainer = {config.trainer!r} already works with the moments"


@theory(
    kind="exact",
    source=KUMAR.at("sufficient statistics (w̄, M); closed recursion of gradient descent"),
    predicts=REDUCED,
    holds=is_network,
    error=ROUNDING,
    controls={"steps as if infinitesimal": controls.without_squared_steps, **HALF_THE_RATE},
    sample=sample,
)
def reduction(instance: Instance, config: Config) -> Observables:
    """The closed recursion of (w̄, M) from the moments of the same initial weights."""
    values = run(instance, dataclasses.replace(config, trainer="moments"), summaries=False)
    # At the start a centred network has C = 0 up to rounding: nothing to compare relatively.
    values["linear_power"] = jnp.where(values["linear_power"] > 1e-20, values["linear_power"], jnp.nan)
    return {name: above_rounding(values[name], values["train_loss"]) for name in REDUCED}


@theory(
    kind="exact",
    source=KUMAR.at("Section 4, the NTK in (w̄, M)"),
    predicts=tuple(CLOSED_KERNEL),
    holds=is_network,
    error=ROUNDING,
    estimates=CLOSED_KERNEL,
    controls={
        "kernel frozen at the start": controls.frozen_kernel,
        "the mean weight left out": controls.kernel_without_mean_weight,
    },
    name="tangent_kernel",
    sample=sample,
)
def tangent_kernel_of_moments(instance: Instance, config: Config) -> Observables:
    """The closed form of the tangent kernel from the moments of the weights (it comes with every simulation)."""
    values = run(instance, config)
    return {name: values[closed] for name, closed in CLOSED_KERNEL.items()}


# --- the exact test loss -----------------------------------------------------------------------------------------


def has_test_set(config: Config) -> str | None:
    """Say that there are too few fresh samples."""
    if config.num_test >= ENOUGH_TEST:
        return None
    return f"num_test = {config.num_test}: a comparison needs at least {ENOUGH_TEST} fresh samples"


@theory(
    kind="instance",
    source=KUMAR.at("test loss in (w̄, M)"),
    predicts=("sampled_test_loss",),
    holds=has_test_set,
    estimates={"sampled_test_loss": "test_loss"},
    controls={
        "B without its factor 1/2": controls.risk_with_whole_misalignment,
        "without the linear power": controls.risk_without_linear_power,
    },
    sample=sample,
)
def exact_risk(instance: Instance, config: Config) -> Observables:
    """The exact test loss in place of that on ``num_test`` fresh samples (it comes with every simulation)."""
    return {"sampled_test_loss": run(instance, config)["test_loss"]}


# --- the lazy network --------------------------------------------------------------------------------------------


def is_linearised(config: Config) -> str | None:
    """Say that the network is not the linearised one, or that no mode of its kernel evolves by itself."""
    if config.trainer != "linearised":
        return f"for the linearised network, not trainer = {config.trainer!r}"
    if not math.isinf(config.batch_size):
        return f"batch_size = {config.batch_size:g}: mini-batches mix the modes of the kernel"
    return None


@theory(
    kind="exact",
    source=KUMAR.at("the linearised network; solved in the eigenbasis of its kernel"),
    predicts=("train_loss", "test_loss", *PARTS, "train_time", "test_time"),
    holds=is_linearised,
    error=ROUNDING,
    controls={
        "gradient flow in place of steps": controls.gradient_flow,
        "weight decay left out": at_config(lambda c: dataclasses.replace(c, weight_decay=0.0)),
        "the initial output forgotten": at_config(lambda c: dataclasses.replace(c, centred=not c.centred)),
    },
    sample=sample,
)
def lazy(instance: Instance, config: Config) -> Observables:
    """Train and test loss of the linearised network in the eigenbasis of K_0, with the times they give."""
    alpha, eps = config.output_scale, config.quadratic_coeff
    inputs, target, start = instance.inputs, instance.target, instance.moments
    residual = initial_residual(instance, config)
    curves = lazy_curves(
        inputs, residual, start, tangent_kernel(start, inputs, eps), recorded_steps(config),
        output_scale=alpha, quadratic_coeff=eps, scaled_learning_rate=config.scaled_learning_rate,
        optimiser=optimiser_of(config),
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


def memorises(config: Config) -> str | None:
    """Say why the Marchenko–Pastur averages do not apply."""
    kappa = config.output_scale * config.quadratic_coeff * config.init_scale**2
    if why := is_linearised(config) or mean_field.beyond_plain_descent(config, "label_noise"):
        return why
    if not math.isinf(config.width) or config.planted:
        return "for infinite width and an isotropic start"
    if config.centred or abs(kappa - 1) > 1e-6:
        return f"for a residual of mean zero, output_scale · quadratic_coeff · init_scale² = 1 (here {kappa:g})"
    return None


@theory(
    kind="ensemble",
    source="lazy network averaged over the Marchenko–Pastur law (Marčenko and Pastur 1967)",
    predicts=("relative_train_loss", "relative_linear_power"),
    holds=memorises,
    error=lambda config, observable: (5 + 0.8 * sample_ratio(config)) / config.input_dim,
    controls={
        "without the diagonal ε²": at_config(lambda c: dataclasses.replace(c, quadratic_coeff=0.0)),
        "target of variance 1": times(2.0),
    },
)
def memorisation(key: jax.Array, config: Config) -> Observables:
    """Marchenko–Pastur averages, over twice the initial train loss; NaN once 5% of that loss is left.

    Largest relative deviation times D, at ε = ¼ to 1 and D = 40 and 80, 150 to 400 seeds: 5.4(4) at ν = 1, 5.9(3) at 2,
    8(1) at 4 and 11.5(6) at 8. A datum far along the teacher is long too, and learned faster.
    """
    curves = marchenko_pastur.memorisation(
        recorded_steps(config), sample_ratio=sample_ratio(config), quadratic_coeff=config.quadratic_coeff,
        scaled_learning_rate=config.scaled_learning_rate, init_scale=config.init_scale,
    )  # fmt: skip
    # Later on single small eigenvalues decide: their relative fluctuation grows with time.
    early = curves.train_loss > 0.05 * curves.train_loss[0]
    shown = jnp.where(early, curves.train_loss, jnp.nan)
    power = jnp.where(curves.linear_power > 1e-2 * jnp.max(curves.linear_power), curves.linear_power, jnp.nan)
    return {"relative_train_loss": shown, "relative_linear_power": power}


# --- infinitely many samples -------------------------------------------------------------------------------------


def sees_the_population(config: Config) -> str | None:
    """Say why the samples are not as good as infinitely many."""
    if config.trainer != "moments" or not math.isinf(config.width):
        return "for trainer = 'moments' at infinite width"
    if not config.normalise_target:
        return "for a normalised target"
    if why := mean_field.beyond_plain_descent(config, "weight_decay", "momentum"):
        return why
    if config.weight_decay and config.decay_towards == "start":
        return "for weight decay to zero"
    strength = config.weight_decay * config.output_scale / (sample_ratio(config) * config.quadratic_coeff)
    if strength > LARGEST_DECAY:
        return f"for weights that do not vanish: Λ = λ' α/(ν ε) is {strength:.2g}, above {LARGEST_DECAY:g}"
    if config.num_samples < 100 * config.input_dim**2:
        return f"for num_samples far above input_dim² (at least {100 * config.input_dim**2})"
    return None


@theory(
    kind="ensemble",
    source=KUMAR.at("test loss in (w̄, M); gradient descent on it in two order parameters"),
    predicts=("test_loss", "target_overlap", "weight_norm", "test_time"),
    holds=sees_the_population,
    error=lambda config, observable: POPULATION_ERROR[observable] * config.input_dim**2 / config.num_samples,
    controls={"A without its factor 1/4": controls.population_with_whole_variance, **HALF_THE_RATE},
)
def population(key: jax.Array, config: Config) -> Observables:
    """Two order parameters on the population loss; NaN for the loss once 5 % of its start are left."""
    dim, overlap = config.input_dim, initial_overlap(config)
    variance = jnp.asarray(config.init_scale, float) ** 2
    start = OrderParameters(variance * overlap * dim, variance)
    state, risk = population_curves(
        start, recorded_steps(config), input_dim=dim, sample_ratio=sample_ratio(config),
        output_scale=config.output_scale, quadratic_coeff=config.quadratic_coeff,
        scaled_learning_rate=config.scaled_learning_rate, centred=config.centred, optimiser=optimiser_of(config),
    )  # fmt: skip
    # Where the loss falls fast a small delay is a large factor; in the end fluctuations of the samples are all of it.
    loss = jnp.where(risk.total > LEARNED * risk.total[0], risk.total, jnp.nan)
    time = crossing_times(risk.total, risk.total, config)["test_time"]
    # A threshold near the loss at which weight decay ends is passed late, if at all.
    floor = stationary_loss(config.weight_decay, config.output_scale, config.quadratic_coeff, sample_ratio(config))
    clear = (config.test_threshold > LEARNED * risk.total[0]) & (config.test_threshold > 2 * floor)
    return {
        "test_loss": loss,
        "target_overlap": state.along / dim,
        "weight_norm": jnp.sqrt((state.along + (dim - 1) * state.across) / dim),
        "test_time": jnp.where(clear, time, jnp.nan),
    }


# --- mean-field theory -------------------------------------------------------------------------------------------


@theory(
    kind="ensemble",
    source=MEAN_FIELD_SOURCE,
    predicts=(*MEAN_FIELD, "spike_gain", "spike_spread"),
    holds=mean_field.has_planted_spike,
    error=mean_field.planted_error,
    controls={
        "without the reaction of a datum's forces": controls.memoryless_mean_field,
        "C_v left out of B": controls.without_spread,
        "the overlap of chance": at_config(lambda c: dataclasses.replace(c, spike_overlap=1 / c.input_dim)),
    },
    traceable=False,  # so that it shares one compiled march with the theory below and with the controls
    name="mean_field",
)
def planted_mean_field(key: jax.Array, config: Config) -> Observables:
    """Curves of the limit D → ∞ with a planted spike, from one solution (the same for every ``key``)."""
    curves = mean_field.planted(config, config.spike_overlap)
    return mean_field.curves_of(curves, config) | mean_field.spike_of(curves, config)


@theory(
    kind="ensemble",
    source=f"{MEAN_FIELD_SOURCE}; the spike driven by chance and data noise at order 1/D",
    predicts=MEAN_FIELD,
    holds=mean_field.starts_isotropic,
    error=mean_field.isotropic_error,
    controls={
        "without the noise of the data": controls.without_data_noise,
        "the mean weight left out of the overlap": controls.without_mean_weight,
        **HALF_THE_RATE,
    },
    traceable=False,
)
def noise_driven_mean_field(key: jax.Array, config: Config) -> Observables:
    """Curves of large D with the spike driven by chance and by data noise, from one solution."""
    return mean_field.curves_of(mean_field.isotropic(config), config)


THEORIES: tuple[Theory, ...] = (
    reduction,
    tangent_kernel_of_moments,
    exact_risk,
    lazy,
    memorisation,
    population,
    planted_mean_field,
    noise_driven_mean_field,
)
