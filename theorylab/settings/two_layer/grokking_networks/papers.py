"""Publications that the networks are from."""

from __future__ import annotations

from theorylab.contract import Paper

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
