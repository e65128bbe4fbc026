"""Time of the mean-field theory of grokking: compilation and the march itself, with and without data noise.

Workload: α = 1, ε = ½, ν = 4, γ = 0.12, planted overlap 0.1, float64 with tangents in float32. No other implementation
of this theory is known to compare with. Run it alone on a quiet machine:

    python -m experiments.benchmarks.grokking_mean_field [--rounds 5] [--particles 1000] [--steps 60]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from theorylab.grokking.theory.dmft import Model, dmft
from theorylab.grokking.theory.dmft_seed import noise_driven_dmft
from theorylab.runtime import start_application

MODEL = Model(output_scale=1.0, quadratic_coeff=0.5, scaled_learning_rate=0.12, sample_ratio=4.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    start_application(cache=False)
    options: dict[str, Any] = {"num_steps": arguments.steps, "num_particles": arguments.particles}
    programs: dict[str, Callable[[jax.Array], Any]] = {
        "planted": lambda key: dmft(key, MODEL, spike_overlap=0.1, **options),
        "isotropic, driven by data noise": lambda key: noise_driven_dmft(key, MODEL, input_dim=200, **options),
    }
    compiled = {}
    for name, program in programs.items():
        start = time.perf_counter()
        compiled[name] = jax.jit(program).lower(jax.random.key(0)).compile()
        print(f"{name}: compiled in {time.perf_counter() - start:.1f} s")
    times: dict[str, list[float]] = {name: [] for name in programs}
    for index in range(arguments.rounds):
        for name, program in compiled.items():
            start = time.perf_counter()
            jax.block_until_ready(program(jax.random.key(index)))
            times[name].append(time.perf_counter() - start)
    for name, seconds in times.items():
        size = f"S = {arguments.particles}, T = {arguments.steps}"
        print(f"{name}, {size}: median {statistics.median(seconds):.2f} s over {arguments.rounds} rounds")


if __name__ == "__main__":
    main()
