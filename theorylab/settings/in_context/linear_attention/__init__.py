"""Linear attention: one layer, one step of gradient descent.

In-context linear regression by a layer trained from random weights: the layer that minimises the loss is one step of
preconditioned gradient descent, also for nonlinear targets and for a finite pool of tasks.

Mahankali, Hashimoto and Ma, arXiv 2307.03576. ``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and
the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.in_context.descent import recorded_steps
from theorylab.settings.in_context.linear_attention.config import Config, check_config
from theorylab.settings.in_context.linear_attention.data import CONTEXT_RATIOS
from theorylab.settings.in_context.linear_attention.predictions import THEORIES
from theorylab.settings.in_context.linear_attention.presets import PRESETS, SWEEPS
from theorylab.settings.in_context.linear_attention.train import simulate
from theorylab.settings.in_context.papers import MAHANKALI, VON_OSWALD, ZHANG


def _coords(config: Config) -> dict[str, tuple[float, ...]]:
    return {"step": recorded_steps(config.num_steps), "direction": (0, 1), "context_ratio": CONTEXT_RATIOS}


SETTING = Setting(
    papers=(MAHANKALI, ZHANG, VON_OSWALD),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("final_loss", "loss at the end of training, noisy target, no factor 1/2; exact if `loss` is", r"L"),
        Observable(
            "fresh_task_loss", "final loss on fresh tasks; another where the pool is finite", r"L_\mathrm{fresh}"
        ),
        Observable("sampled_loss", "loss on fresh prompts of the training length", r"\hat L"),
        Observable("test_loss", "loss on fresh prompts, against context length", r"R(m)", dims=("context_ratio",)),
        Observable("test_length_loss", "loss on fresh prompts of the test length", r"R(m)"),
        Observable(
            "loss",
            "loss along training: exact for Gaussian covariates and linear targets, else on test prompts",
            r"L(t)",
            dims=("step",),
        ),
        Observable("learned_rate", "n tr(P)/d: mean learning rate of the learned step", r"n\,\mathrm{tr}\hat P/d"),
        Observable(
            "preconditioner",
            "n P_jj at the largest (0) and smallest (1) eigenvalue of the covariates",
            r"n \hat P_{jj}",
            dims=("direction",),
        ),
        Observable("alignment", "cosine of learned and closed-form preconditioner", r"\cos(\hat P, P^*)"),
        Observable("prediction_cosine", "cosine of prediction vectors, layer and one step of gradient descent"),
        Observable("prediction_agreement", "1 - relative distance of these prediction vectors"),
        Observable("leak", "|u_x| / |u_y|: above 1 a run is stuck at the rank-one saddle", allow_nan=True),
        Observable("stuck_starts", "fraction of the starts that end more than 2% above the best one"),
    ),
    coords=_coords,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
