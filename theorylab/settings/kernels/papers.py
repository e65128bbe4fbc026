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
