"""Matrix sensing: how over-parameterisation slows gradient descent.

A matrix of low rank is recovered by a product of two factors, or of one with itself, with more columns than needed
(Xiong, Ding and Du, arXiv 2310.01769). Infinitely many measurements or Gaussian ones; gradient descent, plain or with
one rebalancing step.

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.factorisation.matrix_sensing.config import Config, check_config
from theorylab.settings.factorisation.matrix_sensing.data import sample
from theorylab.settings.factorisation.matrix_sensing.predictions import THEORIES
from theorylab.settings.factorisation.matrix_sensing.presets import PRESETS, SWEEPS
from theorylab.settings.factorisation.matrix_sensing.train import advance, recorded_steps, run, simulate
from theorylab.settings.factorisation.papers import XIONG_DING_DU

SETTING = Setting(
    papers=(XIONG_DING_DU,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=sample,
    run=run,
    advance=advance,
    theories=THEORIES,
    observables=(
        Observable("recovery_error", "Frobenius norm of model − target, not squared", r"\|E_t\|_F", dims=("step",)),
        Observable("final_error", "recovery error at the end over the target's norm", r"\|E_T\|_F/\|M\|_F"),
        Observable("recovered", "whether the final error is below 0.1", r"\mathbb{1}[\mathrm{recovered}]"),
        Observable(
            "error_slope", "slope of ln error per step; NaN if not converged", r"\dot{\ln}\|E\|", allow_nan=True
        ),
        Observable(
            "limit_slope",
            "slope of the slowest mode at the final factors, 0 if algebraic; NaN if two are close",
            allow_nan=True,
        ),
        Observable("tail_constant", "(2 rate T |E_T|)² per column beyond the target's rank, or per one", r"C"),
        Observable("imbalance", "|FᵀF − GᵀG|_F; 0 if symmetric", r"\|\Delta_t\|_F", dims=("step",)),
        Observable("switch_step", "steps before the rebalancing, which the others follow; 0 without it"),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
