"""The catapult: the largest stable step of two-layer linear networks, and whether it transfers across widths.

A whole list of steps is tried from one start, by the exact map of the weights' second moments, at any width. A step is
stable if the loss after T steps is finite and below ten times the first. Above 2/λ_max(K_0), the limit of a quadratic,
the loss grows until the kernel has fallen; the network survives up to 4/λ_max(K_0) of its own initial kernel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import (
    Case,
    ConfigError,
    Control,
    Observable,
    Observables,
    Predictor,
    Setting,
    config,
    scalar,
    size,
    theory,
    times,
)
from theorylab.contract.papers import LEWKOWYCZ
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.linear_map import Problem, ProblemName, Scaling
from theorylab.settings.factorisation.papers import YANG_HU

#: A run is stable if its last loss is below this multiple of its first.
GROWTH = 10.0


@config
class Config:
    """A network of m neurons, and the steps that are tried on it."""

    problem: ProblemName = size(default="spread", help=linear_map.PROBLEM_HELP)
    scaling: Scaling = size(default="ntk", help=linear_map.SCALING_HELP)
    width: int = size(default=1024, help="hidden neurons", symbol="m", at_least=2)
    num_steps: int = size(default=400, help="gradient steps of each run", symbol="T", at_least=1)
    num_rates: int = size(default=100, help="steps that are tried, evenly spaced in their logarithms", at_least=2)
    lowest_rate: float = scalar(default=0.3, help="smallest step tried", above=0)
    highest_rate: float = scalar(default=1.0, help="largest step tried", above=0)
    target_scale: float = scalar(default=0.447, help="scale of the target", symbol="s", at_least=0)


def check_config(config: Config) -> None:
    """Refuse an empty range of steps.

    Raises
    ------
    ConfigError
        Naming both ends.
    """
    if not config.lowest_rate < config.highest_rate:
        raise ConfigError(
            f"highest_rate = {config.highest_rate:g} is not allowed: must be above lowest_rate = {config.lowest_rate:g}"
        )


def problem(config: Config) -> Problem:
    """The problem and the scaling of a configuration."""
    return linear_map.problem_of(config.problem, config.scaling, config.width, config.target_scale, 1.0)


def rates(config: Config) -> Array:
    """The steps that are tried, ascending."""
    return linear_map.logarithmic_rates(config.lowest_rate, config.highest_rate, config.num_rates)


def stable_rates(gram: Array, config: Config, growth: float = GROWTH, num_steps: int | None = None) -> Array:
    """Whether each of the steps is stable from one start."""
    task = problem(config)

    def run(rate: Array) -> Array:
        steps = config.num_steps if num_steps is None else num_steps
        last = jax.lax.fori_loop(0, steps, lambda _, gram: linear_map.gram_step(gram, task, rate), gram)
        loss, first = linear_map.loss_of(last, task), linear_map.loss_of(gram, task)
        return jnp.isfinite(loss) & (loss < growth * first)

    return jax.vmap(run)(rates(config))


def limits(stable: Array, config: Config) -> Observables:
    """First unstable and last stable step, NaN where the list ends before them, and how often stability changes.

    The set of stable steps need not be an interval: no bisection. Each limit is the geometric middle of two steps.
    """
    tried, count = rates(config), config.num_rates
    first, last = jnp.argmin(stable), count - 1 - jnp.argmax(stable[::-1])
    middle = jnp.sqrt(tried[1:] * tried[:-1])
    inside_first, inside_last = (first > 0) & ~jnp.all(stable), (last < count - 1) & jnp.any(stable)
    return {
        "first_unstable": jnp.where(inside_first, middle[jnp.clip(first - 1, 0, count - 2)], jnp.nan),
        "last_stable": jnp.where(inside_last, middle[jnp.clip(last, 0, count - 2)], jnp.nan),
        "switches": jnp.sum(stable[1:] != stable[:-1]).astype(tried.dtype),
    }


def simulate(key: jax.Array, config: Config) -> Observables:
    """Try every step on one network. Pure, and traceable in the scalars."""
    gram = linear_map.draw_gram(key, problem(config), config.width)
    found = limits(stable_rates(gram, config), config)
    found["limit_ratio"] = found["last_stable"] * linear_map.kernel_top(gram, problem(config)) / 4
    return found


# --- theories ---------------------------------------------------------------------------------------------------------


def kernel_regime(config: Config) -> str | None:
    """Say that the output is not small against the kernel, that T is too short, or that the gap closes."""
    if config.scaling == "mup":
        return "scaling = mup: the target moves the kernel, so that the initial one does not decide"
    if config.problem != "spread":
        return f"problem = {config.problem}: measured for problem = spread only"
    if config.width < 256:
        return f"width = {config.width} is below 256: limits differ by more than the declared error"
    if config.target_scale > 1:
        return "target_scale is above 1: the output is not small against the root of the width"
    needed = 30 * math.log(config.width)
    return None if config.num_steps >= needed else f"num_steps = {config.num_steps} is below 30 ln(width): {needed:.0f}"


def _limit(key: jax.Array, config: Config, factor: float = 4.0, last_layer: float = 1.0) -> Observables:
    gram = linear_map.draw_gram(key, problem(config), config.width)
    kernel = linear_map.kernel_top(gram.at[-1, -1].multiply(last_layer), problem(config))
    limit = factor / kernel
    return {"last_stable": limit, "limit_ratio": jnp.asarray(factor / 4)}


@theory(
    kind="instance",
    source=LEWKOWYCZ.at("the limit 4/λ_0, here of the largest eigenvalue of several"),
    predicts=("last_stable", "limit_ratio"),
    holds=kernel_regime,
    error=0.02,
    controls={
        "limit of a quadratic, 2/λ": lambda key, config: _limit(key, config, factor=2.0),
        "kernel of the last layer alone": lambda key, config: _limit(key, config, last_layer=0.0),
        "5% more": times(1.05),
    },
)
def kernel_limit(key: jax.Array, config: Config) -> Observables:
    """Predict the largest stable step of each seed, 4/λ_max(K_0), K_0 = Σ^1/2 c²(M + qI) Σ^1/2 of that seed.

    The first unstable step may lie far below: where the catapult is under way after T steps, losses are high.
    For targets that meet the top eigenvector. Close eigenvalues beside it shift the limit: 1.5% above for spectra
    (1, .9, .8, .5, .1) at m = 10⁶, while Σ = I shifts nothing.
    """
    return _limit(key, config)


def mean_field(config: Config) -> str | None:
    """Say that the map of the mean start is not near the networks' own."""
    if config.scaling != "mup":
        return "scaling is not mup: the output at the start is not 0 at large width"
    if config.width < 1000:
        return f"width = {config.width} is below 1000"
    if config.target_scale > 0.5:
        return f"target_scale = {config.target_scale:g} is above 0.5: the stable steps are not an interval"
    return None


def _wider(predict: Predictor) -> Predictor:
    def wrong(key: jax.Array, config: Config) -> Observables:
        limit = predict(key, config)["first_unstable"]
        return {"first_unstable": limit / jnp.sqrt(1.0 * config.width)}

    return wrong


def _initial_kernel(factor: float) -> Callable[[jax.Array, Config], Observables]:
    return lambda key, config: {
        "first_unstable": jnp.asarray(factor / linear_map.kernel_edge(config.problem, config.scaling, config.width))
    }


@theory(
    kind="ensemble",
    source=YANG_HU.at("maximal updates; the width-free map of P/m is derived here"),
    predicts=("first_unstable",),
    holds=mean_field,
    error=0.03,
    controls={
        "the initial kernel decides": _initial_kernel(4.0),
        "quadratic of the initial kernel": _initial_kernel(2.0),
        "step falls as the root of the width": Control(_wider),
        "10% more": times(1.1),
    },
)
def mean_field_limit(key: jax.Array, config: Config) -> Observables:
    """Predict the first unstable step in muP by one run of the map of P/m from its mean: free of the width.

    It depends on the target: .602, .528 and .362 at s = .3, .447 and 1.
    """
    stable = stable_rates(linear_map.mean_gram(problem(config), config.width), config)
    return {"first_unstable": limits(stable, config)["first_unstable"]}


def transferred(config: Config) -> str | None:
    """Say that the scaling's limit moves with the target, or that the network is narrow."""
    why = kernel_regime(config)
    return why if why or config.width >= 1000 else f"width = {config.width} is below 1000"


def _mean_kernel(factor: float, scaling: Scaling | None = None) -> Callable[[jax.Array, Config], Observables]:
    def predict(key: jax.Array, config: Config) -> Observables:
        edge = linear_map.kernel_edge(config.problem, scaling or config.scaling, config.width)
        return {"last_stable": jnp.asarray(factor / edge)}

    return predict


@theory(
    kind="ensemble",
    source="mean of the initial kernel, c²m(s_w² + s_a²) λ_max(Σ), derived here",
    predicts=("last_stable",),
    holds=transferred,
    error=0.03,
    controls={
        "every scaling transfers": _mean_kernel(4.0, "ntk"),
        "limit of a quadratic": _mean_kernel(2.0),
        "10% more": times(1.1),
    },
)
def transfer(key: jax.Array, config: Config) -> Observables:
    """Predict the limit's mean: 2/λ_max(Σ) at every width in NTK scaling, 4/(λ_max(Σ)(m/d + 1)) in the standard one."""
    return _mean_kernel(4.0)(key, config)


# --- cases ------------------------------------------------------------------------------------------------------------

NTK = Config()
STANDARD = dataclasses.replace(NTK, scaling="standard", lowest_rate=0.004, highest_rate=0.01)
MUP = dataclasses.replace(NTK, scaling="mup", lowest_rate=0.4, highest_rate=0.8)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        Case("ntk", NTK, seeds=20, show="limit_ratio"),
        Case("standard", STANDARD, seeds=20),
        Case("mup", MUP, {"target_scale": (0.3, 0.447)}, seeds=12),
    ),
    "default": (
        Case(
            "ntk", dataclasses.replace(NTK, num_rates=300, num_steps=500), {"width": (256, 1024, 4096, 10**6)}, seeds=40
        ),
        Case("standard", dataclasses.replace(STANDARD, num_rates=300), seeds=40),
        Case(
            "mup", dataclasses.replace(MUP, num_rates=300), {"width": (1024, 10**6), "target_scale": (0.3, 0.447)}, 20
        ),
    ),
    "paper": (
        Case(
            "ntk",
            dataclasses.replace(NTK, num_steps=1000, num_rates=1000),
            {"width": (256, 1024, 4096, 10**6, 10**9)},
            seeds=200,
        ),
        Case("standard", dataclasses.replace(STANDARD, num_steps=1000, num_rates=1000), seeds=200),
        Case(
            "mup",
            dataclasses.replace(MUP, num_steps=1000, num_rates=1000),
            {"width": (1024, 10**6), "target_scale": (0.3, 0.447)},
            seeds=200,
        ),
    ),
}

BRACKET = {"ntk": (0.2, 2.0), "standard": (0.0005, 0.9), "mup": (0.1, 2.0), "harmonic": (0.6, 6.0)}
NETWORKS: tuple[tuple[str, ProblemName, Scaling], ...] = (
    ("ntk", "spread", "ntk"),
    ("standard", "spread", "standard"),
    ("mup", "spread", "mup"),
    ("harmonic", "harmonic", "ntk"),
)
#: Scales of the target at which networks in muP are tried.
TARGETS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2)
SWEEPS: dict[str, tuple[Case, ...]] = {
    preset: (
        *(
            Case(
                f"widths_{name}",
                Config(
                    problem=problem, scaling=scaling, num_rates=count, num_steps=steps, lowest_rate=BRACKET[name][0],
                    highest_rate=BRACKET[name][1],
                ),
                {"width": widths},
                seeds=seeds,
            )
            for name, problem, scaling in NETWORKS
        ),
        Case(
            "targets",
            dataclasses.replace(MUP, num_rates=count, num_steps=steps, width=10**6, lowest_rate=0.2, highest_rate=0.9),
            {"target_scale": TARGETS},
            seeds=seeds,
        ),
    )
    for preset, count, steps, widths, seeds in (
        ("tiny", 60, 200, (64,), 2),
        ("default", 400, 400, (16, 64, 256, 1024, 4096), 12),
        ("paper", 1000, 1000, (16, 64, 256, 1024, 4096), 100),
    )
}  # fmt: skip

SETTING = Setting(
    papers=(LEWKOWYCZ, YANG_HU),
    config=Config,
    simulate=simulate,
    theories=(kernel_limit, mean_field_limit, transfer),
    observables=(
        Observable(
            "first_unstable", "first unstable step; NaN if none was tried", r"\eta_\mathrm{first}", allow_nan=True
        ),
        Observable("last_stable", "last stable step; NaN if not found", r"\eta_\mathrm{last}", allow_nan=True),
        Observable("limit_ratio", "last stable step over 4/λ_max(K_0)", r"\eta\lambda_0/4", allow_nan=True),
        Observable("switches", "changes between stable and unstable along the steps tried", r"N_s"),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    check_config=check_config,
)
