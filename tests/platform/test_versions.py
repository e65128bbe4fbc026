"""Versions: which JAX is refused and how, which names of JAX are used, what a release carries."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import jax
import pytest

import theorylab as tl
from theorylab import jax_version

ROOT = Path(tl.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = ROOT / "theorylab"
#: Loads neural-tangents on any JAX: it looks for names that are gone.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name not in ("_neural_tangents.py", "jax_version.py")]


def test_the_floor_is_declared_once_and_there_is_no_cap():
    """A cap would take a newer JAX away from its GPU plugin."""
    (declared,) = [line for line in PROJECT["dependencies"] if line.startswith("jax>") or line.startswith("jax=")]
    assert declared == f"jax>={jax_version.OLDEST}"
    jax_version.require(jax_version.NEWEST)
    jax_version.require("0.13.0.dev20270101+local")


@pytest.mark.parametrize("version", ["0.6.0", "0.5.3", "0.4.38"])
def test_an_older_jax_is_refused_in_one_sentence(version):
    words = rf"^theorylab needs JAX {jax_version.OLDEST} or later, and JAX {version} is installed: pip install \S+ jax$"
    with pytest.raises(ImportError, match=words):
        jax_version.require(version)


def test_a_jax_that_lacks_a_name_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.delattr(jax, "shard_map")
    with pytest.raises(ImportError) as refused:
        jax_version.require()
    for words in (jax_version.NEWEST, jax.__version__, "jax.shard_map", 'pip install "jax<='):
        assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("module", ["contract", "training", "numerics.roots", "lab.sweep", "settings.two_layer.xor"])
def test_the_import_of_whatever_needs_jax_refuses(module, tmp_path):
    code = f"""
import jax
jax.__version__ = "0.5.0"
try:
    import theorylab.{module}
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert f"needs JAX {jax_version.OLDEST} or later, and JAX 0.5.0 is installed" in done.stdout, done.stderr


def names_of_jax(path):
    """Every name of JAX that a file uses, as (line, module, attributes)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "jax":
                    bound[alias.asname or "jax"] = alias.name if alias.asname else "jax"
                    yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jax":
            for alias in node.names:
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield node.lineno, f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        chain, inner = [], node
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if chain and isinstance(inner, ast.Name) and inner.id in bound:
            yield node.lineno, ".".join([bound[inner.id], *reversed(chain)])


def resolve(name):
    """Look up a dotted name as far as modules and classes go; a deprecated one is an error."""
    found, parts = importlib.import_module("jax"), name.split(".")[1:]
    path = "jax"
    for part in parts:
        if not hasattr(found, "__path__") and not hasattr(found, "__file__"):
            return  # attributes of objects are the tests' business
        path = f"{path}.{part}"
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)
            try:
                found = getattr(found, part)
            except AttributeError:
                found = importlib.import_module(path)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_name_of_jax_exists_and_stays(path):
    """Also in code that no other test of this JAX runs."""
    for line, name in names_of_jax(path):
        try:
            resolve(name)
        except Exception as error:
            raise AssertionError(f"{path}:{line}: {name}: {error}") from error


def test_a_name_that_is_gone_is_noticed(tmp_path):
    """Negative control."""
    file = tmp_path / "mine.py"
    file.write_text("import jax\nfrom jax import numpy as jnp\n\nx = jnp.linalg.no_such(jax.vmap(f).y)\n")
    assert (4, "jax.numpy.linalg.no_such") in list(names_of_jax(file))
    resolve("jax.numpy.linalg.norm")
    with pytest.raises(ImportError):
        resolve("jax.numpy.linalg.no_such")


def test_a_release_has_one_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {tl.__version__}\n" in citation
    assert "version" in PROJECT["dynamic"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## Unreleased\n\n### Added\n", changes, re.M) or f"## {tl.__version__}" in changes
    headings = set(re.findall(r"^### (.*)$", changes, re.M))
    assert headings <= {"Added", "Changed", "Fixed", "Removed"}
