"""What Ctrl-C does to the command line before a command begins its work, and after.

While modules are imported, an exception is no answer: NumPy's own start, for one, prints it and raises another. Nothing
has been done yet, so that the process just ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import types


def end_at_once() -> None:
    """Let Ctrl-C end this process with one line; where somebody else decides what it does, nothing changes."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, _end)


def raise_as_usual() -> None:
    """Let Ctrl-C raise ``KeyboardInterrupt`` again, so that work is ended in good order."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: types.FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(130)
