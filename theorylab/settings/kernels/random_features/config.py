"""Configuration of random-feature ridge regression."""

from __future__ import annotations

from typing import Literal

from theorylab.contract import config, scalar, size

Model = Literal["gaussian", "relu_sphere", "erf_hypercube", "fourier"]


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
        default=256, help="random features; inf is kernel ridge regression", symbol="k", at_least=1, or_infinite=True
    )
    ridge: float = scalar(default=0.1, help="absolute ridge", symbol=r"\delta", at_least=0)
    noise_variance: float = scalar(default=0.1, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    num_modes: int = size(default=1500, help="eigenmodes of the kernel (gaussian)", symbol="M", at_least=1)
    eigenvalue_exponent: float = scalar(
        default=1.5, help="decay of the kernel's eigenvalues, i^-alpha (gaussian)", symbol=r"\alpha", above=1
    )
    target_exponent: float = scalar(
        default=1.5, help="decay of the target's power, i^-beta (gaussian)", symbol=r"\beta", above=1
    )
    input_dim: int = size(
        default=10, help="input dimension (relu_sphere, erf_hypercube, fourier)", symbol="d", at_least=2
    )
    bandwidth: float = size(
        default=0.5, help="length scale of the RBF kernel (fourier)", symbol=r"\ell", above=0, whole=False
    )
