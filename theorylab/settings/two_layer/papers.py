"""Publications that several settings of this family are from."""

from __future__ import annotations

from theorylab.contract import Paper

KUMAR = Paper(
    title="Grokking as the Transition from Lazy to Rich Training Dynamics",
    authors="T. Kumar, B. Bordelon, S. J. Gershman and C. Pehlevan",
    year=2024,
    venue="ICLR 2024",
    arxiv="2310.06110",
    bibtex="""@inproceedings{kumar2024grokking,
  title = {Grokking as the Transition from Lazy to Rich Training Dynamics},
  author = {Kumar, Tanishq and Bordelon, Blake and Gershman, Samuel J. and Pehlevan, Cengiz},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
)
