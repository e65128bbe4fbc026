"""Long runs in chunks: progress and time left, checkpoints, resumption, early stop on divergence."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from theorylab.training import checkpoint as checkpoints
from theorylab.training.iterate import (
    Dynamics,
    Progress,
    advance,
    all_finite,
    check_schedule,
    start,
    whole_number,
)

# Every run has its own state and records; the steps done are common to all, which keeps loops unbatched.
# (state, step, num_recorded, observables, first_bad_step)
BATCHED: Any = Progress._make((0, None, None, 0, 0))


class ChunkReport(NamedTuple):
    """What is known after a chunk: steps done, time passed and an estimate of the time left (seconds)."""

    step: int
    num_steps: int
    seconds: float
    seconds_left: float
    num_diverged: int
    num_runs: int


class ChunkedRuns(NamedTuple):
    """The outcome of :func:`train_in_chunks`: an orbit per run, the runs along the leading axis.

    Attributes
    ----------
    state
        The last state of every run.
    steps
        Recorded steps, common to all runs.
    observables
        Arrays of shape (runs, steps, ...). Steps that were not reached, since all runs had diverged, hold NaN
        (zero where the dtype has no NaN).
    first_bad_step
        Per run, as in :class:`~theorylab.training.iterate.Orbit`; -1 for a run that did not diverge.
    last_step
        Updates made: ``num_steps``, or fewer when all runs had diverged.
    resumed_at
        Updates that the checkpoint had already made; 0 for a fresh start.
    """

    state: Any
    steps: Int[Array, " steps"]
    observables: dict[str, Any]
    first_bad_step: Int[Array, " runs"]
    last_step: int
    resumed_at: int


def train_in_chunks(
    make_dynamics: Callable[[Any], Dynamics],
    runs: Any,
    *,
    num_steps: int,
    record_at: Sequence[int] | None = None,
    chunk_steps: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | Callable[[ChunkReport], None] = False,
    allow_nan: Sequence[str] = (),
) -> ChunkedRuns:
    """Train a batch of runs for long, chunk by chunk; the results do not depend on the chunks, bit for bit.

    One program is compiled and serves every chunk. With a checkpoint, a run that was killed goes on after its
    last finished chunk and ends with the same bits as an unbroken one (same program, device and JAX).

    Parameters
    ----------
    make_dynamics
        ``run -> Dynamics``, pure: samples the data and builds step, initial state and record, for example
        with :func:`~theorylab.training.gradient_descent.descent_dynamics`. Every chunk calls it anew, so that
        data need not be kept between chunks.
    runs
        What distinguishes the runs: an array of keys, or any PyTree, with a leading axis along runs.
    num_steps, record_at, allow_nan
        As in :func:`~theorylab.training.iterate.iterate`.
    chunk_steps
        Steps per chunk, by default a twentieth of ``num_steps``.
    checkpoint
        File that is replaced after each chunk, and resumed from if it exists.
    progress
        ``True`` for a bar with the time left, or a function that is handed a :class:`ChunkReport` per chunk.

    Raises
    ------
    ValueError
        If ``num_steps``, ``record_at`` or ``chunk_steps`` are not allowed, or ``runs`` have no common axis.
    CheckpointError
        If the file belongs to another run or is damaged; it is left as it is.
    """
    num_steps, record_at = check_schedule(num_steps, record_at)
    chunk_steps = -(-num_steps // 20) if chunk_steps is None else whole_number(chunk_steps, "chunk_steps", 1)
    num_runs = _count_runs(runs)

    def begin(run: Any) -> Progress:
        return start(make_dynamics(run), len(record_at))

    def chunk(state: Progress, run: Any, stop: Any) -> tuple[Progress, Any]:
        dynamics = make_dynamics(run)
        state = advance(dynamics, state, stop, record_at, allow_nan)
        watched = dynamics.watch(state.state) if dynamics.watch else state.state
        return state, (state.first_bad_step >= 0) | ~all_finite(watched)

    batched_begin = jax.jit(jax.vmap(begin, out_axes=BATCHED))
    batched_chunk = jax.vmap(chunk, in_axes=(BATCHED, 0, None), out_axes=(BATCHED, 0))
    shapes = jax.eval_shape(batched_begin, runs)
    traced = jax.jit(batched_chunk, donate_argnums=0).trace(shapes, runs, jnp.int32(0))
    path = None if checkpoint is None else Path(checkpoint)
    saved, identity = None, ""
    if path is not None:
        # The program holds the constants too: data, configuration and optimiser.
        where = f"{jax.__version__} {jax.default_backend()} {jax.devices()[0].device_kind}"
        identity = checkpoints.fingerprint([checkpoints.program_identity(traced.jaxpr), where, str(num_steps), runs])
        like = (shapes, jax.ShapeDtypeStruct((num_runs,), bool))
        saved = checkpoints.load(path, like, identity)
        path.parent.mkdir(parents=True, exist_ok=True)
    program = traced.lower().compile()
    state, diverged = saved or (batched_begin(runs), jnp.zeros(num_runs, dtype=bool))

    resumed_at = step = int(state.step)
    with _reporter(progress) as report:
        begun = time.perf_counter()
        while step < num_steps and not np.all(diverged):
            step = min(step + chunk_steps, num_steps)
            state, diverged = program(state, runs, jnp.int32(step))
            diverged = np.asarray(diverged)
            if path is not None:
                checkpoints.save(path, (state, diverged), identity)
            seconds = time.perf_counter() - begun
            left = 0.0 if diverged.all() else seconds * (num_steps - step) / (step - resumed_at)
            report(ChunkReport(step, num_steps, seconds, left, int(diverged.sum()), num_runs))

    # A run that broke after its last record shows at the next one, as it would in an unbroken run.
    next_record = next((s for s in record_at if s > step), num_steps)
    bad = np.asarray(state.first_bad_step)
    return ChunkedRuns(
        state=state.state,
        steps=jnp.array(record_at, dtype=jnp.int32),
        observables=state.observables,
        first_bad_step=jnp.asarray(np.where((bad < 0) & np.asarray(diverged), next_record, bad)),
        last_step=step,
        resumed_at=resumed_at,
    )


def _count_runs(runs: Any) -> int:
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(runs)}
    if len(lengths) != 1 or lengths <= {(), (0,)}:
        raise ValueError(f"runs need one leading axis of length >= 1 in all leaves; found {sorted(lengths)}")
    return lengths.pop()[0]


@contextlib.contextmanager
def _reporter(progress: bool | Callable[[ChunkReport], None]) -> Iterator[Callable[[ChunkReport], None]]:
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda report: None
    else:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
        )
        with Bar(*columns) as bar:
            task = bar.add_task("compiled", total=None)

            def show(report: ChunkReport) -> None:
                minutes, seconds = divmod(round(report.seconds_left), 60)
                text = f"steps, {minutes}:{seconds:02d} left"
                if report.num_diverged:
                    text += f", {report.num_diverged} of {report.num_runs} runs diverged"
                bar.update(task, completed=report.step, total=report.num_steps, description=text)

            yield show
