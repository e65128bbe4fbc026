"""theorylab: the theoretical toy models of deep learning, each simulated and each predicted.

Names are imported where they are used, so that ``import theorylab`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# The public face: name -> module that defines it.
_PUBLIC = {
    "get": "theorylab.catalogue",
    "SETTINGS": "theorylab.catalogue",
    "start_application": "theorylab.runtime",
    "sweep": "theorylab.lab.sweep",
    "predict": "theorylab.lab.sweep",
    "open_results": "theorylab.lab.store",
    "compare": "theorylab.lab.compare",
    "cite": "theorylab.lab.citation",
    "gradient_descent": "theorylab.training",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    from theorylab.catalogue import SETTINGS

    if name in SETTINGS or name in ("lab", "numerics", "training", "catalogue", "runtime"):
        return importlib.import_module(f"theorylab.{name}")
    raise AttributeError(f"module 'theorylab' has no attribute {name!r}")


def __dir__() -> list[str]:
    from theorylab.catalogue import SETTINGS

    return sorted([*__all__, *SETTINGS])
