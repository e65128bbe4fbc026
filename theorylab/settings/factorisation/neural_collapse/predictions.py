"""The theories of neural collapse, each with its controls."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from theorylab.contract import ROUNDING, Observables, theory, times
from theorylab.settings.factorisation.neural_collapse.config import (
    Config,
    branches,
    class_costs,
    class_sizes,
    counts_of,
)
from theorylab.settings.factorisation.neural_collapse.theory import classes
from theorylab.settings.factorisation.neural_collapse.train import FLOOR, State, floored, follow, start, step
from theorylab.settings.factorisation.papers import DANG

# --- the whole run ----------------------------------------------------------------------------------------------------


def trained_samples(config: Config) -> str | None:
    """Say that the simulator follows means and scatter itself, or that the run is so long that rounding shows."""
    if config.simulator == "means":
        return "simulator = means: the simulator is these equations, so nothing is compared"
    return None


def _without_scatter(state: State, config: Config) -> State:
    moved = step(state._replace(scatter=jnp.zeros_like(state.scatter)), config)
    return moved._replace(scatter=step(state, config).scatter)


def _slow_features(state: State, config: Config) -> State:
    """Features move at the weights' own step over N: the factor N forgotten, as for a mean loss."""
    moved = step(state, config)
    share = 1 / sum(counts_of(config))
    return moved._replace(means=state.means + share * (moved.means - state.means))


def _following(update: Callable[[State, Config], State]) -> Callable[[jax.Array, Config], Observables]:
    def predict(key: jax.Array, config: Config) -> Observables:
        run = follow(start(key, config), config, update)
        return {name: run[name] for name in means_and_scatter.predicts}

    return predict


@theory(
    kind="exact",
    source="derived here: samples of a class have one target, so that means and scatter close",
    predicts=("loss", "class_logit", "feature_norm", "off_diagonal", "noise_rate"),
    holds=trained_samples,
    error=ROUNDING,
    controls={
        "weights do not see the scatter": _following(_without_scatter),
        "features move N times slower": _following(_slow_features),
        "5% more": times(1.05),
    },
)
def means_and_scatter(key: jax.Array, config: Config) -> Observables:
    """Predict the whole run of gradient descent from r K + r² numbers for the features, at any number of samples."""
    return _following(step)(key, config)


# --- where it ends ----------------------------------------------------------------------------------------------------


def threshold(config: Config, power_of_total: int = 1) -> float:
    """n* of a configuration; ``power_of_total`` other than 1 is for controls."""
    total, depth = float(sum(counts_of(config))), config.depth
    product = float(config.weight_decay) ** depth
    right = float(classes.critical_count(total, depth, product, float(config.feature_decay)))
    return right * total ** ((power_of_total - 1) / depth)


def converged(config: Config) -> str | None:
    """Say that the run is too short, for the decays or for the class nearest to n*, where descent is slow."""
    distance = min(abs(n / threshold(config) - 1) for n in counts_of(config))
    decays = float(config.learning_rate * config.weight_decay * config.num_steps)
    if decays < 4:
        return f"learning_rate times weight_decay times num_steps is {decays:.2g}, below 4: not converged"
    if decays * distance < 8:
        return f"a class is within {distance:.0%} of its critical count: not converged after {decays:.2g} decay times"
    return None


def ends_at_the_minimum(config: Config) -> str | None:
    """Say that descent need not find the global minimum, or has not yet."""
    if config.start == "saddle" or (config.start == "random" and config.depth > 1):
        return "depth above 1, away from the minimum: descent ends on either branch"
    if config.start == "minimum" and config.perturbation > 0.2:
        return f"perturbation = {config.perturbation:g} is above 0.2: descent may leave the branch"
    if config.start == "minimum" and config.start_factor != 1:
        return "start_factor is not 1"
    if config.start == "minimum" and min(counts_of(config)) < threshold(config):
        return "the branch is not the global minimum of every class"
    return tied(config) or converged(config)


def tied(config: Config) -> str | None:
    """Say that classes of like sizes compete for the last direction: any mixture of them is a minimum, or nearly."""
    counts = sorted(counts_of(config), reverse=True)
    if config.width < len(counts) and counts[config.width] > max(0.9 * counts[config.width - 1], threshold(config)):
        return (
            f"width = {config.width}: classes of {counts[config.width - 1]} and {counts[config.width]} samples compete "
            "for the last direction"
        )
    return None


def at_the_end(logits: Array, config: Config) -> Observables:
    """Observables of the explicit network with these logits."""
    counts, total, cost = class_sizes(config), sum(counts_of(config)), class_costs(config)
    norms = classes.feature_norms(logits, counts, cost, config.depth, config.feature_decay)
    return {
        "final_loss": classes.total_loss(logits, counts, total, cost, config.depth),
        "class_logit": floored(logits),
        "feature_norm": floored(norms),
        "off_diagonal": jnp.asarray(FLOOR),
    }


def _minimum(
    sizes: Callable[[Array], Array] = lambda n: n, deeper: int = 0, width: int | None = None, collapse: bool = True
) -> Callable[[jax.Array, Config], Observables]:
    """The global minimum, or that of a mistaken cost of a class."""

    def predict(key: jax.Array, config: Config) -> Observables:
        counts, total, depth = class_sizes(config), sum(counts_of(config)), config.depth + deeper
        product = jnp.asarray(config.weight_decay) ** config.depth
        cost = classes.class_cost(sizes(counts), depth, product, config.feature_decay)
        chosen = config.width if width is None else width
        logits = classes.global_logits(counts, total, cost, depth, chosen)
        if not collapse:
            logits = jnp.where(logits > 0, logits, 0.5)
        return at_the_end(logits, config)

    return predict


@theory(
    kind="exact",
    source=DANG.at("imbalanced classes, whose scalar problem is derived here again, with width below the classes"),
    predicts=("final_loss", "class_logit", "feature_norm", "off_diagonal"),
    holds=ends_at_the_minimum,
    error=1e-4,
    controls={
        "all classes of the mean size": _minimum(sizes=lambda n: jnp.full_like(n, jnp.mean(n))),
        "one layer more": _minimum(deeper=1),
        "no class collapses": _minimum(collapse=False),
        "width enough for all": _minimum(width=10**6),
        "5% more": times(1.05),
    },
)
def scalar_solution(key: jax.Array, config: Config) -> Observables:
    """Predict the global minimum, class by class: s_k = argmin F_k, orthogonal features of known lengths, and the loss.

    At width r < K the r classes of largest gain survive.
    """
    return _minimum()(key, config)


def _collapsed(power_of_total: int = 1) -> Callable[[jax.Array, Config], Observables]:
    return lambda key, config: {
        "num_collapsed": jnp.asarray(1.0 * sum(n < threshold(config, power_of_total) for n in counts_of(config)))
    }


def enough_width(config: Config) -> str | None:
    """Say that width is missing, which collapses classes of any size, besides where the minimum is not reached."""
    if config.width < len(counts_of(config)):
        return f"width = {config.width} is below the number of classes"
    if config.start == "random" and config.depth > 1:
        return "depth above 1 and start = random: descent ends on either branch"
    if config.start == "saddle":
        return "start = saddle: the start decides"
    if config.start == "minimum" and config.perturbation == 0 and min(counts_of(config)) < threshold(config):
        return "the branch of the start is a local minimum of every class, and nothing moves it"
    return ends_at_the_minimum(config) if config.start == "minimum" else converged(config)


@theory(
    kind="exact",
    source=DANG.at("minority collapse; for depth above 1 derived here"),
    predicts=("num_collapsed",),
    holds=enough_width,
    error=0.0,
    controls={
        "one power of N less": _collapsed(power_of_total=0),
        "one power of N more": _collapsed(power_of_total=2),
        "every class below the mean collapses": lambda key, config: {
            "num_collapsed": jnp.asarray(
                1.0 * sum(n < sum(counts_of(config)) / len(counts_of(config)) for n in counts_of(config))
            )
        },
    },
    traceable=False,
)
def critical_size(key: jax.Array, config: Config) -> Observables:
    """Predict how many classes collapse: those of fewer than n* samples, n*^M = N^(M+1) Π λ_j λ_H M^2M/(M-1)^(M-1)."""
    return _collapsed()(key, config)


def away_from_the_saddle(config: Config) -> str | None:
    """Say that training does not start beside the saddle, or too near to leave it in time."""
    if config.start != "saddle":
        return "needs start = saddle"
    if config.perturbation > 0:
        return "perturbation is not 0: entries of one class move to either side"
    if abs(math.log(config.start_factor)) < 0.05 or abs(math.log(config.start_factor)) > 0.7:
        return f"start_factor = {config.start_factor:g}: must be within (0.5, 2), and 5% from 1"
    return converged(config)


def _from_saddle(side: Callable[[Array, Config], Array]) -> Callable[[jax.Array, Config], Observables]:
    def predict(key: jax.Array, config: Config) -> Observables:
        found = branches(config)
        begun = config.start_factor * found.saddle
        return at_the_end(jnp.where(side(begun / found.saddle, config), found.minimum, 0.0), config)

    return predict


def _above_critical(ratio: Array, config: Config) -> Array:
    found, counts = branches(config), class_sizes(config)
    cost, total = class_costs(config), sum(counts_of(config))
    better = classes.class_loss(found.minimum, counts, total, cost, config.depth) < counts / (2 * total)
    return better & (ratio > 0)


@theory(
    kind="exact",
    source="derived here: s_- is a saddle with one falling direction",
    predicts=("final_loss", "class_logit", "feature_norm", "off_diagonal"),
    holds=away_from_the_saddle,
    error=1e-3,
    controls={
        "the global minimum decides": _from_saddle(_above_critical),
        "logits fall on either side": _from_saddle(lambda ratio, config: ratio > 1e9),
        "sides exchanged": _from_saddle(lambda ratio, config: ratio < 1),
    },
)
def hysteresis(key: jax.Array, config: Config) -> Observables:
    """Predict that a class ends at s_+ from above its saddle s_-, and collapses from below, whatever its size."""
    return _from_saddle(lambda ratio, config: ratio > 1)(key, config)


# --- the scatter within classes ---------------------------------------------------------------------------------------


def spare_width(config: Config) -> str | None:
    """Say that all directions are used by classes, that no scatter is there, or that the run is short or too long."""
    if config.start != "random":
        return "an explicit start has no scatter within classes"
    if config.width <= len(counts_of(config)):
        return f"width = {config.width} leaves no direction unused: the scatter falls faster"
    rate = config.learning_rate * config.feature_rate * sum(counts_of(config)) * config.feature_decay
    used = rate * config.num_steps
    if not 8 < used < 100:
        return f"the features' decay over the run is {used:.2g}, not within (8, 100): at 4 rates are 1.3% off"
    return None


def _noise(factor: float = 2.0, samples: bool = True) -> Callable[[jax.Array, Config], Observables]:
    def predict(key: jax.Array, config: Config) -> Observables:
        total = sum(counts_of(config)) if samples else 1.0
        rate = config.learning_rate * config.feature_rate * total * jnp.asarray(config.feature_decay)
        return {"noise_rate": -factor * jnp.log1p(-rate)}

    return predict


@theory(
    kind="ensemble",
    source="derived here: what no weight sees decays by itself",
    predicts=("noise_rate",),
    holds=spare_width,
    error=0.01,
    controls={
        "amplitude for variance": _noise(factor=1.0),
        "step of the features without N": _noise(samples=False),
        "5% more": times(1.05),
    },
)
def scatter_decay(key: jax.Array, config: Config) -> Observables:
    """Predict how fast the scatter within classes falls at width above K: decay alone moves what no weight sees."""
    return _noise()(key, config)


THEORIES = (means_and_scatter, scalar_solution, critical_size, hysteresis, scatter_decay)
