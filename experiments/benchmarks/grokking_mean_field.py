"""Time of the mean-field theory of grokking: compilation and the march itself, with and without data noise.

Workload: α = 1, ε = ½, ν = 4, γ = 0.12, planted overlap 0.1, 1000 particles, 60 steps, float64 with tangents in
float32. No other implementation of this theory is known to compare with.

    python -m experiments.benchmarks.grokking_mean_field [--rounds 5]
"""

from __future__ import annotations

from functools import partial

import jax

from experiments.benchmarks.racing import Row, compiled, main, race, rows_of
from theorylab.runtime import configure
from theorylab.settings.two_layer.grokking.theory.dmft import dmft
from theorylab.settings.two_layer.grokking.theory.dmft_march import Model
from theorylab.settings.two_layer.grokking.theory.dmft_seed import noise_driven_dmft

MODEL = Model(output_scale=1.0, quadratic_coeff=0.5, scaled_learning_rate=0.12, sample_ratio=4.0)
OPTIONS = {"num_steps": 60, "num_particles": 1000}


def measure(rounds: int) -> list[Row]:
    configure(cache=False)
    key = jax.random.key(0)
    programs = {
        "ours, planted": lambda key: dmft(key, MODEL, spike_overlap=0.1, **OPTIONS),
        "ours, driven by data noise": lambda key: noise_driven_dmft(key, MODEL, input_dim=200, **OPTIONS),
    }
    ready = {name: compiled(jax.jit(program), key) for name, program in programs.items()}
    outcome = race({name: partial(program, key) for name, (program, _) in ready.items()}, rounds)
    return rows_of(
        "1000 particles, 60 steps", outcome, compile_seconds={name: s for name, (_, s) in ready.items()},
        precision="float64",
    )  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
