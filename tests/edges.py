"""The edges of a setting's fields, and its smallest configurations, read from the fields: a new setting has both."""

import contextlib
import dataclasses
import faulthandler
import math
import signal
import typing
from pathlib import Path

from theorylab.contract import ConfigError, static_fields
from theorylab.lab.grid import make_plan

#: Within a field's limits some of these remain; the last ones leave the floats sooner or later.
NUMBERS = (0.0, 1e-300, 1e-30, 1e-8, 0.1, 0.5, 1.0, 2.0, 10.0, 1e3, 1e8, 1e30, 1e100, -1.0, -0.1, -1e8)
#: For fields that are texts: lists that are none, or that look like another.
TEXTS = (
    "", " ", "0", "1", "1,1", "2,1,1", " 2 , 1", "1,0", "-1,2", "+1,2", "1_0,2", "1e3,1", "nan", "4,", "2,٣",
    "9" * 30 + ",1", "9" * 5000 + ",1", "1," * 5000 + "1", "999999999,999999999", "[/red]", "a\0b", "a\nb", "é",
)  # fmt: skip


def one_line(error):
    """Make sure that an error is one line of a bounded length."""
    text = str(error)
    assert 0 < len(text) < 1000, text[:1000]
    assert "\n" not in text, text


def limits(field):
    """The ends of a field's range."""
    metadata = field.metadata
    return [metadata[name] for name in ("at_least", "above", "at_most", "below") if metadata[name] is not None]


def edges_of_scalar(field):
    """Its limits, their neighbours on both sides, and numbers of all magnitudes."""
    values = [float(limit) for limit in limits(field)]
    values += [math.nextafter(limit, way) for limit in limits(field) for way in (-math.inf, math.inf)]
    values += [limit + step for limit in limits(field) for step in (-1e-6, 1e-6)]
    return list(dict.fromkeys([*values, *NUMBERS]))


def edges_of_size(field, hint, value):
    """Choices and texts, or the smallest sizes up to about the present one."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if hint is bool:
        return [False, True]
    if hint is str:
        return list(dict.fromkeys([value, *TEXTS]))
    lowest = [round(limit) for limit in limits(field)] or [0]
    near = [lowest[0] - 1, *(lowest[0] + step for step in (0, 1, 2, 3)), value - 1, value, value + 1]
    values = [v for v in near if v <= max(2 * value, 8)]
    values += [math.inf] if field.metadata["or_infinite"] else []
    values += [] if field.metadata["whole"] else [1e-300, 1e-30, 1e-8, 0.3, 1.7, 1e30, 1e100]
    return list(dict.fromkeys(values))


def edges(config, field):
    """Edges of one field about a configuration."""
    if field.name not in static_fields(config):
        return edges_of_scalar(field)
    return edges_of_size(field, typing.get_type_hints(type(config))[field.name], getattr(config, field.name))


def accepted(setting, config, grid=None):
    """Whether a configuration is not refused; if it is, in one line."""
    try:
        make_plan(setting, config, grid)
    except ConfigError as error:
        one_line(error)
        return False
    return True


def smallest(setting, case):
    """The configuration of a case with each size at the least value that is accepted beside the others."""
    first = {field: values[0] for field, values in case.grid.items()}
    config = setting.validate(dataclasses.replace(case.config, **first))
    for name in static_fields(config):
        value = getattr(config, name)
        if not isinstance(value, int) or isinstance(value, bool) or name.startswith("num_test"):
            continue
        for size in range(max(1, type(config).__dataclass_fields__[name].metadata["at_least"] or 1), value):
            changed = dataclasses.replace(config, **{name: size})
            if accepted(setting, changed):
                config = changed
                break
    return config


@contextlib.contextmanager
def little(gigabytes, seconds):
    """Give what is done here so much more memory, and so many seconds of the processor, and no more.

    Then come ``MemoryError`` or ``TimeoutError``; who cannot be interrupted ends the process, with its traceback.
    """
    try:
        import resource
    except ImportError:  # not a POSIX system
        yield
        return

    def too_long(number, frame):
        raise TimeoutError(f"more than {seconds} seconds")

    before, usual = signal.signal(signal.SIGPROF, too_long), resource.getrlimit(resource.RLIMIT_DATA)
    status = Path("/proc/self/status")
    used = int(status.read_text().partition("VmData:")[2].split()[0]) * 1024 if status.exists() else None
    try:
        if used is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (used + gigabytes * 2**30, usual[1]))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        faulthandler.dump_traceback_later(20 * seconds, exit=True)
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        resource.setrlimit(resource.RLIMIT_DATA, usual)
