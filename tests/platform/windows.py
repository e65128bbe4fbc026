"""The command line as Windows runs it, as far as another system can play it: a script for a process of its own.

No ``fcntl``, no ``resource``, no affinity of processes, output in cp1252. Arguments: commands, separated by ``/``.
Prints the exit code of each.
"""

import os
import sys

for name in ("fcntl", "resource", "grp", "pwd"):
    sys.modules[name] = None
for name in ("sched_getaffinity", "fork", "getuid", "geteuid"):
    if hasattr(os, name):
        delattr(os, name)
if hasattr(os, "process_cpu_count"):  # Python 3.13's calls what is not there on Windows
    os.process_cpu_count = os.cpu_count
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding="cp1252", errors="strict")

if __name__ == "__main__":
    import warnings

    from theorylab.cli import main

    warnings.filterwarnings("ignore", message=".*no file locks")
    commands = " ".join(sys.argv[1:]).split(" / ")
    for command in commands:
        try:
            code = main(command.split())
        except SystemExit as stop:
            code = stop.code
        print(f"exit code {code}: {command}")
