"""Theories of the kernel sums at finite n and d, and of the normal regime."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from theorylab.contract import ROUNDING, at_config, theory
from theorylab.numerics.chi_square import gauss_nodes
from theorylab.settings.statistics import energies, limits, nearest
from theorylab.settings.statistics.papers import BIROLI_MEZARD
from theorylab.settings.statistics.random_energy.config import Config, relative_bandwidth
from theorylab.settings.statistics.random_energy.model import QUARTILE

#: Gauss nodes for |x|² where the query is Gaussian: 12 already agree to 1e-8.
QUERIES = 16


def averaged(config: Config, mean: Callable[[energies.Energies, float], Any]) -> Any:
    """Average ``mean(law, |x|²)`` over the query: one point, or Gauss nodes of |x|² ~ chi-square."""
    nodes, weights = gauss_nodes(config.dim, QUERIES) if config.query == "gaussian" else ([float(config.dim)], [1.0])
    scale, log_num = 1 / (2 * float(config.bandwidth) ** 2), math.log(config.num_samples)
    laws = [energies.energies(scale, config.dim, norm, log_num) for norm in nodes]
    return sum(weight * np.asarray(mean(law, norm)) for law, norm, weight in zip(laws, nodes, weights, strict=True))


@functools.lru_cache(maxsize=4096)
def exact_means(config: Config) -> tuple[float, float]:
    """E sum w_i² and E log(Z/n)/d, at any n and d."""

    def mean(law: energies.Energies, norm: float) -> tuple[float, float]:
        found = energies.sums(law, config.num_samples)
        return found.participation, float(found.log_partition[0])

    participation, log_partition = averaged(config, mean)
    return float(participation), (float(log_partition) - math.log(config.num_samples)) / config.dim


def divergence(config: Config) -> float:
    """Kullback-Leibler divergence of the estimate from the standard normal law, per dimension.

    log h - 1/2 - E log(Z/n)/d; the query is that of the configuration.
    """
    return math.log(config.bandwidth) - 0.5 - exact_means(_concrete(config))[1]


def _concrete(config: Config) -> Config:
    return dataclasses.replace(config, bandwidth=float(config.bandwidth), num_draws=1)


def means(config: Config, participation: float, log_partition: float) -> dict[str, Any]:
    """Observables of a prediction, without participation where the sampler does not measure it."""
    found = {"participation": np.float64(participation), "log_partition": np.float64(log_partition)}
    if config.sampler == "nearest" and _unseen(_concrete(config)) > 0.5:
        del found["participation"]
    return found


@functools.lru_cache(maxsize=1024)
def _unseen(config: Config) -> float:
    return nearest.unseen_share(config.dim, math.log(config.num_samples), config.bandwidth)


def within_nodes(config: Config) -> str | None:
    """Say that all terms are nearly 1, which leaves rounding alone, or that energies need very many nodes."""
    h = float(config.bandwidth)
    if h > 300:
        return f"bandwidth = {h:.3g} is above 300: the log of the mean term is nothing but rounding"
    if config.dim / h > 1e5 * h:
        return f"bandwidth = {h:.3g}: energies of d/h^2 = {config.dim / h / h:.2g}, above 100000, need too many nodes"
    return None


def exact_error(config: Config, observable: str) -> float:
    """Rounding. Where only the nearest are drawn, squares of the others are missing: up to unseen/(K Y) of Y."""
    if config.sampler != "nearest" or observable != "participation":
        return ROUNDING
    concrete = _concrete(config)
    unseen = _unseen(concrete)
    # Beyond a half it is not predicted.
    return ROUNDING if unseen > 0.5 else unseen / (nearest.COUNT * exact_means(concrete)[0])


def _gaussian_energies(key: jax.Array, config: Config) -> dict[str, Any]:
    """Control: energies of the right mean and variance, normal: Derrida's model."""
    scale = 1 / (2 * float(config.bandwidth) ** 2)
    dim = config.dim
    centre, deviation = 2 * dim * scale, math.sqrt(6 * dim) * scale
    reach = math.sqrt(2 * (math.log(config.num_samples) + energies.CUT))
    nodes = np.linspace(-reach, energies.CUT**0.5 * 1.5, max(int(4 * reach * deviation), 256))
    weights = np.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
    found = energies.sums(energies.Energies(centre + deviation * nodes, weights[None]), config.num_samples)
    log_partition = (float(found.log_partition[0]) - math.log(config.num_samples)) / dim
    return means(config, found.participation, log_partition)


def _other_query(config: Config) -> Config:
    return dataclasses.replace(config, query="gaussian" if config.query == "typical" else "typical", sampler="radial")


def limit_means(key: jax.Array | None, config: Config) -> dict[str, Any]:
    """1 - (h/h_G)² and the limit of log(Z/n)/d, on either side of h_G."""
    beta, load = 1 / float(config.bandwidth) ** 2, config.load
    critical = limits.condensation_bandwidth(load) ** -2
    if beta < critical:
        return means(config, 0.0, limits.growth(beta))
    return means(config, 1 - critical / beta, -load + beta * limits.slope(critical))


@theory(
    kind="ensemble",
    source="transform of the sum, an integral over it and one over the energy, derived here",
    predicts=("participation", "log_partition"),
    holds=within_nodes,
    error=exact_error,
    controls={
        "Gaussian energies": _gaussian_energies,
        "the other query": at_config(_other_query),
        "limit of large dimension": limit_means,
    },
    traceable=False,
)
def exact(key: jax.Array, config: Config) -> dict[str, Any]:
    """Participation and log partition function at any n, d and h, to ten digits; n may be e^350.

    E Y = n int s E[u² e^{-su}] g(s)^{n-1} ds and E log Z = int (e^{-s} - g(s)^n) ds/s, with g(s) = E e^{-su} and
    u = e^{-E}, a function of a noncentral chi-square number. Where the sampler draws the nearest points only, and these
    hold less than half of E Z, participation is not measured and not predicted.
    """
    return means(config, *exact_means(_concrete(config)))


# --- the normal regime ------------------------------------------------------------------------------------------------


def all_points(config: Config) -> str | None:
    """Say that only the nearest points are drawn: the sum of the others does not fluctuate there."""
    return "sampler = nearest: the farther points are at their mean" if config.sampler == "nearest" else None


@functools.lru_cache(maxsize=1024)
def relative_moments(config: Config) -> tuple[float, float]:
    """Var Z/(E Z)², and the relative standard error of its estimate in a seed, by the fourth moment."""
    beta, num = 1 / config.bandwidth**2, config.num_samples

    def moments(law: energies.Energies, norm: float) -> tuple[float, float]:
        del law
        k = np.arange(5)
        logs = -(config.dim / 2) * np.log1p(k * beta) - k * beta * norm / (2 * (1 + k * beta))
        raw = np.exp(np.minimum(logs - k * logs[1], 600.0))
        second = raw[2] - 1
        fourth = raw[4] - 4 * raw[3] + 6 * raw[2] - 3
        return second / num, (fourth / num + 3 * (num - 1) / num * second**2) / num**2

    variance, fourth = averaged(config, moments)
    spread = max(fourth / variance**2 - 1, 0.0)
    return float(variance), math.sqrt(spread / config.num_draws)


def light_tails(config: Config) -> str | None:
    """Say where the mean of (Z/E Z - 1)² is ruled by rare draws, and its standard error is not to be trusted."""
    if (why := all_points(config)) is not None:
        return why
    _, error = relative_moments(dataclasses.replace(config, bandwidth=float(config.bandwidth)))
    if not error <= 0.3:
        return f"heavy tails: (Z/E Z - 1)² has a relative standard error of {error:.2g} in a seed"
    return None


def _annealed_variance(config: Config, *, exponent: float, subtracted: float) -> dict[str, Any]:
    beta = 1 / float(config.bandwidth) ** 2
    second = config.dim * (limits.growth(exponent * beta) - 2 * limits.growth(beta))
    return {"relative_variance": np.float64((math.exp(second) - subtracted) / config.num_samples)}


@theory(
    kind="ensemble",
    source=BIROLI_MEZARD.at("moments of the kernel sum, here at finite n and d"),
    predicts=("relative_variance",),
    holds=light_tails,
    error=ROUNDING,
    controls={
        "second moment without the mean squared": lambda key, config: _annealed_variance(
            config, exponent=2, subtracted=0
        ),
        "bandwidth of the square h/2": lambda key, config: _annealed_variance(config, exponent=4, subtracted=1),
    },
    traceable=False,
)
def moments(key: jax.Array, config: Config) -> dict[str, Any]:
    """Variance of Z over its mean squared: (E e^{-2E}/(E e^{-E})² - 1)/n, e^{-2E} having the bandwidth h/sqrt(2)."""
    variance, _ = relative_moments(dataclasses.replace(config, bandwidth=float(config.bandwidth)))
    return {"relative_variance": np.float64(variance)}


def mean_is_scale(config: Config) -> str | None:
    """Say that few points rule the sum: its mean is then not its scale, and the inversion loses its digits."""
    if (why := all_points(config)) is not None:
        return why
    if config.query != "typical":
        return "the query is Gaussian: see query = typical"
    if (ratio := relative_bandwidth(config)) < 1.25 - 1e-6:
        return f"h = {ratio:.2g} h_G, below 1.25: the mean of Z is not its scale"
    if (deviation := standard_deviation(config)) < 1e-12:
        return f"Z varies by {deviation:.2g} of its mean: rounding"
    return None


def standard_deviation(config: Config) -> float:
    """Standard deviation of Z over its mean, for a typical query."""
    beta = 1 / float(config.bandwidth) ** 2
    excess = config.dim * (limits.growth(2 * beta) - 2 * limits.growth(beta))
    return math.sqrt(math.expm1(excess) / config.num_samples)


def _quartiles(share: float) -> dict[str, Any]:
    return {"within_quartiles": np.float64(share)}


@functools.lru_cache(maxsize=1024)
def central_share(config: Config, deviations: float = QUARTILE) -> float:
    """Probability that Z is within some standard deviations of its mean, for a typical query."""
    beta = 1 / config.bandwidth**2
    log_mean = config.dim * limits.growth(beta)
    law = energies.energies(beta / 2, config.dim, config.dim, math.log(config.num_samples), step=0.1)
    return energies.central_share(law, config.num_samples, log_mean, deviations * standard_deviation(config))


@theory(
    kind="ensemble",
    source="inversion of the characteristic function of the sum, derived here",
    predicts=("within_quartiles",),
    holds=mean_is_scale,
    error=1e-4,
    controls={
        "normal": lambda key, config: _quartiles(0.5),
        "deviations of half the size": lambda key, config: _quartiles(central_share(_concrete(config), QUARTILE / 2)),
    },
    traceable=False,
)
def inversion(key: jax.Array, config: Config) -> dict[str, Any]:
    """Share of draws within .6745 exact standard deviations of the mean: half for a normal sum, more for heavy tails.

    Refining both steps changes it by less than 1e-5 (d = 20 and 60, α = .1 to .5, from 1.25 h_G on).
    """
    return _quartiles(central_share(_concrete(config)))


def normal_regime(config: Config) -> str | None:
    """Say that h is not above h_CLT = sqrt(2) h_G with 6% to spare."""
    if (why := all_points(config)) is not None:
        return why
    if (ratio := relative_bandwidth(config)) < 1.5 - 1e-6:
        return f"h = {ratio:.2g} h_G: the central limit theorem holds above h_CLT = 1.41 h_G, here judged from 1.5 on"
    return None


def normal_error(config: Config, observable: str) -> float:
    """Twelve per cent at 1.5 h_G, falling as (h_G/h)^8, and .3/n for the skewness of few terms.

    Seen: 3.9% to 9.7% at 1.5, at most 4.3%, 1.9% and .6% at 1.6, 1.75 and 2 (d = 20 to 60, α = .1 to .5).
    """
    return 0.12 * (1.5 / relative_bandwidth(config)) ** 8 + 0.3 / config.num_samples


@theory(
    kind="ensemble",
    source=BIROLI_MEZARD.at("the central limit theorem above h_CLT"),
    predicts=("within_quartiles",),
    holds=normal_regime,
    error=normal_error,
    controls={
        "one standard deviation": lambda key, config: _quartiles(0.6827),
        "quartile of one side": lambda key, config: _quartiles(0.75),
    },
    traceable=False,
)
def central_limit(key: jax.Array, config: Config) -> dict[str, Any]:
    """Above h_CLT the sum is normal: half of all draws lie within .6745 standard deviations."""
    return _quartiles(0.5)
