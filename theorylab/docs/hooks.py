"""What MkDocs does not do by itself: navigation, the gallery with its pictures, roles in docstrings, formulas.

Formulas become MathML, which browsers draw by themselves: the site loads nothing and works without a network.

Pages link to the files in the repository, so that they work on a code host too; the site gets copies. Nothing here
imports JAX: the site is built where the package is not installed.
"""

from __future__ import annotations

import html as entities
import re
import sys
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from theorylab.docs.derive import first_page, gallery_navigation, navigation, own_settings  # noqa: E402

FIGURES = ROOT / "paper_figures"
FORMULA = re.compile(
    r'<span class="arithmatex">\\\((.*?)\\\)</span>|<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL
)
TAG = re.compile(r"\\tag\{([^}]*)\}")
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([^<]*)</code>")


def on_config(config: Any) -> Any:
    """Fill in the navigation where mkdocs.yml says ``derived``."""
    derived = {"Settings": navigation(), "Gallery": gallery_navigation(FIGURES)}
    config["nav"] = [
        {title: derived[title] if goal == "derived" else goal} for item in config["nav"] for title, goal in item.items()
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the gallery: ``gallery.md``, ``gallery/SETTING.md``, and pictures as ``figures/SETTING/NAME.png``.

    Pages of settings that are not in the catalogue (yet) are left out; a setting without a page gets a first one.
    """
    for file in list(files):
        path = Path(file.src_uri)
        if path.parts[0] == "settings" and path.suffix == ".md" and path.stem not in own_settings():
            files.remove(file)
    for name in own_settings():
        if files.get_file_from_path(f"settings/{name}.md") is None:
            files.append(File.generated(config, f"settings/{name}.md", content=first_page(name)))
    text = (FIGURES / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\]\((\w+)/README\.md\)", r"](gallery/\1.md)", text)
    text = re.sub(r"\]\((\w+/\w+\.png)\)", r"](figures/\1)", text)
    files.append(File.generated(config, "gallery.md", content=text))
    for readme in sorted(FIGURES.glob("*/README.md")):
        name = readme.parent.name
        if name not in own_settings():
            continue
        text = readme.read_text(encoding="utf-8")
        text = re.sub(r"\]\((\w+\.png)\)", rf"](../figures/{name}/\1)", text)
        text = re.sub(r"\]\(\.\./(\w+)/README\.md\)", r"](\1.md)", text)
        files.append(File.generated(config, f"gallery/{name}.md", content=text))
    for path in sorted(FIGURES.glob("*/*.png")):
        uri = f"figures/{path.parent.name}/{path.name}"
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Point the links at the copies."""
    up = "../" * page.file.src_uri.count("/")
    folder = f"../../../{up}paper_figures/"
    markdown = markdown.replace(f"{folder}README.md", f"{up}gallery.md")
    markdown = re.sub(re.escape(folder) + r"(\w+)/README\.md", rf"{up}gallery/\1.md", markdown)
    return markdown.replace(folder, f"{up}figures/")


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Show the roles of docstrings (``:func:`~package.name```) as the name alone, and formulas as MathML."""
    html = ROLE.sub(lambda match: f"<code>{match[1].rsplit('.', 1)[-1]}</code>", html)
    return FORMULA.sub(lambda match: mathml(entities.unescape(match[1] or match[2]), block=match[1] is None), html)


def mathml(formula: str, *, block: bool) -> str:
    """Return a formula of LaTeX as MathML; the number of an equation stands to its right."""
    number = TAG.search(formula)
    drawn = convert(TAG.sub("", formula).strip(), display="block" if block else "inline")
    if not block:
        return drawn
    label = f'<span class="equation-number">({number[1]})</span>' if number else ""
    return f'<div class="equation">{drawn}{label}</div>'


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Take the search's helper for pages on a disk from the site itself, where the theme names another server's."""
    up = "../" * page.file.dest_uri.count("/")
    return output.replace("https://unpkg.com/iframe-worker/shim", f"{up}javascripts/search.js")


def on_post_template(output: str, template_name: str, config: Any) -> str:
    """Do the same in the page that stands where there is none."""
    return output.replace("https://unpkg.com/iframe-worker/shim", "javascripts/search.js")
