"""The catalogue of settings: one line each. Importing it imports no numerical library."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from theorylab.lab.setting import Setting

#: ``tiny`` takes seconds, ``default`` minutes (the committed pictures), ``paper`` has published sizes and wants a GPU.
Preset = Literal["tiny", "default", "paper"]

SETTINGS = {
    "random_features": "Random-feature ridge regression: more is better",
    "linear_attention": "Linear attention: one layer, one step of gradient descent",
    "matrix_sensing": "Matrix sensing: how over-parameterisation slows gradient descent",
    "xor": "XOR clusters: benign overfitting and grokking in a ReLU network",
    "grokking": "Grokking: from lazy to rich training",
}


def get(name: str) -> Setting:
    """Return a setting by name.

    Raises
    ------
    KeyError
        If there is no such setting; the message lists those there are.

    Examples
    --------
    >>> from theorylab import get
    >>> setting = get("xor")
    >>> setting.papers[0].arxiv, list(setting.presets)
    ('2310.02541', ['tiny', 'default', 'paper'])
    """
    if name not in SETTINGS:
        raise KeyError(f"unknown setting {name!r}: choose one of {', '.join(SETTINGS)}")
    setting: Setting = importlib.import_module(f"theorylab.{name}").SETTING
    return setting
