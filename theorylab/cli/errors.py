"""Which errors are about what the user gave, and the one line that they become; all others keep their traceback."""

from __future__ import annotations


class UsageError(Exception):
    """The command line cannot be understood; the message is all the user needs."""


def message_of(error: Exception) -> str | None:
    """Return what to tell the user, or None where the error is not about what the user gave."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, ImportError):
        # An optional package is missing, and the message says which.
        return str(error) if "pip install" in str(error) else None
    if isinstance(error, (PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)):
        # A folder or file that the user named.
        return f"{error.filename}: {error.strerror}" if error.filename is not None else None
    from theorylab.contract import ConfigError, ContractError
    from theorylab.lab.store import StoreError

    return str(error) if isinstance(error, (ConfigError, ContractError, StoreError)) else None
