"""One PyTree of arrays in one file, written atomically and bound to the run that wrote it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

FORMAT = "theorylab checkpoint 1"


class CheckpointError(RuntimeError):
    """A file cannot serve as the checkpoint of this run."""


def fingerprint(parts: Iterable[Any]) -> str:
    """SHA-256 of texts and PyTrees of arrays: of their values, shapes and dtypes."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            digest.update(f"text {len(part)} ".encode() + part.encode())
            continue
        leaves, structure = jax.tree.flatten(part)
        digest.update(f"tree {structure} ".encode())
        for leaf in leaves:
            values = _to_host(leaf)
            digest.update(f"array {values.shape} {values.dtype} ".encode() + values.tobytes())
    return digest.hexdigest()


#: Parameters of operations that say how and where, not what, is computed.
NOT_COMPUTED = frozenset(
    ("name", "in_shardings", "out_shardings", "in_layouts", "out_layouts", "donated_invars", "ctx_mesh", "keep_unused")
    + ("inline", "compiler_options_kvs", "sharding")
)


def program_identity(closed: ClosedJaxpr) -> str:
    """SHA-256 of what a traced program computes: operations, their wiring and parameters, and all constants.

    Neither names of functions nor sharing of sub-programs enter. Both depend on what the process has traced
    before, as the text of a lowered program does, and would refuse a checkpoint to the run that wrote it.
    """
    digest = hashlib.sha256()

    def add(*words: Any) -> None:
        digest.update(" ".join(map(str, words)).encode() + b"\n")

    def walk(jaxpr: Jaxpr) -> None:
        numbers: dict[Any, int] = {}

        def token(atom: Any) -> str:
            if isinstance(atom, Literal):
                return f"{atom.aval} {np.asarray(atom.val).tobytes().hex()}"
            return f"v{numbers.setdefault(atom, len(numbers))}:{atom.aval}"

        add("jaxpr", *map(token, (*jaxpr.constvars, *jaxpr.invars)))
        for equation in jaxpr.eqns:
            add(equation.primitive.name, *map(token, equation.invars), "->", *map(token, equation.outvars))
            for name, value in sorted(equation.params.items()):
                if name not in NOT_COMPUTED:
                    add(name)
                    parameter(value)
        add("out", *map(token, jaxpr.outvars))

    def parameter(value: Any) -> None:
        if isinstance(value, ClosedJaxpr):
            walk(value.jaxpr)
            constants(value)
        elif isinstance(value, Jaxpr):
            walk(value)
        elif isinstance(value, (tuple, list)):
            for item in value:
                parameter(item)
        else:
            text = repr(value.item() if isinstance(value, np.generic) else value)
            add(type(value).__name__ if " at 0x" in text else text)  # the text of a function holds its address

    def constants(closed: ClosedJaxpr) -> None:
        add(fingerprint([list(closed.consts)]))

    walk(closed.jaxpr)
    constants(closed)
    return digest.hexdigest()


def save(path: Path, tree: Any, run: str) -> None:
    """Write the leaves of ``tree`` and the fingerprint ``run``; the file is always whole, old or new."""
    leaves = [_to_host(leaf) for leaf in jax.tree.leaves(tree)]
    manifest = json.dumps({"format": FORMAT, "run": run, "leaves": len(leaves)})
    # Beside the target, since os.replace is atomic within one file system only.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            arrays = {f"leaf_{i}": leaf for i, leaf in enumerate(leaves)}
            np.savez(file, allow_pickle=False, manifest=np.array(manifest), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()


def load(path: Path, like: Any, run: str) -> Any | None:
    """Read a tree of the structure, shapes and dtypes of ``like``; ``None`` where there is no file.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint, is damaged, or was written by another run. It is left as it is.
    """
    if not path.exists():
        return None
    remedy = "It was left untouched: give another path, or delete it to start afresh."
    templates, structure = jax.tree.flatten(like)
    try:
        with np.load(path, allow_pickle=False) as file:
            manifest = json.loads(str(file["manifest"]))
            if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
                raise CheckpointError(f"{path} is not a checkpoint of format {FORMAT!r}. {remedy}")
            if manifest["run"] != run:
                raise CheckpointError(
                    f"{path} is the checkpoint of another run: the program, its configuration, keys, steps, "
                    f"device or version of JAX differ. {remedy}"
                )
            leaves = [_from_host(file[f"leaf_{i}"], template) for i, template in enumerate(templates)]
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint ({error}). {remedy}") from error
    return jax.tree.unflatten(structure, leaves)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _from_host(values: np.ndarray, like: Any) -> jax.Array:
    if _is_key(like):
        kinds: list[Any] = []
        # A key's kind can be asked of arrays and tracers only, and `like` may be neither.
        jax.eval_shape(lambda key: kinds.append(jax.random.key_impl(key)), like)
        leaf = jax.random.wrap_key_data(jax.numpy.asarray(values), impl=kinds[0])
    else:
        # NumPy stores dtypes that it does not know, such as bfloat16, as raw bytes.
        leaf = jax.numpy.asarray(values.view(like.dtype) if values.dtype.kind == "V" else values)
    if leaf.shape != like.shape or leaf.dtype != like.dtype:
        raise ValueError(f"found {leaf.dtype}{leaf.shape} in place of {like.dtype}{like.shape}")
    return leaf
