"""The neural tangent kernel: training in function space, and what finite width changes.

Two-layer networks on the sphere, trained by gradient descent at a finite step, beside their own linearisations (Jacot,
Gabriel and Hongler, arXiv 1806.07572): kernels at the start, dynamics, how far the kernel moves with smooth and with
kinked activations, and the catapult above 2/λ.

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.kernels.ntk.config import Config, check_config
from theorylab.settings.kernels.ntk.model import pairs, recorded, simulate
from theorylab.settings.kernels.ntk.predictions import THEORIES
from theorylab.settings.kernels.ntk.presets import PRESETS, SWEEPS
from theorylab.settings.kernels.papers import JACOT, LEE

SETTING = Setting(
    papers=(JACOT, LEE),
    config=Config,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("kernel_drift", "|K_T - K_0|/|K_0|, Frobenius norms over all points", r"|\Delta K|/|K_0|"),
        Observable("kernel_drift_square", "|K_T - K_0|²/|Θ|²", r"|\Delta K|^2/|\Theta|^2"),
        Observable("ntk", "entries of K_0 between the first training points, mean over kernels", "K_0", dims=("pair",)),
        Observable("kernel_deviation", "|K_0 - Θ|²/|Θ|², mean over kernels", r"|K_0 - \Theta|^2/|\Theta|^2"),
        Observable("sharpness", "step times the top eigenvalue of K_0 on the training points", r"\eta\lambda_0"),
        Observable("final_sharpness", "step times the top eigenvalue of K_T", r"\eta\lambda_T"),
        Observable("loss", "half the summed squared residuals of the network", "L_t", dims=("step",)),
        Observable("test_power", "mean squared output on the test points", r"\overline{f_t^2}", dims=("step",)),
        Observable("linear_loss", "loss of its linearisation, trained on its weights", "L_t", dims=("step",)),
        Observable("linear_test_power", "mean squared test output of that", r"\overline{f_t^2}", dims=("step",)),
        Observable(
            "linearisation_error", "rms of network minus linearisation on the test points, at the end", r"\Delta f"
        ),
        Observable("peak_loss", "largest loss after the first step, over the width", r"\max L/m"),
        Observable("peak_step", "its step", r"t_\mathrm{peak}"),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"step": recorded(config), "pair": range(len(pairs(config)[0]))},
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
