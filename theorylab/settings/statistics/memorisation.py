"""Memorisation of a finite data set: which point does a noisy one come from?

n points y_i ~ N(0, I) in dimension d, and one of them seen through noise, o = y_1 + z/snr. Its posterior on the data
set has weights w_i = e^{-E_i}/Z with E_i = snr² |o - y_i|²/2, and the mean m = sum_i w_i y_i, which is what the
empirical score of a diffusion model moves to. At the time t of such a model snr² = 1/(e^{2t} - 1).

Biroli, Bonnaire, de Bortoli and Mézard 2024 (arXiv 2402.18491); Shaul et al. 2023 (arXiv 2306.06626).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import (
    Case,
    ConfigError,
    Observable,
    Observables,
    Setting,
    at_config,
    config,
    scalar,
    size,
    theory,
)
from theorylab.numerics import random
from theorylab.numerics.chi_square import chi_square_of_normal, gauss_nodes
from theorylab.settings.statistics import energies
from theorylab.settings.statistics.papers import BIROLI_DYNAMICAL, DERRIDA, SHAUL

#: Gauss nodes for |o|². With 8 means are right to 4e-7.
QUERIES = 8
NODES_ERROR = 1e-6


@config
class Config:
    """One of n Gaussian points in dimension d, seen through noise."""

    dim: int = size(default=16, help="dimension", symbol="d", at_least=2, source="our choice")
    num_samples: int = size(default=256, help="data points", symbol="n", at_least=2)
    snr: float = scalar(default=1.0, help="signal over noise: o = y + z/snr", above=0)
    sampler: Literal["radial", "vectors"] = size(default="radial", help="distances alone, or whole vectors")
    num_draws: int = size(default=100, help="data sets in a seed", at_least=1)


def check_config(config: Config) -> None:
    """Refuse too few dimensions for the radial sampler.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    if config.sampler == "radial" and config.dim < 8:
        raise ConfigError(f"dim = {config.dim} is not allowed: sampler = radial needs dim >= 8; sampler = vectors any")


# --- simulation -------------------------------------------------------------------------------------------------------


def simulate(key: jax.Array, config: Config) -> Observables:
    """Means over ``num_draws`` data sets, one noisy point each. Pure, and traceable in ``snr``."""
    draw = functools.partial(_vectors if config.sampler == "vectors" else _radial, config)
    found = jax.lax.map(draw, random.split(key, config.num_draws))
    return {name: jnp.mean(values) for name, values in found.items()}


def _weights(distances: Any, config: Config) -> tuple[Any, Observables]:
    """Posterior weights, the first point being the true one, and what follows from them alone."""
    exponents = -(config.snr**2) / 2 * distances
    log_weights = exponents - jax.nn.logsumexp(exponents)
    weights = jnp.exp(log_weights)
    information = 1 + log_weights[0] / math.log(config.num_samples)
    return weights, {
        "planted_weight": weights[0],
        "participation": jnp.sum(weights**2),
        "information": information,
    }


def _vectors(config: Config, key: jax.Array) -> Observables:
    dim = config.dim
    points_key, noise_key = random.split(key)
    points = random.normal(points_key, config.num_samples, dim)
    seen = points[0] + random.normal(noise_key, dim) / config.snr
    weights, found = _weights(jnp.sum((seen[None] - points) ** 2, axis=1), config)
    mean = weights @ points
    return found | {"separation": jnp.sum(mean**2) / dim, "overlap": mean @ points[0] / dim}


def _radial(config: Config, key: jax.Array) -> Observables:
    """Coordinates along y_1 and the noise across it, squared norms of all that is orthogonal to both.

    These have independent directions, so that |m|² is averaged over them: sum_i w_i² of their squared norms is left.
    """
    dim, others = config.dim, config.num_samples - 1
    first_key, noise_key, across_key, points_key, rest_key = random.split(key, 5)
    norm = jnp.sqrt(jnp.sum(random.normal(first_key, dim) ** 2))
    along = norm + random.normal(noise_key, 1)[0] / config.snr
    across = jnp.sqrt(jnp.sum(random.normal(across_key, dim - 1) ** 2)) / config.snr
    points = random.normal(points_key, 2, others)
    points = jnp.concatenate([jnp.stack([norm, jnp.zeros_like(norm)])[:, None], points], axis=1)
    rest = chi_square_of_normal(random.normal(rest_key, others), dim - 2)
    rest = jnp.concatenate([jnp.zeros(1, rest.dtype), rest])
    weights, found = _weights((along - points[0]) ** 2 + (across - points[1]) ** 2 + rest, config)
    mean = points @ weights
    separation = jnp.sum(mean**2) + jnp.sum(weights**2 * rest)
    return found | {"separation": separation / dim, "overlap": mean[0] * norm / dim}


# --- where it happens -------------------------------------------------------------------------------------------------


def critical_snr(num_samples: float, dim: int) -> float:
    """sqrt(n^{2/d} - 1): above it the true point is recalled. There (d/2) log(1 + snr²) is log n."""
    return math.sqrt(math.expm1(2 * math.log(num_samples) / dim))


def collapse_time(num_samples: float, dim: int) -> float:
    """Time of the diffusion dx = -x dt + sqrt(2) dB at which the noise hides the point: -log(1 - n^{-2/d})/2."""
    return snr_time(critical_snr(num_samples, dim))


def snr_time(snr: float) -> float:
    """Time t at which e^{-t}/sqrt(1 - e^{-2t}) is snr."""
    return math.log1p(snr**-2) / 2


def snr_at(time: float) -> float:
    """Signal over noise at a time: 1/sqrt(e^{2t} - 1)."""
    return math.expm1(2 * time) ** -0.5


def crossover_width(num_samples: float, dim: int) -> float:
    """Width of the crossover in snr/snr_c: sqrt((1 + g)/(g d)) with g = snr_c².

    The information density has the variance d g/(1 + g). At fixed n the width tends to (2 log n)^{-1/2} for large d, it
    does not shrink.
    """
    g = critical_snr(num_samples, dim) ** 2
    return math.sqrt((1 + g) / (g * dim))


def deviation(config: Config) -> float:
    """Distance of snr/snr_c from 1, in units of the crossover's width."""
    ratio = float(config.snr) / critical_snr(config.num_samples, config.dim)
    return (ratio - 1) / crossover_width(config.num_samples, config.dim)


# --- exact means ------------------------------------------------------------------------------------------------------


class Means(NamedTuple):
    """What is exact at any n and d; ``information`` is over log n."""

    planted_weight: float
    information: float
    separation: float


def _laws(snrs: np.ndarray, chi_square: float, dim: int, num: int) -> tuple[energies.Energies, energies.Energies]:
    """Laws of the others' energies and of the true one, given |o|² = (1 + 1/snr²) times a number.

    Given o, the others have |o - y|² noncentral chi-square of |o|². The true point is normal about o snr²/(1 + snr²)
    with the variance 1/(1 + snr²).
    """
    gammas = snrs**2
    norms = chi_square * (1 + 1 / gammas)
    others = energies.energies(gammas / 2, dim, norms, math.log(num - 1))
    return others, energies.energies(gammas / (2 * (1 + gammas)), dim, norms / (1 + gammas), 0.0)


@functools.lru_cache(maxsize=4096)
def exact_means(num_samples: int, dim: int, snr: float) -> Means:
    """Exact means of the planted weight, the information and the separation.

    Given |o|² all energies are independent: E w_1 = int E[u_1 e^{-s u_1}] g(s)^{n-1} ds, u = e^{-E}, g = E e^{-su}.
    The separation is 1 - (2/d) dI/dγ, γ = snr², by Guo, Shamai and Verdú's relation of information and mean square
    error; the derivative is that of a fourth-order difference, within one set of nodes.
    """
    width = crossover_width(num_samples, dim)
    step = min(0.04, 0.05 * width)
    gammas = snr**2 * np.exp(step * np.array([0, -2, -1, 1, 2]))
    total = np.zeros(6)
    for node, weight in zip(*gauss_nodes(dim, QUERIES), strict=True):
        law, planted = _laws(np.sqrt(gammas), node, dim, num_samples)
        found = energies.sums(law, num_samples - 1, planted)
        total += weight * np.array([*found.log_partition, found.planted_weight])
    middle, *sides, planted_weight = total
    slope = np.dot([1, -8, 8, -1], sides) / (12 * step * snr**2)
    information = (math.log(num_samples) - dim / 2 - middle) / math.log(num_samples)
    return Means(float(planted_weight), float(information), float(1 + 2 / dim * slope))


def annealed_weight(num_samples: int, dim: int, snr: float) -> float:
    """Mean of u_1/(u_1 + (n-1) E u): the sum over the other points replaced by its mean given o."""
    total = 0.0
    for node, weight in zip(*gauss_nodes(dim, QUERIES), strict=True):
        others, planted = _laws(np.array([snr]), node, dim, num_samples)
        mean = (num_samples - 1) * (others.weights[0] @ np.exp(-others.nodes))
        total += weight * float(planted.weights[0] @ (1 / (1 + mean * np.exp(planted.nodes))))
    return total


def _exact(config: Config) -> Means:
    return exact_means(config.num_samples, config.dim, float(config.snr))


#: Beyond it the grid of :func:`exact_means` takes seconds, and in the end all memory.
MOST_DIMENSIONS = 100_000


def means_are_seen(config: Config) -> str | None:
    """Say that energies are beyond their grid, or that means are those of draws too rare to be met.

    At d = 64, n = 2000, snr = 1.2 the true point's weight is short of 1 by 6.5e-6 on average, by 1e-9 in most draws:
    its mean is that of one draw in 10^5.
    """
    if not 1e-3 <= float(config.snr) <= 20:
        return f"snr = {float(config.snr):.3g}: the energies' grid is for 0.001 to 20"
    if config.dim > MOST_DIMENSIONS:
        return f"dim = {config.dim}: the energies' grid, of about dim/5 nodes, is for at most {MOST_DIMENSIONS:,}"
    short = 1 - _exact(config).planted_weight
    if NODES_ERROR / 2 < short < 0.01 / config.num_draws:
        return f"snr = {float(config.snr):.3g}: recall is short of certain by {short:.1g}, in draws too rare to be met"
    return None


def _observed(**values: float) -> Any:
    return {name: np.float64(value) for name, value in values.items()}


def _annealed(key: jax.Array, config: Config) -> dict[str, Any]:
    return _observed(planted_weight=annealed_weight(config.num_samples, config.dim, float(config.snr)))


def _wiener(config: Config) -> float:
    """snr²/(1 + snr²): separation without any recall, that of the Gaussian law of the points."""
    return float(config.snr) ** 2 / (1 + float(config.snr) ** 2)


def _as_variance(config: Config) -> Config:
    return dataclasses.replace(config, snr=float(config.snr) ** 2)


@theory(
    kind="ensemble",
    source="transforms of the energies given |o|², derived here; separation by the derivative of the information",
    predicts=("planted_weight", "participation", "information", "separation", "overlap"),
    holds=means_are_seen,
    error=NODES_ERROR,
    controls={
        "the others at their mean": _annealed,
        "separation of a Gaussian law": lambda key, config: _observed(separation=_wiener(config)),
        "snr as a ratio of variances": at_config(_as_variance),
    },
    traceable=False,
)
def exact(key: jax.Array, config: Config) -> dict[str, Any]:
    """Planted weight, information and separation at any n and d.

    Twice the nodes for |o|² and half the steps change them by less than 4e-7 (d = 16 to 4096). The weight of the true
    point is also the mean participation, and |m|² has the mean of m·y_1: the true point is a draw from the posterior.
    """
    found = _exact(config)
    return _observed(
        planted_weight=found.planted_weight,
        participation=found.planted_weight,
        information=found.information,
        separation=found.separation,
        overlap=found.separation,
    )


@theory(
    kind="instance",
    source="the true point is a draw from the posterior (Nishimori)",
    predicts=("participation", "overlap"),
    residual=math.inf,
    estimates={"participation": "planted_weight", "overlap": "separation"},
    controls={
        "squared weight": {"participation": lambda found: found["planted_weight"] ** 2},
        "separation is the weight": {"overlap": "planted_weight"},
    },
)
def nishimori(key: jax.Array, config: Config) -> Observables:
    """Participation by the planted weight, overlap with the true point by the squared mean, on the same draws."""
    found = simulate(key, config)
    return {"participation": found["planted_weight"], "overlap": found["separation"]}


# --- the crossover and the jump ---------------------------------------------------------------------------------------


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def near_crossover(config: Config) -> str | None:
    """Say that snr is far from the critical one."""
    if not -1 <= (away := deviation(config)) <= 3:
        return f"snr is {away:.2g} widths from the critical one: the crossover is judged from -1 to 3"
    return None


def _information(config: Config) -> float:
    """E min(i, log n)/log n for a normal information density i of mean (d/2) log(1+γ) and variance d γ/(1+γ)."""
    gamma, log_num = float(config.snr) ** 2, math.log(config.num_samples)
    spread = math.sqrt(config.dim * gamma / (1 + gamma))
    z = (config.dim / 2 * math.log1p(gamma) - log_num) / spread
    density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return 1 - spread * (density - z * _normal(-z)) / log_num


def _crossover(config: Config, weight: float) -> dict[str, Any]:
    separation = weight + (1 - weight) * _wiener(config)
    return _observed(planted_weight=weight, separation=separation, information=_information(config))


def crossover_error(config: Config, observable: str) -> float:
    """.3 of the crossover's width for the planted weight and the separation, absolute; .12 for the information.

    Seen: .27, .25 and .11 of the width (d = 8 to 1000, n = 20 to 10^9, from -1 to 3 widths).
    """
    predicted = float(_crossover(config, _normal(deviation(config)))[observable])
    share = 0.12 if observable == "information" else 0.3
    return share * crossover_width(config.num_samples, config.dim) / predicted


@theory(
    kind="ensemble",
    source=DERRIDA.at("the freezing transition; with the normal fluctuations of the planted energy, derived here"),
    predicts=("planted_weight", "separation", "information"),
    holds=near_crossover,
    error=crossover_error,
    controls={
        "step": lambda key, config: _crossover(config, float(deviation(config) > 0)),
        "separation is the weight": lambda key, config: _observed(separation=_normal(deviation(config))),
        "capacity without its half": lambda key, config: _observed(
            information=_information(dataclasses.replace(config, dim=2 * config.dim))
        ),
    },
    traceable=False,
)
def crossover(key: jax.Array, config: Config) -> dict[str, Any]:
    """Planted weight Φ((snr/snr_c - 1)/width): the chance that the information density exceeds log n.

    Where the point is not recalled, the separation is that of the Gaussian law of the points.
    """
    return _crossover(config, _normal(deviation(config)))


def off_crossover(config: Config) -> str | None:
    """Say that snr is within two widths of the critical one, or that the points are few."""
    if config.num_samples < 100:
        return f"num_samples = {config.num_samples}: the limit of large log n is judged from 100 points on"
    if abs(away := deviation(config)) < 2:
        return f"snr is {away:.2g} widths from the critical one: within 2 there is no jump, see 'crossover'"
    return None


def _jump(config: Config, exponent: float = 2.0) -> dict[str, Any]:
    gamma = float(config.snr) ** 2
    share = math.log1p(gamma) * config.dim / (exponent * math.log(config.num_samples))
    if deviation(config) > 0:
        return _observed(planted_weight=1.0, information=min(share, 1.0), separation=1.0)
    found = _observed(information=min(share, 1.0))
    # In many dimensions little is left of it, and the few draws that recall the point rule its mean.
    return found | (_observed(separation=_wiener(config)) if _recalled(config) <= _wiener(config) else {})


def _recalled(config: Config) -> float:
    """Bound of the planted weight below the critical snr."""
    return 2 * _normal(deviation(config))


def jump_error(config: Config, observable: str) -> float:
    """Absolute error at x widths from the critical snr: .05 e^{-(x-2)} above it, 2 Φ(-x) below, less for information.

    Above it the tails are those of a noncentral chi-square number, wider than normal at d = 8. Seen at most .9 of it
    (d = 8 to 1000, n = 100 to 10^9, snr = .1 to 4 critical ones).
    """
    away, share = deviation(config), 0.5 if observable == "information" else 1.0
    error = 0.05 * math.exp(2 - away) if away > 0 else _recalled(config)
    return (share * error + NODES_ERROR) / float(_jump(config).get(observable, 1.0))


@theory(
    kind="ensemble",
    source=BIROLI_DYNAMICAL.at("collapse on a data point; the separation below it derived here"),
    predicts=("planted_weight", "information", "separation"),
    holds=off_crossover,
    error=jump_error,
    controls={
        "capacity without its half": lambda key, config: _jump(config, exponent=1.0),
        "nothing below the jump": lambda key, config: _observed(separation=float(deviation(config) > 0)),
    },
    traceable=False,
)
def jump(key: jax.Array, config: Config) -> dict[str, Any]:
    """Limit of large log n: above the critical snr the point is recalled, below it nothing but the Gaussian law is.

    Information is min(1, (d/2) log(1 + snr²)/log n). The separation jumps from snr²/(1 + snr²) to 1. The planted weight
    is predicted above alone, where it is 1, and the separation below only where it is above the error.
    """
    return _jump(config)


# --- cases ------------------------------------------------------------------------------------------------------------


def _ratios(config: Config, ratios: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    """A grid of snr in units of the critical one."""
    critical = critical_snr(config.num_samples, config.dim)
    return {"snr": tuple(ratio * critical for ratio in ratios)}


FEW = Config()
RATIOS = (0.25, 0.6, 0.9, 1.1, 1.75)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (Case("recall", FEW, _ratios(FEW, RATIOS), seeds=88),),
    "default": (
        Case("recall", FEW, _ratios(FEW, (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)), seeds=440),
        Case(
            "more dimensions",
            Config(dim=64, num_samples=2000),
            _ratios(Config(dim=64, num_samples=2000), RATIOS),
            seeds=100,
        ),
        Case(
            "more points",
            Config(dim=20, num_samples=20_000, num_draws=25),
            _ratios(Config(dim=20, num_samples=20_000), RATIOS),
            seeds=900,
        ),
        Case(
            "whole vectors",
            Config(dim=8, num_samples=60, sampler="vectors"),
            _ratios(Config(dim=8, num_samples=60), (0.25, 0.75, 1.0, 1.5)),
            seeds=84,
        ),
    ),
    "paper": (
        Case(
            "a million points",
            Config(dim=64, num_samples=10**6, num_draws=10),
            _ratios(Config(dim=64, num_samples=10**6), RATIOS),
            seeds=100,
            note="log n = .22 d: sizes of small images' data sets",
        ),
    ),
}

CURVE = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)


def _sweeps(sizes: tuple[tuple[int, int], ...], ratios: tuple[float, ...], seeds: int, draws: int) -> tuple[Case, ...]:
    """Recall against snr, for some dimensions and numbers of points."""
    configs = [Config(dim=dim, num_samples=num, num_draws=draws) for dim, num in sizes]
    return tuple(
        Case(f"dim_{one.dim}_points_{one.num_samples}", one, _ratios(one, ratios), seeds=seeds) for one in configs
    )


SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _sweeps(((16, 28), (64, 256)), (0.5, 1.0), 4, 20),
    "default": _sweeps(((16, 28), (32, 786), (48, 22_026), (8, 256), (64, 256), (4096, 256)), CURVE, 20, 40),
    "paper": _sweeps(
        ((16, 28), (32, 786), (48, 22_026), (64, 616_971), (8, 256), (64, 256), (4096, 256)), CURVE, 40, 50
    ),
}

SETTING = Setting(
    papers=(BIROLI_DYNAMICAL, SHAUL),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    theories=(exact, nishimori, crossover, jump),
    observables=(
        Observable("planted_weight", "posterior weight of the true point", "w_1"),
        Observable("participation", "sum of squared posterior weights", "Y"),
        Observable("information", "information about which point it is, over log n", r"I/\log n"),
        Observable("separation", "squared norm of the posterior mean, over d", r"\lambda"),
        Observable("overlap", "posterior mean times the true point, over d", r"m \cdot y_1/d"),
    ),
    check_config=check_config,
)
