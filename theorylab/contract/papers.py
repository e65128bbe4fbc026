"""Where a formula comes from: papers, and places in them."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Paper:
    """A publication; ``arxiv`` is empty where there is no preprint, ``authors`` are "A. One, B. Two and C. Three"."""

    title: str
    authors: str
    year: int
    venue: str
    arxiv: str
    bibtex: str

    def at(self, place: str) -> Source:
        """Name a place in the paper: a theorem, an equation, an appendix."""
        return Source(self, place)

    @property
    def short(self) -> str:
        """The family names and the year: ``Wu and Su 2023``."""
        names = [name.split()[-1] for name in self.authors.replace(" and ", ", ").split(", ") if name]
        shown = " and ".join(names) if len(names) <= 2 else f"{names[0]} et al."
        return f"{shown} {self.year}"

    def __str__(self) -> str:
        return f"{self.short}, arXiv {self.arxiv}" if self.arxiv else f"{self.short}, {self.venue}"


@dataclasses.dataclass(frozen=True)
class Source:
    """A place in a paper."""

    paper: Paper
    place: str

    def __str__(self) -> str:
        return f"{self.paper}, {self.place}"


# --- papers that settings of several families cite --------------------------------------------------------------------

LEWKOWYCZ = Paper(
    title="The large learning rate phase of deep learning: the catapult mechanism",
    authors="A. Lewkowycz, Y. Bahri, E. Dyer, J. Sohl-Dickstein and G. Gur-Ari",
    year=2020,
    venue="arXiv",
    arxiv="2003.02218",
    bibtex="""@article{lewkowycz2020large,
  title = {The large learning rate phase of deep learning: the catapult mechanism},
  author = {Lewkowycz, Aitor and Bahri, Yasaman and Dyer, Ethan and Sohl-Dickstein, Jascha and Gur-Ari, Guy},
  journal = {arXiv preprint arXiv:2003.02218},
  year = {2020},
}""",
)
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
