"""A first version of a new setting: it runs, passes lint, and holds one theory whose check fails until filled in."""

from __future__ import annotations

import keyword
import os
from pathlib import Path

from theorylab.contract import ConfigError

INIT = '''"""{title}.

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the theories serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Paper, Setting

from .config import PRESETS, Config, check_config
from .predictions import THEORIES
from .train import simulate

SETTING = Setting(
    name="{name}",
    title="{title}",
    papers=(
        Paper(
            title="Title of the paper",
            authors="A. Author and B. Author",
            year=2000,
            venue="Venue",
            arxiv="0000.00000",
            bibtex="@misc{{{name}}}",
        ),
    ),
    config=Config,
    presets=PRESETS,
    simulate=simulate,
    theories=THEORIES,
    observables=(Observable("test_error", "squared error of the sample mean", r"\\mathcal{{E}}"),),
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
'''

CONFIG = '''"""Configuration of {name}, and its presets."""

from __future__ import annotations

from theorylab.contract import Case, ConfigError, config, scalar, size


@config
class Config:
    """The mean of ``num_samples`` Gaussian numbers as an estimate of their expectation.

    ``size`` fields are static (each value compiles a program), ``scalar`` fields are swept in one program.
    """

    num_samples: int = size(default=50, help="samples", symbol="n", at_least=1)
    scale: float = scalar(default=1.0, help="standard deviation of a sample", symbol=r"\\sigma", above=0)


def check_config(config: Config) -> None:
    """Check what involves several fields.

    Raises
    ------
    ConfigError
        Naming the field, its value and what is allowed.
    """
    if config.num_samples * config.scale > 1e9:
        raise ConfigError(f"scale = {{config.scale:g}} is not allowed: num_samples * scale must be at most 1e9")


PRESETS: dict[str, tuple[Case, ...]] = {{
    "tiny": (Case("{name}", Config(), {{"scale": (0.5, 1.0, 2.0)}}, seeds=200),),
}}
'''

TRAIN = '''"""Simulate {name}."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from theorylab.contract import Observables
from theorylab.numerics import random

from .config import Config


def simulate(key: jax.Array, config: Config) -> Observables:
    """Draw one instance and measure it: ``test_error`` is (x̄ - μ)² at μ = 0.

    Pure, and traceable in every scalar field.
    """
    samples = config.scale * random.normal(key, config.num_samples)
    return {{"test_error": jnp.mean(samples) ** 2}}
'''

PREDICTIONS = '''"""The theories of {name}: predictors of (key, config)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from theorylab.contract import Observables, Theory

from .config import Config


def predict_mean_error(key: jax.Array, config: Config) -> Observables:
    """Predict E (x̄ - μ)²."""
    # Fill in: the formula, in the fields of config. Until then every check of this theory fails.
    return {{"test_error": jnp.zeros(())}}


def mean_error_holds(config: Config) -> str | None:
    """Say why the theory does not apply to a configuration; None where it does."""
    return None


def finite_size(config: Config, observable: str) -> float:
    """Relative error of the theory at finite size: 0 where it is exact on average."""
    return 0.0


MEAN_ERROR = Theory(
    "mean_error",
    predict_mean_error,
    "ensemble",
    "Paper, theorem or equation",
    holds=mean_error_holds,
    error=finite_size,
)
THEORIES = (MEAN_ERROR,)
'''

MAIN = '''"""``python -m {name}``: simulate, predict, compare; exit code 1 if a theory disagrees."""

from __future__ import annotations

import sys


def main(preset: str = "tiny") -> int:
    """Check the preset and print the table."""
    from rich.console import Console

    from theorylab.verdict.compare import check
    from theorylab.verdict.table import terminal_table
    from theorylab.runtime import configure

    from . import SETTING

    configure()
    rows = [row for _, _, part in check(SETTING, SETTING.presets[preset]) for row in part]
    # A table in a file or a pipe must not be folded to 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(terminal_table(SETTING, rows, every_row=True))
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
'''

TEST = '''"""Theory against simulation, and a slightly wrong theory that the same check must reject."""

from __future__ import annotations

import dataclasses

import jax
import pytest
from {name} import SETTING

from theorylab.verdict.compare import check, compare
from theorylab.runtime import configure


@pytest.fixture(scope="module")
def checked():
    """Results and rows of the tiny preset."""
    configure(cache=False)
    return list(check(SETTING, SETTING.presets["tiny"]))


def test_theory_agrees_with_simulation(checked):
    """Fails until the theory is filled in."""
    assert [row for _, _, rows in checked for row in rows if row.status != "agrees"] == []


def test_a_prediction_15_percent_off_is_rejected():
    """The negative control."""
    theory = SETTING.theories[0]

    def wrong(key, config):
        return jax.tree.map(lambda value: 1.15 * value, theory.predict(key, config))

    control = dataclasses.replace(theory, name="wrong", predict=wrong)
    # A fresh sweep with enough seeds to see 15%.
    case = SETTING.presets["tiny"][0]
    [(_, data, _)] = check(SETTING, [dataclasses.replace(case, seeds=20_000)])
    assert all(row.status == "disagrees" for row in compare(SETTING, data, case.config, case.grid, theories=[control]))
'''

FILES = {
    "{name}/__init__.py": INIT,
    "{name}/config.py": CONFIG,
    "{name}/train.py": TRAIN,
    "{name}/predictions.py": PREDICTIONS,
    "{name}/__main__.py": MAIN,
    "test_{name}.py": TEST,
}


def new_setting(name: str, folder: str | os.PathLike[str] = ".") -> list[Path]:
    """Write the package ``name`` of one setting, and its test, into ``folder``; return the files.

    Raises
    ------
    ConfigError
        If the name cannot be a module's, or a file is there already. Nothing is written then.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name.startswith("_"):
        raise ConfigError(f"name = {name!r} is not allowed: must be a Python module name in lower case")
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    files = {Path(folder) / path.format(**words): text.format(**words) for path, text in FILES.items()}
    for path in files:
        if path.exists():
            raise ConfigError(f"name = {name!r} is not allowed: {path} is there already")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)
