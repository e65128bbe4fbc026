"""The papers of this family."""

from __future__ import annotations

from theorylab.contract import Paper

BIROLI_MEZARD = Paper(
    title="Kernel Density Estimators in Large Dimensions",
    authors="G. Biroli and M. Mézard",
    year=2024,
    venue="arXiv",
    arxiv="2408.05807",
    bibtex="""@misc{biroli2024kernel,
  title = {Kernel Density Estimators in Large Dimensions},
  author = {Biroli, Giulio and M{\\'e}zard, Marc},
  year = {2024},
  eprint = {2408.05807},
  archivePrefix = {arXiv},
}""",
)

BIROLI_DYNAMICAL = Paper(
    title="Dynamical regimes of diffusion models",
    authors="G. Biroli, T. Bonnaire, V. de Bortoli and M. Mézard",
    year=2024,
    venue="Nature Communications 15",
    arxiv="2402.18491",
    bibtex="""@article{biroli2024dynamical,
  title = {Dynamical regimes of diffusion models},
  author = {Biroli, Giulio and Bonnaire, Tony and de Bortoli, Valentin and M{\\'e}zard, Marc},
  journal = {Nature Communications},
  volume = {15},
  year = {2024},
}""",
)

SHAUL = Paper(
    title="On Kinetic Optimal Probability Paths for Generative Models",
    authors="N. Shaul, R. T. Q. Chen, M. Nickel, M. Le and Y. Lipman",
    year=2023,
    venue="ICML 2023",
    arxiv="2306.06626",
    bibtex="""@inproceedings{shaul2023kinetic,
  title = {On Kinetic Optimal Probability Paths for Generative Models},
  author = {Shaul, Neta and Chen, Ricky T. Q. and Nickel, Maximilian and Le, Matthew and Lipman, Yaron},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
}""",
)

DERRIDA = Paper(
    title="Random-energy model: An exactly solvable model of disordered systems",
    authors="B. Derrida",
    year=1981,
    venue="Physical Review B 24",
    arxiv="",
    bibtex="""@article{derrida1981random,
  title = {Random-energy model: An exactly solvable model of disordered systems},
  author = {Derrida, Bernard},
  journal = {Physical Review B},
  volume = {24},
  pages = {2613--2626},
  year = {1981},
}""",
)
