"""Iterate an update rule inside one compiled program, measuring it only at chosen steps."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from theorylab.numerics import xla

State = Any
Record = Callable[[State], dict[str, Any]]
StepFunction = Callable[[State, Any], State]


class Orbit(NamedTuple):
    """The outcome of :func:`iterate`.

    Attributes
    ----------
    state
        The final state. Always returned: XLA deletes a loop of which nothing is used.
    steps
        Steps after which observables were recorded; step 0 is the initial state.
    observables
        Every array of ``record``, with a leading axis along ``steps``.
    first_bad_step
        First recorded step, or the final one, at which the watched state or an observable was not finite;
        -1 where there was none.
    """

    state: State
    steps: Int[Array, " steps"]
    observables: dict[str, Any]
    first_bad_step: Int[Array, ""]


class _Progress(NamedTuple):
    """How far an iteration has come: ``step`` updates made, the first ``num_recorded`` scheduled steps recorded."""

    state: State
    step: Int[Array, ""]
    num_recorded: Int[Array, ""]
    observables: dict[str, Any]
    first_bad_step: Int[Array, ""]


def whole_number(value: Any, name: str, at_least: int) -> int:
    """Return ``value`` as an int; raises ``ValueError``, naming it, unless it is whole and large enough."""
    try:
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except TypeError:
        number = None
    # The step counter is an int32, whatever the precision; one value beyond num_steps is a sentinel.
    if number is None or isinstance(value, bool) or not at_least <= number < 2**31 - 1:
        raise ValueError(f"{name} = {value!r} is not allowed: must be a whole number >= {at_least}")
    return number


def log_spaced_steps(num_steps: int, per_decade: int = 10) -> tuple[int, ...]:
    """Steps for recording, evenly spaced on a logarithmic axis: round(10^(i / per_decade)), i = 0, 1, ...

    Always holds 0 and ``num_steps``, each step once. The steps of a shorter run are also steps of a longer
    one (but for the shorter one's last).

    Raises
    ------
    ValueError
        If ``num_steps`` or ``per_decade`` is not a whole number >= 1.
    """
    num_steps = whole_number(num_steps, "num_steps", 1)
    per_decade = whole_number(per_decade, "per_decade", 1)
    powers = (round(10 ** (i / per_decade)) for i in itertools.count())
    inner = itertools.takewhile(lambda step: step < num_steps, powers)
    return tuple(sorted({0, num_steps, *inner}))


def check_schedule(num_steps: Any, record_at: Iterable[Any] | None) -> tuple[int, tuple[int, ...]]:
    """Check the length of a run and its recorded steps (log-spaced when ``None``); return both as ints.

    Raises
    ------
    ValueError
        If ``num_steps`` is not whole and >= 1, or ``record_at`` not strictly increasing in [0, num_steps].
    """
    num_steps = whole_number(num_steps, "num_steps", 1)
    if record_at is None:
        return num_steps, log_spaced_steps(num_steps)
    steps = tuple(whole_number(step, "record_at step", 0) for step in record_at)
    for earlier, later in itertools.pairwise(steps):
        if later <= earlier:
            raise ValueError(f"record_at is not allowed: steps must strictly increase, but {later} follows {earlier}")
    if steps and steps[-1] > num_steps:
        raise ValueError(
            f"record_at is not allowed: step {steps[-1]} lies beyond the last step, num_steps = {num_steps}"
        )
    return num_steps, steps


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every real or complex number of a PyTree is finite; integers and keys always are."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree) if _has_nan(leaf)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves], dtype=bool))


def _has_nan(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def iterate(
    step_fn: StepFunction,
    state: State,
    *,
    num_steps: int,
    record: Record | None = None,
    record_at: Sequence[int] | None = None,
    watch: Callable[[State], Any] | None = None,
    allow_nan: Sequence[str] = (),
) -> Orbit:
    """Apply an update rule ``num_steps`` times: state_{t+1} = step_fn(state_t, t), t = 0, ..., num_steps - 1.

    Pure: use it inside ``jit`` and (nested) ``vmap``. It can be differentiated forwards (``jvp``), not
    backwards, since its loops have dynamic bounds.

    Parameters
    ----------
    step_fn
        ``(state, t) -> state``, the same structure, shapes and dtypes; ``t`` counts from 0 (int32).
    state
        The state before the first step: any PyTree of arrays.
    record
        ``state -> {name: array}``, evaluated at the recorded steps only.
    watch
        ``state -> `` the part of it whose non-finite values mean divergence; all of it unless given.
    num_steps, record_at
        Static. Recorded steps lie in [0, num_steps], strictly increasing; :func:`log_spaced_steps` unless
        given. Step t means "after t updates".
    allow_nan
        Observables of which a non-finite value is a result rather than divergence.

    Raises
    ------
    ValueError
        See :func:`check_schedule`.
    """
    num_steps, record_at = check_schedule(num_steps, record_at)
    record = record or (lambda state: {})
    watch = watch or (lambda state: state)
    progress = _run(step_fn, state, num_steps, record, record_at, watch, allow_nan)
    bad_at_end = (progress.first_bad_step < 0) & ~all_finite(watch(progress.state))
    return Orbit(
        state=progress.state,
        steps=jnp.array(record_at, dtype=jnp.int32),
        observables=progress.observables,
        first_bad_step=jnp.where(bad_at_end, progress.step, progress.first_bad_step),
    )


#: Steps of a block that are written out, one after the other, if a step has few operations: a longer one gains little
#: by that, and each copy of it is compiled.
WRITTEN_OUT, FEW_OPERATIONS = 4, 100
_BLOCKS = (*range(1, WRITTEN_OUT), *range(WRITTEN_OUT, 65, WRITTEN_OUT))


def block_length(lengths: Sequence[int]) -> int:
    """Steps of a block with which segments of such lengths take the fewest looks at whether a loop goes on.

    >>> block_length([1, 1, 1]), block_length([8, 12, 400])
    (1, 40)
    """
    return min(_BLOCKS, key=lambda block: (num_waits(lengths, block), block))


def num_waits(lengths: Sequence[int], block: int) -> int:
    """Looks at whether a loop goes on: before each block and each single step after these, and at both loops' ends."""
    return sum(length // block + length % block for length in lengths) + len(lengths) * (1 if block == 1 else 2)


def _run(
    step_fn: StepFunction,
    state: State,
    num_steps: int,
    record: Record,
    record_at: Sequence[int],
    watch: Callable[[State], Any],
    allow_nan: Sequence[str],
) -> _Progress:
    """One loop over the recorded steps, around one loop over the steps between two of them.

    On a processor both have dynamic bounds: so the step is compiled once however the records are spaced, and nothing
    is paid for recording at a step that is not recorded. The bounds do not depend on the state, so that ``vmap``
    leaves the loops' conditions scalar.

    A GPU's host waits for the card in each round of a loop whose number of rounds the compiler does not know, and at
    each condition. So elsewhere the outer loop has a fixed number of rounds, without a condition where the last
    step is recorded, and the inner one makes blocks of steps in loops of fixed length, then the rest one by one. Steps
    that are recorded at equal distances are one block each, and the host never waits.
    """
    never = jnp.iinfo(jnp.int32).max
    schedule = jnp.array([*record_at, never], dtype=jnp.int32)
    stop = jnp.asarray(num_steps, dtype=jnp.int32)
    ends = [*record_at] if num_steps in record_at else [*record_at, num_steps]
    on_processor = xla.on_processor()
    lengths = [later - earlier for earlier, later in itertools.pairwise([0, *ends])]
    evenly = not on_processor and len({*lengths} - {0}) == 1
    block = 1 if on_processor else max(lengths) if evenly else block_length(lengths)
    written = 1
    if block > 1:
        operations = xla.equations(jax.make_jaxpr(step_fn)(state, jnp.int32(0)))
        written = min(block, WRITTEN_OUT) if sum(1 for _ in operations) <= FEW_OPERATIONS else 1

    def unfinished(progress: _Progress) -> Bool[Array, ""]:
        return (progress.step < stop) | (schedule[progress.num_recorded] <= stop)

    def measure(state: State, step: Any, row: Any, rows: Any, first_bad_step: Any) -> tuple[Any, Any]:
        values = record(state)
        rows = jax.tree.map(lambda rows, value: rows.at[row].set(value), rows, values)
        healthy = all_finite((watch(state), {k: v for k, v in values.items() if k not in allow_nan}))
        return rows, jnp.where((first_bad_step < 0) & ~healthy, step, first_bad_step)

    def one(t: Any, state: State) -> State:
        return step_fn(state, t)

    def many(start: Any, state: State) -> State:
        if block == 1:
            return one(start, state)
        indices = np.int32(0), np.int32(block)
        return jax.lax.fori_loop(*indices, lambda i, s: one(start + i, s), state, unroll=written)

    def advance(start: Any, end: Any, state: State) -> State:
        if evenly:  # but for the first segment, which is empty where step 0 is recorded
            return jax.tree.map(lambda now, later: jnp.where(end > start, later, now), state, many(start, state))
        if block > 1:
            rounds = (end - start) // block
            state = jax.lax.fori_loop(np.int32(0), rounds, lambda i, state: many(start + i * block, state), state)
            start = start + rounds * block
        return jax.lax.fori_loop(start, end, one, state)

    def segment(progress: _Progress) -> _Progress:
        due = schedule[progress.num_recorded]
        step = jnp.minimum(due, stop)
        state = advance(progress.step, step, progress.state)
        arguments = (state, step, progress.num_recorded, progress.observables, progress.first_bad_step)
        if len(ends) == len(record_at) and not on_processor:
            observables, first_bad_step = measure(*arguments)
        else:
            observables, first_bad_step = jax.lax.cond(
                due <= stop,
                measure,
                lambda state, step, row, rows, first_bad_step: (rows, first_bad_step),
                *arguments,
            )
        num_recorded = progress.num_recorded + (due <= stop).astype(jnp.int32)
        return _Progress(state, step, num_recorded, observables, first_bad_step)

    rows = jax.tree.map(
        lambda leaf: jnp.full((len(record_at), *leaf.shape), jnp.nan if _has_nan(leaf) else 0, leaf.dtype),
        jax.eval_shape(record, state),
    )
    start = _Progress(jax.tree.map(jnp.asarray, state), jnp.int32(0), jnp.int32(0), rows, jnp.int32(-1))
    if on_processor:
        return jax.lax.while_loop(unfinished, segment, start)
    return jax.lax.fori_loop(0, len(ends), lambda _, progress: segment(progress), start)
