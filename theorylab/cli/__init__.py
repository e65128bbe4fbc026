"""The command line: ``theorylab COMMAND [SETTING] [options]``."""

from theorylab.cli.main import COMMANDS, help_text, main

__all__ = ["COMMANDS", "help_text", "main"]
