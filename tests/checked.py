"""What the tests check at run time: shapes and types of every annotation, with beartype."""

from beartype import BeartypeConf, beartype

#: Rooms whose annotations are checked: the mathematics. What is asked once, outside of it, checks its input itself.
ROOMS = ["theorylab.settings", "theorylab.numerics", "theorylab.training"]

# An int is a float, as for static type checkers.
_beartype = beartype(conf=BeartypeConf(is_pep484_tower=True))


def annotations(function):
    """Check a function's arguments and result, except those of the constructor of a configuration.

    JAX builds configurations of tracers, of which no field is a float.
    """
    return function if function.__qualname__.endswith("Config.__init__") else _beartype(function)
