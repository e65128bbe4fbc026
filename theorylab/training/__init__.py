"""Compiled trainers shared by the settings."""

from theorylab import jax_version  # noqa: F401 - first: another JAX is refused here, in one sentence
from theorylab.training.checkpoint import CheckpointError
from theorylab.training.chunks import ChunkedRuns, ChunkReport, train_in_chunks
from theorylab.training.gradient_descent import Trajectory, descent_dynamics, gradient_descent
from theorylab.training.iterate import Dynamics, Orbit, iterate, log_spaced_steps

__all__ = [
    "CheckpointError",
    "ChunkReport",
    "ChunkedRuns",
    "Dynamics",
    "Orbit",
    "Trajectory",
    "descent_dynamics",
    "gradient_descent",
    "iterate",
    "log_spaced_steps",
    "train_in_chunks",
]
