"""Kernel density estimates in large dimension: few points or many.

n points y_i ~ N(0, I) in dimension d, a query x, energies E_i = |x - y_i|²/(2h²) and their sum Z = sum_i e^{-E_i}: the
kernel estimate of the density at x is (2π h²)^{-d/2} Z/n, and x belongs to point i with the weight w_i = e^{-E_i}/Z. It
is Derrida's random-energy model at the inverse temperature 1/h². With n = e^{α d}, the sum is normal above h_CLT,
heavy-tailed below, and below h_G = h_CLT/sqrt(2) few points make it up.

Biroli and Mézard 2024 (arXiv 2408.05807).

``SETTING`` is what the laboratory needs; ``divergence``, ``exact_means`` and ``theorylab.settings.statistics.limits``
serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.statistics.papers import BIROLI_MEZARD, DERRIDA
from theorylab.settings.statistics.random_energy.config import Config, check_config
from theorylab.settings.statistics.random_energy.model import simulate
from theorylab.settings.statistics.random_energy.predictions import THEORIES
from theorylab.settings.statistics.random_energy.predictions.finite import divergence, exact_means
from theorylab.settings.statistics.random_energy.presets import PRESETS, SWEEPS

SETTING = Setting(
    papers=(BIROLI_MEZARD, DERRIDA),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("participation", "sum of squared weights: one over how many points count", "Y"),
        Observable("log_partition", "log(Z/n)/d: the logarithm of the estimate, without its norm", r"\log(Z/n)/d"),
        Observable("relative_variance", "squared deviation of Z from its mean, over the mean squared"),
        Observable("within_quartiles", "share of draws within .6745 exact standard deviations of the mean"),
    ),
    check_config=check_config,
)  # fmt: skip

__all__ = ["PRESETS", "SETTING", "Config", "divergence", "exact_means", "simulate"]
