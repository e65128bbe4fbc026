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

JACOT = Paper(
    title="Neural Tangent Kernel: Convergence and Generalization in Neural Networks",
    authors="A. Jacot, F. Gabriel and C. Hongler",
    year=2018,
    venue="NeurIPS 2018",
    arxiv="1806.07572",
    bibtex="""@inproceedings{jacot2018neural,
  title = {Neural Tangent Kernel: Convergence and Generalization in Neural Networks},
  author = {Jacot, Arthur and Gabriel, Franck and Hongler, Cl{\\'e}ment},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2018},
}""",
)

LEE = Paper(
    title="Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent",
    authors="J. Lee, L. Xiao, S. S. Schoenholz, Y. Bahri, R. Novak, J. Sohl-Dickstein and J. Pennington",
    year=2019,
    venue="NeurIPS 2019",
    arxiv="1902.06720",
    bibtex="""@inproceedings{lee2019wide,
  title = {Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent},
  author = {Lee, Jaehoon and Xiao, Lechao and Schoenholz, Samuel S. and Bahri, Yasaman and Novak, Roman and
            Sohl-Dickstein, Jascha and Pennington, Jeffrey},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2019},
}""",
)

CHO_SAUL = Paper(
    title="Kernel Methods for Deep Learning",
    authors="Y. Cho and L. K. Saul",
    year=2009,
    venue="NeurIPS 2009",
    arxiv="",
    bibtex="""@inproceedings{cho2009kernel,
  title = {Kernel Methods for Deep Learning},
  author = {Cho, Youngmin and Saul, Lawrence K.},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2009},
}""",
)

DYER = Paper(
    title="Asymptotics of Wide Networks from Feynman Diagrams",
    authors="E. Dyer and G. Gur-Ari",
    year=2020,
    venue="ICLR 2020",
    arxiv="1909.11304",
    bibtex="""@inproceedings{dyer2020asymptotics,
  title = {Asymptotics of Wide Networks from Feynman Diagrams},
  author = {Dyer, Ethan and Gur-Ari, Guy},
  booktitle = {International Conference on Learning Representations},
  year = {2020},
}""",
)
