"""How to cite the settings' papers and this library, as BibTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from theorylab.lab.setting import Setting

#: Entry of the library itself; the version is filled in.
SOFTWARE = """@software{{theorylab,
  title = {{theorylab: theoretical toy models of deep learning, each simulated and each predicted}},
  author = {{{{The theorylab developers}}}},
  version = {{{version}}},
  license = {{Apache-2.0}},
}}"""


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
    entries += [paper.bibtex for item in settings for paper in item.papers]
    return "\n\n".join(dict.fromkeys(entries)) + "\n"
