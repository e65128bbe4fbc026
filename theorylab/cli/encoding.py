"""Output that never dies of an encoding: what a terminal or a redirected file cannot hold is written in plain letters.

Windows writes redirected output in the encoding of the system (cp1252, mostly), which has no Greek letters, no minus
sign and no lines of tables.
"""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

#: Error handler that replaces a character instead of raising.
PLAIN = "theorylab.plain"

_PLAIN = {
    "−": "-", "–": "-", "—": "-", "·": ".", "×": "x", "÷": "/", "±": "+-", "∞": "inf", "√": "sqrt", "∈": " in ",
    "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~", "∝": "~", "→": "->", "←": "<-", "⇒": "=>", "…": "...", "∂": "d",
    "‖": "||", "⟨": "<", "⟩": ">", "’": "'", "‘": "'", "“": '"', "”": '"', "✓": "ok", "✗": "x", "•": "*",
    "│": "|", "║": "|", "┃": "|", "─": "-", "━": "-", "═": "=", "█": "#",
}  # fmt: skip


def plain(text: str) -> str:
    """Return a text in ASCII: usual spellings, the names of Greek letters, letters without their accents, else ``?``.

    Examples
    --------
    >>> plain("λ₁ ≤ 10⁻³, é")
    'lambda1 <= 10^-3, e'
    """
    written, raised = [], False
    for character in text:
        superscript = unicodedata.decomposition(character).startswith("<super>")
        written.append("^" * (superscript and not raised) + _letter(character))
        raised = superscript
    return "".join(written)


def _letter(character: str) -> str:
    if character.isascii():
        return character
    if character in _PLAIN:
        return _PLAIN[character]
    name = unicodedata.name(character, "")
    if name.startswith(("GREEK SMALL LETTER ", "GREEK CAPITAL LETTER ")):
        letter = name.rpartition(" ")[2].replace("LAMDA", "LAMBDA")
        return letter.capitalize() if "CAPITAL" in name else letter.lower()
    if name.startswith("BOX DRAWINGS"):
        return "+"
    if unicodedata.combining(character):
        return ""
    parts = "".join(_PLAIN.get(part, part) for part in unicodedata.normalize("NFKD", character))
    return parts.encode("ascii", "ignore").decode() or "?"


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def never_fail() -> None:
    """Let this process's output replace what its encoding lacks."""
    codecs.register_error(PLAIN, _handle)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors=PLAIN)
