"""Configurations: how a field is declared, which values it takes, and how a person's numbers become a field's own."""

from __future__ import annotations

import dataclasses
import math
import numbers
import sys
import typing
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, dataclass_transform

import jax
import numpy as np

from theorylab.contract.notebook import config_html

T = TypeVar("T")


class ConfigError(ValueError):
    """A configuration field, or a combination of fields, is outside its allowed range."""


class ContractError(ValueError):
    """A setting, theory or observable is not declared as the laboratory needs it; the message says what to change."""


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
    fine: int = 0,
    source: str = "",
) -> Any:
    """Declare a static field: a size, a count or a choice. Each new value compiles a new program.

    A numeric size must be a whole number between ``at_least`` and ``at_most`` (both allowed);
    ``or_infinite`` also admits ``inf``, for a limit that the theory and the simulator both know, and
    ``whole=False`` any real number, for a parameter that host-side preparation needs.
    ``symbol`` is the field's LaTeX symbol, ``source`` says where the default comes from. A field that says how often
    something is recorded may say how often at least for a theory's line to be smooth, ``fine``.
    """
    metadata = {
        "static": True, "help": help, "symbol": symbol, "at_least": at_least, "at_most": at_most,
        "above": above, "below": None, "whole": whole, "or_infinite": or_infinite, "fine": fine, "source": source,
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

    Static fields are part of the tree's structure, scalars are its leaves. Nothing is refused on construction, since
    JAX itself builds configurations of tracers; call :func:`validate` once instead. Python's and NumPy's numbers take
    their field's type at once: ``Config(num_samples=4.0, ridge=1)`` has an ``int`` and a ``float``.

    Raises
    ------
    ContractError
        For a field that is declared with neither.
    """
    kinds: dict[str, tuple[type, bool]] = {}

    def to_field_types(self: Any) -> None:
        if not kinds:  # resolved late: the class's own module is not complete while it is being made
            hints, fixed = typing.get_type_hints(type(self)), static_fields(self)
            found = {name: (kind, name in fixed) for name, kind in hints.items() if kind in (int, float)}
            kinds.update(found or {"": (object, False)})
        for name, (kind, static) in kinds.items():
            value = self.__dict__.get(name)
            # A scalar may be an array, of a dtype chosen on purpose; a static field is hashed, as no array can be.
            if type(value) is not kind and (static or isinstance(value, numbers.Real)):
                object.__setattr__(self, name, to_type(value, kind))

    cls.__post_init__ = to_field_types  # type: ignore[attr-defined]
    cls._repr_html_ = config_html  # type: ignore[attr-defined]
    made: Any = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
    if plain := [field.name for field in dataclasses.fields(made) if "static" not in field.metadata]:
        raise ContractError(f"{cls.__name__}: the field {plain[0]} is declared with neither size(...) nor scalar(...)")
    return jax.tree_util.register_dataclass(made)


def to_type(value: Any, kind: type) -> Any:
    """Bring a number of whatever type (Python's, NumPy's, an array without dimensions) to ``int`` or ``float``.

    What is no real number, and what would change its value, is returned as it is: :func:`check_value` refuses it.
    """
    number: Any = _plain(value)
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        return value
    if kind is int:
        try:
            whole = int(typing.cast(Any, number))
        except (OverflowError, ValueError):  # infinity or NaN
            return float(number)
        if whole == number:
            return whole
    try:
        return float(number)
    except OverflowError:  # a number beyond all floats
        return value


def _plain(value: Any) -> Any:
    """Return NumPy's scalars, and arrays without dimensions of any library, as Python's own; the rest as it is."""
    if isinstance(value, jax.core.Tracer):
        return value
    if not isinstance(value, np.generic) and getattr(value, "shape", None) == () and hasattr(value, "__array__"):
        try:
            value = np.asarray(value)[()]
        except (TypeError, ValueError):  # a key of JAX's
            return value
    return value.item() if isinstance(value, (np.number, np.bool_, np.str_)) else value


def shown(value: Any) -> str:
    """Return a value as an error message names it: on one line, of a bounded length."""
    shape = getattr(value, "shape", ())
    if shape:
        return f"an array of shape {tuple(shape)}"
    try:
        text = " ".join(repr(_plain(value)).split())
    except ValueError:  # a whole number of more digits than Python writes
        return "a whole number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:90]}..."


def whole_number(value: Any, name: str, at_least: int, below: int) -> int:
    """Bring an argument that counts something to ``int``.

    Raises
    ------
    ConfigError
        Naming the argument, its value and the allowed range.
    """
    number = to_type(value, int)
    if isinstance(number, bool) or not isinstance(number, int) or not at_least <= number < below:
        most = f"2^{below.bit_length() - 1} - 1" if below & (below - 1) == 0 else str(below - 1)
        raise ConfigError(f"{name} = {shown(value)} is not allowed: must be a whole number from {at_least} to {most}")
    return number


def static_fields(config: Any) -> tuple[str, ...]:
    """Names of the static fields of a configuration (class or instance)."""
    return tuple(f.name for f in dataclasses.fields(config) if f.metadata["static"])


def scalar_fields(config: Any) -> tuple[str, ...]:
    """Names of the traced scalar fields of a configuration (class or instance)."""
    return tuple(f.name for f in dataclasses.fields(config) if not f.metadata["static"])


def field_of(config: Any, name: str) -> dataclasses.Field[Any]:
    """Look up a field of a configuration (class or instance).

    Raises
    ------
    ConfigError
        With the known names, if there is no such field.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}
    if name not in fields:
        raise ConfigError(f"there is no field {name!r}: choose one of {', '.join(fields)}")
    return fields[name]


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
    field = field_of(config, name)
    hints = typing.get_type_hints(config if isinstance(config, type) else type(config))
    text: str = field.metadata["help"]
    if hints[name] in (int, float):
        text += f" [{_range_text(field.metadata)}]"
    return text


def validate(config: T) -> T:
    """Check every field of a concrete configuration against its declared type and range.

    Returns the configuration with every number in its field's own type, so that equal configurations are equal.

    Raises
    ------
    ConfigError
        Naming the field, its value and the allowed range.
    """
    hints = typing.get_type_hints(type(config))
    fields: Any = dataclasses.fields(config)  # type: ignore[arg-type]
    values = {field.name: check_value(field, hints[field.name], getattr(config, field.name)) for field in fields}
    return dataclasses.replace(config, **values)  # type: ignore[type-var]


def check_values(config: Any, name: str, values: Any) -> tuple[Any, ...]:
    """Check the values of one field of a grid, and bring them to the field's type.

    They are a list, a tuple, a range, or a one-dimensional array of NumPy, JAX, pandas or xarray; all different. A set
    has no order and a generator can be read once only: both are refused.

    Raises
    ------
    ConfigError
        Naming the field and what is wrong with it.
    """
    field = field_of(config, name)
    hint = typing.get_type_hints(config if isinstance(config, type) else type(config))[name]
    items = values
    if not isinstance(values, Sequence) and hasattr(values, "__array__") and getattr(values, "ndim", 0) == 1:
        items = np.asarray(values)
    elif not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        single = isinstance(values, (str, bytes)) or not isinstance(values, Iterable)
        example = f"[{shown(values)}]" if single else "list(...) or tuple(...)"
        raise ConfigError(f"{name} = {shown(values)} is not allowed: a grid needs a list of values, such as {example}")
    checked = tuple(check_value(field, hint, value) for value in items)
    if not checked:
        raise ConfigError(f"{name} = [] is not allowed: a sweep needs at least one value")
    if twice := [value for value, count in Counter(checked).items() if count > 1]:
        raise ConfigError(f"{name} = {shown(list(checked))} is not allowed: values must be distinct ({twice[0]!r})")
    return checked


def check_value(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """Check one value against a field's declared type and range, and bring it to that type.

    Raises
    ------
    ConfigError
        Naming the field, its value and what is allowed.
    """
    metadata = field.metadata
    given = value
    if typing.get_origin(hint) is Literal:
        value, choices = _plain(value), typing.get_args(hint)
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise _refused(field, given, f"choose one of {', '.join(map(str, choices))}")
        return value
    if hint in (bool, str):
        value = _plain(value)
        if not isinstance(value, hint):
            raise _refused(field, given, f"must be a {hint.__name__}")
        return value
    if hint not in (int, float):
        return value
    number = to_type(value, hint)
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not _within(metadata, number):
        limit = " and < 2^31 - 1" if metadata["whole"] and _is_large(number) else ""
        raise _refused(field, given, f"must be {_range_text(metadata)}{limit}")
    # Formulas square what they are given, and divide by it: infinities deep inside would be a worse answer.
    if math.isfinite(number) and abs(number) > LARGEST:
        raise _refused(field, given, f"its square is beyond all floats (the largest is {LARGEST:.2g})")
    if 0 < abs(number) < SMALLEST:
        raise _refused(field, given, f"its square is below all floats (the smallest is {SMALLEST:.2g}; 0 is 0)")
    return number


def _refused(field: dataclasses.Field[Any], value: Any, why: str) -> ConfigError:
    return ConfigError(f"{field.name} = {shown(value)} is not allowed: {why}")


#: Whole numbers count things that are stored or done; steps are counted in 32 bits, whatever the precision.
SIZES_BELOW = 2**31 - 1


#: The largest number whose square is a float, and the smallest whose square is one of full precision.
LARGEST, SMALLEST = math.sqrt(sys.float_info.max), math.sqrt(sys.float_info.min)


def _is_large(number: Any) -> bool:
    return isinstance(number, (int, float)) and math.inf > abs(number) >= SIZES_BELOW


def _within(metadata: Mapping[str, Any], number: float) -> bool:
    try:
        real = float(number)
    except OverflowError:  # a whole number beyond all floats
        return False
    if math.isinf(real) and real > 0 and metadata["or_infinite"]:
        return True
    if not math.isfinite(real) or (metadata["whole"] and (real != round(real) or _is_large(real))):
        return False
    return not (
        (metadata["at_least"] is not None and real < metadata["at_least"])
        or (metadata["at_most"] is not None and real > metadata["at_most"])
        or (metadata["above"] is not None and real <= metadata["above"])
        or (metadata["below"] is not None and real >= metadata["below"])
    )
