"""Exponents of a kernel's power law without its spectrum, measured on runs of several sizes."""

from __future__ import annotations

import numpy as np
from jax.typing import ArrayLike

from theorylab.numerics.power_law import fit_power_law


def measured_exponents(
    num_samples: ArrayLike, inverse_trace: ArrayLike, test_error: ArrayLike, smallest: float | int
) -> tuple[float, float]:
    """Measure (α, β): 1/tr K⁻¹ ~ n^-α, and the ridgeless noiseless test error of kernel regression ~ n^(1-β).

    Least-squares slopes over n >= ``smallest`` on logarithmic axes, as Simon, Karkada, Ghosh and Belkin do (arXiv
    2311.14646).

    Parameters
    ----------
    num_samples, inverse_trace, test_error
        Sizes, and at each the mean of what was measured.
    smallest
        The least size that counts.
    """
    n = np.asarray(num_samples, float)
    kept = n >= smallest
    trace, error = (fit_power_law(n[kept], np.asarray(values)[kept]).exponent for values in (inverse_trace, test_error))
    return trace, 1 + error
