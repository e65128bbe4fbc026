"""Where a formula comes from, and how to cite it: papers, places in them, BibTeX."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theorylab.contract.setting import Setting

#: Entry of the library itself; the version is filled in.
SOFTWARE = """@software{{theorylab,
  title = {{theorylab: theoretical toy models of deep learning, each simulated and each predicted}},
  author = {{{{The theorylab developers}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}"""


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


def cite(setting: str | Setting | None = None) -> str:
    """Return BibTeX: this library, then the papers of a setting (a name or a setting), or of every one.

    Raises
    ------
    KeyError
        If there is no setting of that name; the message lists those there are.

    Examples
    --------
    >>> import theorylab
    >>> [line for line in theorylab.cite("random_features").splitlines() if line.startswith("@")]
    ['@software{theorylab,', '@inproceedings{simon2024more,']
    """
    import theorylab
    from theorylab.catalogue import SETTINGS, get

    chosen = list(SETTINGS) if setting is None else [setting]
    settings = [get(item) if isinstance(item, str) else item for item in chosen]
    entries = [SOFTWARE.format(version=theorylab.__version__)]
    entries += [paper.bibtex for item in settings for paper in item.references]
    return "\n\n".join(dict.fromkeys(entries)) + "\n"
