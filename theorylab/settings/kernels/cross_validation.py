"""Generalised cross-validation as a theory: the test error from the training set of the same instance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from theorylab.contract import Observables, Theory, theory
from theorylab.contract.theory import DeclaredError, OfInstance, Sampler


def cross_validation(
    sample: Sampler,
    run: OfInstance,
    *,
    holds: Callable[[Any], str | None],
    error: DeclaredError,
    gcv: str = "gcv",
) -> Theory:
    """Declare the estimate of a setting whose runs measure ``train_error`` and the estimate itself.

        GCV = train_error/((δ/n) tr (K̂ + δI)⁻¹)²                                                       (5)

    converges to the test error, since (δ/n) tr (K̂ + δI)⁻¹ -> a/n, for finitely many features too. Golub, Heath and
    Wahba 1979; consistency for random features follows from (4) of ``theory/risk.py``.
    """

    def factor_once(found: Mapping[str, Any]) -> Any:
        """GCV is train/f², f the fraction of spare samples; train/f is their geometric mean."""
        return np.sqrt(found["train_error"] * found[gcv])

    @theory(
        name="gcv",
        kind="instance",
        source="Golub, Heath and Wahba 1979; Craven and Wahba 1979",
        predicts=("test_error",),
        holds=holds,
        error=error,
        estimates={"test_error": gcv},
        residual=math.inf,  # unbiased; from one training set to the next it varies the other way, if at all
        controls={
            "the training error itself": {"test_error": "train_error"},
            "fraction of spare samples not squared": {"test_error": factor_once},
        },
        sample=sample,
    )
    def estimate(instance: Any, config: Any) -> Observables:
        """Estimate the test error from the training set of the same instance alone, without any spectrum."""
        return {"test_error": run(instance, config)[gcv]}

    return estimate
