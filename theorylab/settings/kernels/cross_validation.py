"""Generalised cross-validation as a theory: the test error from the training set of the same instance."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from theorylab.contract import Observables, Theory, theory
from theorylab.contract.setting import DeclaredError, Simulator


def cross_validation(
    simulate: Simulator, *, holds: Callable[[Any], str | None], error: DeclaredError, gcv: str = "gcv"
) -> Theory:
    """Declare the estimate of a setting whose simulator measures ``train_error`` and the estimate itself.

        GCV = train_error/((δ/n) tr (K̂ + δI)⁻¹)²                                                       (5)

    converges to the test error, since (δ/n) tr (K̂ + δI)⁻¹ -> a/n, for finitely many features too. Golub, Heath and
    Wahba 1979; consistency for random features follows from (4) of ``theory/risk.py``.
    """

    def train_error(key: jax.Array, config: Any) -> Observables:
        return {"test_error": simulate(key, config)["train_error"]}

    def factor_once(key: jax.Array, config: Any) -> Observables:
        """GCV is train/f², f the fraction of spare samples; train/f is their geometric mean."""
        found = simulate(key, config)
        return {"test_error": jnp.sqrt(found["train_error"] * found[gcv])}

    @theory(
        name="gcv",
        kind="instance",
        source="Golub, Heath and Wahba 1979; Craven and Wahba 1979",
        predicts=("test_error",),
        holds=holds,
        error=error,
        estimates={"test_error": gcv},
        residual=math.inf,  # unbiased; from one training set to the next it varies the other way, if at all
        controls={"the training error itself": train_error, "fraction of spare samples not squared": factor_once},
    )
    def estimate(key: jax.Array, config: Any) -> Observables:
        """Estimate the test error from the training set of the same instance alone, without any spectrum."""
        return {"test_error": simulate(key, config)[gcv]}

    return estimate
