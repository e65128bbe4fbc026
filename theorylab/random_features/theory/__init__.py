"""Theory of random-feature ridge regression: effective ridges, errors, optimal ridge, power laws."""

from theorylab.random_features.theory.implicit import (
    EffectiveRidges,
    check_arguments,
    effective_ridges,
    solve_effective_ridges,
)
from theorylab.random_features.theory.risk import (
    finite_population_test_error,
    generalised_cross_validation,
    mean_learnabilities,
    population_test_error,
    predict_errors,
)

__all__ = [
    "EffectiveRidges",
    "check_arguments",
    "effective_ridges",
    "finite_population_test_error",
    "generalised_cross_validation",
    "mean_learnabilities",
    "population_test_error",
    "predict_errors",
    "solve_effective_ridges",
]
