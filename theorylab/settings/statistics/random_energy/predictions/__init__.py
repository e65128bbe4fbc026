"""Theories of the kernel sums, from exact to asymptotic."""

from theorylab.settings.statistics.random_energy.predictions.asymptotics import annealed, extreme_values, frozen
from theorylab.settings.statistics.random_energy.predictions.finite import central_limit, exact, inversion, moments

THEORIES = (exact, moments, inversion, extreme_values, frozen, annealed, central_limit)
