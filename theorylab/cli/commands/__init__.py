"""One module a command: ``options`` builds what it understands, ``run`` does it and returns the exit code."""
