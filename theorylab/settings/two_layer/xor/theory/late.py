"""Late rates of feature growth, and what they say of the theorem's exponent."""

from __future__ import annotations

import math
from typing import Any


def growth_rates(*, label_noise: Any, cluster_coupling: Any) -> tuple[Any, Any]:
    """Growth of mean |v| per step and sample (v = <w, μ_k> / (α|μ|²/2n√m)): on the own pair, and on the other.

    d_own = ((1 − η)/8)/(1 + λη/4),   d_other = (η/8)/(1 + λ(1 − η)/4):

    on the own pair the chosen side is fully active and the other only in its initially active half; the noisy points
    slide with duty cycle λ d. The paper's Lemma 4.7 has Ω(1) against O(√(log n/n)); the constants are derived here.
    Regime: n → ∞, κ and γ large, λ < 8, t ≫ 1. At n = 200 and λ <= 5 within 20% (own) and 50% (other). The rate on
    the own pair is above this one, since neurons prefer the larger side of a pair: by 35% at n = 100, and by 50% at
    n = 200 where λ = 8.
    """
    own = (1 - label_noise) / 8 / (1 + cluster_coupling * label_noise / 4)
    other = label_noise / 8 / (1 + cluster_coupling * (1 - label_noise) / 4)
    return own, other


def limiting_error_exponent(label_noise: Any) -> Any:
    """Limit of −ln(test error) / (n γ) as t, n → ∞ : ((1 − 2η)/(8 √(19/32)))²/2, the constant in exp(−Ω(n γ)).

    Derived here. Not tight at n of hundreds, where the odd part of f takes most of the margin of one cluster.
    """
    return ((1 - 2 * label_noise) / (8 * math.sqrt(19 / 32))) ** 2 / 2


def theorem_bound(*, num_train: int, snr: float, constant: float = 1.0, epsilon: float = 0.01) -> float:
    """The paper's explicit bound on the clean test error, 2 exp(−c n^{1−20ε} γ / 240²) (proof of Theorem 4.8).

    ``constant`` is an unspecified constant of a log-Sobolev inequality; with 1 the bound is vacuous (above 1) at the
    paper's own sizes.
    """
    return float(2 * math.exp(-constant * num_train ** (1 - 20 * epsilon) * snr / 240**2))
