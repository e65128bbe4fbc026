"""Publications of this family."""

from __future__ import annotations

from theorylab.contract import Paper

MORE_IS_BETTER = Paper(
    title="More is Better: when Infinite Overparameterization is Optimal and Overfitting is Obligatory",
    authors="J. B. Simon, D. Karkada, N. Ghosh and M. Belkin",
    year=2024,
    venue="ICLR 2024",
    arxiv="2311.14646",
    bibtex="""@inproceedings{simon2024more,
  title = {More is Better: when Infinite Overparameterization is Optimal and Overfitting is Obligatory},
  author = {Simon, James B. and Karkada, Dhruva and Ghosh, Nikhil and Belkin, Mikhail},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
)

PAQUETTE = Paper(
    title="4+3 Phases of Compute-Optimal Neural Scaling Laws",
    authors="E. Paquette, C. Paquette, L. Xiao and J. Pennington",
    year=2024,
    venue="NeurIPS 2024",
    arxiv="2405.15074",
    bibtex="""@inproceedings{paquette2024phases,
  title = {4+3 Phases of Compute-Optimal Neural Scaling Laws},
  author = {Paquette, Elliot and Paquette, Courtney and Xiao, Lechao and Pennington, Jeffrey},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2024},
}""",
)

BORDELON = Paper(
    title="A Dynamical Model of Neural Scaling Laws",
    authors="B. Bordelon, A. Atanasov and C. Pehlevan",
    year=2024,
    venue="ICML 2024",
    arxiv="2402.01092",
    bibtex="""@inproceedings{bordelon2024dynamical,
  title = {A Dynamical Model of Neural Scaling Laws},
  author = {Bordelon, Blake and Atanasov, Alexander and Pehlevan, Cengiz},
  booktitle = {International Conference on Machine Learning},
  year = {2024},
}""",
)
