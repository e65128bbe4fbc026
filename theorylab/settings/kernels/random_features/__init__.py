"""Random-feature ridge regression: more is better.

Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646: Gaussian features of a power law, real random features with known
spectra (ReLU on the sphere, erf on the hypercube), and Fourier features, on which the theory fails.

``SETTING`` is what the laboratory needs; ``Config`` and ``simulate`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.kernels.papers import MORE_IS_BETTER
from theorylab.settings.kernels.random_features.config import Config, check_config
from theorylab.settings.kernels.random_features.data import instance
from theorylab.settings.kernels.random_features.kernel_spectra import measured_modes
from theorylab.settings.kernels.random_features.predictions import THEORIES
from theorylab.settings.kernels.random_features.presets import PRESETS, SWEEPS
from theorylab.settings.kernels.random_features.train import run, simulate

SETTING = Setting(
    papers=(MORE_IS_BETTER,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=instance,
    run=run,
    theories=THEORIES,
    observables=(
        Observable("test_error", "mean squared test error on noisy labels", r"\mathcal{E}_\mathrm{test}"),
        Observable("train_error", "mean squared training error on noisy labels", r"\mathcal{E}_\mathrm{train}"),
        Observable("gcv", "generalised cross-validation estimate of the test error", r"\mathrm{GCV}"),
        Observable("inverse_trace", "1 / tr(K̂ + δI)⁻¹, an estimate of κ", r"1/\mathrm{tr}\,\hat K^{-1}"),
        Observable(
            "learned_coefficients",
            "learned over true coefficient of an eigenmode, or of all of a degree: mean over noise and signs",
            r"\hat v_i / v_i",
            dims=("mode",),
        ),
    ),
    check_config=check_config,
    coords=lambda config: {"mode": measured_modes(config)},
)

__all__ = ["SETTING", "Config", "simulate"]
