"""theorylab: the theoretical toy models of deep learning, each simulated and each predicted.

Names are imported where they are used, so that ``import theorylab`` costs next to nothing.
"""

from __future__ import annotations

import importlib

from theorylab.version import __version__

# Not typing's own, which takes some milliseconds to import: Ctrl-C in them would not yet meet the command line.
TYPE_CHECKING = False
if TYPE_CHECKING:
    # The rooms, for ``theorylab.lab`` and so on without an import of their own.
    from theorylab import catalogue, contract, gallery, lab, numerics, own, runtime, settings, training, verdict  # noqa: F401
    from theorylab.catalogue import SETTINGS, cite, get
    from theorylab.contract import Case, ConfigError, ContractError, Observable, Paper, Setting, Theory
    from theorylab.lab.instance import advance, predict_instance, run
    from theorylab.lab.predict import predict
    from theorylab.lab.store import StoreError, open_results
    from theorylab.lab.sweep import sweep
    from theorylab.own import learning_curve
    from theorylab.runtime import configure
    from theorylab.training import gradient_descent
    from theorylab.verdict.compare import check, compare
    from theorylab.verdict.fit import fit
    from theorylab.verdict.search import FitError
    from theorylab.verdict.summary import latex, summary, table

# The public face: name -> module that defines it. The imports above say the same to type checkers; a test compares.
_PUBLIC = {
    "SETTINGS": "theorylab.catalogue",
    "cite": "theorylab.catalogue",
    "get": "theorylab.catalogue",
    "Case": "theorylab.contract",
    "ConfigError": "theorylab.contract",
    "ContractError": "theorylab.contract",
    "Observable": "theorylab.contract",
    "Paper": "theorylab.contract",
    "Setting": "theorylab.contract",
    "Theory": "theorylab.contract",
    "advance": "theorylab.lab.instance",
    "predict_instance": "theorylab.lab.instance",
    "run": "theorylab.lab.instance",
    "predict": "theorylab.lab.predict",
    "StoreError": "theorylab.lab.store",
    "open_results": "theorylab.lab.store",
    "sweep": "theorylab.lab.sweep",
    "learning_curve": "theorylab.own",
    "configure": "theorylab.runtime",
    "gradient_descent": "theorylab.training",
    "check": "theorylab.verdict.compare",
    "compare": "theorylab.verdict.compare",
    "FitError": "theorylab.verdict.search",
    "fit": "theorylab.verdict.fit",
    "latex": "theorylab.verdict.summary",
    "summary": "theorylab.verdict.summary",
    "table": "theorylab.verdict.summary",
}
_ROOMS = ("catalogue", "contract", "gallery", "lab", "numerics", "own", "runtime", "settings", "training", "verdict")

__all__ = [
    "SETTINGS",
    "Case",
    "ConfigError",
    "ContractError",
    "FitError",
    "Observable",
    "Paper",
    "Setting",
    "StoreError",
    "Theory",
    "__version__",
    "advance",
    "check",
    "cite",
    "compare",
    "configure",
    "fit",
    "get",
    "gradient_descent",
    "latex",
    "learning_curve",
    "open_results",
    "predict",
    "predict_instance",
    "run",
    "summary",
    "sweep",
    "table",
]


if not TYPE_CHECKING:  # a type checker would take a misspelt name for Any

    def __getattr__(name: str) -> object:
        if name in _PUBLIC:
            return getattr(importlib.import_module(_PUBLIC[name]), name)
        if name in _ROOMS:
            return importlib.import_module(f"theorylab.{name}")
        raise AttributeError(f"module 'theorylab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS])
