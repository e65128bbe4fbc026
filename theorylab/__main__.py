"""``theorylab`` and ``python -m theorylab``: Ctrl-C is one line from the first moment on."""

import sys


def start() -> int:
    """Run the command line; returns its exit code."""
    try:
        from theorylab.cli import interruption, main

        interruption.end_at_once()
        try:
            return main()
        finally:
            interruption.end_at_once()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(start())
