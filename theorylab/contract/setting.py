"""The vocabulary shared by every setting: what an observable, a case and a setting are.

A theory of a toy model is two functions of the same arguments, ``simulate(key, config)`` and
``predict(key, config)``, each returning a dictionary of observables. This module names the parts;
it computes nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from theorylab.contract.fields import ConfigError, check_values, static_fields, validate
from theorylab.contract.notebook import setting_html
from theorylab.contract.papers import Paper, Source
from theorylab.contract.theory import ContractError, OfInstance, Sampler, Simulator, Theory, always, precise

#: Presets that every setting has: seconds, minutes (the committed pictures), published sizes (wants a GPU).
PRESETS = ("tiny", "default", "paper")
#: Names that results have for themselves, beside fields, observables and dimensions.
RESERVED = ("seed", "base_seed", "finished", "first_bad_step", "program_of")


@dataclasses.dataclass(frozen=True)
class Observable:
    """A measured quantity of a setting.

    Attributes
    ----------
    name
        Key in the dictionaries that ``simulate`` and ``predict`` return.
    description
        One line, with units or normalisation ("mean squared error on noisy labels").
    symbol
        LaTeX, for axis labels.
    dims
        Names of inner dimensions, such as ``("step",)``; their coordinates come from ``Setting.coords``.
    allow_nan
        Whether a non-finite value is a legitimate result ("threshold never reached") rather than divergence. It never
        stands for "not measured here": whatever a setting measures, it measures in every configuration.
    """

    name: str
    description: str
    symbol: str = ""
    dims: tuple[str, ...] = ()
    allow_nan: bool = False


@dataclasses.dataclass(frozen=True)
class Case:
    """One sweep: a base configuration, a grid over some of its fields, a number of seeds.

    ``show`` names the observable that the overview of the setting draws; by default the setting's first one.
    """

    name: str
    config: Any
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    seeds: int = 20
    note: str = ""
    show: str = ""


def no_coords(config: Any) -> Mapping[str, Sequence[Any]]:
    """Declare that no observable has inner dimensions."""
    return {}


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """A toy model: how to simulate it, and every theory of it.

    Attributes
    ----------
    papers
        The publications; the first is the one reproduced.
    config
        The configuration class, made with :func:`~theorylab.contract.config`.
    simulate
        ``(key, config) -> {observable: array}``, pure and traceable in the scalar fields.
    theories, observables
        What is predicted and what is measured.
    presets
        ``{"tiny", "default", "paper": (Case, ...)}``: what a check runs. The first case is the one that options
        override.
    sweeps
        Further cases by preset, which figures draw and no check runs.
    coords
        ``config -> {inner dimension: coordinates}`` for observables with inner dimensions.
    check_config
        Cross-field validation of a concrete configuration; raises :class:`~theorylab.contract.ConfigError`.
    needs
        ``config -> None``, or what a configuration needs that this machine lacks, with the remedy ("needs pip install
        ..."); by its static fields alone.
    sample, run
        ``(key, config) -> instance`` and ``(instance, config) -> observables``, which in turn are ``simulate``: for
        instances that somebody changes in between. Together or not at all.
    advance
        ``(instance, config) -> instance`` with the weights that the run ends with, for another run.
    name, title
        By default those of the module (or package) that holds the configuration class: its name, and the first line
        of its docstring.

    Raises
    ------
    ContractError
        Naming the clause of the contract that the declaration breaks.
    """

    papers: tuple[Paper, ...]
    config: type
    simulate: Simulator
    theories: tuple[Theory, ...]
    observables: tuple[Observable, ...]
    presets: Mapping[str, tuple[Case, ...]]
    sweeps: Mapping[str, tuple[Case, ...]] = dataclasses.field(default_factory=dict)
    coords: Callable[[Any], Mapping[str, Sequence[Any]]] = no_coords
    check_config: Callable[[Any], None] = always
    needs: Callable[[Any], str | None] = always
    sample: Sampler | None = None
    run: OfInstance | None = None
    advance: Callable[[Any, Any], Any] | None = None
    name: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "simulate", precise(self.simulate))
        if self.sample is not None and self.run is not None:
            object.__setattr__(self, "sample", precise(self.sample))
            object.__setattr__(self, "run", precise(self.run))
        home = self.config.__module__.removesuffix(".config")
        if not self.name:
            object.__setattr__(self, "name", home.rpartition(".")[2])
        if not self.title:
            doc = getattr(sys.modules.get(home), "__doc__", None) or self.name
            object.__setattr__(self, "title", doc.strip().splitlines()[0].rstrip("."))
        refuse(self)

    def _repr_html_(self) -> str:
        """As notebooks show it."""
        return setting_html(self)

    @property
    def references(self) -> tuple[Paper, ...]:
        """The papers, and those that the theories cite."""
        cited = [t.source.paper for t in self.theories if isinstance(t.source, Source)]
        return tuple(dict.fromkeys([*self.papers, *cited]))

    def observable(self, name: str) -> Observable:
        """Look up an observable by name; raises ``KeyError`` with the known names."""
        for observable in self.observables:
            if observable.name == name:
                return observable
        raise KeyError(f"{self.name} has no observable {name!r}; it has {[o.name for o in self.observables]}")

    def theory(self, name: str) -> Theory:
        """Look up a theory by name; raises ``KeyError`` with the known names."""
        for theory in self.theories:
            if theory.name == name:
                return theory
        raise KeyError(f"{self.name} has no theory {name!r}; it has {[t.name for t in self.theories]}")

    def case(self, preset: str, name: str) -> Case:
        """Look up a case among those that a check runs and those of the figures; raises ``KeyError``."""
        cases = (*self.presets[preset], *self.sweeps.get(preset, ()))
        for case in cases:
            if case.name == name:
                return case
        raise KeyError(f"{self.name} has no case {name!r} at {preset}; it has {[case.name for case in cases]}")

    def lacks(self, case: Case) -> str | None:
        """Say what a case needs that this machine lacks, or nothing; asked before anything runs."""
        static = {name: values for name, values in case.grid.items() if name in static_fields(case.config)}
        for values in itertools.product(*static.values()):
            why = self.needs(dataclasses.replace(case.config, **dict(zip(static, values, strict=True))))
            if why is not None:
                return why
        return None

    def validate(self, config: Any) -> Any:
        """Check a concrete configuration: types, ranges, and the setting's own cross-field rules.

        Returns it with every number in its field's own type.
        """
        if not isinstance(config, self.config):
            raise ConfigError(f"{self.name} needs a {self.config.__qualname__}, not {type(config).__qualname__}")
        config = validate(config)
        self.check_rules(config)
        return config

    def check_rules(self, config: Any) -> None:
        """Check the setting's own cross-field rules of a configuration whose fields are each within their range.

        Raises
        ------
        ConfigError
            As the rules say; or where their arithmetic leaves the floats, naming the values that are far from 1.
        """
        try:
            self.check_config(config)
        except (OverflowError, ZeroDivisionError) as error:
            numbers = {n: v for n, v in vars(config).items() if isinstance(v, float) and v and math.isfinite(v)}
            extreme = [f"{n} = {v!r}" for n, v in numbers.items() if not 1e-30 < abs(v) < 1e30] or ["this combination"]
            raise ConfigError(f"{', '.join(extreme)} is not allowed: a formula leaves the range of floats") from error


# --- the clauses that a declaration alone can break -----------------------------------------------------------


def refuse(setting: Setting) -> None:
    """Raise :class:`ContractError` for the first clause of the contract that a declaration breaks."""

    def broken(text: str) -> ContractError:
        return ContractError(f"setting {setting.name}: {text}")

    fields = getattr(setting.config, "__dataclass_fields__", {})
    for name, field in fields.items():
        if "static" not in field.metadata:
            raise broken(f"the field {name} is declared with neither size(...) nor scalar(...)")
    if not fields:
        raise broken("config must be a class made with @config, of fields made with size(...) and scalar(...)")
    if (setting.sample is None) != (setting.run is None) or (setting.advance is not None and setting.run is None):
        raise broken("sample and run belong together, and advance to both")
    observables = [o.name for o in setting.observables]
    for kind, names in (("observable", observables), ("theory", [t.name for t in setting.theories])):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise broken(f"two of {kind} {twice[0]!r}: names must be distinct")
    _refuse_types(setting.config, broken)
    # Results hold all of them: swept fields and dimensions as coordinates, observables as variables.
    dims = {dim for observable in setting.observables for dim in observable.dims}
    kinds = {"configuration field": set(fields), "observable": set(observables), "dimension": dims}
    for kind, called in kinds.items():
        if taken := sorted(called & set(RESERVED)):
            raise broken(f"{taken[0]!r}, a {kind}, is a name that results have for themselves: choose another")
    for (one, first), (other, second) in itertools.combinations(kinds.items(), 2):
        if shared := sorted(first & second):
            raise broken(f"{shared} are names of one {one} and one {other}: rename one")
    for theory in setting.theories:
        named = [*theory.predicts, *theory.estimates, *(v for v in theory.estimates.values() if isinstance(v, str))]
        named += theory.error if isinstance(theory.error, Mapping) else []
        if unknown := [name for name in named if name not in observables]:
            raise broken(f"theory {theory.name} names {unknown[0]!r}, which is no observable: {', '.join(observables)}")
    _refuse_presets(setting, broken)


def _refuse_types(config: type, broken: Callable[[str], ContractError]) -> None:
    """Refuse a field of which JSON, or a coordinate, would give back something else than was put in."""
    hints = get_type_hints(config)
    for name in config.__dataclass_fields__:  # type: ignore[attr-defined]
        choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
        kinds = {type(choice) for choice in choices} if choices else {hints[name]}
        if len(kinds) > 1 or not kinds <= {int, float, bool, str}:
            raise broken(
                f"the field {name} has the type {hints[name]}, which stored results would lose: "
                "choose int, float, bool, str, or a Literal of one of them"
            )


def _refuse_presets(setting: Setting, broken: Callable[[str], ContractError]) -> None:
    for preset in PRESETS:
        if not setting.presets.get(preset):
            raise broken(f"the preset {preset!r} is missing: tiny, default and paper are obligatory")
    for preset, cases in _cases(setting):
        names = [case.name for case in (*setting.presets[preset], *setting.sweeps.get(preset, ()))]
        if len(set(names)) < len(names):
            raise broken(f"two cases of the preset {preset} have one name: {', '.join(names)}")
        for case in cases:
            if not isinstance(case.config, setting.config):
                raise broken(f"case {case.name!r} of {preset} has no {setting.config.__qualname__}")
            for name, values in case.grid.items():
                try:
                    check_values(setting.config, name, values)
                except ConfigError as error:
                    raise broken(f"case {case.name!r} of {preset}: {error}") from None


def _cases(setting: Setting) -> Iterable[tuple[str, tuple[Case, ...]]]:
    for kind in (setting.presets, setting.sweeps):
        for preset, cases in kind.items():
            if preset not in PRESETS:
                raise ContractError(f"setting {setting.name}: preset {preset!r}, choose one of {', '.join(PRESETS)}")
            yield preset, cases
