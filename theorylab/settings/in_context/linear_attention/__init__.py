"""Linear attention: one layer, one step of gradient descent.

In-context linear regression by linear attention: one layer is one step of preconditioned gradient descent.

Mahankali, Hashimoto and Ma, arXiv 2307.03576. ``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and
the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Paper, Setting
from theorylab.settings.in_context.linear_attention.config import PRESETS, TRAINED, Config, check_config
from theorylab.settings.in_context.linear_attention.predictions import THEORIES
from theorylab.settings.in_context.linear_attention.train import (
    CONTEXT_RATIOS,
    GRADIENT_STEPS,
    recorded_steps,
    simulate,
)


def _coords(config: Config) -> dict[str, tuple[float, ...]]:
    if config.training == "baselines":
        return {"gradient_steps": GRADIENT_STEPS}
    if config.training == "pool_regression":
        return {}
    coords: dict[str, tuple[float, ...]] = {"step": recorded_steps(config), "direction": (0, 1)}
    if config.training in TRAINED:
        coords["context_ratio"] = CONTEXT_RATIOS
    if config.attention == "preconditioned":
        coords["layer"] = tuple(range(1, config.num_layers + 1))
    return coords


SETTING = Setting(
    papers=(
        Paper(
            title="One Step of Gradient Descent is Provably the Optimal In-Context Learner with One Layer of "
            "Linear Self-Attention",
            authors="A. Mahankali, T. B. Hashimoto and T. Ma",
            year=2024,
            venue="ICLR 2024",
            arxiv="2307.03576",
            bibtex="""@inproceedings{mahankali2024one,
  title = {One Step of Gradient Descent is Provably the Optimal In-Context Learner with One Layer of Linear Self-Attention},
  author = {Mahankali, Arvind and Hashimoto, Tatsunori B. and Ma, Tengyu},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",  # noqa: E501
        ),
        Paper(
            title="Trained Transformers Learn Linear Models In-Context",
            authors="R. Zhang, S. Frei and P. L. Bartlett",
            year=2024,
            venue="JMLR 25",
            arxiv="2306.09927",
            bibtex="""@article{zhang2024trained,
  title = {Trained Transformers Learn Linear Models In-Context},
  author = {Zhang, Ruiqi and Frei, Spencer and Bartlett, Peter L.},
  journal = {Journal of Machine Learning Research},
  volume = {25},
  year = {2024},
}""",
        ),
        Paper(
            title="Asymptotic theory of in-context learning by linear attention",
            authors="Y. M. Lu, M. Letey, J. A. Zavatone-Veth, A. Maiti and C. Pehlevan",
            year=2025,
            venue="PNAS 122",
            arxiv="2405.11751",
            bibtex="""@article{lu2025asymptotic,
  title = {Asymptotic theory of in-context learning by linear attention},
  author = {Lu, Yue M. and Letey, Mary and Zavatone-Veth, Jacob A. and Maiti, Anindita and Pehlevan, Cengiz},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {122},
  year = {2025},
}""",
        ),
    ),
    config=Config,
    presets=PRESETS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("final_loss", "exact loss on the training distribution, noisy target, no factor 1/2", r"L"),
        Observable("fresh_task_loss", "exact loss on fresh tasks (finite pool)", r"L_\mathrm{fresh}"),
        Observable("sampled_loss", "loss on fresh prompts of the training length", r"\hat L"),
        Observable("test_loss", "loss on fresh prompts, against context length", r"R(m)", dims=("context_ratio",)),
        Observable("loss", "loss along training or flow (exact where it exists)", r"L(t)", dims=("step",)),
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
        Observable("step_sizes", "n tr(A_l)/d of each layer, increasing (preconditioned)", dims=("layer",)),
        Observable("conserved", "1 + (|u|² - |attention|²)/|u|² along a flow, initially 1"),
        Observable("bayes_loss", "loss of Bayes' ridge regression", r"L_\mathrm{Bayes}"),
        Observable("zero_loss", "loss of predicting zero"),
        Observable("least_squares_loss", "loss of (minimum-norm) least squares", r"L_\mathrm{OLS}"),
        Observable("gradient_steps_loss", "loss of the best k steps of gradient descent", dims=("gradient_steps",)),
        Observable("fresh_task_error", "error on fresh tasks of the layer fitted to finitely many prompts"),
        Observable("pool_error", "error on the pre-training tasks of that layer"),
    ),
    coords=_coords,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
