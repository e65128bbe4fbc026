"""What MkDocs does not do by itself: the gallery of ``paper_figures/`` with its pictures, and roles in docstrings.

Pages link to the files in the repository, so that they work on a code host too; the site gets copies.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

FIGURES = Path(__file__).parents[2] / "paper_figures"
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([^<]*)</code>")


def on_files(files: Files, config: Any) -> Files:
    """Add the gallery as ``gallery.md``, and its pictures as ``figures/NAME.png``."""
    text = (FIGURES / "README.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "gallery.md", content=re.sub(r"\]\((\w+\.png)\)", r"](figures/\1)", text)))
    for path in sorted(FIGURES.glob("*.png")):
        files.append(File.generated(config, f"figures/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point the links at the copies."""
    up = "../" * page.file.src_uri.count("/")
    folder = f"../../../{up}paper_figures/"
    return markdown.replace(f"{folder}README.md", f"{up}gallery.md").replace(folder, f"{up}figures/")


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Show the roles of docstrings (``:func:`~package.name```) as the name alone."""
    return ROLE.sub(lambda match: f"<code>{match[1].rsplit('.', 1)[-1]}</code>", html)
