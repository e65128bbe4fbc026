"""Publications that the networks are from."""

from __future__ import annotations

from theorylab.contract import Paper

PRIETO = Paper(
    title="Grokking at the Edge of Numerical Stability",
    authors="L. Prieto, M. Barsbey, P. A. M. Mediano and T. Birdal",
    year=2025,
    venue="ICLR 2025",
    arxiv="2501.04697",
    bibtex="""@inproceedings{prieto2025grokking,
  title = {Grokking at the Edge of Numerical Stability},
  author = {Prieto, Lucas and Barsbey, Melih and Mediano, Pedro A. M. and Birdal, Tolga},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
}""",
)
NANDA = Paper(
    title="Progress Measures for Grokking via Mechanistic Interpretability",
    authors="N. Nanda, L. Chan, T. Lieberum, J. Smith and J. Steinhardt",
    year=2023,
    venue="ICLR 2023",
    arxiv="2301.05217",
    bibtex="""@inproceedings{nanda2023progress,
  title = {Progress Measures for Grokking via Mechanistic Interpretability},
  author = {Nanda, Neel and Chan, Lawrence and Lieberum, Tom and Smith, Jess and Steinhardt, Jacob},
  booktitle = {International Conference on Learning Representations},
  year = {2023},
}""",
)
