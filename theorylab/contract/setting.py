"""The vocabulary shared by every setting: what an observable, a theory, a control, a case and a setting are.

A theory of a toy model is two functions of the same arguments, ``simulate(key, config)`` and
``predict(key, config)``, each returning a dictionary of observables. This module names the parts;
it computes nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax

from theorylab.contract.fields import ConfigError, check_values, static_fields, validate
from theorylab.contract.papers import Paper, Source

Observables = dict[str, jax.Array]
Simulator = Callable[[jax.Array, Any], Observables]
Predictor = Callable[[jax.Array, Any], Observables]
Kind = Literal["exact", "instance", "ensemble"]
#: A relative error: one for all observables, one for each of some, or a function of the configuration.
DeclaredError = float | Mapping[str, float] | Callable[[Any, str], float]

#: Presets that every setting has: seconds, minutes (the committed pictures), published sizes (wants a GPU).
PRESETS = ("tiny", "default", "paper")
#: Declared error of an exact theory: what float64 rounding leaves, relative.
ROUNDING = 1e-8


def precise(function: Simulator) -> Simulator:
    """Give every product of a function the full precision of its numbers, unless the user chose one.

    A GPU's default for float32 is TF32, a TPU's bfloat16: errors of one part in a thousand, which would pose as a gap
    between theory and experiment. What ``jax_default_matmul_precision`` says stays.
    """

    @functools.wraps(function)
    def run(key: jax.Array, config: Any) -> Observables:
        config_of_jax: Any = jax.config
        if config_of_jax.jax_default_matmul_precision is not None:
            return function(key, config)
        with jax.default_matmul_precision("highest"):
            return function(key, config)

    return run


class ContractError(ValueError):
    """A setting, theory or observable is not declared as the laboratory needs it; the message says what to change."""


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


def always(config: Any) -> None:
    """Say that a theory holds for every configuration of its setting."""
    return None


@dataclasses.dataclass(frozen=True)
class Control:
    """A wrong theory made from the right one: ``wrap(predict)`` returns the wrong predictor.

    :func:`times` and :func:`at_config` make the usual ones. A control that has a formula of its own is simply a
    predictor ``(key, config) -> observables``.
    """

    wrap: Callable[[Predictor], Predictor]


def times(factor: float, *observables: str) -> Control:
    """Control: the prediction times a factor, of all observables or of those named."""

    def wrap(predict: Predictor) -> Predictor:
        def wrong(key: jax.Array, config: Any) -> Observables:
            right = predict(key, config)
            return {name: factor * value for name, value in right.items() if not observables or name in observables}

        return wrong

    return Control(wrap)


def at_config(change: Callable[[Any], Any]) -> Control:
    """Control: the same formula at a changed configuration, as a theory that misreads one of its parameters."""

    def wrap(predict: Predictor) -> Predictor:
        return lambda key, config: predict(key, change(config))

    return Control(wrap)


@dataclasses.dataclass(frozen=True, eq=False)
class Theory:
    """A prediction of some observables; made by decorating its predictor with :func:`theory`.

    Attributes
    ----------
    name
        Short identifier, unique within the setting.
    predict
        ``(key, config) -> {observable: array}``: some of ``predicts``, with the names and shapes of ``simulate``.
        It is called only where ``holds`` says nothing.
    kind
        ``"exact"``: the prediction is for the instance that ``key`` fixes, and every seed must agree within
        ``error``. ``"instance"``: for the instance too, but with a statistical residual; the paired
        differences are averaged over seeds. ``"ensemble"``: independent of ``key``; compared with the mean
        over seeds.
    source
        A place in a paper, or a sentence where the formula was derived here.
    predicts
        Names of the observables that it predicts.
    holds
        ``config -> None`` where the theory applies, otherwise a sentence that says why it does not. Sees
        concrete configurations only.
    error
        The declared relative error of the theory: a number, ``{observable: number}``, or
        ``(config, observable) -> number``; finite and not negative wherever the theory holds.
    controls
        ``{name: wrong predictor or Control}``: wrong versions of this theory that a check must reject.
    traceable
        Whether ``predict`` can be jitted and vmapped. A host-side theory (SciPy) is called cell by cell.
    estimates
        For a theory that estimates an observable from the same instance's data: ``{observable: the observable
        of simulate that estimates it}``. A comparison then uses the simulated values and runs nothing again.
    """

    name: str
    predict: Predictor
    kind: Kind
    source: Source | str
    predicts: tuple[str, ...] = ()
    holds: Callable[[Any], str | None] = always
    error: DeclaredError = 0.0
    controls: Mapping[str, Predictor | Control] = dataclasses.field(default_factory=dict)
    traceable: bool = True
    estimates: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ContractError(f"theory {self.name}: kind = {self.kind!r}, choose one of {', '.join(get_args(Kind))}")
        if isinstance(self.predicts, str) or not self.predicts:
            raise ContractError(f"theory {self.name}: predicts = {self.predicts!r}, name its observables in a tuple")
        object.__setattr__(self, "__doc__", self.predict.__doc__)
        object.__setattr__(self, "predict", precise(self.predict))

    def __call__(self, key: jax.Array, config: Any) -> Observables:
        """Evaluate the formula, whether or not the theory holds there."""
        return self.predict(key, config)

    def relative_error(self, config: Any, observable: str) -> float:
        """Return the declared relative error of one observable at a configuration where the theory holds.

        Raises
        ------
        ContractError
            If it is negative or not finite.
        """
        declared = self.error
        if isinstance(declared, Mapping):
            if observable not in declared:
                raise ContractError(f"theory {self.name} declares no error of {observable}")
            declared = declared[observable]
        value = float(declared(config, observable) if callable(declared) else declared)
        if not (math.isfinite(value) and value >= 0):
            raise ContractError(f"theory {self.name}: the error of {observable} is {value}, must be finite and >= 0")
        return value

    def control(self, name: str) -> Theory:
        """Return a control as a theory of its own, to be compared like any other; raises ``KeyError``."""
        if name not in self.controls:
            raise KeyError(f"{self.name} has no control {name!r}; it has {list(self.controls)}")
        wrong = self.controls[name]
        predict = wrong.wrap(self.predict) if isinstance(wrong, Control) else wrong
        return dataclasses.replace(self, name=f"{self.name}: {name}", predict=predict, controls={}, estimates={})


def theory(
    *,
    kind: Kind,
    source: Source | str,
    predicts: Sequence[str],
    holds: Callable[[Any], str | None] = always,
    error: DeclaredError = 0.0,
    controls: Mapping[str, Predictor | Control] | None = None,
    traceable: bool = True,
    estimates: Mapping[str, str] | None = None,
    name: str = "",
) -> Callable[[Predictor], Theory]:
    """Declare a predictor to be a :class:`Theory`, whose attributes these are; its name is the function's.

    Examples
    --------
    >>> from theorylab.contract import theory, times
    >>> @theory(kind="ensemble", source="arithmetic", predicts=("mean",), controls={"10% off": times(1.1)})
    ... def law_of_large_numbers(key, config):
    ...     return {"mean": config.mean}
    >>> law_of_large_numbers.name, law_of_large_numbers.control("10% off").name
    ('law_of_large_numbers', 'law_of_large_numbers: 10% off')
    """

    def declare(predict: Predictor) -> Theory:
        return Theory(
            name=name or predict.__name__,
            predict=predict,
            kind=kind,
            source=source,
            predicts=(predicts,) if isinstance(predicts, str) else tuple(predicts),
            holds=holds,
            error=error,
            controls=dict(controls or {}),
            traceable=traceable,
            estimates=dict(estimates or {}),
        )

    return declare


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
    name: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "simulate", precise(self.simulate))
        home = self.config.__module__.removesuffix(".config")
        if not self.name:
            object.__setattr__(self, "name", home.rpartition(".")[2])
        if not self.title:
            doc = getattr(sys.modules.get(home), "__doc__", None) or self.name
            object.__setattr__(self, "title", doc.strip().splitlines()[0].rstrip("."))
        refuse(self)

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
    observables = [o.name for o in setting.observables]
    for kind, names in (("observable", observables), ("theory", [t.name for t in setting.theories])):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise broken(f"two of {kind} {twice[0]!r}: names must be distinct")
    # Results hold both: swept fields as coordinates, observables as variables.
    if shared := sorted(set(observables) & set(fields)):
        raise broken(f"{shared} are names of observables and of configuration fields: rename one")
    for theory in setting.theories:
        named = [*theory.predicts, *theory.estimates, *theory.estimates.values()]
        named += theory.error if isinstance(theory.error, Mapping) else []
        if unknown := [name for name in named if name not in observables]:
            raise broken(f"theory {theory.name} names {unknown[0]!r}, which is no observable: {', '.join(observables)}")
    _refuse_presets(setting, broken)


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
