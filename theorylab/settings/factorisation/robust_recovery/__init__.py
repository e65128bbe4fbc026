"""Robust recovery: the l1 loss against outliers, and what a small initialisation leaves behind.

A positive matrix of low rank is recovered by U Uᵀ from measurements some of which are corrupted: the subgradient method
on the l1 loss, and gradient descent on the square loss beside it (Ma and Fattahi, arXiv 2202.08788).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.factorisation.papers import MA_FATTAHI
from theorylab.settings.factorisation.robust_recovery.config import Config, check_config
from theorylab.settings.factorisation.robust_recovery.data import sample
from theorylab.settings.factorisation.robust_recovery.predictions import THEORIES
from theorylab.settings.factorisation.robust_recovery.presets import PRESETS, SWEEPS
from theorylab.settings.factorisation.robust_recovery.train import recorded_steps, run, simulate

SETTING = Setting(
    papers=(MA_FATTAHI,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=sample,
    run=run,
    theories=THEORIES,
    observables=(
        Observable("recovery_error", "Frobenius norm of U Uᵀ − M, not squared", r"\|E_t\|_F", dims=("step",)),
        Observable("final_error", "recovery error at the end over the target's norm", r"\|E_T\|_F/\|M\|_F"),
        Observable("recovered", "whether the final error is below 0.1", r"\mathbb{1}[\mathrm{recovered}]"),
        Observable(
            "error_slope", "slope of ln error per step, above the plateau; NaN if there is none", r"\dot{\ln}\|E\|",
            allow_nan=True,
        ),
        Observable("sign_rip_scale", "φ of the sign map at the target", r"\varphi"),
        Observable("sign_rip_deviation", "spectral norm of what φ M/|M| leaves over of the sign map"),
        Observable(
            "pair_sum", "median (|E_t| + |E_{t+1}|)/(2 s_1 η_t) while E has rank one; NaN if never", r"\varphi_1",
            allow_nan=True,
        ),
        Observable("plateau_exponent", "ln ratio of the final errors from α and from α/100, over ln 100"),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    check_config=check_config,
)  # fmt: skip

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
