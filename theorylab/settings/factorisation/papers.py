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
ROSENFELD = Paper(
    title="Outliers with Opposing Signals Have an Outsized Effect on Neural Network Optimization",
    authors="E. Rosenfeld and A. Risteski",
    year=2023,
    venue="arXiv",
    arxiv="2311.04163",
    bibtex="""@article{rosenfeld2023outliers,
  title = {Outliers with Opposing Signals Have an Outsized Effect on Neural Network Optimization},
  author = {Rosenfeld, Elan and Risteski, Andrej},
  journal = {arXiv preprint arXiv:2311.04163},
  year = {2023},
}""",
)
YANG_HU = Paper(
    title="Tensor Programs IV: Feature Learning in Infinite-Width Neural Networks",
    authors="G. Yang and E. J. Hu",
    year=2021,
    venue="ICML 2021",
    arxiv="2011.14522",
    bibtex="""@inproceedings{yang2021tensor,
  title = {Tensor Programs IV: Feature Learning in Infinite-Width Neural Networks},
  author = {Yang, Greg and Hu, Edward J.},
  booktitle = {International Conference on Machine Learning},
  year = {2021},
}""",
)
DANG = Paper(
    title="Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data",
    authors="H. Dang, T. Tran, S. Osher, H. Tran-The, N. Ho and T. Nguyen",
    year=2023,
    venue="ICML 2023",
    arxiv="2301.00437",
    bibtex="""@inproceedings{dang2023neural,
  title = {Neural Collapse in Deep Linear Networks: From Balanced to Imbalanced Data},
  author = {Dang, Hien and Tran, Tho and Osher, Stanley and Tran-The, Hung and Ho, Nhat and Nguyen, Tan},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
}""",
)
MIXON = Paper(
    title="Neural collapse with unconstrained features",
    authors="D. G. Mixon, H. Parshall and J. Pi",
    year=2020,
    venue="arXiv",
    arxiv="2011.11619",
    bibtex="""@article{mixon2020neural,
  title = {Neural collapse with unconstrained features},
  author = {Mixon, Dustin G. and Parshall, Hans and Pi, Jianzong},
  journal = {arXiv preprint arXiv:2011.11619},
  year = {2020},
}""",
)
