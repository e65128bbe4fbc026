"""Every number of a setting, and where it comes from."""

import dataclasses

import pytest
import toy as module

from theorylab.catalogue import get
from theorylab.contract import Case, describe


def test_describe_names_symbols_normalisations_and_sources(run):
    code, out, _ = run("describe", "xor", "--preset", "paper")
    assert code == 0
    for text in ("num_train", "Xu et al. 2024, App. A.7", "our choice"):
        assert text in out
    for observable in get("xor").observables:
        assert observable.description.split()[0] in out
    assert "│ tiny" not in out
    assert "│ paper" in out


def test_describe_takes_a_file_and_refuses_a_preset_that_is_none(run, toy):
    code, out, _ = run("describe", toy)
    assert (code, "num_samples" in out) == (0, True)
    code, _, err = run("describe", toy, "--preset", "huge")
    assert code == 2
    assert "unknown preset 'huge': choose one of tiny, default, paper" in err
    code, _, err = run("describe", "xorr")
    assert code == 2
    assert "xor" in err


def test_a_value_has_the_source_that_its_field_states():
    """A default has its own source, another value that of the paper where the field states it."""
    width = next(field for field in dataclasses.fields(get("xor").config) if field.name == "width")
    assert describe.origin(width, 1000) == "Xu et al. 2024, App. A.7"
    assert describe.origin(width, 77) == describe.OUR_CHOICE
    case = Case("mine", dataclasses.replace(get("xor").config(), width=1000), {"num_steps": (3, 4)})
    values, source = describe.values_of(get("xor"), case)
    assert set(values.split("; ")) == {"width = 1000", "num_steps = 3, 4"}
    assert "width: Xu et al. 2024, App. A.7" in source
    assert source.endswith(describe.OUR_CHOICE)


@pytest.mark.parametrize("rows", [describe.parameters, describe.observables, describe.presets])
def test_rows_are_tables(rows):
    head, *others = rows(module.SETTING)
    assert others
    assert all(len(row) == len(head) for row in others)
