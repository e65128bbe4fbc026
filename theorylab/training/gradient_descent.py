"""Train by any optax optimiser, on the full batch or on fresh batches, inside one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Int

from theorylab.numerics import random
from theorylab.training.iterate import iterate

Params = Any
Loss = Callable[..., Any]


class DescentState(NamedTuple):
    """Parameters, and the optimiser's own state."""

    params: Params
    opt_state: Any


class Trajectory(NamedTuple):
    """The outcome of :func:`gradient_descent`.

    Attributes
    ----------
    params, opt_state
        The final ones. Return or use ``params``: XLA deletes a training loop of which nothing is used.
    steps
        Recorded steps; step t is "after t updates".
    observables
        Every array of ``record``, with a leading axis along ``steps``.
    first_bad_step
        First recorded step, or the final one, at which parameters or observables were not finite; -1 where
        there was none.
    """

    params: Params
    opt_state: Any
    steps: Int[Array, " steps"]
    observables: dict[str, Any]
    first_bad_step: Int[Array, ""]


def gradient_descent(
    loss: Loss,
    params: Params,
    optimizer: Any,
    *,
    num_steps: int,
    record: Callable[[Params], dict[str, Any]] | None = None,
    record_at: Sequence[int] | None = None,
    key: jax.Array | None = None,
    sample_batch: Callable[[jax.Array], Any] | None = None,
    allow_nan: Sequence[str] = (),
) -> Trajectory:
    """Minimise a loss: params_{t+1} = params_t + optimizer(grad loss(params_t)), t = 0, ..., num_steps - 1.

    With ``optax.sgd(learning_rate)`` this is plain gradient descent,
    params_{t+1} = params_t - learning_rate · grad loss(params_t). Pure: use it inside ``jit`` and (nested)
    ``vmap``, and build the optimiser inside the mapped function from a traced learning rate: a whole grid
    is then one program.

    Parameters
    ----------
    loss
        ``params -> scalar``, or ``(params, batch) -> scalar`` with ``sample_batch``.
    params
        Initial parameters, any PyTree of real arrays.
    optimizer
        Any ``optax.GradientTransformation``; those that ask for them get ``params``, ``value``, ``grad`` and
        ``value_fn``.
    num_steps, record_at
        Static; see :func:`~theorylab.training.iterate.iterate`.
    record
        ``params -> {name: array}``, evaluated at the recorded steps only.
    key, sample_batch
        ``sample_batch(key) -> batch`` draws a fresh batch for every step t, from ``fold_in(key, t)``.
    allow_nan
        Observables of which a non-finite value is a result rather than divergence.

    Raises
    ------
    ValueError
        If ``num_steps`` or ``record_at`` are not allowed, or ``key`` comes without ``sample_batch``.

    Examples
    --------
    >>> import jax, optax
    >>> def final(learning_rate):
    ...     loss = lambda w: 0.5 * w**2
    ...     return gradient_descent(loss, 1.0, optax.sgd(learning_rate), num_steps=2).params
    >>> print(jax.vmap(final)(jax.numpy.array([0.0, 0.5])))
    [1.   0.25]
    """
    import optax

    if (key is None) != (sample_batch is None):
        raise ValueError("fresh batches need both key and sample_batch; full-batch training takes neither")
    optimizer = optax.with_extra_args_support(optimizer)

    def step(state: DescentState, t: Any) -> DescentState:
        objective = loss
        if sample_batch is not None and key is not None:
            # Folding in the step, not splitting along the way: a step's batch does not depend on the steps before.
            batch = sample_batch(random.fold_in(key, t))
            objective = lambda params: loss(params, batch)  # noqa: E731
        value, gradient = jax.value_and_grad(objective)(state.params)
        updates, opt_state = optimizer.update(
            gradient, state.opt_state, state.params, value=value, grad=gradient, value_fn=objective
        )
        return DescentState(optax.apply_updates(state.params, updates), opt_state)

    orbit = iterate(
        step,
        DescentState(params, optimizer.init(params)),
        num_steps=num_steps,
        record=None if record is None else lambda state: record(state.params),
        record_at=record_at,
        # Optimisers keep infinities on purpose ("best loss so far"), so their state says nothing.
        watch=lambda state: state.params,
        allow_nan=allow_nan,
    )
    return Trajectory(orbit.state.params, orbit.state.opt_state, orbit.steps, orbit.observables, orbit.first_bad_step)
