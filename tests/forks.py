"""Sweeps of the toy setting in processes of their own, each of which can be killed at a given moment.

Importing JAX takes seconds: one process does so, and forks a child for each sweep before JAX or Zarr has run anything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Forks:
    """The process that forks, seen from the test."""

    def __init__(self, cache):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, __file__, str(cache)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )

    def start(self, store, delays, processes=None, **options):
        """Start one process per delay (seconds until its SIGKILL, or None); ``answer`` then waits for them.

        ``processes`` are their (index, count), by default those of one run. With ``stall``, a process stops after its
        first block, and dies by SIGKILL that many seconds later. With ``slow_disk``, every tenth write takes that many
        seconds.
        """
        processes = [(index, len(delays)) for index in range(len(delays))] if processes is None else processes
        job = {"store": str(store), "delays": delays, "processes": processes, **options}
        print(json.dumps(job), file=self.process.stdin, flush=True)

    def answer(self):
        """Exit codes (-9: killed) and the seconds until the last process ended."""
        answer = json.loads(self.process.stdout.readline())
        return answer["codes"], answer["seconds"]

    def run(self, *arguments, **options):
        self.start(*arguments, **options)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


def _slow_down(seconds):
    import asyncio
    import random

    from zarr.storage import LocalStore

    write = LocalStore.set

    async def slow_write(self, *arguments, **keywords):
        await asyncio.sleep(seconds if random.random() < 0.1 else 0.0)
        return await write(self, *arguments, **keywords)

    LocalStore.set = slow_write


def _child(job, processes):
    import toy

    from theorylab.lab.sweep import sweep

    def stall(done, total):
        time.sleep(job["stall"])
        os.kill(os.getpid(), signal.SIGKILL)

    try:
        if "slow_disk" in job:
            _slow_down(job["slow_disk"])
        grid = {name: tuple(values) for name, values in job["grid"].items()}
        sweep(
            toy.SETTING,
            grid=grid,
            seeds=job["seeds"],
            store=job["store"],
            processes=tuple(processes),
            memory_budget=job.get("memory_budget", 2**30),
            progress=stall if "stall" in job else False,
            store_timeout=30,
            extend=job.get("extend", False),
        )
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _serve():
    for line in sys.stdin:
        job = json.loads(line)
        start = time.perf_counter()
        children = []
        for processes in job["processes"]:
            child = os.fork()
            if child == 0:
                _child(job, processes)
            children.append(child)
        delays = zip(job["delays"], children, strict=True)
        for delay, child in sorted((delay, child) for delay, child in delays if delay is not None):
            time.sleep(max(0.0, start + delay - time.perf_counter()))
            os.kill(child, signal.SIGKILL)  # not waited for yet, so that its number is still its own
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps({"codes": codes, "seconds": time.perf_counter() - start}), flush=True)


if __name__ == "__main__":
    import jax
    import toy
    import xarray
    import zarr

    import theorylab.lab.sweep

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", sys.argv[1])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    assert {toy, xarray, zarr, theorylab}  # imported for the children
    _serve()
