"""Matrix sensing: how over-parameterisation slows gradient descent.

Over-parameterised matrix sensing (Xiong, Ding and Du, arXiv 2310.01769; Ma and Fattahi, arXiv 2202.08788).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Paper, Setting
from theorylab.settings.factorisation.matrix_sensing.config import PRESETS, Config, check_config
from theorylab.settings.factorisation.matrix_sensing.predictions import THEORIES
from theorylab.settings.factorisation.matrix_sensing.train import recorded_steps, simulate

SETTING = Setting(
    papers=(
        Paper(
            title="How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing: The Curses of Symmetry and "
            "Initialization",
            authors="N. Xiong, L. Ding and S. S. Du",
            year=2024,
            venue="ICLR 2024",
            arxiv="2310.01769",
            bibtex="""@inproceedings{xiong2024how,
  title = {How Over-Parameterization Slows Down Gradient Descent in Matrix Sensing: The Curses of Symmetry and
           Initialization},
  author = {Xiong, Nuoya and Ding, Lijun and Du, Simon S.},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
        ),
        Paper(
            title="Global Convergence of Sub-gradient Method for Robust Matrix Recovery: Small Initialization, Noisy "
            "Measurements, and Over-parameterization",
            authors="J. Ma and S. Fattahi",
            year=2023,
            venue="Journal of Machine Learning Research 24",
            arxiv="2202.08788",
            bibtex="""@article{ma2023global,
  title = {Global Convergence of Sub-gradient Method for Robust Matrix Recovery: Small Initialization, Noisy
           Measurements, and Over-parameterization},
  author = {Ma, Jianhao and Fattahi, Salar},
  journal = {Journal of Machine Learning Research},
  volume = {24},
  year = {2023},
}""",
        ),
    ),
    config=Config,
    presets=PRESETS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("recovery_error", "Frobenius norm of model − target, not squared", r"\|E_t\|_F", dims=("step",)),
        Observable("final_error", "recovery error at the end over the target's norm", r"\|E_T\|_F/\|M\|_F"),
        Observable("recovered", "whether the final error is below 0.1", r"\mathbb{1}[\mathrm{recovered}]"),
        Observable(
            "error_slope", "slope of ln error per step; NaN if not converged", r"\dot{\ln}\|E\|", allow_nan=True
        ),
        Observable("tail_constant", "(2 rate T |E_T|)²/(k − r) (symmetric, k > r)", r"C"),
        Observable("imbalance", "|FᵀF − GᵀG|_F (asymmetric)", r"\|\Delta_t\|_F", dims=("step",)),
        Observable("limit_slope", "slope that the final factors predict (population)", allow_nan=True),
        Observable("tangent_slope", "slope that the tangent kernel at the end predicts (gaussian)", allow_nan=True),
        Observable("switch_step", "step of the rebalancing (modified, boost)"),
        Observable("sign_rip_scale", "φ of the sign map at the target (subgm)", r"\varphi"),
        Observable("sign_rip_deviation", "spectral norm of what it leaves over (subgm)"),
        Observable(
            "pair_sum", "median (|E_t| + |E_{t+1}|)/(2 s_1 η_t) (subgm, geometric)", r"\varphi_1", allow_nan=True
        ),
        Observable("plateau_exponent", "ln ratio of final errors at α and α/100, over ln 100 (scale_pair)"),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
