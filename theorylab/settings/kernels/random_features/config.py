"""Configuration of random-feature ridge regression."""

from __future__ import annotations

import warnings
from typing import Literal

import jax
import numpy as np

from theorylab.contract import config, scalar, size

Model = Literal["gaussian", "relu_sphere", "erf_hypercube", "fourier"]

SIMON = "Simon et al. 2024"


@config
class Config:
    """Ridge regression of ``num_samples`` noisy labels on ``num_features`` random features.

    The predictor is f(x) = K̂(x, X) (K̂(X, X) + ridge · I)⁻¹ y with K̂ = Φ Φᵀ and features that carry
    1/sqrt(num_features). The ridge is absolute: it is added to the un-normalised kernel matrix, with no
    factor num_samples.
    """

    model: Model = size(default="gaussian", help="where inputs and features come from")
    num_samples: int = size(default=128, help="training samples", symbol="n", at_least=1)
    num_features: float = size(
        default=256,
        help="random features; inf is kernel ridge regression",
        symbol="k",
        at_least=1,
        or_infinite=True,
        source=f"{SIMON}, Fig. 1",
    )
    ridge: float = scalar(default=0.1, help="absolute ridge", symbol=r"\delta", at_least=0)
    noise_variance: float = scalar(
        default=0.1, help="variance of the label noise", symbol=r"\sigma^2", at_least=0, source=f"0.5: {SIMON}, code"
    )
    num_modes: int = size(
        default=1500,
        help="eigenmodes of the kernel (gaussian)",
        symbol="M",
        at_least=1,
        source=f"10,000: {SIMON}, code",
    )
    eigenvalue_exponent: float = scalar(
        default=1.5,
        help="decay of the kernel's eigenvalues, i^-alpha (gaussian)",
        symbol=r"\alpha",
        above=1,
        source=f"{SIMON}, code",
    )
    target_exponent: float = scalar(
        default=1.5,
        help="decay of the target's power, i^-beta (gaussian)",
        symbol=r"\beta",
        above=1,
        source=f"{SIMON}, code",
    )
    input_dim: int = size(
        default=10, help="input dimension (relu_sphere, erf_hypercube, fourier)", symbol="d", at_least=2
    )
    bandwidth: float = size(
        default=0.5, help="length scale of the RBF kernel (fourier)", symbol=r"\ell", above=0, whole=False
    )
    label_draws: int = size(
        default=1,
        help="draws of label noise and signs of the target, over which the errors of one draw of features are averaged",
        at_least=1,
    )


def check_config(config: Config) -> None:
    """Warn where float32 is not enough: as many features as samples and next to no ridge.

    The kernel matrix is then next to singular. In float32 its smallest eigenvalue drowns in rounding at ridge 0 (errors
    come out 500 times too small), and 2 to 6% of the error are lost at ridge 1e-6, 0.06% at 1e-4.
    """
    singular = config.num_features == config.num_samples and config.ridge < 1e-5
    if singular and jax.dtypes.canonicalize_dtype(float) == np.float32:
        warnings.warn(
            "num_features = num_samples at a ridge below 1e-5 needs float64: the errors of float32 are not to be used "
            "(theorylab.configure(), or jax.config.update('jax_enable_x64', True))",
            stacklevel=1,  # one place, so that it is said once
        )
