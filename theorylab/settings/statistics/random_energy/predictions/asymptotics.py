"""Theories of the kernel sums in large dimension: condensed below h_G, self-averaging above."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from theorylab.contract import theory
from theorylab.settings.statistics import limits
from theorylab.settings.statistics.papers import BIROLI_MEZARD, DERRIDA
from theorylab.settings.statistics.random_energy.config import Config, relative_bandwidth
from theorylab.settings.statistics.random_energy.predictions.finite import limit_means, means


def _limit_applies(config: Config) -> str | None:
    if config.query != "typical":
        return "limits are for query = typical"
    if config.num_samples <= 1 or limits.energy_spread(config.load, config.dim) < 2:
        return "few points in few dimensions: energies at condensation spread by less than 2"
    return None


def condensed(config: Config) -> str | None:
    """Say that h is not well below h_G."""
    if (why := _limit_applies(config)) is not None:
        return why
    if (ratio := relative_bandwidth(config)) > 0.8 + 1e-6:
        return f"h = {ratio:.2g} h_G: condensed sums are judged up to 0.8 h_G"
    return None


def self_averaging(config: Config) -> str | None:
    """Say that h is below h_G."""
    if (why := _limit_applies(config)) is not None:
        return why
    if (ratio := relative_bandwidth(config)) < 1 - 1e-6:
        return f"h = {ratio:.2g} h_G: below h_G the sum is not near its mean"
    return None


def frozen_error(config: Config, observable: str) -> float:
    """Error of the limit: .55/σ of participation, log(sqrt(2π) σ)/(m d) of log(Z/n)/d, with m = (h/h_G)².

    σ is the spread of the energies at condensation. Seen .50/σ and .85 of the other, at d = 20 to 400, α = .05 to 1,
    h = .3 to .8 h_G; the limit is too low in the one, too high in the other.
    """
    spread, ratio = limits.energy_spread(config.load, config.dim), relative_bandwidth(config)
    predicted = limit_means(None, dataclasses.replace(config, sampler="radial"))
    if observable == "participation":
        return 0.55 / spread / float(predicted["participation"])
    wrong = math.log(math.sqrt(2 * math.pi) * spread) / (ratio**2 * config.dim)
    return wrong / abs(float(predicted["log_partition"]))


def _linear_freezing(key: jax.Array, config: Config) -> dict[str, Any]:
    """Control: participation 1 - h/h_G, and the self-averaging density."""
    return means(config, 1 - relative_bandwidth(config), limits.growth(1 / float(config.bandwidth) ** 2))


@theory(
    kind="ensemble",
    source=BIROLI_MEZARD.at("the condensed phase below h_G"),
    predicts=("participation", "log_partition"),
    holds=condensed,
    error=frozen_error,
    controls={
        "temperature in place of its square": _linear_freezing,
        "self-averaging": lambda key, config: means(config, 0.0, limits.growth(1 / float(config.bandwidth) ** 2)),
    },
    traceable=False,
)
def frozen(key: jax.Array, config: Config) -> dict[str, Any]:
    """Limit below h_G: participation 1 - (h/h_G)², log(Z/n)/d = -α + β φ'(β_G)."""
    return limit_means(key, config)


def _extreme(config: Config, *, prefactor: bool = True, fluctuations: bool = True) -> dict[str, Any]:
    beta, dim = 1 / float(config.bandwidth) ** 2, config.dim
    typical = limits.extreme_beta(config.load, dim)
    if not prefactor:
        typical = limits.condensation_bandwidth(config.load) ** -2
    index = typical / beta
    log_partition = dim * beta * limits.slope(typical) - math.log(config.num_samples)
    if fluctuations:
        log_partition += (math.lgamma(1 - index) + np.euler_gamma) / index - np.euler_gamma
    return means(config, 1 - index, log_partition / dim)


def extreme_error(config: Config, observable: str) -> float:
    """Error of the exponential process: .12/σ of participation, 3/(σ² m d) of log(Z/n)/d, with m = (h/h_G)².

    Seen .10/σ and 2.6/(σ² m d), where :func:`frozen_error` was measured.
    """
    spread, ratio = limits.energy_spread(config.load, config.dim), relative_bandwidth(config)
    predicted = _extreme(dataclasses.replace(config, sampler="radial"))
    if observable == "participation":
        return 0.12 / spread / float(predicted["participation"])
    return 3 / (spread**2 * ratio**2 * config.dim) / abs(float(predicted["log_partition"]))


@theory(
    kind="ensemble",
    source=DERRIDA.at("the frozen phase, here as a Poisson process with the density's prefactor"),
    predicts=("participation", "log_partition"),
    holds=condensed,
    error=extreme_error,
    controls={
        "density without its prefactor": lambda key, config: _extreme(config, prefactor=False),
        "smallest energy alone": lambda key, config: means(
            config, 1.0, float(_extreme(config, fluctuations=False)["log_partition"])
        ),
    },
    traceable=False,
)
def extreme_values(key: jax.Array, config: Config) -> dict[str, Any]:
    """Energies near the smallest as a Poisson process of exponential density, at finite dimension.

    With density e^{m(E - E_0)} m, participation is 1 - m and E log Z = -E_0 + (log Γ(1 - m) + γ)/m - γ. E_0 and m are
    those of the saddle point's density of the energies with its prefactor.
    """
    return _extreme(config)


def annealed_error(config: Config, observable: str) -> float:
    """.9 (h_G/h)⁴/d of log(Z/n)/d.

    Seen, times d, at most .76, .40, .17, .05 and .01 at h/h_G = 1, 1.1, 1.25, 1.5 and 2 (d = 20 to 400, α = .05 to 1).
    """
    ratio = relative_bandwidth(config)
    return 0.9 / ratio**4 / config.dim / abs(limits.growth(1 / float(config.bandwidth) ** 2))


def _annealed(config: Config, *, gaussian: bool = False) -> dict[str, Any]:
    beta = 1 / float(config.bandwidth) ** 2
    value = -beta + 3 * beta**2 / 4 if gaussian else -math.log1p(2 * beta) / 2
    return {"log_partition": np.float64(value)}


@theory(
    kind="ensemble",
    source=BIROLI_MEZARD.at("the self-averaging phase above h_G"),
    predicts=("log_partition",),
    holds=self_averaging,
    error=annealed_error,
    controls={
        "mean over queries": lambda key, config: _annealed(config),
        "Gaussian energies": lambda key, config: _annealed(config, gaussian=True),
    },
    traceable=False,
)
def annealed(key: jax.Array, config: Config) -> dict[str, Any]:
    """From h_G on log Z is the logarithm of its mean: φ(β) per dimension."""
    return {"log_partition": np.float64(limits.growth(1 / float(config.bandwidth) ** 2))}
