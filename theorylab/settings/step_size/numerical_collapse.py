"""Numerical collapse: where the gradient of softmax vanishes in floating point, and how margins grow before and after.

Cross entropy of two classes with logits (z, -z), gap 2z, computed in ``dtype`` and differentiated as it is computed;
z itself is kept in JAX's float. Descent on z from ``init_gap``, and descent on the correct class's logit alone.
StableMax has s(z) = 1 + z above 0 and 1/(1 - z) below in the place of exp.

The computed loss and the gradient of the correct class are 0 where the other class is lost in a sum, at
s(-z) < (ε/2) s(z). The gradient of the other class is not.

Prieto, Barsbey, Mediano and Birdal 2025 (arXiv 2501.04697); the laws are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from theorylab.contract import Case, Observable, Observables, Setting, config, scalar, size, theory
from theorylab.contract.papers import PRIETO
from theorylab.numerics.stablemax import stablemax
from theorylab.training.iterate import iterate, log_spaced_steps

#: Up to which gap a zero is looked for.
LARGEST_GAP = {"float64": 1e9, "float32": 1e5, "bfloat16": 1e3, "float16": 1e3}


@config
class Config:
    """A loss computed in some precision, and descent on its margin."""

    dtype: Literal["float64", "float32", "bfloat16", "float16"] = size(
        default="float32", help="floating-point numbers in which the loss is computed"
    )
    loss: Literal["softmax", "stablemax"] = size(default="softmax", help="what is normalised: exp, or s of StableMax")
    learning_rate: float = scalar(default=1e4, help="step size", symbol=r"\eta", above=0)
    init_gap: float = scalar(
        default=14.0, help="initial logit gap, correct minus other", symbol=r"\Delta_0", at_least=0
    )
    num_steps: int = size(default=40_000, help="steps of gradient descent", symbol="T", at_least=1)


def needs(config: Config) -> str | None:
    """Say that JAX does not compute in float64 now: it would take float32 silently."""
    if jax.dtypes.canonicalize_dtype(float) != np.float64 and config.dtype == "float64":
        return "dtype = 'float64' needs theorylab.configure(), or jax.config.update('jax_enable_x64', True)"
    return None


def machine_eps(dtype: str) -> float:
    """Spacing ε of the numbers above 1."""
    return float(jnp.finfo(jax.dtypes.canonicalize_dtype(dtype)).eps)


def cross_entropy(correct: Array, other: Array, loss: str) -> Array:
    """Cross entropy of two classes, in the precision of the logits."""
    logits = jnp.stack([correct, other])
    if loss == "softmax":
        return -jax.nn.log_softmax(logits)[0]
    values = stablemax(logits)
    return -jnp.log(values[0] / jnp.sum(values))


def gradients(correct: ArrayLike, other: ArrayLike, dtype: str, loss: str) -> tuple[Array, Array]:
    """Derivatives of the computed loss by both logits, as computed in ``dtype``; returned in JAX's float."""
    kind = jax.dtypes.canonicalize_dtype(dtype)
    low = jnp.asarray(correct, kind), jnp.asarray(other, kind)
    by_correct, by_other = jax.grad(lambda one, two: cross_entropy(one, two, loss), (0, 1))(*low)
    return by_correct.astype(float), by_other.astype(float)


def first_zero(is_zero: Callable[[Array], Array], largest: float) -> Array:
    """Gap from 1 to ``largest`` from which something is 0, by bisection; NaN where it is not 0 at the largest."""
    top = jnp.asarray(math.log(largest), float)

    def halve(bracket: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = bracket
        middle = (low + high) / 2
        zero = is_zero(jnp.exp(middle))
        return (jnp.where(zero, low, middle), jnp.where(zero, middle, high)), None

    (_, high), _ = jax.lax.scan(halve, (jnp.zeros_like(top), top), length=50)
    return jnp.where(is_zero(jnp.exp(top)), jnp.exp(high), jnp.nan)


def project_orthogonal(gradient: Array, weights: Array) -> Array:
    """The gradient without its component along the weights, which only scales a homogeneous network.

    A step along it grows the norm by |θ'|² = |θ|² + η² |g_⊥|². Of a network homogeneous of degree L the component left
    out is -g·θ = L mean (y - p)·f: it rewards larger logits of what is fitted already.
    """
    return gradient - weights * jnp.sum(gradient * weights) / jnp.sum(weights**2)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Look for the first gap of zero loss and of zero gradient, and descend; nothing is random.

    Pure and traceable in ``learning_rate`` and ``init_gap``.
    """
    kind = jax.dtypes.canonicalize_dtype(config.dtype)
    beyond = 1.2 * collapse_gap(config.dtype, config.loss) / 2
    by_correct, by_other = gradients(beyond, -beyond, config.dtype, config.loss)
    exact = exact_gradient(jnp.asarray(beyond, kind).astype(float), config.loss)

    def loss_is_zero(gap: Array) -> Array:
        margin = (gap / 2).astype(kind)
        return cross_entropy(margin, -margin, config.loss) == 0

    def gradient_is_zero(gap: Array) -> Array:
        return gradients(gap / 2, -gap / 2, config.dtype, config.loss)[0] == 0

    def step(state: tuple[Array, Array], _: Array) -> tuple[Array, Array]:
        gap, alone = state
        correct, other = gradients(gap / 2, -gap / 2, config.dtype, config.loss)
        only, _ = gradients(alone, jnp.zeros_like(alone), config.dtype, config.loss)
        rate = config.learning_rate
        return gap - 2 * rate * (correct - other), alone - rate * only

    first = jnp.asarray(config.init_gap, float)
    orbit = iterate(
        step,
        (first, first),
        num_steps=config.num_steps,
        record=lambda state: {"gap": state[0], "lone_gap": state[1]},
        record_at=log_spaced_steps(config.num_steps),
    )
    return {
        "zero_loss_gap": first_zero(loss_is_zero, LARGEST_GAP[config.dtype]),
        "zero_gradient_gap": first_zero(gradient_is_zero, LARGEST_GAP[config.dtype]),
        "other_gradient": by_other / exact,
        "margin_gradient": (by_other - by_correct) / (2 * exact),
        **orbit.observables,
    }


# --- laws -------------------------------------------------------------------------------------------------------------


def collapse_gap(dtype: str, loss: str, *, units: float = 2.0) -> float:
    """Gap from which the other class is lost in the sum: log(2/ε), and 2(2^k - 1) for StableMax, k = ⌈log2(2/ε)/2⌉.

    Softmax compares e^-Δ with ε/2, half the spacing of numbers at 1. StableMax compares 1/s with half the spacing at s,
    which is ε times the power of 2 below s. (``units`` other than 2 are a wrong version.)
    """
    inverse = units / machine_eps(dtype)
    return math.log(inverse) if loss == "softmax" else 2 * (2.0 ** math.ceil(math.log2(inverse) / 2) - 1)


def exact_gradient(margin: Array, loss: str) -> Array:
    """Derivative of the loss by the other class's logit at (z, -z), in exact arithmetic; by the correct one minus that.

    1/(1 + e^(2z)) for softmax, 1/(q (q² + 1)) with q = 1 + z for StableMax.
    """
    if loss == "softmax":
        return jax.nn.sigmoid(-2 * margin)
    q = 1 + margin
    return 1 / (q * (q**2 + 1))


def _newton(function: Callable[[Array], Array], start: Array, target: Array) -> Array:
    """Solve function(u) = target for an increasing convex function, from above."""
    slope = jax.vmap(jax.grad(lambda u: function(u)))

    def improve(u: Array, _: None) -> tuple[Array, None]:
        return u - (function(u) - target) / slope(u), None

    return jax.lax.scan(improve, start, length=60)[0]


def softmax_gap(
    times: Array,
    learning_rate: ArrayLike,
    init_gap: ArrayLike,
    collapse: float,
    *,
    speed: float = 4.0,
    after: float = 0.5,
) -> Array:
    """Gap Δ of softmax along descent, Δ' = Δ + c η/(1 + e^Δ), c = ``speed``: 4 for (z, -z), 1 for one logit.

        e^Δ + Δ - (c η/2) log(1 + e^Δ) = c η t + the same at t = 0,

    the last term on the left for finite steps. Where the correct class's gradient is gone, Δ is beyond ``collapse`` D,
    and e^Δ = e^D + ``after`` c η (t - t_D). Asymptotically Δ = log(4 η t), and log(2 η t) after the collapse.
    """
    rate, gap = (jnp.asarray(value, float) for value in (learning_rate, init_gap))

    def clock(u: Array) -> Array:
        return jnp.exp(u) + u - speed * rate / 2 * jnp.logaddexp(0.0, u)

    target = clock(gap) + speed * rate * times
    start = jnp.maximum(jnp.log(jnp.maximum(target, 1.0) + 20 * speed * rate), gap) + 1
    before = _newton(clock, start, target)
    late = times - (clock(jnp.asarray(collapse, float)) - clock(gap)) / (speed * rate)
    beyond = jnp.log(jnp.exp(jnp.asarray(collapse, float)) + after * speed * rate * jnp.maximum(late, 0.0))
    return jnp.where(late > 0, beyond, jnp.where(times > 0, before, gap))


def stablemax_gap(times: Array, learning_rate: ArrayLike, init_gap: ArrayLike, *, discrete: bool = True) -> Array:
    """Gap 2(q - 1) of StableMax along gradient descent: q' = q + 2η/(q³ + q).

    (q² + 1)² - 4η log(q³ + q) = 8 η t + the same at t = 0, the logarithm for finite steps; q⁴ = 8 η t in the end.
    """
    rate, first = jnp.asarray(learning_rate, float), 1 + jnp.asarray(init_gap, float) / 2
    q = jnp.full_like(times, 1.0) * first
    for _ in range(20):
        steps = discrete * 4 * rate * jnp.log((q**3 + q) / (first**3 + first))
        q = jnp.sqrt(jnp.sqrt(8 * rate * times + (first**2 + 1) ** 2 + steps) - 1)
    return 2 * (q - 1)


# --- theories ---------------------------------------------------------------------------------------------------------


def _steps(config: Config) -> Array:
    return jnp.asarray(log_spaced_steps(config.num_steps), float)


def ratio_error(config: Config, observable: str) -> float:
    """Declared error: 0.001, four roundings, and half of the smallest number over the gradient.

    The latter is 1.3% for StableMax in float16, whose gradient is subnormal there: 0.8% was seen.
    """
    kind = jax.dtypes.canonicalize_dtype(config.dtype)
    gradient = exact_gradient(jnp.asarray(1.2 * collapse_gap(config.dtype, config.loss) / 2, float), config.loss)
    return 0.001 + 4 * machine_eps(config.dtype) + float(jnp.finfo(kind).smallest_subnormal) / 2 / float(gradient)


def scan_error(config: Config, observable: str) -> float:
    """Declared error: 0.001 and two roundings of the numbers; gradients at one gap are ratios of a few of them."""
    return 0.001 + 2 * machine_eps(config.dtype)


def growth_error(config: Config, observable: str) -> float:
    """Declared error: 0.11 over the collapse's gap, and ε.

    Gradients are rounded to multiples of ε before they vanish: near the collapse gaps were seen up to 0.09 too large.
    """
    return 0.11 / collapse_gap(config.dtype, "softmax") + machine_eps(config.dtype)


def power_error(config: Config, observable: str) -> float:
    """Declared error of StableMax's growth, over first steps up to 0.04: it was 0.0012 there, and 0.007 at 0.1."""
    return 0.002 + 4 * machine_eps(config.dtype)


def of_softmax(config: Config) -> str | None:
    """Say that the loss is StableMax, or that first steps are long."""
    if config.loss != "softmax":
        return "for loss = 'softmax'"
    if (first := 4 * float(config.learning_rate) / (1 + math.exp(min(float(config.init_gap), 700.0)))) > 0.1:
        return f"the first step is {first:.2g} of the gap, above 0.1"
    if float(config.init_gap) > collapse_gap(config.dtype, "softmax"):
        return "the gap begins beyond the collapse"
    return None


def of_stablemax(config: Config) -> str | None:
    """Say that the loss is softmax, that first steps are long, or that the gap collapses."""
    if config.loss != "stablemax":
        return "for loss = 'stablemax'"
    coarse = "the gap comes near its collapse, where gradients are coarse"
    if float(config.init_gap) > collapse_gap(config.dtype, "stablemax") / 4:
        return coarse
    q = 1 + float(config.init_gap) / 2
    if (first := 2 * float(config.learning_rate) / (q**3 + q)) > 0.04:
        return f"the first step is {first:.2g} in z, above 0.04"
    last = (8 * float(config.learning_rate) * config.num_steps + (q**2 + 1) ** 2) ** 0.25
    if 2 * last > collapse_gap(config.dtype, "stablemax") / 4:
        return coarse
    return None


def _zeros(config: Config, units: float) -> Observables:
    gap = jnp.asarray(collapse_gap(config.dtype, config.loss, units=units), float)
    return {"zero_loss_gap": gap} | ({"zero_gradient_gap": gap} if config.loss == "softmax" else {})


@theory(
    kind="exact",
    source="rounding of 1 + s(-z)/s(z), derived here",
    predicts=("zero_loss_gap", "zero_gradient_gap"),
    error=scan_error,
    controls={
        "1/ε for ε/2": lambda key, config: _zeros(config, 1.0),
        "where exp underflows": lambda key, config: {
            "zero_loss_gap": -jnp.log(jnp.asarray(float(jnp.finfo(config.dtype).tiny), float))
        },
    },
)
def rounding(key: jax.Array, config: Config) -> Observables:
    """Gap from which the computed loss is 0, log(2/ε) or 2(2^k - 1), and softmax's correct gradient.

    StableMax's is a difference of two quotients, and may be 0 earlier.
    """
    return _zeros(config, 2.0)


def _ratios(other: float, margin: float) -> Observables:
    return {"other_gradient": jnp.asarray(other), "margin_gradient": jnp.asarray(margin)}


@theory(
    kind="exact",
    source="the other class's gradient is a quotient, not a difference",
    predicts=("other_gradient", "margin_gradient"),
    error=ratio_error,
    controls={
        "the whole gradient is 0": lambda key, config: _ratios(0.0, 0.0),
        "nothing is lost": lambda key, config: _ratios(1.0, 1.0),
    },
)
def half_gradient(key: jax.Array, config: Config) -> Observables:
    """Beyond the collapse the other class's gradient is right, and softmax's by the margin is half the exact one.

    StableMax's by the correct class is a difference of two quotients, of relative error ε (1 + z)²: noise there.
    """
    found = _ratios(1.0, 0.5)
    return found if config.loss == "softmax" else {"other_gradient": found["other_gradient"]}


def _softmax_growth(
    config: Config, *, collapse: float | None = None, after: float = 0.5, factor: float = 1.0
) -> Observables:
    gap = collapse_gap(config.dtype, "softmax") if collapse is None else collapse
    times, rate, first = _steps(config), factor * config.learning_rate, config.init_gap
    alone = softmax_gap(times, rate, first, gap, speed=1.0, after=0.0)
    return {"gap": softmax_gap(times, rate, first, gap, after=after), "lone_gap": alone}


@theory(
    kind="exact",
    source="the flow dΔ/dt = 4η/(1 + e^Δ) with its finite step, derived here",
    predicts=("gap", "lone_gap"),
    holds=of_softmax,
    error=growth_error,
    controls={
        "exact arithmetic": lambda key, config: _softmax_growth(config, collapse=1e3),
        "all growth ends at the collapse": lambda key, config: _softmax_growth(config, after=0.0),
        "half the rate": lambda key, config: _softmax_growth(config, factor=0.5),
    },
)
def softmax_growth(key: jax.Array, config: Config) -> Observables:
    """Gap of softmax: as log(4ηt), at half speed after the collapse, and stuck there if one logit alone learns."""
    return _softmax_growth(config)


@theory(
    kind="exact",
    source="the flow dq/dt = 2η/(q³ + q), q = 1 + z, with its finite step, derived here",
    predicts=("gap",),
    holds=of_stablemax,
    error=power_error,
    controls={
        "as softmax": lambda key, config: {"gap": _softmax_growth(config)["gap"]},
        "half the rate": lambda key, config: {
            "gap": stablemax_gap(_steps(config), config.learning_rate / 2, config.init_gap)
        },
        "the law of long times": lambda key, config: {
            "gap": 2 * ((8 * config.learning_rate * _steps(config)) ** 0.25 - 1)
        },
    },
)
def stablemax_growth(key: jax.Array, config: Config) -> Observables:
    """Gap of StableMax: (q² + 1)² grows as 8ηt, a power law without collapse."""
    return {"gap": stablemax_gap(_steps(config), config.learning_rate, config.init_gap)}


# --- cases ------------------------------------------------------------------------------------------------------------

SINGLE = Config()
SLOW: dict[str, Any] = {"learning_rate": 0.02, "init_gap": 0.0}


def _cases(singles: tuple[str, ...], num_steps: int) -> tuple[Case, ...]:
    single = Config(num_steps=num_steps)
    slow = Config(dtype="bfloat16", num_steps=num_steps, **SLOW)
    power = Config(loss="stablemax", num_steps=num_steps, **SLOW)
    rates = {"learning_rate": (3e3, 1e4)}
    return (
        Case("single precision", single, rates, seeds=1, show="gap"),
        Case("half precision", slow, {"dtype": ("bfloat16", "float16")}, seeds=1, show="gap"),
        Case("StableMax", power, {"dtype": singles}, seeds=1, show="gap"),
    )


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": _cases(("float32",), 40_000),
    "default": _cases(("float32", "float64"), 200_000),
    "paper": _cases(("float32", "float64"), 2_000_000),
}


def _sweeps(num_steps: int) -> tuple[Case, ...]:
    """Growth through the collapse, and without one."""
    return (
        Case("collapse", Config(num_steps=num_steps), seeds=1),
        Case("half", Config(dtype="float16", num_steps=num_steps, **SLOW), seeds=1),
        Case("power", Config(loss="stablemax", num_steps=num_steps, **SLOW), seeds=1),
    )


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps(20_000),
    "default": _sweeps(1_000_000),
    "paper": _sweeps(1_000_000),
}

SETTING = Setting(
    papers=(PRIETO,),
    config=Config,
    simulate=simulate,
    theories=(rounding, half_gradient, softmax_growth, stablemax_growth),
    observables=(
        Observable("gap", "logit gap 2z, along descent on z", r"\Delta_t", dims=("step",)),
        Observable("lone_gap", "logit gap, along descent on the correct class's logit alone", dims=("step",)),
        Observable("zero_loss_gap", "smallest gap at which the computed loss is 0", allow_nan=True),
        Observable("zero_gradient_gap", "smallest gap of zero gradient by the correct logit", allow_nan=True),
        Observable("other_gradient", "gradient by the other logit over the exact one, at 1.2 times the collapse"),
        Observable("margin_gradient", "gradient by the margin over the exact one, at 1.2 times the collapse"),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"step": log_spaced_steps(config.num_steps)},
    needs=needs,
)
