"""The vocabulary shared by every setting: what a configuration, an observable, a theory and a setting are.

A theory of a toy model is two functions of the same arguments, ``simulate(key, config)`` and
``predict(key, config)``, each returning a dictionary of observables. This module names the parts;
it computes nothing.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, dataclass_transform

import jax

Observables = dict[str, jax.Array]
Simulator = Callable[[jax.Array, Any], Observables]
Predictor = Callable[[jax.Array, Any], Observables]
T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration field, or a combination of fields, is outside its allowed range."""


# --- configurations ----------------------------------------------------------------------------------


def size(
    *,
    default: Any,
    help: str,
    symbol: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    whole: bool = True,
    or_infinite: bool = False,
    source: str = "",
) -> Any:
    """Declare a static field: a size, a count or a choice. Each new value compiles a new program.

    A numeric size must be a whole number between ``at_least`` and ``at_most`` (both allowed);
    ``or_infinite`` also admits ``inf``, for a limit that the theory and the simulator both know, and
    ``whole=False`` any real number, for a parameter that host-side preparation needs.
    ``symbol`` is the field's LaTeX symbol, ``source`` says where the default comes from.
    """
    metadata = {
        "static": True, "help": help, "symbol": symbol, "at_least": at_least, "at_most": at_most,
        "above": above, "below": None, "whole": whole, "or_infinite": or_infinite, "source": source,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def scalar(
    *,
    default: float,
    help: str,
    symbol: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    source: str = "",
) -> Any:
    """Declare a traced field: a real number that can be swept, vmapped and differentiated in one program.

    The allowed range is ``at_least <= value <= at_most`` and ``above < value < below``, where given.
    """
    metadata = {
        "static": False, "help": help, "symbol": symbol, "at_least": at_least, "at_most": at_most,
        "above": above, "below": below, "whole": False, "or_infinite": False, "source": source,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(size, scalar))
def config(cls: type[T]) -> type[T]:
    """Make a class of :func:`size` and :func:`scalar` fields a frozen, keyword-only dataclass and a PyTree.

    Static fields are part of the tree's structure, scalars are its leaves. Nothing is validated on
    construction, since JAX itself builds configurations of tracers; call :func:`validate` once instead.
    """
    frozen = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    return jax.tree_util.register_dataclass(frozen)


def static_fields(config: Any) -> tuple[str, ...]:
    """Names of the static fields of a configuration (class or instance)."""
    return tuple(f.name for f in dataclasses.fields(config) if f.metadata["static"])


def scalar_fields(config: Any) -> tuple[str, ...]:
    """Names of the traced scalar fields of a configuration (class or instance)."""
    return tuple(f.name for f in dataclasses.fields(config) if not f.metadata["static"])


def _range_text(metadata: Mapping[str, Any]) -> str:
    words = []
    if metadata["at_least"] is not None:
        words.append(f">= {metadata['at_least']:g}")
    if metadata["above"] is not None:
        words.append(f"> {metadata['above']:g}")
    if metadata["at_most"] is not None:
        words.append(f"<= {metadata['at_most']:g}")
    if metadata["below"] is not None:
        words.append(f"< {metadata['below']:g}")
    kind = "a whole number" if metadata["whole"] else "a finite number"
    text = " ".join([kind, " and ".join(words)]).strip()
    return text + (" (or inf)" if metadata["or_infinite"] else "")


def field_help(config: Any, name: str) -> str:
    """One line for a field: its help, its symbol and its allowed range."""
    field = {f.name: f for f in dataclasses.fields(config)}[name]
    hints = typing.get_type_hints(config if isinstance(config, type) else type(config))
    text = field.metadata["help"]
    if hints[name] in (int, float):
        text += f" [{_range_text(field.metadata)}]"
    return text


def validate(config: Any) -> None:
    """Check every field of a concrete configuration against its declared type and range.

    Raises
    ------
    ConfigError
        Naming the field, its value and the allowed range.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        check_value(field, hints[field.name], getattr(config, field.name))


def check_value(field: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    """Check one value against a field's declared type and range; raises :class:`ConfigError`."""
    metadata = field.metadata
    if typing.get_origin(hint) is Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{field.name} = {value!r} is not allowed: choose one of {', '.join(map(str, choices))}")
        return
    if hint is bool or hint is str:
        if not isinstance(value, hint):
            raise ConfigError(f"{field.name} = {value!r} is not allowed: must be a {hint.__name__}")
        return
    if hint not in (int, float):
        return
    allowed = _range_text(metadata)
    error = ConfigError(f"{field.name} = {value!r} is not allowed: must be {allowed}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise error from None
    if isinstance(value, bool):
        raise error
    if math.isinf(number) and number > 0 and metadata["or_infinite"]:
        return
    if not math.isfinite(number) or (metadata["whole"] and number != round(number)):
        raise error
    for bound, violated in (
        (metadata["at_least"], lambda b: number < b),
        (metadata["at_most"], lambda b: number > b),
        (metadata["above"], lambda b: number <= b),
        (metadata["below"], lambda b: number >= b),
    ):
        if bound is not None and violated(bound):
            raise error


# --- observables, theories, settings -------------------------------------------------------------------


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
        Whether a non-finite value is a legitimate result ("threshold never reached") rather than divergence.
    """

    name: str
    description: str
    symbol: str = ""
    dims: tuple[str, ...] = ()
    allow_nan: bool = False


def always_valid(config: Any) -> None:
    """Say that a theory holds for every configuration of its setting."""
    return None


def no_finite_size_error(config: Any, observable: str) -> float:
    """Declare an asymptotic theory without finite-size error."""
    return 0.0


def rounding_error(config: Any, observable: str) -> float:
    """Declare an exact theory: float64 rounding alone, 1e-8 relative."""
    return 1e-8


@dataclasses.dataclass(frozen=True)
class Theory:
    """A prediction of some observables.

    Attributes
    ----------
    name
        Short identifier, unique within the setting.
    predict
        ``(key, config) -> {observable: array}``: a subset of ``simulate``'s names and shapes.
    kind
        ``"exact"``: the prediction is for the instance that ``key`` fixes, and every seed must agree within
        ``finite_size``. ``"instance"``: for the instance too, but with a statistical residual; the paired
        differences are averaged over seeds. ``"ensemble"``: independent of ``key``; compared with the mean
        over seeds.
    source
        Paper with theorem or equation number.
    valid
        ``config -> None`` where the theory applies, otherwise a sentence that says why it does not. Sees
        concrete configurations only.
    finite_size
        ``(config, observable) -> float``, the declared relative error of the theory at finite size.
    traceable
        Whether ``predict`` can be jitted and vmapped. A host-side theory (SciPy) is called cell by cell.
    estimates
        For a theory that estimates an observable from the same instance's data: ``{observable: the observable
        of simulate that estimates it}``. A comparison then uses the simulated values and runs nothing again.
    predicts
        Names of the observables, for a host-side theory: where it applies to no cell it is never called, and these
        are what a comparison lists as not applicable. All of the setting's unless given.
    """

    name: str
    predict: Predictor
    kind: Literal["exact", "instance", "ensemble"]
    source: str
    valid: Callable[[Any], str | None] = always_valid
    finite_size: Callable[[Any, str], float] = no_finite_size_error
    traceable: bool = True
    estimates: Mapping[str, str] = dataclasses.field(default_factory=dict)
    predicts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One sweep of a preset: a base configuration, a grid over some of its fields, a number of seeds.

    ``show`` names the observable that the overview of the setting draws; by default the setting's first one.
    """

    name: str
    config: Any
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)
    seeds: int = 20
    note: str = ""
    show: str = ""


@dataclasses.dataclass(frozen=True)
class Paper:
    """The publication that a setting reproduces."""

    title: str
    authors: str
    year: int
    venue: str
    arxiv: str
    bibtex: str


def no_coords(config: Any) -> Mapping[str, Sequence[Any]]:
    """Declare that no observable has inner dimensions."""
    return {}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A toy model: how to simulate it, and every theory of it.

    Attributes
    ----------
    name, title
        Identifier (the package's name) and a line for tables.
    papers
        The publications; the first is the one reproduced.
    config
        The configuration class, made with :func:`config`.
    presets
        ``{"tiny" | "default" | "paper": (Case, ...)}``. The first case is the one that options override.
    simulate
        ``(key, config) -> {observable: array}``, pure and traceable in the scalar fields.
    theories, observables
        What is predicted and what is measured.
    coords
        ``config -> {inner dimension: coordinates}`` for observables with inner dimensions.
    check_config
        Cross-field validation of a concrete configuration; raises :class:`ConfigError`.

    Raises
    ------
    ValueError
        If an observable has the name of a configuration field: no sweep of that field could be stored.
    """

    name: str
    title: str
    papers: tuple[Paper, ...]
    config: type
    presets: Mapping[str, tuple[Case, ...]]
    simulate: Simulator
    theories: tuple[Theory, ...]
    observables: tuple[Observable, ...]
    coords: Callable[[Any], Mapping[str, Sequence[Any]]] = no_coords
    check_config: Callable[[Any], None] = always_valid

    def __post_init__(self) -> None:
        # Results hold both: swept fields as coordinates, observables as variables.
        shared = {o.name for o in self.observables} & {f.name for f in dataclasses.fields(self.config)}
        if shared:
            raise ValueError(f"{self.name}: {sorted(shared)} are names of observables and of configuration fields")

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

    def validate(self, config: Any) -> None:
        """Check a concrete configuration: types, ranges, and the setting's own cross-field rules."""
        if not isinstance(config, self.config):
            raise ConfigError(f"{self.name} needs a {self.config.__qualname__}, not {type(config).__qualname__}")
        validate(config)
        self.check_config(config)
