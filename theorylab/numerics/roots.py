"""Safeguarded Newton iteration for monotone scalar equations, differentiable to any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

ValueAndSlope = Callable[[Array], tuple[Array, Array]]


class Root(NamedTuple):
    """Root of a scalar equation, with what the search left behind.

    Attributes
    ----------
    position
        Where the search ended; carries the derivatives of the root with respect to everything that the
        equation depends on.
    residual
        Value of the function at ``position`` (no derivative).
    iterations
        Function evaluations used, an integer.
    """

    position: Array
    residual: Array
    iterations: Array


class ResidualError(ArithmeticError):
    """A root was not reached to the tolerance asked for; ``residual`` holds how far off it is."""

    def __init__(self, message: str, residual: float):
        super().__init__(message)
        self.residual = residual


def decreasing_root(
    value_and_slope: ValueAndSlope,
    lower: ArrayLike,
    upper: ArrayLike,
    start: ArrayLike,
    *,
    value_tolerance: float | None = None,
    max_iterations: int = 200,
) -> Root:
    """Solve f(u) = 0 for a function that decreases on [lower, upper].

    Newton's step u − f/f' is taken where it stays inside the bracket, which every evaluation narrows, and a
    bisection otherwise. For scale parameters let u be the logarithm of the unknown and f the logarithm of a
    ratio: Newton then follows power laws exactly.

    Derivatives come from the implicit function theorem, du = −(∂f·dθ)/f'(u), with θ whatever traced values
    ``value_and_slope`` closes over, so first and higher derivatives hold in forward and reverse mode. Only
    the value is differentiated: the slope returned beside it steers the search and may share its intermediate
    results. Can be jitted and vmapped; a batch stops when its last member has converged.

    Parameters
    ----------
    value_and_slope
        ``u -> (f(u), f'(u))`` for scalar ``u``, with f'(u) <= 0.
    lower, upper, start
        Bracket with f(lower) >= 0 >= f(upper), and a point inside it. No derivative is taken of them.
    value_tolerance
        |f| at which the search stops; default four units of rounding. It also stops where the step is below
        the spacing of floating-point numbers.
    max_iterations
        Evaluations after which the search stops wherever it is: look at ``residual``, or see
        :func:`require_residual`.
    """
    start = jnp.asarray(start)
    dtype = start.dtype
    epsilon = float(jnp.finfo(dtype).eps)
    tolerance = 4 * epsilon if value_tolerance is None else value_tolerance
    low, high = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)

    def search(_function: Callable[[Array], Array], first: Array) -> tuple[Array, tuple[Array, Array]]:
        State = tuple[Array, Array, Array, Array, Array, Array]

        def unfinished(state: State) -> Array:
            *_, done, iterations = state
            return jnp.logical_not(done) & (iterations < max_iterations)

        def improve(state: State) -> State:
            position, low, high, _, _, iterations = state
            value, slope = value_and_slope(position)
            low = jnp.where(value > 0, position, low)
            high = jnp.where(value > 0, high, position)
            newton = position - value / slope
            # A zero slope gives inf or nan, which fails this comparison too.
            inside = (newton > low) & (newton < high)
            proposal = jnp.where(inside, newton, low + (high - low) / 2)
            spacing = 2 * epsilon * jnp.maximum(1, jnp.abs(position))
            done = (jnp.abs(value) <= tolerance) | (jnp.abs(proposal - position) <= spacing)
            # The last evaluated point is returned, so that the residual belongs to it.
            return jnp.where(done, position, proposal), low, high, value, done, iterations + 1

        state = (first, low, high, jnp.full_like(first, jnp.inf), jnp.array(False), jnp.array(0))
        position, _, _, value, _, iterations = jax.lax.while_loop(unfinished, improve, state)
        # Auxiliary outputs of custom_root must have tangents, so the count travels as a float.
        return position, (value, iterations.astype(dtype))

    def tangent_solve(linear: Callable[[Array], Array], right: Array) -> Array:
        return right / linear(jnp.ones_like(right))

    def value_only(position: Array) -> Array:
        return value_and_slope(position)[0]

    position, (residual, iterations) = jax.lax.custom_root(value_only, start, search, tangent_solve, has_aux=True)
    return Root(position, residual, iterations.astype(int))


def require_residual(residual: ArrayLike, tolerance: float, equation: str) -> None:
    """Raise where a residual is above the tolerance, or not a number. For concrete values, outside ``jit``.

    Raises
    ------
    ResidualError
        With the equation, the largest residual and what to do about it.
    """
    values = np.abs(np.asarray(residual))
    worst = float(np.max(np.where(np.isnan(values), np.inf, values), initial=0.0))
    if worst <= tolerance:
        return
    dtype = np.asarray(residual).dtype
    raise ResidualError(
        f"{equation}: residual {worst:.2e} is above the tolerance {tolerance:.1e}. Enable float64 "
        "(theorylab.configure(), or jax.config.update('jax_enable_x64', True)), or pass a larger "
        f"tolerance if this precision is enough (residual held in {dtype})",
        worst,
    )
