"""Stability of SGD at a minimum: the largest learning rate at every batch size.

Linear regression that can be interpolated, at its minimum: weights w off it, inputs x of covariance H = diag(λ), loss
(1/2) E (x·w)². A step w <- w - (η/B) Σ x (x·w) takes a batch of B samples, fresh from N(0, H) or of n given points. It
is stable in mean square where E w wᵀ does not grow: below 2/μ, μ the sharpness that SGD sees. Also measured is the
sharpness of one batch's Hessian, H_B = (1/B) Σ x xᵀ, which is another number.

λ_1 = ``spike``, λ_i = i^-a for i >= 2. Learning rates are in units of the critical one of fresh samples.

Mulayoff and Michaeli 2024 (arXiv 2306.07850); Wu and Su 2023 (arXiv 2305.17490); Granziol et al. 2022 (2006.09092).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and ``theorylab.numerics.second_moments`` serve
notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.step_size.papers import GRANZIOL, MULAYOFF, WU_SU
from theorylab.settings.step_size.sgd_stability.config import Config, check_config
from theorylab.settings.step_size.sgd_stability.predictions import THEORIES
from theorylab.settings.step_size.sgd_stability.presets import PRESETS, SWEEPS
from theorylab.settings.step_size.sgd_stability.train import simulate

SETTING = Setting(
    papers=(MULAYOFF, WU_SU, GRANZIOL),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable(
            "effective_sharpness", "2 over the critical learning rate: E|H_B w|²/E w·Hw in the least stable direction",
            r"2/\eta^*",
        ),
        Observable("growth", "growth of |w|² in a step, in the direction that grows most", r"\rho"),
        Observable("loss", "half the mean squared error, before each step and at the end", r"L_t", dims=("step",)),
        Observable("batch_sharpness", "largest eigenvalue of one batch's Hessian", r"\lambda_\max(H_B)"),
        Observable("sharpness_of_norm", "the same, from |X_spike|²/B of that batch alone"),
        Observable("noisy_sharpness", "largest eigenvalue of the spike in additive noise", r"\lambda_\max(\ell+W)"),
    ),
    coords=lambda config: {"step": range(config.num_steps + 1)},
    check_config=check_config,
)  # fmt: skip

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
