"""The theories of matrix sensing as the laboratory sees them: predictors of (key, config), one file per regime."""

from theorylab.settings.factorisation.matrix_sensing.predictions import asymmetric, measured, symmetric

THEORIES = (
    symmetric.reduction,
    symmetric.riccati_flow,
    symmetric.universal_tail,
    symmetric.exact_rank,
    asymmetric.conserved_imbalance,
    asymmetric.limit_rate,
    asymmetric.initial_rate,
    asymmetric.balanced_rate,
    asymmetric.asymmetric_exact_rank,
    asymmetric.rebalanced_rate,
    measured.tangent_kernel,
    measured.wishart_rate,
    measured.sample_threshold,
)
