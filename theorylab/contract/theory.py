"""What a theory is: a prediction, its regime, its declared error, and wrong versions that a check must reject."""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, get_args

import jax

from theorylab.contract.fields import ContractError
from theorylab.contract.papers import Source

Found = TypeVar("Found")
Observables = dict[str, jax.Array]
Simulator = Callable[[jax.Array, Any], Observables]
Predictor = Callable[[jax.Array, Any], Observables]
#: ``(key, config) -> instance`` draws what is random: data, initial weights. An instance is a PyTree of arrays.
Sampler = Callable[[jax.Array, Any], Any]
#: ``(instance, config) -> observables``.
OfInstance = Callable[[Any, Any], Observables]
Kind = Literal["exact", "instance", "ensemble"]
#: A relative error: one for all observables, one for each of some, or a function of the configuration.
DeclaredError = float | Mapping[str, float] | Callable[[Any, str], float]
#: Which simulated observable estimates another, or a function of all the simulated ones.
Estimates = Mapping[str, str | Callable[[Mapping[str, Any]], Any]]

#: Why a theory does not speak of some runs, and which: from all the simulated observables, one truth for each run.
SetAside = Mapping[str, Callable[[Mapping[str, Any]], Any]]

#: Declared error of an exact theory: what float64 rounding leaves, relative.
ROUNDING = 1e-8


def precise(function: Callable[[Any, Any], Found]) -> Callable[[Any, Any], Found]:
    """Give every product of a function the full precision of its numbers, unless the user chose one.

    A GPU's default for float32 is TF32, a TPU's bfloat16: errors of one part in a thousand, which would pose as a gap
    between theory and experiment. What ``jax_default_matmul_precision`` says stays.
    """

    @functools.wraps(function)
    def run(start: Any, config: Any) -> Found:
        config_of_jax: Any = jax.config
        if config_of_jax.jax_default_matmul_precision is not None:
            return function(start, config)
        with jax.default_matmul_precision("highest"):
            return function(start, config)

    return run


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
        For a theory that estimates an observable from the same instance's data: ``{observable: the observable of
        simulate that estimates it}``, or a function of all of them, ``{name: array} -> array``. A comparison then uses
        the simulated values and runs nothing again. Its controls may be such mappings too.
    residual
        For a theory of the instance: the standard deviation over seeds of simulation minus prediction, relative to
        that of the prediction; in the forms of ``error``, of which a mapping may name some observables only. Where it
        is declared, a prediction that does not follow the instance is rejected even if its mean is right. Infinity says
        that the two are not tied seed by seed, as an estimate is not to what it estimates: the slope is not judged.
        For predictions without heavy tails over seeds.
    of_instance
        ``(instance, config) -> observables`` of a theory of the instance, which takes one's own instances too. Declared
        with ``sample=``: ``predict`` is this after it.
    sets_aside
        ``{why: which}`` for runs that a theory does not speak of, such as those that end in a local minimum: ``which``
        maps the simulated observables, ``{name: array of (..., seed, *inner)}``, to a truth for each run. A comparison
        leaves these runs out, and says how many. Where the configuration decides, it is ``holds`` that says so.
    """

    name: str
    predict: Predictor
    kind: Kind
    source: Source | str
    predicts: tuple[str, ...] = ()
    holds: Callable[[Any], str | None] = always
    error: DeclaredError = 0.0
    controls: Mapping[str, Predictor | Control | Estimates] = dataclasses.field(default_factory=dict)
    traceable: bool = True
    estimates: Estimates = dataclasses.field(default_factory=dict)
    residual: DeclaredError | None = None
    sets_aside: SetAside = dataclasses.field(default_factory=dict)
    of_instance: OfInstance | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ContractError(f"theory {self.name}: kind = {self.kind!r}, choose one of {', '.join(get_args(Kind))}")
        if isinstance(self.predicts, str) or not self.predicts:
            raise ContractError(f"theory {self.name}: predicts = {self.predicts!r}, name its observables in a tuple")
        if not _declares(self.error) or not (self.residual is None or _declares(self.residual)):
            what, value = ("residual", self.residual) if _declares(self.error) else ("error", self.error)
            why = "declare a number, {observable: number}, or (config, observable) -> number"
            raise ContractError(f"theory {self.name}: {what} = {value!r}, {why}")
        if not callable(self.holds):
            raise ContractError(f"theory {self.name}: holds = {self.holds!r}, declare config -> None or a sentence")
        if self.residual is not None and self.kind != "instance":
            raise ContractError(f"theory {self.name}: residual is for kind = 'instance', not {self.kind!r}")
        named = self.residual if isinstance(self.residual, Mapping) else {}
        if unknown := [name for name in named if name not in self.predicts]:
            raise ContractError(f"theory {self.name}: residual of {unknown[0]!r}, which it does not predict")
        object.__setattr__(self, "__doc__", self.predict.__doc__)
        object.__setattr__(self, "predict", precise(self.predict))
        if self.of_instance is not None:
            object.__setattr__(self, "of_instance", precise(self.of_instance))

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

    def relative_residual(self, config: Any, observable: str) -> float:
        """Return the declared relative residual of one observable; NaN where none is declared.

        Raises
        ------
        ContractError
            If it is not above 0.
        """
        declared = self.residual
        if isinstance(declared, Mapping):
            declared = declared.get(observable)
        if declared is None:
            return math.nan
        value = float(declared(config, observable) if callable(declared) else declared)
        if value <= 0:
            raise ContractError(f"theory {self.name}: the residual of {observable} is {value}, must be above 0")
        return value

    def control(self, name: str) -> Theory:
        """Return a control as a theory of its own, to be compared like any other; raises ``KeyError``."""
        if name not in self.controls:
            raise KeyError(f"{self.name} has no control {name!r}; it has {list(self.controls)}")
        wrong = self.controls[name]
        changed: dict[str, Any] = {"name": f"{self.name}: {name}", "controls": {}, "of_instance": None}
        if isinstance(wrong, Mapping):
            return dataclasses.replace(self, estimates=wrong, **changed)
        predict = wrong.wrap(self.predict) if isinstance(wrong, Control) else wrong
        return dataclasses.replace(self, predict=predict, estimates={}, **changed)


def _declares(error: object) -> bool:
    """Whether this can be a declared error."""
    if isinstance(error, Mapping):
        return all(map(_declares, error.values()))
    return callable(error) or isinstance(error, numbers.Real)


def theory(
    *,
    kind: Kind,
    source: Source | str,
    predicts: Sequence[str],
    holds: Callable[[Any], str | None] = always,
    error: DeclaredError = 0.0,
    controls: Mapping[str, Predictor | Control | Estimates] | None = None,
    traceable: bool = True,
    estimates: Estimates | None = None,
    residual: DeclaredError | None = None,
    sets_aside: SetAside | None = None,
    sample: Sampler | None = None,
    name: str = "",
) -> Callable[[Predictor | OfInstance], Theory]:
    """Declare a predictor to be a :class:`Theory`, whose attributes these are; its name is the function's.

    With ``sample``, what is decorated is ``(instance, config) -> observables``, and ``sample`` draws its instance from
    the key: the setting's own sampler, or one that returns NumPy arrays for a theory on the host.

    Examples
    --------
    >>> from theorylab.contract import theory, times
    >>> @theory(kind="ensemble", source="arithmetic", predicts=("mean",), controls={"10% off": times(1.1)})
    ... def law_of_large_numbers(key, config):
    ...     return {"mean": config.mean}
    >>> law_of_large_numbers.name, law_of_large_numbers.control("10% off").name
    ('law_of_large_numbers', 'law_of_large_numbers: 10% off')
    """

    def declare(predictor: Predictor | OfInstance) -> Theory:
        @functools.wraps(predictor)
        def predict(key: jax.Array, config: Any) -> Observables:
            return predictor(key if sample is None else sample(key, config), config)

        return Theory(
            name=name or predictor.__name__,
            predict=predictor if sample is None else predict,
            kind=kind,
            source=source,
            predicts=(predicts,) if isinstance(predicts, str) else tuple(predicts),
            holds=holds,
            error=error,
            controls=dict(controls or {}),
            traceable=traceable,
            estimates=dict(estimates or {}),
            residual=residual,
            sets_aside=dict(sets_aside or {}),
            of_instance=None if sample is None else predictor,
        )

    return declare
