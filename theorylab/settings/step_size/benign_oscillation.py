"""Benign oscillation: a large learning rate makes room for the weak feature.

Two features of strengths S > s, f = S² a² + s² b², loss (1/2)(1 - f)², gradient descent from a = b = ``init_scale``:
a <- a (1 + x), b <- b (1 + r x) with x = 2η S² (1 - f) and r = (s/S)². Small rates fit the label with the strong
feature alone. From η = 1/(2S²) on that minimum is too sharp, x oscillates, and the weak feature grows until it is flat
enough: log(1 + x) has mean zero then, and log(1 + r x) - r log(1 + x) is about r(1 - r) x²/2, never negative.

A caricature of Lu, Wu, Yang and Zou 2024 (arXiv 2310.17074), whose network is convolutional; the laws are derived here.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from theorylab.contract import (
    Case,
    ConfigError,
    Observable,
    Observables,
    Setting,
    config,
    scalar,
    size,
    theory,
    times,
)
from theorylab.settings.step_size.oscillation import (
    GOLDEN,
    SIGN_CHANGE,
    cycle_rate,
    flow_growth,
    marginal_share,
    slow_manifold_share,
)
from theorylab.settings.step_size.papers import LU_BENIGN
from theorylab.training.iterate import iterate, log_spaced_steps


@config
class Config:
    """Two features, a learning rate, and a window of steps in which the growth of the weak one is measured."""

    learning_rate: float = scalar(default=0.6, help="step size, below 1/S^2", symbol=r"\eta", above=0)
    strong_scale: float = scalar(default=1.0, help="strength of the strong feature", symbol="S", above=0)
    weak_scale: float = scalar(default=0.3, help="strength of the weak feature, below S", symbol="s", above=0)
    init_scale: float = scalar(default=0.1, help="initial value of both weights", symbol="a_0", above=0)
    num_steps: int = size(default=40_000, help="steps of gradient descent", symbol="T", at_least=1)
    window_start: int = size(default=60, help="first step of the window", at_least=0)
    window_steps: int = size(default=100, help="steps of the window", at_least=1)


def strength_ratio(config: Config) -> Any:
    """The ratio r = (s/S)², between 0 and 1."""
    return (config.weak_scale / config.strong_scale) ** 2


def relative_rate(config: Config) -> Any:
    """The learning rate in units of the strong feature, h = η S²: oscillation from 1/2, divergence from 1."""
    return config.learning_rate * config.strong_scale**2


def check_config(config: Config) -> None:
    """Refuse rates at which descent diverges, a weak feature that is not weak, a label that is fitted at once.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    if config.weak_scale >= config.strong_scale:
        raise ConfigError(
            f"weak_scale = {config.weak_scale:g} is not allowed: must be below strong_scale = {config.strong_scale:g}"
        )
    limit = 1 / config.strong_scale**2
    if config.learning_rate >= limit:
        raise ConfigError(
            f"learning_rate = {config.learning_rate:g} is not allowed: must be below 1/strong_scale^2 = {limit:g}, "
            "where descent diverges"
        )
    start = (config.strong_scale**2 + config.weak_scale**2) * config.init_scale**2
    if start >= 1:
        raise ConfigError(
            f"init_scale = {config.init_scale:g} is not allowed: f starts at {start:.3g}, must be below 1"
        )
    if config.window_start + config.window_steps > config.num_steps:
        raise ConfigError(
            f"window_steps = {config.window_steps} is not allowed: the window ends at step "
            f"{config.window_start + config.window_steps}, after num_steps = {config.num_steps}"
        )
    if config.weak_scale > 0.5 * config.strong_scale:
        warnings.warn(
            f"weak_scale = {config.weak_scale:g} is above half of strong_scale: two features of like strength",
            stacklevel=2,
        )


def simulate(key: jax.Array, config: Config) -> Observables:
    """Descend from both weights at ``init_scale``; nothing is random, and ``key`` is not used.

    Pure and traceable in every scalar field. What diverges is not finite.
    """
    h, r = relative_rate(config), strength_ratio(config)
    start, steps = config.window_start, config.window_steps
    strong, weak = jnp.asarray(config.strong_scale, float) ** 2, jnp.asarray(config.weak_scale, float) ** 2

    def residual(a: Array, b: Array) -> Array:
        return 1 - strong * a**2 - weak * b**2

    def step(state: tuple[Array, ...], t: Array) -> tuple[Array, ...]:
        a, b, growth, in_window, squares = state
        x = 2 * h * residual(a, b)
        inside = (t >= start) & (t < start + steps)
        # log|1 + r x|, also where 1 + r x rounds to 1.
        grown = jnp.log1p(jnp.maximum(r * x, -2 - r * x))
        return (
            a * (1 + x),
            b * (1 + r * x),
            growth + grown,
            in_window + jnp.where(inside, grown, 0.0),
            squares + jnp.where(inside, x**2, 0.0),
        )

    def record(state: tuple[Array, ...]) -> dict[str, Array]:
        a, b = state[:2]
        return {"residual": residual(a, b), "strong_share": strong * a**2, "weak_shares": weak * b**2}

    first = jnp.asarray(config.init_scale, float)
    begin = (first, first, *3 * (jnp.zeros_like(first),))
    schedule = log_spaced_steps(config.num_steps)
    orbit = iterate(step, begin, num_steps=config.num_steps, record=record, record_at=schedule)
    _, b, growth, in_window, squares = orbit.state
    return {
        "weak_share": weak * b**2,
        "weak_growth": growth,
        "weak_rate": in_window / steps,
        "oscillation_rate": r * (1 - r) * squares / (2 * steps),
        **orbit.observables,
    }


# --- theories ---------------------------------------------------------------------------------------------------------


def _initial_strong(config: Config) -> Any:
    return (config.strong_scale * config.init_scale) ** 2


def _first_share(config: Config) -> float:
    """Share of the weak feature when the strong one has fitted the label, by gradient flow."""
    r, first = float(strength_ratio(config)), float(_initial_strong(config))
    return r * first ** (1 - r)


def _plain(config: Config) -> tuple[float, float, float]:
    """Numbers h, r and B*, without a numerical library: rules are asked cell by cell."""
    h, r = float(relative_rate(config)), float(strength_ratio(config))
    return h, r, (1 - 1 / (2 * h)) / (1 - r)


def _last_share(config: Config) -> float:
    """Share of the weak feature at the end of the window, if it grows as on the cycle of period two."""
    h, r, _ = _plain(config)
    return _first_share(config) * (1 + r * (1 - r) * (2 * h - 1)) ** (config.window_start + config.window_steps)


def smooth(config: Config) -> str | None:
    """Say that descent oscillates, or is not over."""
    h = float(relative_rate(config))
    if h > 0.46:
        return f"learning_rate S^2 = {h:.3g}: up to 0.46, since descent oscillates from 1/2 on"
    if (first := float(_initial_strong(config))) > 0.1:
        return f"the strong feature begins with a share of {first:.2g}, above 0.1: nothing grows much"
    if (needed := (20 - math.log(float(_initial_strong(config)))) / (4 * h)) > config.num_steps:
        return f"num_steps = {config.num_steps}: at this rate {needed:.0f} are needed"
    return None


def oscillating(config: Config) -> str | None:
    """Say that descent does not oscillate, is nearly unstable, or has not forgotten how it began."""
    h, r, marginal = _plain(config)
    if not 0.505 < h <= 0.8:
        return (
            f"learning_rate S^2 = {h:.3g}: for 0.505 to 0.8, above no oscillation and below one that throws the strong "
            f"weight back to 0 (from {SIGN_CHANGE:.3f} on)"
        )
    if r > 0.5:
        return f"(s/S)^2 = {r:.3g}: for a weak feature, up to 0.5"
    if (share := _first_share(config)) > 0.3 * marginal:
        return f"the weak feature has {share:.2g} before the oscillation begins, not far below {marginal:.2g}"
    needed = (math.log(marginal / share) + 30) / (r * (1 - r) * (2 * h - 1))
    if config.num_steps < needed:
        return f"num_steps = {config.num_steps}: at this rate {needed:.0f} are needed"
    return None


def oscillating_window(config: Config) -> str | None:
    """Say that the weak feature does not grow by a regular oscillation all along the window."""
    h, _, marginal = _plain(config)
    if not 0.505 < h <= GOLDEN:
        return f"learning_rate S^2 = {h:.3g}: the oscillation has period two between 1/2 and {GOLDEN:.3f}"
    if _last_share(config) > 0.7 * marginal:
        return "the oscillation is over, or nearly so, at the end of the window"
    return None


def cycling(config: Config) -> str | None:
    """Say that the window does not lie within a cycle of period two at a negligible share of the weak feature."""
    h, _, marginal = _plain(config)
    if not 0.505 < h <= GOLDEN - 0.008:
        return f"learning_rate S^2 = {h:.3g}: the cycle of period two is stable between 1/2 and {GOLDEN:.3f}"
    begin = math.log(1 / float(_initial_strong(config))) / (4 * h)
    if (2 * h - 1) * (config.window_start - begin) < 1.5:
        return f"window_start = {config.window_start}: the cycle is not reached yet"
    if _last_share(config) > 0.005 * marginal:
        return "the weak feature is not negligible at the end of the window"
    return None


def _shares(config: Config) -> tuple[Any, Any]:
    return relative_rate(config), strength_ratio(config)


def manifold_error(config: Config, observable: str) -> float:
    """Declared error: 0.0005 + 0.012 r g, g = 2η S² B*.

    Measured for r from 0.01 to 0.49, η S² from 0.51 to 0.8 and initial values of 0.1 and 0.01: at most 0.0104 r g.
    """
    h, r, marginal = _plain(config)
    return 0.0005 + 0.012 * r * 2 * h * marginal


def square_error(config: Config, observable: str) -> float:
    """Declared error: 0.02 + 1.15 (η S² - 1/2). On the cycle <x²> is M/2 times -<x x'>, which the growth is made of."""
    return 0.02 + 1.15 * (float(relative_rate(config)) - 0.5)


def marginal_error(config: Config, observable: str) -> float:
    """Declared error: 0.001 + 0.28 r(1 - r), what the overshoot adds; measured as :func:`manifold_error`."""
    r = float(strength_ratio(config))
    return 0.001 + 0.28 * r * (1 - r)


@theory(
    kind="exact",
    source="normal form of the flip with a slow drift, derived here",
    predicts=("weak_share",),
    holds=oscillating,
    error=manifold_error,
    controls={
        "no overshoot": lambda key, config: {"weak_share": marginal_share(*_shares(config))},
        "twice the overshoot": lambda key, config: {"weak_share": slow_manifold_share(*_shares(config), constant=2.0)},
        "stability at 1/η": lambda key, config: _twice_the_sharpness(config),
        "2% more": times(1.02),
    },
)
def slow_manifold(key: jax.Array, config: Config) -> Observables:
    """Share of the weak feature in the end: B* (1 + r(1 - r)(1 - r g)/(4(1 - g r(1 - r))²)), g = 2η S² B*."""
    return {"weak_share": slow_manifold_share(*_shares(config))}


def _twice_the_sharpness(config: Config) -> Observables:
    h, r = _shares(config)
    return {"weak_share": jnp.asarray((1 - 1 / h) / (1 - r))}


@theory(
    kind="exact",
    source="the Hessian's eigenvalue at the minimum, 4(S⁴a² + s⁴b²), against 2/η",
    predicts=("weak_share",),
    holds=oscillating,
    error=marginal_error,
    controls={
        "the weak feature adds no sharpness": lambda key, config: {
            "weak_share": marginal_share(relative_rate(config), 0.0 * strength_ratio(config))
        },
        "stability at 1/η": lambda key, config: _twice_the_sharpness(config),
        "strengths, not their squares": lambda key, config: {
            "weak_share": marginal_share(relative_rate(config), jnp.sqrt(strength_ratio(config)))
        },
    },
)
def marginal_stability(key: jax.Array, config: Config) -> Observables:
    """Share at which the minimum is marginally stable: B* = (S² - 1/(2η))/(S² - s²)."""
    return {"weak_share": marginal_share(*_shares(config))}


@theory(
    kind="exact",
    source="gradient flow's invariant b a^-r; corrections of the finite step derived here",
    predicts=("weak_growth", "weak_share"),
    holds=smooth,
    error={"weak_growth": 0.02, "weak_share": 0.015},
    controls={
        "gradient flow alone": lambda key, config: _by_flow(config, discrete=False),
        "s/S for its square": lambda key, config: _by_flow(config, root=True),
        "both features alike": lambda key, config: _by_flow(config, alike=True),
    },
)
def smooth_descent(key: jax.Array, config: Config) -> Observables:
    """Growth of the weak feature where descent is smooth: b follows a^r, and a little more at a finite step.

    Errors were measured for r from 0.01 to 0.49, η S² from 0.05 to 0.45, initial values from 0.001 to 0.3.
    """
    return _by_flow(config)


def _by_flow(config: Config, *, discrete: bool = True, root: bool = False, alike: bool = False) -> Observables:
    h, r = _shares(config)
    first = jnp.asarray(_initial_strong(config), float)
    exponent = jnp.sqrt(r) if root else jnp.ones_like(first) if alike else r
    growth = flow_growth(h, exponent, first, discrete=discrete)
    return {"weak_growth": growth, "weak_share": jnp.asarray(r * first * jnp.exp(2 * growth))}


@theory(
    kind="exact",
    source="the cycle p + 1/p = 1 + 2η S², derived here",
    predicts=("weak_rate",),
    holds=cycling,
    error=0.01,
    controls={
        "without the r² of the second order": lambda key, config: _early_rate(config, spread=strength_ratio(config)),
        "twice the rate": times(2.0),
        "no oscillation below 1/S²": lambda key, config: {"weak_rate": cycle_rate(*_shares(config)) / 10},
    },
)
def two_cycle(key: jax.Array, config: Config) -> Observables:
    """Growth of log b per step on the cycle of period two: (1/2) log(1 + r(1 - r)(2η S² - 1))."""
    return {"weak_rate": cycle_rate(*_shares(config))}


def _early_rate(config: Config, spread: ArrayLike) -> Observables:
    return {"weak_rate": jnp.log1p(spread * (2 * relative_rate(config) - 1)) / 2}


@theory(
    kind="exact",
    source="log(1 + r x) - r log(1 + x) to second order, as log(1 + x) has mean zero",
    predicts=("weak_rate",),
    holds=oscillating_window,
    error=square_error,
    estimates={"weak_rate": "oscillation_rate"},
    controls={
        "without the half": lambda key, config: _measured_rate(key, config, 2.0),
        "r² for r": lambda key, config: _measured_rate(key, config, strength_ratio(config)),
    },
)
def mean_square(key: jax.Array, config: Config) -> Observables:
    """Growth of log b per step in the window from the mean square of the same run's oscillation: r(1 - r) <x²>/2."""
    return _measured_rate(key, config, 1.0)


def _measured_rate(key: jax.Array, config: Config, factor: ArrayLike) -> Observables:
    short = dataclasses.replace(config, num_steps=config.window_start + config.window_steps)
    return {"weak_rate": jnp.asarray(factor * simulate(key, short)["oscillation_rate"])}


# --- cases ------------------------------------------------------------------------------------------------------------

#: Below the oscillation, within its period two, and beyond.
RATES = (0.2, 0.45, 0.52, 0.55, 0.6, 0.8)
FEATURES = Config()


def _cases(scales: tuple[float, ...], rates: tuple[float, ...], config: Config) -> tuple[Case, ...]:
    return (
        Case(
            "features",
            config,
            {"learning_rate": rates, "weak_scale": scales, "init_scale": (0.1, 1e-3)},
            seeds=1,
            show="weak_share",
            note="nothing is random: one seed",
        ),
    )


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": _cases((0.2, 0.3, 0.4), RATES, FEATURES),
    "default": _cases((0.1, 0.2, 0.3, 0.4, 0.5), (*RATES, 0.7, 0.9), dataclasses.replace(FEATURES, num_steps=300_000)),
    "paper": _cases(
        (0.1, 0.2, 0.3, 0.4, 0.5),
        (0.1, 0.3, *RATES, 0.51, 0.7, 0.9),
        dataclasses.replace(FEATURES, num_steps=1_000_000),
    ),
}

#: Growth on the oscillation: from so small a weight that the weak feature stays negligible.
GROWTH = Config(init_scale=1e-12, num_steps=1000, window_start=200, window_steps=400)


def _sweeps(shares: tuple[float, ...], growth: tuple[float, ...], scales: tuple[float, ...]) -> tuple[Case, ...]:
    """Shares and paths against the learning rate; early growth against it."""
    final = dataclasses.replace(FEATURES, num_steps=100_000)
    paths = dataclasses.replace(FEATURES, num_steps=10_000)
    return (
        Case("shares", final, {"learning_rate": shares, "weak_scale": scales}, seeds=1),
        Case("paths", paths, {"learning_rate": (0.45, 0.52, 0.6, 0.66)}, seeds=1),
        Case("growth", GROWTH, {"learning_rate": growth, "weak_scale": (0.1, 0.3)}, seeds=1),
    )


SHARES = (0.3, 0.4, 0.45, 0.48, 0.52, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)
#: Through the first doubling of the period; chaos follows, in which a run depends on the rounding.
BIFURCATION = tuple(round(0.51 + 0.005 * i, 3) for i in range(32))
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps((0.4, 0.55, 0.8), (0.52, 0.6), (0.2, 0.4)),
    "default": _sweeps(SHARES, BIFURCATION, (0.2, 0.3, 0.4, 0.5)),
    "paper": _sweeps(SHARES, BIFURCATION, (0.1, 0.2, 0.3, 0.4, 0.5)),
}

SETTING = Setting(
    papers=(LU_BENIGN,),
    config=Config,
    simulate=simulate,
    theories=(slow_manifold, marginal_stability, smooth_descent, two_cycle, mean_square),
    observables=(
        Observable("weak_share", "share s²b² of the weak feature in the fit, at the end", "s^2 b^2"),
        Observable("weak_growth", "ln of the weak weight over its initial value, at the end", r"\ln(b/b_0)"),
        Observable("weak_rate", "growth of ln b per step, in the window", r"\dot{\ln} b"),
        Observable("oscillation_rate", "r(1 - r)<x²>/2 of the same run, in the window"),
        Observable("residual", "1 - f, along the run", "e_t", dims=("step",)),
        Observable("strong_share", "share S²a² of the strong feature, along the run", "S^2 a^2", dims=("step",)),
        Observable("weak_shares", "share of the weak feature, along the run", "s^2 b^2", dims=("step",)),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"step": log_spaced_steps(config.num_steps)},
    check_config=check_config,
)
