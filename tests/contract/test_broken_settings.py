"""A setting that keeps the contract, and others that break one clause each: every clause must be able to fail."""

import dataclasses
import enum
import time
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import (
    ROUNDING,
    Case,
    ContractError,
    Observable,
    Paper,
    Setting,
    at_config,
    config,
    scalar,
    size,
    theory,
    times,
)
from theorylab.contract.setting import RESERVED
from theorylab.contract.testing import CLAUSES, check_setting, too_few_seeds
from theorylab.jax_version import double_precision
from theorylab.lab import metadata
from theorylab.verdict.rows import Row, Status, Verdict

PAPER = Paper("On means", "A. Author and B. Writer", 1900, "Journal", "0000.00000", "@article{means}")


@config
class Config:
    num_samples: int = size(default=30, help="samples", symbol="n", at_least=1)
    mean: float = scalar(default=1.0, help="mean", symbol=r"\mu")
    scale: float = scalar(default=0.5, help="standard deviation", symbol=r"\sigma", at_least=0)


def simulate(key, config):
    x = config.mean + config.scale * jax.random.normal(key, (config.num_samples,))
    return {"average": x.mean(), "square": (x**2).mean(), "halves": x.reshape(2, -1).mean(1)}


def large_enough(config):
    return None if config.num_samples >= 20 else f"num_samples = {config.num_samples} is below 20"


@theory(
    kind="ensemble",
    source=PAPER.at("eq. (1)"),
    predicts=("average", "square"),
    holds=large_enough,
    controls={"variance dropped": at_config(lambda c: dataclasses.replace(c, scale=0.0)), "10% off": times(1.1)},
)
def moments(key, config):
    """E x and E x² (equation 1)."""
    return {"average": config.mean, "square": config.mean**2 + config.scale**2}


@theory(kind="exact", source="arithmetic", predicts=("average",), error=ROUNDING, controls={"1% off": times(1.01)})
def again(key, config):
    """The same instance, added up."""
    return {"average": simulate(key, config)["halves"].mean()}


CASES = {name: (Case("all", Config(), {"mean": (0.5, 1.0)}, 400),) for name in ("tiny", "default", "paper")}
SETTING = Setting(
    papers=(PAPER,),
    config=Config,
    simulate=simulate,
    theories=(moments, again),
    observables=(
        Observable("average", "mean of the sample"),
        Observable("square", "mean of the squares"),
        Observable("halves", "means of the halves", dims=("half",)),
    ),
    presets=CASES,
    coords=lambda config: {"half": (0, 1)},
    name="toy",
    title="The sample mean",
)


def changed(**changes):
    return dataclasses.replace(SETTING, **changes)


def with_simulate(function):
    return changed(simulate=function)


def with_moments(**changes):
    return changed(theories=(dataclasses.replace(moments, **changes), again))


def test_the_toy_keeps_the_contract():
    check_setting(SETTING)
    assert SETTING.references == (PAPER,)
    assert str(moments.source) == "Author and Writer 1900, arXiv 0000.00000, eq. (1)"


# --- clauses that a run shows: which clause, what is broken, and the word that names it ----------------------------


def lacks_an_observable(key, config):
    return {name: value for name, value in simulate(key, config).items() if name != "square"}


def wrong_shape(key, config):
    return simulate(key, config) | {"halves": jnp.zeros(3)}


def silent(key, config):
    return {}


def misspelt(key, config):
    return {"averages": config.mean}


def scalar_for_a_vector(key, config):
    return {"halves": config.mean}


def not_on_a_gpu(key, config):
    matrix = jnp.diag(jnp.stack([config.mean, config.scale]))
    return simulate(key, config) | {"average": jnp.linalg.eigvals(matrix).real.sum()}


def in_double(key, config):
    doubled = {name: jax.lax.convert_element_type(value, "float32") for name, value in simulate(key, config).items()}
    with double_precision(True):
        return doubled | {"average": jnp.asarray(np.float64(1.0) * 3.0, dtype="float64")}


def follows_the_clock(key, config):
    """A host call that changes from one call to the next."""
    shape = jax.ShapeDtypeStruct((), float)
    now = jax.pure_callback(lambda _: np.array(time.perf_counter()), shape, config.mean, vmap_method="sequential")
    return simulate(key, config) | {"average": now}


def nan_at_another_mean(key, config):
    values = simulate(key, config)
    return values | {"average": jnp.where(config.mean < 0.7, jnp.nan, values["average"])}


BROKEN = {
    "an observable is missing": ("shapes", lambda: with_simulate(lacks_an_observable), "does not return square"),
    "a shape is wrong": ("shapes", lambda: with_simulate(wrong_shape), r"shape \(3,\)"),
    "a theory holds and is silent": ("predictions", lambda: with_moments(predict=silent), "predicts nothing"),
    "an undeclared prediction": ("predictions", lambda: with_moments(predict=misspelt), "'averages'"),
    "a prediction's shape": (
        "predictions",
        lambda: with_moments(predict=scalar_for_a_vector, predicts=("halves",)),
        r"shape \(\)",
    ),
    "a negative error": ("errors", lambda: with_moments(error=-0.1), "must be finite and >= 0"),
    "a processor's routine": ("lowering", lambda: with_simulate(not_on_a_gpu), "cannot be lowered"),
    "its own precision": ("single precision", lambda: with_simulate(in_double), "float64"),
    "the same key, other bits": ("mapping", lambda: with_simulate(follows_the_clock), "two calls with the same key"),
    "a run diverges": ("agreement", lambda: with_simulate(nan_at_another_mean), "diverged"),
    "a wrong theory": (
        "agreement",
        lambda: with_moments(predict=moments.control("10% off").predict),
        "disagrees with moments",
    ),
    "a theory that holds nowhere": (
        "agreement",
        lambda: with_moments(holds=lambda config: "for other models"),
        "compared with nothing",
    ),
    "too few seeds": (
        "statistics",
        lambda: changed(presets={**CASES, "tiny": (Case("all", Config(), {"mean": (0.5, 1.0)}, 4),)}),
        r"average of moments may be \d+% off by its 4 seeds alone",
    ),
    "no control": ("controls", lambda: with_moments(controls={}), "declares no control"),
    "a control that is right": ("controls", lambda: with_moments(controls={"right": moments.predict}), "not rejected"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_each_clause_is_noticed(what):
    clause, make, words = BROKEN[what]
    broken = make()
    with pytest.raises(AssertionError, match=words):
        check_setting(broken)
    assert list(CLAUSES[clause](broken)) != []


# --- clauses that the declaration alone breaks: refused when the setting is made ------------------------------------


class NotAConfig:
    """Not made with @config."""


def no_specifier():
    @dataclasses.dataclass
    class Plain:
        dim: int = 3

    return changed(config=Plain)


def with_field(name, kind, default):
    namespace = {"__annotations__": {name: kind}, name: size(default=default, help="extra", whole=False)}
    wider = config(type("Wider", (Config,), namespace))
    cases = {name: (Case("all", wider(), {}, 400),) for name in CASES}
    return changed(config=wider, presets=cases)


def with_observable(*names, **options):
    return changed(observables=(*SETTING.observables, *(Observable(name, "", **options) for name in names)))


class Colour(enum.Enum):
    RED = "red"


REFUSED = {
    "a field without size or scalar": (no_specifier, "neither size"),
    "no configuration": (lambda: changed(config=NotAConfig), "@config"),
    "a missing preset": (lambda: changed(presets={"tiny": CASES["tiny"], "default": CASES["default"]}), "'paper'"),
    "an unknown preset": (lambda: changed(presets={**CASES, "huge": CASES["tiny"]}), "'huge'"),
    "an observable named like a field": (
        lambda: changed(observables=(*SETTING.observables, Observable("scale", ""))),
        r"\['scale'\] are names of one configuration field and one observable",
    ),
    "a dimension named like a field": (
        lambda: with_observable("path", dims=("scale",)),
        r"\['scale'\].* one dimension",
    ),
    "an observable named like a dimension": (lambda: with_observable("half"), r"\['half'\] .* one dimension"),
    **{
        f"a field called {name}": (lambda name=name: with_field(name, int, 1), f"'{name}', a configuration field")
        for name in RESERVED
    },
    "an observable called finished": (lambda: with_observable("finished"), "'finished', a observable"),
    "a dimension called seed": (lambda: with_observable("x", dims=("seed",)), "'seed', a dimension"),
    "a field that JSON makes a list of": (lambda: with_field("shape", tuple, (2, 3)), "the field shape has the type"),
    "a field that JSON does not know": (lambda: with_field("colour", Colour, Colour.RED), "the field colour .* lose"),
    "a field that may be nothing": (lambda: with_field("most", int | None, None), "the field most has the type"),
    "choices of two types": (lambda: with_field("width", Literal["all", 3], 3), "a Literal of one of them"),
    "two theories of one name": (lambda: changed(theories=(moments, moments)), "two of theory 'moments'"),
    "a misspelt kind": (lambda: with_moments(kind="ensembel"), "choose one of exact, instance, ensemble"),
    "an unknown observable": (lambda: with_moments(predicts=("averige",)), "'averige'"),
    "predicts as a string": (lambda: with_moments(predicts="average"), "in a tuple"),
    "predicts nothing": (lambda: with_moments(predicts=()), "in a tuple"),
    "a grid over no field": (lambda: changed(presets={**CASES, "tiny": (Case("x", Config(), {"d": (1,)}),)}), "'d'"),
    "a grid value out of range": (
        lambda: changed(presets={**CASES, "tiny": (Case("x", Config(), {"scale": (-1.0,)}),)}),
        "scale = -1.0",
    ),
    "two cases of one name": (lambda: changed(sweeps={"tiny": CASES["tiny"]}), "one name"),
}


def test_all_names_that_results_have_for_themselves_are_reserved():
    assert {metadata.FINISHED, metadata.FIRST_BAD_STEP, metadata.BASE_SEED, metadata.PROGRAM_OF, "seed"} == {*RESERVED}


def test_a_field_may_have_any_type_that_is_kept():
    for kind, default in ((bool, True), (str, "a"), (Literal["a", "b"], "a"), (Literal[1, 2], 1), (float, 0.5)):
        assert with_field("extra", kind, default).config().extra == default


@pytest.mark.parametrize("what", REFUSED)
def test_a_broken_declaration_is_refused(what):
    make, words = REFUSED[what]
    with pytest.raises(ContractError, match=words):
        make()


def test_an_estimate_may_be_a_function_of_all_that_is_simulated():
    """The declaration is taken, the comparison uses it, and a name among the estimates is still looked up."""
    by_halves = {"average": lambda found: found["halves"].mean(axis=-1)}
    estimated = dataclasses.replace(again, estimates=by_halves, controls={"square": {"average": "square"}})
    setting = changed(theories=(estimated,))
    assert not list(CLAUSES["agreement"](setting))
    assert not list(CLAUSES["controls"](setting))
    with pytest.raises(ContractError, match="'averige'"):
        changed(theories=(dataclasses.replace(again, estimates={"average": "averige"}),))


@pytest.mark.parametrize(
    ("predicted", "standard_error", "declared", "few"),
    [
        (1.0, 0.02, 0.0, False),  # 8% by four standard errors: a tenth is always allowed
        (1.0, 0.05, 0.0, True),  # 20%
        (1.0, 0.05, 0.2, False),  # as much as the theory declares
        (1e-17, 0.05, 0.0, False),  # a prediction that is rounding has no tenth
        (1e-6, 0.05, 0.0, True),  # a small one has
    ],
)
def test_seeds_are_too_few_where_they_are_more_than_a_tenth_and_more_than_is_declared(
    predicted, standard_error, declared, few
):
    size = abs(predicted)
    found = Row(
        "average", "moments", predicted, standard_error, predicted, 0.0, 0.0, 4 * standard_error + declared * size,
        Verdict(Status.AGREES), judged_seeds=8, scale=size, declared_error=declared * size,
    )  # fmt: skip
    assert bool(too_few_seeds(found)) == few
    if few:
        assert "off by its 8 seeds alone" in too_few_seeds(found)
