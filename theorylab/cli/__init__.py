"""The command line: ``theorylab COMMAND [SETTING] [options]``."""

from theorylab.cli.main import main

__all__ = ["main"]
