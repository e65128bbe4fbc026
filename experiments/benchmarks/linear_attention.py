"""In-context training of one linear attention layer against PyTorch: fresh prompts, statistics, exact loss.

Workload: d = 10, n = 20, 1000 fresh prompts per step, 2 seeds, 40 steps of Adam with a cosine schedule and clipped
gradients, float32. PyTorch's loops are written as a user would: once reading out the query alone, once with the full
attention map of every token, and as a loop of vmapped gradients (torch.func). The loop around a jitted step is what one
would write in JAX. Ours also trains on sufficient statistics of prompts instead of prompts; and drawing alone is timed,
since it is what most of the time goes to. Prompts are random and each contender draws its own, so that agreement is
checked on the loss of one layer on one set of prompts. Last, 16 seeds of 3000 steps on the exact loss, where nothing is
drawn.

    BENCHMARK_TORCH_PYTHON=/path/to/python python -m experiments.benchmarks.linear_attention [--rounds 5]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks.racing import (
    PeerProcess,
    Row,
    check_close,
    compiled,
    compiled_on_devices,
    main,
    race,
    rows_of,
)
from theorylab.runtime import configure
from theorylab.settings.in_context.descent import optimizer
from theorylab.settings.in_context.layer import Layer, effective_layer, init_layer, squared_error
from theorylab.settings.in_context.linear_attention import Config
from theorylab.settings.in_context.linear_attention.data import Keys, law_of
from theorylab.settings.in_context.linear_attention.presets import LAYER
from theorylab.settings.in_context.linear_attention.train import train_layer
from theorylab.settings.in_context.prompts import Prompts, sample_prompts, sample_statistics

DIM, CONTEXT, BATCH, SEEDS, STEPS = 10, 20, 1000, 2, 40
BASE = Config(
    dim=DIM, context_length=CONTEXT, noise_variance=0.0, batch_size=BATCH, num_steps=STEPS, initial_scale=0.1,
    training="prompts",
)  # fmt: skip


def trainer(config: Config) -> Callable[[jax.Array], Any]:
    """One training: key -> (layer, losses)."""

    def one(key: jax.Array) -> Any:
        init_key, data_key, test_key = jax.random.split(key, 3)
        keys = Keys(init=init_key, pool=key, data=data_key, test=test_key)  # no pool: its key is not used
        return train_layer(keys, config, law_of(keys.pool, config))

    return one


def drawing(config: Config) -> Callable[[jax.Array], Any]:
    """The random numbers of one training alone: key -> a number made of all."""

    draw = sample_prompts if config.training == "prompts" else sample_statistics

    def one(key: jax.Array) -> jax.Array:
        law = law_of(key, config)

        def body(t: Any, total: Any) -> Any:
            drawn = draw(jax.random.fold_in(key, t), law, BATCH, CONTEXT)
            return total + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(drawn))

        return jax.lax.fori_loop(0, config.num_steps, body, jnp.float32(0))

    return one


def jit_loop(config: Config, keys: jax.Array) -> tuple[Callable[[], Any], float]:
    """A Python loop around a jitted step that draws its prompts, one seed after another; and its compilation."""
    import optax

    adam, law = optimizer(config), law_of(keys[0], config)

    def update(params: Layer, state: Any, key: jax.Array, t: jax.Array) -> Any:
        batch = sample_prompts(jax.random.fold_in(key, t), law, BATCH, CONTEXT)
        loss = lambda params: squared_error(effective_layer(params, float(CONTEXT)), batch)  # noqa: E731
        updates, state = adam.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    start = [init_layer(key, DIM, config.initial_scale) for key in keys]
    state = adam.init(start[0])
    step, seconds = compiled(jax.jit(update), start[0], state, keys[0], jnp.int32(0))
    times = [jnp.int32(t) for t in range(config.num_steps)]

    def run() -> Any:
        finals = []
        for key, params in zip(keys, start, strict=True):
            now = state
            for t in times:
                params, now = step(params, now, key, t)
            finals.append(params)
        return finals

    return run, seconds


def given() -> dict[str, np.ndarray]:
    """One layer and one set of prompts, for all contenders. The readout reads the label alone, as ``full_map`` does."""
    rng = np.random.default_rng(0)
    params = [np.eye(DIM + 1)[DIM], *(rng.standard_normal((3, DIM + 1, DIM + 1)) / 4)]
    x, w = rng.standard_normal((BATCH, CONTEXT + 1, DIM)), rng.standard_normal((BATCH, DIM))
    arrays = {f"param_{i}": param for i, param in enumerate(params)} | {"x": x, "y": np.einsum("bnd,bd->bn", x, w)}
    return {name: values.astype(np.float32) for name, values in arrays.items()}


def given_loss(arrays: dict[str, np.ndarray]) -> float:
    """Our loss of that layer on those prompts."""
    layer = effective_layer(Layer(*(jnp.asarray(arrays[f"param_{i}"]) for i in range(4))), float(CONTEXT))
    x, y = jnp.asarray(arrays["x"]), jnp.asarray(arrays["y"])
    return float(squared_error(layer, Prompts(x[:, :-1], y[:, :-1], x[:, -1], y[:, -1], None)))


def measure(rounds: int) -> list[Row]:
    configure(float64=False, cache=False)
    keys = jax.random.split(jax.random.key(0), SEEDS)
    statistics = dataclasses.replace(BASE, training="statistics")
    programs = {
        "ours": trainer(BASE),
        "ours, statistics": trainer(statistics),
        "ours, drawing prompts": drawing(BASE),
        "ours, drawing statistics": drawing(statistics),
    }
    ready = {name: compiled_on_devices(program, keys) for name, program in programs.items()}
    looped, loop_seconds = jit_loop(BASE, keys)
    arrays = given()
    sizes = {"dim": DIM, "context": CONTEXT, "batch": BATCH, "seeds": SEEDS}
    with PeerProcess("linear_attention", arrays | {k: np.array(v) for k, v in sizes.items()}) as torch:
        if torch.version:
            for name in ("query_only", "full_map"):
                check_close(f"PyTorch's {name}", torch.ask(f"given_loss('{name}')").result, given_loss(arrays), 1e-4)
        contenders: dict[str, Callable[[], Any]] = {name: program for name, (program, _) in ready.items()}
        contenders |= {
            "loop around jit": looped,
            "PyTorch eager": lambda: torch.ask(f"eager('query_only', {STEPS})"),
            "PyTorch eager, full map": lambda: torch.ask(f"eager('full_map', {STEPS})"),
            "torch.func": lambda: torch.ask(f"mapped({STEPS})"),
            "PyTorch, drawing prompts": lambda: torch.ask(f"drawing({STEPS})"),
        }
        outcome = race(contenders, rounds)
    seconds = {name: compiling for name, (_, compiling) in ready.items()} | {"loop around jit": loop_seconds}
    rows = rows_of("fresh prompts", outcome, compile_seconds=seconds)
    many = jax.random.split(jax.random.key(1), 16)
    exact, compiling = compiled_on_devices(trainer(LAYER), many)
    label = f"exact loss, 16 seeds x {LAYER.num_steps} steps"
    return rows + rows_of(label, race({"ours": exact}, rounds), compile_seconds={"ours": compiling})


if __name__ == "__main__":
    main(measure, __doc__)
