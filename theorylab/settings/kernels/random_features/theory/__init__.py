"""Theory of random-feature ridge regression: effective ridges, errors, optimal ridge, power laws."""

from theorylab.settings.kernels.random_features.theory.implicit import (
    EffectiveRidges,
    check_arguments,
    effective_ridges,
    solve_effective_ridges,
)
from theorylab.settings.kernels.random_features.theory.optimal_ridge import (
    RidgePoint,
    optimal_envelope,
    optimal_ridge,
    ridge_curve,
    zero_ridge_slope,
)
from theorylab.settings.kernels.random_features.theory.power_law import (
    continuum_errors,
    corrected_errors,
    corrected_problem,
    fitting_ratio_test_error,
    interpolation_threshold,
    kernel_optimal_ridge,
    optimal_fitting_ratio,
    scaling_exponents,
)
from theorylab.settings.kernels.random_features.theory.risk import (
    finite_population_test_error,
    generalised_cross_validation,
    mean_learnabilities,
    peak_test_error,
    population_test_error,
    predict_errors,
)

__all__ = [
    "EffectiveRidges",
    "RidgePoint",
    "check_arguments",
    "continuum_errors",
    "corrected_errors",
    "corrected_problem",
    "effective_ridges",
    "finite_population_test_error",
    "fitting_ratio_test_error",
    "generalised_cross_validation",
    "interpolation_threshold",
    "kernel_optimal_ridge",
    "mean_learnabilities",
    "optimal_envelope",
    "optimal_fitting_ratio",
    "optimal_ridge",
    "peak_test_error",
    "population_test_error",
    "predict_errors",
    "ridge_curve",
    "scaling_exponents",
    "solve_effective_ridges",
    "zero_ridge_slope",
]
