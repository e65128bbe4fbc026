"""Benchmark of sharing one seed's hyper-parameters out over the cores: the same sweep on all cores and on one.

``64 scales``: one data set of D = 32, N = 128, P = 200, 500 test points, 64 output scales, 100 steps. ``2 scales``:
D = 100, N = 500, P = 450, 1000 test points, two output scales, 20 steps. ``1 scale``: one of the two, while the other
core rests. Float32; drawing the data and recording as in a sweep, on moments. Each contender is a process bound to its
cores, since XLA takes a thread for every core that it finds.

    python -m experiments.benchmarks.sharing [--rounds 5]
"""

from __future__ import annotations

from functools import partial

import numpy as np

from experiments.benchmarks.racing import PeerProcess, Row, check_close, main, num_threads, race, rows_of

WORKLOADS = {"64 scales": (32, 128, 200, 500, 100, 64), "2 scales": (100, 500, 450, 1000, 20, 2)}
WORKLOADS["1 scale"] = (*WORKLOADS["2 scales"][:-1], 1)


def measure(rounds: int) -> list[Row]:
    data = {name: np.array(sizes) for name, sizes in WORKLOADS.items()}
    rows: list[Row] = []
    with (
        PeerProcess("sharing", data, num_threads(), "theorylab") as every,
        PeerProcess("sharing", data, 1, "theorylab") as one,
    ):
        for name in WORKLOADS:
            processes = {"ours, all cores": every, "ours, one core": one}
            if name == "1 scale":
                del processes["ours, all cores"]
            for process in processes.values():
                process.ask(f"prepare({name!r})")
            expected = one.ask(f"sweep({name!r})").result
            contenders = {title: partial(process.ask, f"sweep({name!r})") for title, process in processes.items()}
            check = partial(check_close, expected=expected, tolerance=1e-3)
            rows += rows_of(name, race(contenders, rounds, check=check))
    return rows


if __name__ == "__main__":
    main(measure, __doc__)
