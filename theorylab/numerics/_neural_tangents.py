"""Loads neural-tangents 0.6.5 on today's JAX: the only module here that touches JAX's private names.

The last release of neural-tangents (2023) imports names that JAX has since moved or dropped. They are put
back for the duration of the import alone, only where they are missing, and taken away again: neural-tangents
binds them while it is imported. Analytic kernels (``stax``), ``batch``, ``predict``, ``linearize``,
``taylor_expand``, Monte-Carlo kernels and empirical kernels by Jacobian contraction or by NTK-vector products
work; the structured-derivatives implementation of the empirical NTK does not. The sub-module
``neural_tangents.experimental``, which alone needs TensorFlow, is replaced by an empty stand-in.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

from theorylab.jax_version import NEWEST, OLDEST

# Its declared requirements bring 3 GB of TensorFlow, which nothing that works here needs.
REMEDY = 'pip install frozendict && pip install --no-deps "neural-tangents>=0.6.5,<0.7"'
_EXPERIMENTAL = "neural_tangents.experimental"


def _replacements() -> Iterator[tuple[str, str, Any]]:
    """Yield (module, name, value) for every name that neural-tangents imports and a JAX may lack."""
    from jax.extend import core as extended

    for name in ("Jaxpr", "JaxprEqn", "Literal", "Primitive", "Var"):
        yield "jax.core", name, getattr(extended, name)

    def safe_map(f: Any, *sequences: Any) -> list[Any]:
        return [f(*items) for items in safe_zip(*sequences)]

    def safe_zip(*sequences: Any) -> list[tuple[Any, ...]]:
        return list(zip(*map(list, sequences), strict=True))

    yield "jax.util", "safe_map", safe_map
    yield "jax.util", "safe_zip", safe_zip
    # A dictionary key in neural-tangents, of a primitive that no longer occurs: any distinct object will do.
    yield "jax.interpreters.ad", "zeros_like_p", extended.Primitive("zeros_like")


def _module(name: str) -> types.ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _has(module: types.ModuleType, name: str) -> bool:
    # Names on their way out warn or raise AttributeError when read.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hasattr(module, name)


@contextlib.contextmanager
def _restored_names() -> Iterator[None]:
    """Put the missing names back, and remove exactly those on the way out."""
    added_modules: list[str] = []
    added_names: list[tuple[types.ModuleType, str]] = []

    def stand_in(name: str) -> types.ModuleType:
        module = types.ModuleType(name, "Stand-in that lets neural-tangents be imported.")
        sys.modules[name] = module
        added_modules.append(name)
        return module

    try:
        for module_name, name, value in _replacements():
            module = _module(module_name) or stand_in(module_name)
            if not _has(module, name):
                setattr(module, name, value)
                added_names.append((module, name))
        stand_in(_EXPERIMENTAL)
        yield
    finally:
        for module, name in added_names:
            delattr(module, name)
        for name in added_modules:
            sys.modules.pop(name, None)


@functools.cache
def load() -> Any:
    """Import neural-tangents, whatever the JAX, and return the module.

    Raises
    ------
    ImportError
        If neural-tangents is not installed, or does not import on this JAX; the message names the remedy.
    """
    if "neural_tangents" in sys.modules:  # imported by someone else already, in whatever way
        return sys.modules["neural_tangents"]
    if importlib.util.find_spec("neural_tangents") is None:
        raise ImportError(
            f"convolutional kernels need neural-tangents, which is not installed: {REMEDY}",
            name="neural_tangents",
        )
    before = set(sys.modules)
    try:
        with _restored_names(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return importlib.import_module("neural_tangents")
    except Exception as error:
        # Half-imported modules would hide the cause from the next attempt.
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "neural_tangents":
                del sys.modules[name]
        import jax

        raise ImportError(
            f"neural-tangents does not import on JAX {jax.__version__} ({type(error).__name__}: {error}); "
            f'install versions that were tried together: {REMEDY} && pip install "jax>={OLDEST},<={NEWEST}"',
            name="neural_tangents",
        ) from error
