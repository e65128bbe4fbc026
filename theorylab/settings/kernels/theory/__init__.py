"""Theory of ridge regression on kernels and random features: effective ridges, errors, optimal ridge, power laws."""

from theorylab.settings.kernels.theory.curves import best_errors, effective_kappas, error_curves
from theorylab.settings.kernels.theory.implicit import (
    EffectiveRidges,
    check_arguments,
    effective_ridges,
    solve_effective_ridges,
)
from theorylab.settings.kernels.theory.optimal_ridge import (
    RidgePoint,
    optimal_envelope,
    optimal_ridge,
    ridge_curve,
    zero_ridge_slope,
)
from theorylab.settings.kernels.theory.power_law import (
    beyond_regime,
    continuum_errors,
    corrected_errors,
    corrected_problem,
    fitting_ratio_test_error,
    interpolation_threshold,
    kernel_optimal_ridge,
    optimal_fitting_ratio,
    scaling_exponents,
)
from theorylab.settings.kernels.theory.risk import (
    peak_test_error,
    population_test_error,
    predict_errors,
)

__all__ = [
    "EffectiveRidges",
    "RidgePoint",
    "best_errors",
    "beyond_regime",
    "check_arguments",
    "continuum_errors",
    "corrected_errors",
    "corrected_problem",
    "effective_kappas",
    "effective_ridges",
    "error_curves",
    "fitting_ratio_test_error",
    "interpolation_threshold",
    "kernel_optimal_ridge",
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
