"""The publications behind the settings of this family."""

from __future__ import annotations

from theorylab.contract import Paper

XIONG_DING_DU = Paper(
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
)
MA_FATTAHI = Paper(
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
)
