"""The theories of two-layer linear networks, each with its controls."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import ROUNDING, Observables, theory, times
from theorylab.contract.papers import LEWKOWYCZ
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.linear_map import Problem
from theorylab.settings.factorisation.linear_networks.config import Config, problem, recorded_steps
from theorylab.settings.factorisation.linear_networks.train import edges, floored, follow, initial_gram
from theorylab.settings.factorisation.papers import ROSENFELD, YANG_HU


def kernel_rate(config: Config) -> float:
    """η λ_max of the infinitely wide kernel at the start: 2 is the edge of a quadratic, 4 the catapult's limit."""
    edge = linear_map.kernel_edge(config.problem, config.scaling, config.width, config.init_scale)
    return float(config.learning_rate * edge)


def trained_weights(config: Config) -> str | None:
    """Say that the simulator is the map itself, or that the step is so large that runs diverge or are chaotic."""
    if config.simulator == "gram":
        return "simulator = gram: the simulator is this map, so nothing is compared"
    limit = 1.7 if config.scaling == "mup" else 2.5
    rate = kernel_rate(config)
    if rate > limit:
        return (
            f"learning_rate times the kernel's eigenvalue is {rate:.2g}, above {limit:g}: runs diverge, or are chaotic"
        )
    return None


def rounding_along_a_run(config: Config, observable: str) -> float:
    """What rounding grows to: at the edge of stability, where losses rise again, up to 6e-7 in 280 runs."""
    return 1e-5 if config.problem == "opposing" else ROUNDING


def _dropping(parts: str) -> Callable[[jax.Array, Config], Observables]:
    """Control: the map without its terms of second order in η, in the blocks M, u or q."""

    def step(gram: Array, task: Problem, rate: Array) -> Array:
        gradient, rate = linear_map.residual_gradient(gram, task)[1], rate * task.rate_scale
        m, u, q = gram[:-1, :-1], gram[:-1, -1], gram[-1, -1]
        keep = {name: 0.0 if name in parts else 1.0 for name in "Muq"}
        outer = jnp.outer(u, gradient)
        m_next = m - rate * (outer + outer.T) + keep["M"] * rate**2 * q * jnp.outer(gradient, gradient)
        u_next = u - rate * (m @ gradient + q * gradient) + keep["u"] * rate**2 * (u @ gradient) * gradient
        q_next = q - 2 * rate * gradient @ u + keep["q"] * rate**2 * gradient @ m @ gradient
        return jnp.block([[m_next, u_next[:, None]], [u_next[None], q_next]])

    return lambda key, config: {
        name: value
        for name, value in follow(initial_gram(key, config), config, step).items()
        if name in gram_map.predicts
    }


@theory(
    kind="exact",
    source="derived here: gradient descent acts on the moments of the weights as a congruence",
    predicts=("loss", "sharpness", "final_sharpness", "imbalance"),
    holds=trained_weights,
    error=rounding_along_a_run,
    controls={
        "no terms of second order in the step": _dropping("Muq"),
        "none in M": _dropping("M"),
        "none in u": _dropping("u"),
        "none in q": _dropping("q"),
        "5% more": times(1.05),
    },
)
def gram_map(key: jax.Array, config: Config) -> Observables:
    """Predict the whole run from (d + 1)² numbers, at any width and any step: P' = A P A."""
    run = follow(initial_gram(key, config), config)
    return {name: run[name] for name in gram_map.predicts}


def whole_hessian(config: Config) -> str | None:
    """Say that the simulator takes the Hessian from the moments itself."""
    if config.simulator == "gram":
        return "simulator = gram: the simulator's Hessian is this reduction, so nothing is compared"
    return None


def _hessian(key: jax.Array, config: Config, *, neurons: int | None = None, bulk: bool = True) -> Observables:
    scale, task = problem(config).rate_scale, problem(config)
    reduced, edge, copies = linear_map.hessian_spectrum(initial_gram(key, config), task, config.width, neurons)
    found = edges(config, reduced, edge, copies if bulk else 0)
    return {"hessian_edges": scale * found["hessian_edges"], "hessian_norm": scale**2 * found["hessian_norm"]}


@theory(
    kind="exact",
    source="derived here: neurons orthogonal to the weights see the mixed derivatives alone",
    predicts=("hessian_edges", "hessian_norm"),
    holds=whole_hessian,
    error=ROUNDING,
    controls={
        "as many neurons as columns": lambda key, config: _hessian(
            key, config, neurons=linear_map.dimension(config.problem) + 1
        ),
        "no bulk": lambda key, config: _hessian(key, config, bulk=False),
        "5% more": times(1.05),
    },
)
def hessian_reduction(key: jax.Array, config: Config) -> Observables:
    """Predict the initial Hessian's spectrum from min(m, d + 1) neurons and a bulk ±c|Σr|, by both ends and tr H²."""
    return _hessian(key, config)


def scalar_problem(config: Config) -> str | None:
    """Say that the input or the target is not the catapult's."""
    if config.problem != "scalar" or config.target_scale != 0:
        return "needs problem = scalar and target_scale = 0"
    return trained_weights(config)


def _scalar_map(cubic: float = 1.0, drift: float = 4.0) -> Callable[[jax.Array, Config], Observables]:
    def predict(key: jax.Array, config: Config) -> Observables:
        task, gram = problem(config), initial_gram(key, config)
        c2, rate, variance = task.output_scale**2, config.learning_rate * task.rate_scale, task.variances[0]

        def step(state: tuple[Array, Array], _: object) -> tuple[tuple[Array, Array], Array]:
            f, kernel = state
            bent = rate * variance * kernel
            grown = f * (1 - bent + cubic * (rate * variance * f) ** 2 * c2)
            return (grown, kernel + rate * variance * c2 * f**2 * (bent - drift)), variance * f**2 / 2

        start = task.output_scale * gram[0, 1], c2 * (gram[0, 0] + gram[1, 1])
        loss = jax.lax.scan(step, start, length=config.num_steps + 1)[1][jnp.array(recorded_steps(config))]
        return {"loss": floored(loss)}

    return predict


@theory(
    kind="exact",
    source=LEWKOWYCZ.at("the model of one input, whose map is derived here again"),
    predicts=("loss",),
    holds=scalar_problem,
    error=ROUNDING,
    controls={
        "no cubic term": _scalar_map(cubic=0.0),
        "kernel falls half as fast": _scalar_map(drift=2.0),
        "5% more": times(1.05),
    },
)
def catapult_map(key: jax.Array, config: Config) -> Observables:
    """Predict the loss for one input and target 0 by two numbers, the output f and the kernel κ = c²(M + q).

    f' = f(1 - ηκ + η²c²f²), κ' = κ + ηc²f²(ηκ - 4), for a unit variance: above ηκ = 2 f grows until κ has fallen.
    """
    return _scalar_map()(key, config)


def small_steps(config: Config) -> str | None:
    """Say that the step is too large for gradient flow, or that the two layers' norms are alike."""
    rate = kernel_rate(config)
    if config.problem != "spread":
        return f"problem = {config.problem}: the imbalance is not far from 0"
    if config.scaling == "mup":
        return "scaling = mup: all weights move by as much as they are"
    if config.width < 32:
        return f"width = {config.width} is below 32: the imbalance itself may be near 0"
    return None if rate <= 1 else f"learning_rate times the kernel's eigenvalue is {rate:.2g}, above 1"


def _imbalance(key: jax.Array, config: Config, sign: float, share: float = 1.0) -> Observables:
    gram = initial_gram(key, config)
    return {"imbalance": (share * jnp.trace(gram[:-1, :-1]) + sign * gram[-1, -1]) / config.width}


@theory(
    kind="exact",
    source="conservation law of gradient flow, WWᵀ - aaᵀ",
    predicts=("imbalance",),
    holds=small_steps,
    error=lambda config, observable: 2 * kernel_rate(config) ** 2 / config.width,
    controls={
        "sum of the layers": lambda key, config: _imbalance(key, config, 1.0),
        "first layer alone": lambda key, config: _imbalance(key, config, 0.0),
        "5% more": times(1.05),
    },
)
def conserved_imbalance(key: jax.Array, config: Config) -> Observables:
    """Predict that |W|² - |a|² stays: gradient flow conserves WWᵀ - aaᵀ, descent moves it by O(η²) a step.

    In 100 steps by at most 0.8 (ηλ)²/m of itself, of 200 seeds at m = 32 and 128, ηλ = 0.3 and 0.9.
    """
    return _imbalance(key, config, -1.0)


def wide(config: Config) -> str | None:
    """Say that the network is too narrow for the leading order of its fluctuations."""
    if config.target_scale > 3:
        return f"target_scale = {config.target_scale:g} is above 3: the residual is large"
    if config.problem == "opposing":
        return "problem = opposing: initial weights are small"
    return None if config.width >= 1000 else f"width = {config.width} is below 1000"


def _kernel_start(key: jax.Array, config: Config, layers: float = 1.0, power: float = 1.0) -> Observables:
    stds = problem(config).stds
    first, last = stds[0] ** 2, stds[-1] ** 2
    spread = 2 * (first**2 + last**2) / (first + last) ** 2
    fluctuation = spread * jnp.asarray(float(config.width) ** (1 - power))
    found = {"initial_sharpness": layers * mean_sharpness(config)}
    # In muP the residual's fluctuations add to the kernel's.
    return found if config.scaling == "mup" else found | {"sharpness_fluctuation": fluctuation}


def mean_sharpness(config: Config) -> Array:
    """Sharpness at the mean start, of the kernel and the residual: in muP the latter adds some 0.3 s² of it."""
    task = problem(config)
    gram = linear_map.mean_gram(task, config.width)
    return linear_map.sharpness_of(*linear_map.hessian_spectrum(gram, task, config.width), task)


@theory(
    kind="ensemble",
    source=YANG_HU.at("kernel at infinite width; fluctuations derived here"),
    predicts=("initial_sharpness", "sharpness_fluctuation"),
    holds=wide,
    error=lambda config, observable: 0.05 if observable == "sharpness_fluctuation" else 5 / config.width,
    controls={
        "first layer alone": lambda key, config: _kernel_start(key, config, layers=0.5),
        "fluctuations fall as the width": lambda key, config: _kernel_start(key, config, power=2.0),
        "5% more": times(1.05),
    },
)
def wide_sharpness(key: jax.Array, config: Config) -> Observables:
    """Predict the initial sharpness c²m(s_w² + s_a²) λ_max(Σ) and its chi-square fluctuations, of order m^-1/2.

    In muP the residual is as large as the kernel, and the sharpness is that of the Hessian at the mean start: 4.6%
    above the kernel's at a target scale of .4. Fluctuations are predicted in the other scalings.
    """
    return _kernel_start(key, config)


def flow_reaches_its_end(config: Config) -> str | None:
    """Say that the problem is another, the step above the edge, or the run too short."""
    if config.problem != "opposing" or config.scaling != "standard":
        return "needs problem = opposing and scaling = standard"
    if config.learning_rate * config.num_steps < 20:
        return (
            f"learning_rate times num_steps is {config.learning_rate * config.num_steps:.2g}, below 20: not converged"
        )
    if 0.25 * config.init_scale**2 * config.width > config.target_scale:
        return "init_scale^2 width is above 4 target_scale: the initial weights are not small"
    return None


def _outlier_curvature(config: Config) -> float:
    """Where gradient flow from a typical start takes the sharpness: outlier's variance times (q + M_22)."""
    start = config.init_scale**2 * config.width / 2
    norm = (config.target_scale**2 + (start / 2) ** 2) ** 0.5 - start / 2
    return linear_map.PROBLEMS["opposing"][0][1] * (norm + start)


def below_the_edge(config: Config) -> str | None:
    """Say that gradient flow would pass 2/η, besides where its end is not reached."""
    why = flow_reaches_its_end(config)
    stability = config.learning_rate * _outlier_curvature(config)
    if why is None and stability > 1.4:
        return f"learning_rate times the final sharpness of gradient flow is {stability:.2g}, above 1.4"
    return why


def beyond_the_edge(config: Config) -> str | None:
    """Say that gradient flow stays below 2/η, or starts above it, besides where its end is not reached."""
    why = flow_reaches_its_end(config)
    if why is None and config.init_scale**2 * config.width > 0.05:
        return "init_scale^2 width is above 0.05: the run is a catapult, not an edge"
    stability = config.learning_rate * _outlier_curvature(config)
    if why is None and not 2.15 < stability < 3.3:
        return f"learning_rate times the final sharpness of gradient flow is {stability:.2g}, not within (2.15, 3.3)"
    return why


def _outlier(key: jax.Array, config: Config, *, conserved: float = 1.0, signal: bool = False) -> Observables:
    """λ_2 (q + M_22): q from the conserved M_11 - q and q M_11 = |β*|² at the end, M_22 as at the start."""
    gram, task = initial_gram(key, config), problem(config)
    imbalance = conserved * (gram[0, 0] - gram[-1, -1])
    last = jnp.sqrt(jnp.sum(task.target**2) + (imbalance / 2) ** 2) - imbalance / 2
    other = task.target[1] ** 2 / last + conserved * gram[1, 1]
    aligned = task.variances[0] * (2 * last + imbalance)
    return {"final_sharpness": aligned if signal else task.variances[1] * (last + other)}


@theory(
    kind="instance",
    source="derived here from the conserved WWᵀ - aaᵀ; the mechanism is that of Rosenfeld and Risteski 2023",
    predicts=("final_sharpness",),
    holds=below_the_edge,
    error=0.02,
    controls={
        "the signal sets the sharpness": lambda key, config: _outlier(key, config, signal=True),
        "outlier's curvature without the last layer": lambda key, config: {
            "final_sharpness": _outlier(key, config)["final_sharpness"] - 20.0 * config.target_scale / 2
        },
        "5% more": times(1.05),
    },
)
def outlier_sharpness(key: jax.Array, config: Config) -> Observables:
    """Predict progressive sharpening: λ_2 (q + M_22) at the end, since learning the signal grows the last layer.

    M_11 - q is conserved and q M_11 = |β*|² at the end. The outlier hardly matters to the loss, and sets the sharpness.
    """
    return _outlier(key, config)


def _edge(sharpness: float) -> Callable[[jax.Array, Config], Observables]:
    return lambda key, config: {"final_sharpness": sharpness / jnp.asarray(config.learning_rate)}


@theory(
    kind="ensemble",
    source=ROSENFELD.at("two-layer linear network, here a caricature of its own"),
    predicts=("final_sharpness",),
    holds=beyond_the_edge,
    error=0.08,
    controls={"edge at 1/η": _edge(1.0), "catapult's limit 4/η": _edge(4.0), "10% more": _edge(2.2)},
)
def edge_of_stability(key: jax.Array, config: Config) -> Observables:
    """Predict that training ends at 2/η where gradient flow would pass it, after a spike of the loss.

    It is a bound: ends lie 4% to 7.4% below it, for steps from .055 to .08 and 40 seeds each.
    """
    return _edge(2.0)(key, config)
