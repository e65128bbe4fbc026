"""The rules of the house: which room imports which, how long a file is, what is written once."""

import ast
import doctest
import importlib
import re
import sys
from pathlib import Path

import pytest

import theorylab

PACKAGE = Path(theorylab.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "docs" not in path.relative_to(PACKAGE).parts)
#: Which rooms each room may import, besides itself. ``theorylab`` is the public face, as its users see it.
GROUND = ("numerics", "training", "runtime", "jax_version", "version")
BELOW = {
    "version": (),
    "jax_version": (),
    "runtime": ("numerics",),
    "numerics": ("jax_version",),
    "training": ("numerics", "jax_version"),
    "contract": ("jax_version",),
    "catalogue": ("contract", "version"),
    "settings": ("contract", *GROUND),
    "lab": ("contract", *GROUND),
    "verdict": ("contract", "catalogue", "lab", *GROUND),
    "gallery": ("contract", "catalogue", "lab", "verdict", *GROUND),
    "own": ("contract", "settings", "lab", "verdict", *GROUND),
    "cli": ("contract", "catalogue", "lab", "verdict", "gallery", "own", *GROUND),
    "theorylab": None,  # everything
    "__main__": ("cli",),
}
#: Files that stand beside the order, and why.
EXCEPTIONS = {
    "theorylab.contract.testing": None,  # what another package's tests call: it uses the public face, as they would
    "theorylab.gallery.templates.setting": ("contract", "numerics", "training"),  # a setting
    "theorylab.gallery.templates.test_setting": None,  # a test
}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imports(module, path):
    """Modules of the library that a file imports, anywhere in it, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            inner = [f"{base}.{alias.name}" for alias in node.names]
            found = [name if name in MODULES else base for name in inner]
        else:
            continue
        for name in found:
            if name.split(".")[0] == "theorylab":
                yield node.lineno, name


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "theorylab"


def setting_of(module):
    """Package ``theorylab.settings.FAMILY.SETTING`` of a module that lies in one; else nothing: a family's own room."""
    parts = module.split(".")
    home = ".".join(parts[:4])
    if len(parts) < 4:
        return None
    known = {f"theorylab.settings.{family}.{name}" for name, family in theorylab.SETTINGS.items()}
    return home if home in known else None


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    """cli -> gallery -> verdict -> lab -> contract <- settings, with numerics and training on the ground."""
    room = room_of(module)
    allowed = EXCEPTIONS.get(module, BELOW[room])
    for line, name in imports(module, MODULES[module]):
        place = f"{MODULES[module]}:{line} imports {name}"
        assert allowed is None or room_of(name) in (room, *allowed), place
        if room == "settings" and room_of(name) == "settings":
            family, other = module.split(".")[2:3], name.split(".")[2:3]
            assert family == other, f"{place}, of another family"
            if setting_of(name) is not None:
                assert setting_of(module) == setting_of(name), f"{place}, a sister setting"


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) == "settings" and setting_of(m)])
def test_rooms_of_a_setting_run_one_way(module):
    """Within a setting config <- data <- model <- train; a theory imports none of these, and they meet it elsewhere.

    A configuration may use a formula for the bound of a field.
    """
    order = ["config", "data", "model", "train"]
    home = setting_of(module)
    inner = module.removeprefix(home).lstrip(".").split(".")[0]
    for line, name in imports(module, MODULES[module]):
        if setting_of(name) != home:
            continue
        other = name.removeprefix(home).lstrip(".").split(".")[0]
        place = f"{MODULES[module]}:{line} imports {name}"
        if inner == "theory":
            assert other not in [*order, "predictions", "presets", "controls"], place
        if inner in order[1:]:
            assert other not in ["theory", "predictions", "presets", "controls"], place
        if inner in order and other in order:
            assert order.index(other) <= order.index(inner), place


@pytest.mark.parametrize("module", MODULES)
def test_a_file_has_at_most_500_lines(module):
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 500


# --- examples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [m for m, path in MODULES.items() if ">>> " in path.read_text(encoding="utf-8")])
def test_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


# --- written once -----------------------------------------------------------------------------------------------------


def test_the_version_is_written_once():
    import tomllib

    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    assert PACKAGE.parent / project["tool"]["hatch"]["version"]["path"] == PACKAGE / "version.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", theorylab.__version__)


def test_the_public_face_says_the_same_to_people_and_to_type_checkers():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [checking] = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    seen = {alias.name: node.module for node in checking.body for alias in node.names}
    rooms = {name for name, module in seen.items() if module == "theorylab"}
    assert {name: module for name, module in seen.items() if name not in rooms} == theorylab._PUBLIC
    assert rooms == set(theorylab._ROOMS)
    assert set(theorylab.__all__) == {*theorylab._PUBLIC, "__version__"}
    for name in (*theorylab.__all__, *theorylab._ROOMS):
        assert getattr(theorylab, name) is not None
    assert set(dir(theorylab)) == {*theorylab.__all__, *theorylab._ROOMS}
    with pytest.raises(AttributeError, match="no attribute 'sweeep'"):
        theorylab.sweeep  # noqa: B018


def test_the_public_face_has_what_every_example_needs():
    assert {"get", "sweep", "predict", "compare", "check", "Case", "Theory", "Setting", "cite", "configure"} <= set(
        theorylab.__all__
    )


def test_annotations_of_the_mathematics_are_checked():
    """The hook was installed before anything else imported a room, so that nothing of them escapes it."""
    import checked

    for module in MODULES:
        if module.startswith(tuple(f"{room}." for room in checked.ROOMS)) and module in sys.modules:
            loader = type(sys.modules[module].__loader__).__name__
            assert loader == "_JaxtypingLoader", f"{module} is loaded by {loader}"
