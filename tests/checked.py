"""What the tests check at run time: shapes and types of every annotation, with beartype."""

import typing

from beartype import BeartypeConf, beartype

#: Rooms whose annotations are checked: the mathematics. What is asked once, outside of it, checks its input itself.
ROOMS = ["theorylab.settings", "theorylab.numerics", "theorylab.training"]

# An int is a float, as for static type checkers.
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def annotations(function):
    """Check a function's arguments and result, except those of the constructor of a configuration.

    JAX builds configurations of tracers, of which no field is a float.
    """
    if function.__qualname__.endswith("Config.__init__"):
        return function
    for hint in function.__annotations__.values():
        _check_protocols(hint)
    return _beartype(function)


def _check_protocols(hint):
    """A protocol is checked by the names that it asks for, whether or not it says so itself."""
    if getattr(hint, "_is_protocol", False):
        typing.runtime_checkable(hint)
    for part in typing.get_args(hint):
        _check_protocols(part)
