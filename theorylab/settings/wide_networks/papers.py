"""Publications of this family."""

from __future__ import annotations

from theorylab.contract import Paper

ROBERTS = Paper(
    title="The Principles of Deep Learning Theory",
    authors="D. A. Roberts, S. Yaida and B. Hanin",
    year=2022,
    venue="Cambridge University Press",
    arxiv="2106.10165",
    bibtex="""@book{roberts2022principles,
  title = {The Principles of Deep Learning Theory},
  author = {Roberts, Daniel A. and Yaida, Sho and Hanin, Boris},
  publisher = {Cambridge University Press},
  year = {2022},
}""",
)
