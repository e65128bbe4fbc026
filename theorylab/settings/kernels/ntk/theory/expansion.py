"""The mean over networks of loss and outputs to order 1/m: what the scatter of the initial kernel adds.

With K_0 = Θ + δ, the residuals r_{t+1} = (1 - ηK_0) r_t are expanded to second order in δ. The network's δ is the mean
of m/2 independent neurons, each with δ_j = k_j - Θ, so that E δδ = (2/m) E δ_j δ_j, and for any observable A

    E A = A(Θ) + (1/m) E_j D²A[δ_j, δ_j].

The kernel's motion in training is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Means(NamedTuple):
    """Values at infinite width and coefficients of 1/m, [step] each, from step 1 on."""

    loss: np.ndarray
    loss_slope: np.ndarray
    test_power: np.ndarray
    test_power_slope: np.ndarray


def means(theta: np.ndarray, neurons: np.ndarray, labels: np.ndarray, learning_rate: float, num_steps: int) -> Means:
    """Expand loss and mean squared test output about infinite width.

    ``theta`` [points, points] is the limit, ``neurons`` [neurons, points, points] a sample of contributions to it; the
    training points come first.
    """
    count = len(labels)
    delta = neurons[:, :, :count] - theta[:, :count]
    kernel = theta[:, :count]
    # Outputs on all points and their derivatives: f, each neuron's D f[δ], and the neurons' mean of D² f[δ, δ].
    f, first, second = np.zeros(len(theta)), np.zeros(delta.shape[:2]), np.zeros(len(theta))
    rows = []
    for _ in range(num_steps):
        r, r1, r2 = f[:count] - labels, first[:, :count], second[:count]
        f, first, second = (
            f - learning_rate * kernel @ r,
            first - learning_rate * (r1 @ kernel.T + delta @ r),
            second - learning_rate * (kernel @ r2 + 2 * np.einsum("npi,ni->p", delta, r1) / len(delta)),
        )
        r, square = f[:count] - labels, np.mean(first**2, axis=0)
        rows.append(
            (
                np.sum(r**2) / 2,
                np.sum(square[:count] + r * second[:count]),
                np.mean(f[count:] ** 2),
                2 * np.mean(square[count:] + f[count:] * second[count:]),
            )
        )
    return Means(*np.array(rows).T)
