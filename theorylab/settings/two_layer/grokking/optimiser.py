"""Gradient descent with what the literature adds to it: weight decay and heavy-ball momentum, for any state."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

State = TypeVar("State")


class Optimiser(NamedTuple):
    """What a step does beside following its pull, −γ times the gradient. The booleans are static.

    Attributes
    ----------
    weight_decay
        λ', in units of the step: γ λ' of the displacement is taken away.
    momentum
        μ, with ``heavy_ball``.
    heavy_ball
        Whether there is a velocity.
    decoupled
        Whether weight decay acts on the weights beside their velocity; otherwise it is a part of the gradient.
    towards_start
        Whether the displacement is counted from the initial weights; otherwise from zero.
    """

    weight_decay: ArrayLike = 0.0
    momentum: ArrayLike = 0.0
    heavy_ball: bool = False
    decoupled: bool = False
    towards_start: bool = False

    def velocity(self, state: State) -> Any:
        """The velocity before the first step, v = 0; without momentum there is none."""
        return jax.tree.map(lambda leaf: 0 * leaf, state) if self.heavy_ball else ()

    def displacement(self, state: State, start: State) -> State:
        """What weight decay takes a part of: the state itself, or how far it is from its start."""
        return jax.tree.map(jnp.subtract, state, start) if self.towards_start else state

    def step(
        self, state: State, velocity: Any, pull: State, displacement: State, scaled_learning_rate: ArrayLike
    ) -> tuple[State, Any]:
        """State and velocity after one step: w' = w + v', v' = μ v + pull − γ λ' displacement.

        Decoupled, the displacement is taken off beside v'; without momentum w' = w + pull − γ λ' displacement. This is
        ``optax.sgd(rate, momentum)`` with ``add_decayed_weights`` before it or, decoupled, after it.
        """
        decay: Any = scaled_learning_rate * self.weight_decay

        # Subtracted last: without decay every bit is that of plain gradient descent.
        def decayed(tree: Any) -> Any:
            return jax.tree.map(lambda leaf, away: leaf - decay * away, tree, displacement)

        if not self.heavy_ball:
            return decayed(jax.tree.map(jnp.add, state, pull)), velocity
        force = pull if self.decoupled else decayed(pull)
        velocity = jax.tree.map(lambda v, change: self.momentum * v + change, velocity, force)
        moved: Any = jax.tree.map(jnp.add, state, velocity)
        return decayed(moved) if self.decoupled else moved, velocity


PLAIN = Optimiser()
