"""Scaling laws in width, data and time: a power law learned by a sketch, or from samples.

Features x_j ~ N(0, j^-a) and a linear target of energies j^-b. Online, M weights on a frozen random sketch are trained
by one-pass SGD, and the loss is limited by M, by time and by SGD's noise. Offline, all features are trained by
full-batch descent on n samples, with label noise. Losses are mean squared errors on the population, without a 1/2.

Paquette et al. 2024 (arXiv 2405.15074); Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092).

``SETTING`` is what the laboratory needs; ``theory`` and :mod:`theorylab.numerics.contours` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.kernels.papers import BORDELON, PAQUETTE
from theorylab.settings.kernels.scaling_laws.config import Config, check_config, recorded_steps
from theorylab.settings.kernels.scaling_laws.predictions import THEORIES
from theorylab.settings.kernels.scaling_laws.presets import PRESETS, SWEEPS
from theorylab.settings.kernels.scaling_laws.train import simulate

SETTING = Setting(
    papers=(PAQUETTE, BORDELON),
    config=Config,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("loss", "population mean squared error, without label noise offline", r"L_t", dims=("step",)),
        Observable("irreducible_loss", "the part of it that no number of steps removes, nor less noise", r"L_*"),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    presets=PRESETS,
    sweeps=SWEEPS,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
