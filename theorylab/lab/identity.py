"""Whose results a store holds: those of one sweep, by one program; or by several, where that was asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from theorylab.contract.fields import shown
from theorylab.lab import metadata, store
from theorylab.lab.metadata import BASE_SEED, FINISHED, FIRST_BAD_STEP, PROGRAM_OF, StoreError
from theorylab.lab.store import attributes_of
from theorylab.numerics.files import finish

#: Attribute that lists the programs that went on with a store, after the first.
CHANGES = "changes"


def check_same_sweep(path: str | os.PathLike[str], attributes: Mapping[str, Any]) -> None:
    """Make sure that an existing store belongs to the sweep described by ``attributes``.

    Raises
    ------
    StoreError
        In one line, with the fields that differ and both values of each; the store is left as it was.
    """
    stored = attributes_of(path)
    if words := differences(stored, attributes):
        larger = (
            "" if differences(stored, but_for_size(stored, attributes)) else "add to it with --extend (extend=True), "
        )
        said = ", its ".join(words[:5]) + (f", and {len(words) - 5} more" if len(words) > 5 else "")
        raise StoreError(f"{path} holds another sweep: its {said}; {larger}choose another folder or remove that one")


def but_for_size(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for with the seeds that are stored and, of the same fields, the values."""
    then, now = (json.loads(attributes.get("grid", "{}")) for attributes in (stored, asked))
    names = ("seeds", "grid") if set(then) == set(now) else ("seeds",)
    return {**asked, **{name: stored[name] for name in names if name in stored}}


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    """Say in which respects a store is of another sweep, one entry a field; numbers are compared by value."""

    def compared(attributes: Mapping[str, Any], *names: str) -> dict[str, Any]:
        return {name: attributes.get(name) for name in names}

    def fields(attributes: Mapping[str, Any]) -> dict[str, Any]:
        return json.loads(attributes.get("config", "{}")) | json.loads(attributes.get("grid", "{}"))

    then, now = (compared(kind, "setting", "theorylab_version") for kind in (stored, asked))
    if then["setting"] == now["setting"]:
        then, now = (
            part | fields(kind) | compared(kind, "seeds", "base_seed", "precision")
            for part, kind in ((then, stored), (now, asked))
        )
    return [
        f"{name} is {shown(then.get(name))}, not {shown(now.get(name))}"
        for name in dict.fromkeys([*now, *then])
        if then.get(name) != now.get(name)
    ]


def check_outputs(path: Path, inner: Mapping[str, Sequence[int]]) -> None:
    """Make sure that a program returns what a store has room for: ``inner`` are the shapes of one cell's observables.

    Raises
    ------
    StoreError
        Naming the first observable that does not fit, which only a changed program can have.
    """
    arrays = metadata.arrays_of(metadata.read(path))
    lead = arrays[FINISHED]["dimension_names"]
    own = {*lead, FINISHED, FIRST_BAD_STEP, PROGRAM_OF, BASE_SEED}
    then = {
        name: tuple(array["shape"][len(lead) :])
        for name, array in arrays.items()
        if array["dimension_names"][: len(lead)] == lead and name not in own
    }
    for name in [*then, *inner]:
        if then.get(name) != inner.get(name):
            kinds = [f"of shape {each[name]}" if name in each else "none" for each in (then, dict(inner))]
            raise StoreError(
                f"{path} does not fit this program: of {name} it has {kinds[0]}, not {kinds[1]}; choose another folder"
            )


def changes_since(path: Path, attributes: Mapping[str, Any]) -> str:
    """Say in which respects a store was begun by another program than the one of ``attributes``; empty if in none."""
    stored = attributes_of(path)
    words = []
    if stored.get("program") != attributes["program"]:
        if "program" in stored:
            revisions = (stored.get("git_revision"), attributes["git_revision"])
            at = f" (git {revisions[0]!s:.8}, now {revisions[1]!s:.8})" if revisions[0] != revisions[1] else ""
            words.append(f"the source of its simulator has changed{at}")
        else:
            words.append("the source of its simulator was not recorded")
    if stored.get("jax_version") != attributes["jax_version"]:
        words.append(f"JAX {stored.get('jax_version')}, now {attributes['jax_version']}")
    then, now = (str(kind.get("device")).partition(" x ")[2] for kind in (stored, attributes))
    if then != now:
        words.append(f"on {then or 'an unknown device'}, now on {now}")
    return "; ".join(words)


def begun_by_another(path: Path, changed: str) -> StoreError:
    """Return the error of a store that another program began, where nobody has accepted what has changed."""
    return StoreError(
        f"{path} was begun by another program: {changed}; choose another folder, or continue it with "
        "--accept-changes (in Python: accept_changes=True), and each cell says which program computed it"
    )


def add_program(path: Path, attributes: Mapping[str, Any]) -> int:
    """Note another program that goes on filling a store, and return its number; each cell then says which it is of.

    The caller holds the lock on the whole store.
    """
    names = ("program", "theorylab_version", "jax_version", "python_version", "device", "git_revision", "started")
    ours = {name: attributes[name] for name in names}

    def identity(program: Mapping[str, Any]) -> list[Any]:
        return [program["program"], program["jax_version"], program["device"].partition(" x ")[2]]

    def add() -> int:
        content = metadata.read(path)
        known = content["attributes"].get(CHANGES, [])
        for number, program in enumerate(known, start=1):
            if identity(program) == identity(ours):
                return number
        arrays, new = metadata.arrays_of(content), {}
        if PROGRAM_OF not in arrays:
            flags = arrays[FINISHED]
            metadata.open_group(path, "r+").create_array(
                PROGRAM_OF,
                shape=tuple(flags["shape"]),
                chunks=tuple(flags["chunk_grid"]["configuration"]["chunk_shape"]),
                dtype=np.int64,
                fill_value=0,
                dimension_names=flags["dimension_names"],
                attributes={"long_name": "program that computed the cell: 0 the first, n the n-th of `changes`"},
                **store.codecs(),
            )
            new = {PROGRAM_OF: json.loads((Path(path) / PROGRAM_OF / metadata.FILE).read_bytes())}
        metadata.update(path, new, **{CHANGES: [*known, ours]})
        return len(known) + 1

    try:
        return finish(add)
    except OSError as error:
        raise store.cannot_write(path, error) from error
