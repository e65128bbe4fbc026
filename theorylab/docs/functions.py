"""The functions that a theorist wants first, as code of one setting: what its page begins with.

The configuration is that of a case of the preset tiny, so that the code runs in seconds; a test runs it.
"""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from theorylab.contract.fields import scalar_fields

if TYPE_CHECKING:
    from theorylab.contract import Case, Setting, Theory

#: Columns of a line of code that a page shows whole.
WIDTH = 94
SEEDS = 8


def functions_of(setting: Setting) -> str:
    """Return the section: code in which each line is one function and one sentence, and what else there is."""
    config, field, values, theory = example(setting)
    others = [f for f in dataclasses.fields(setting.config) if f.name != field]
    given = [(f.name, value) for f in others if (value := getattr(config, f.name)) != f.default]
    arguments = [f"{name}={number(value).removesuffix('.0')}" for name, value in [*given, (field, values[0])]]
    shown = theory.predicts[0]
    grid = f'{{"{field}": ({", ".join(map(number, values))})}}'
    differentiable = theory.traceable and field in scalar_fields(setting.config)
    lines = [
        *["import dataclasses", ""] * differentiable,
        "import jax",
        "import theorylab as tl",
        "from theorylab.verdict.overview import plot",
        "",
        "tl.configure()  # float64, and compiled programs are kept",
        f'setting = tl.get("{setting.name}")  # a notebook shows papers, observables, theories',
        *call("config = setting.config", arguments),
        "key = jax.random.key(0)",
        "",
        *_one_run(setting, theory, shown),
        "",
        "# Theory: a function of the same arguments. holds(config) is None, or says why it does not.",
        f'theory = setting.theory("{theory.name}")',
        "print(theory.holds(config))",
        f'print(theory.predict(key, config)["{shown}"])',
    ]
    if differentiable:
        lines += [
            "",
            "",
            "# Its slope in a parameter: theories are differentiable, and jax.vmap maps them over arrays.",
            "def predicted(value):",
            f"    return theory.predict(key, dataclasses.replace(config, {field}=value))",
            "",
            "",
            f'print(jax.jacfwd(predicted)({number(values[0])})["{shown}"])',
        ]
    lines += [
        "",
        f"# Both on a grid, {SEEDS} seeds each: xarray.Datasets. store=... keeps runs on disk, as they come.",
        f"grid = {grid}",
        f"data = tl.sweep(setting, config, grid, seeds={SEEDS})",
        f'curve = tl.predict(setting, config, grid, seeds={SEEDS}, theory="{theory.name}")',
        "print(tl.summary(data))  # means with their standard errors",
        "",
        "# Do they agree? A row an observable and value; without theories=..., all are tried.",
        f'rows = tl.compare(setting, data, theories=["{theory.name}"])',
        "print(tl.table(rows))",
        "",
        "# Points with standard errors, the theory as a line: a figure of Matplotlib's.",
        *call("figure = plot", ["setting", "data", f'x="{field}"', f'y="{shown}"', f'theories=["{theory.name}"]']),
    ]
    code = "\n".join(lines)
    return f"```python\n{code}\n```\n\n{_further(setting, theory)}"


def _one_run(setting: Setting, theory: Theory, shown: str) -> Iterator[str]:
    if setting.sample is None:
        yield "# Simulate: one run, a dictionary of observables; jax.jit, vmap and grad go through it."
        yield "run = jax.jit(setting.simulate)(key, config)"
    else:
        yield "# Simulate: draw an instance (data, initial weights), change it if you like, and run it."
        yield "instance = setting.sample(key, config)"
        yield "run = tl.run(setting, instance, config)"
    yield f'print(run["{shown}"])'


def _further(setting: Setting, theory: Theory) -> str:
    """What else is there, in a sentence each."""
    name = setting.name
    said = []
    if any(t.traceable for t in setting.theories) and scalar_fields(setting.config):
        said.append("`tl.fit` estimates parameters from measured curves ([fitting](../fitting.md)).")
    if able := [f"`{t.name}`" for t in setting.theories if t.of_instance is not None]:
        said.append(
            f"`tl.predict_instance` gives {', '.join(able)} of your own instance ([instances](../instances.md))."
        )
    if setting.advance is not None:
        said.append("`tl.advance` trains on.")
    said.append(f"In a terminal, `theorylab describe {name}` prints every symbol, default and source, and")
    said.append(f'`theorylab check {name} --preset tiny` tries every theory. `tl.cite("{name}")` returns BibTeX.')
    return textwrap.fill(" ".join(said), WIDTH, break_long_words=False, break_on_hyphens=False)


def example(setting: Setting) -> tuple[Any, str, tuple[Any, ...], Theory]:
    """Choose a configuration, a field with two values, and a theory that holds at both.

    Preferred are a case that sweeps a scalar, and a theory that is traceable and speaks of means.
    """
    found = [(badness, *rest) for case in setting.presets["tiny"] for badness, *rest in _choices(setting, case)]
    _, config, field, values, theory = min(found, key=lambda item: item[0])
    return config, field, values, theory


def _choices(setting: Setting, case: Case) -> Iterator[tuple[Any, ...]]:
    scalars = scalar_fields(setting.config)
    numbers = {n: (v[0], v[-1]) for n, v in case.grid.items() if len(v) > 1 and isinstance(v[0], (int, float))}
    swept: dict[str, tuple[Any, ...]] = {n: tuple(map(float, v)) if n in scalars else v for n, v in numbers.items()}
    fallback = {n: (getattr(case.config, n) / 2, getattr(case.config, n)) for n in scalars if getattr(case.config, n)}
    for fields in (swept, {} if swept else fallback):
        for field, values in fields.items():
            first, second = (dataclasses.replace(case.config, **{field: value}) for value in values)
            for theory in setting.theories:
                if theory.holds(first) is None and theory.holds(second) is None:
                    bad = (fields is fallback, not theory.traceable, field not in scalars, bool(theory.estimates))
                    yield bad, first, field, values, theory


def call(function: str, arguments: list[str]) -> list[str]:
    """Lines of a call, as ruff formats it."""
    inside = ", ".join(arguments)
    if len(line := f"{function}({inside})") <= WIDTH:
        return [line]
    if len(line := f"    {inside}") <= WIDTH:
        return [f"{function}(", line, ")"]
    return [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def number(value: Any) -> str:
    """Write a value as code, numbers to four digits."""
    if isinstance(value, float):
        return f'float("{value}")' if math.isinf(value) else repr(float(f"{value:.4g}"))
    return f'"{value}"' if isinstance(value, str) else repr(value)
