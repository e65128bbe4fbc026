"""Compiled trainers shared by the settings."""

from theorylab.training.gradient_descent import Trajectory, descent_dynamics, gradient_descent
from theorylab.training.iterate import Dynamics, Orbit, iterate, log_spaced_steps

__all__ = [
    "Dynamics",
    "Orbit",
    "Trajectory",
    "descent_dynamics",
    "gradient_descent",
    "iterate",
    "log_spaced_steps",
]
