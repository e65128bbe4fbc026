"""Compiled trainers shared by the settings."""

from theorylab.jax_version import require  # noqa: F401 - another JAX is refused here, in one sentence
from theorylab.training.gradient_descent import Trajectory, gradient_descent
from theorylab.training.iterate import Orbit, iterate, log_spaced_steps

__all__ = [
    "Orbit",
    "Trajectory",
    "gradient_descent",
    "iterate",
    "log_spaced_steps",
]
