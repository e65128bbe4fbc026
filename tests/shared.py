"""What several test files need: published numbers, and which figures every run of the suite draws."""

import pytest

# Test errors at n = 256, 1e4 modes, α = β = 1.5, σ² = 0.5.
TABLE_RIDGES = (4.64e-3, 0.1, 2.154, 21.54)
TABLE = {
    32: (1.2794, 1.2720, 1.2243, 1.3764),
    128: (1.5545, 1.2012, 0.9875, 1.2559),
    256: (2.9035, 1.1335, 0.9392, 1.2351),
    512: (1.5526, 1.0214, 0.9142, 1.2246),
    2048: (1.0722, 0.9180, 0.8951, 1.2168),
    8192: (1.0014, 0.8924, 0.8903, 1.2148),
}


def slow_but(quick, figures):
    """Draw one figure in every run of the suite, the others in the slow one (compilation is what costs)."""
    return [name if name.endswith(quick) else pytest.param(name, marks=pytest.mark.slow) for name in figures]
