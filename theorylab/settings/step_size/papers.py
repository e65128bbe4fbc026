"""The papers of this family."""

from __future__ import annotations

from theorylab.contract import Paper

MULAYOFF = Paper(
    title="Exact Mean Square Linear Stability Analysis for SGD",
    authors="R. Mulayoff and T. Michaeli",
    year=2024,
    venue="COLT 2024",
    arxiv="2306.07850",
    bibtex="""@inproceedings{mulayoff2024exact,
  title = {Exact Mean Square Linear Stability Analysis for {SGD}},
  author = {Mulayoff, Rotem and Michaeli, Tomer},
  booktitle = {Conference on Learning Theory},
  series = {Proceedings of Machine Learning Research},
  volume = {247},
  pages = {3915--3969},
  year = {2024},
}""",
)

WU_SU = Paper(
    title="The Implicit Regularization of Dynamical Stability in Stochastic Gradient Descent",
    authors="L. Wu and W. J. Su",
    year=2023,
    venue="ICML 2023",
    arxiv="2305.17490",
    bibtex="""@inproceedings{wu2023implicit,
  title = {The Implicit Regularization of Dynamical Stability in Stochastic Gradient Descent},
  author = {Wu, Lei and Su, Weijie J.},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
}""",
)

GRANZIOL = Paper(
    title="Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to Neural Network Training",
    authors="D. Granziol, S. Zohren and S. Roberts",
    year=2022,
    venue="JMLR 23",
    arxiv="2006.09092",
    bibtex="""@article{granziol2022learning,
  title = {Learning Rates as a Function of Batch Size: A Random Matrix Theory Approach to Neural Network Training},
  author = {Granziol, Diego and Zohren, Stefan and Roberts, Stephen},
  journal = {Journal of Machine Learning Research},
  volume = {23},
  year = {2022},
}""",
)

BENAYCH_GEORGES = Paper(
    title="The eigenvalues and eigenvectors of finite, low rank perturbations of large random matrices",
    authors="F. Benaych-Georges and R. R. Nadakuditi",
    year=2011,
    venue="Advances in Mathematics 227",
    arxiv="0910.2120",
    bibtex="""@article{benaychgeorges2011eigenvalues,
  title = {The eigenvalues and eigenvectors of finite, low rank perturbations of large random matrices},
  author = {Benaych-Georges, Florent and Nadakuditi, Raj Rao},
  journal = {Advances in Mathematics},
  volume = {227},
  year = {2011},
}""",
)

LU_BENIGN = Paper(
    title="Benign Oscillation of Stochastic Gradient Descent with Large Learning Rates",
    authors="M. Lu, B. Wu, X. Yang and D. Zou",
    year=2024,
    venue="ICLR 2024",
    arxiv="2310.17074",
    bibtex="""@inproceedings{lu2024benign,
  title = {Benign Oscillation of Stochastic Gradient Descent with Large Learning Rates},
  author = {Lu, Miao and Wu, Beining and Yang, Xiaodong and Zou, Difan},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
)
