"""Kernels of any activation, in powers of 1/width; by NumPy, layer by layer.

K is the infinite-width kernel, K' = F(K) = C_b + C_W ⟨s²⟩_K, with ⟨.⟩_K the Gaussian average of variance K. Given k,
the next kernel has mean F(k) and variance v(k)/n, v = C_W² (⟨s⁴⟩ - ⟨s²⟩²).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from theorylab.numerics.gaussian import variance_derivatives

#: Nodes of the averages; even, so that they are exact for piecewise linear activations too. tanh: 1e-15 at K = 1, 1e-11
#: at 2, 1e-6 at 6, 1e-3 at 20.
ORDER = 240
#: Largest kernel of a smooth activation at which these averages are trusted.
LARGEST_KERNEL = 6.0

Function = Callable[[Any], Any]


class Network(NamedTuple):
    """What the expansions need to know: an activation and its derivative on arrays of NumPy, and three numbers."""

    activation: Function
    derivative: Function
    weight_variance: float
    bias_variance: float
    input_kernel: float

    def averages(self, function: Callable[[Any, Any], Any], kernel: Any, count: int = 0) -> Any:
        """⟨f(s, s')⟩_K and its derivatives in K, along a new last axis (none for ``count`` = 0)."""
        found = variance_derivatives(
            lambda z: function(self.activation(z), self.derivative(z)), count, kernel, order=ORDER
        )
        return found if count else found[..., 0]

    def maps(self, kernel: Any, count: int) -> Any:
        """F and its derivatives in K."""
        found = self.weight_variance * self.averages(lambda s, d: s**2, kernel, max(count, 1))
        found[..., 0] += self.bias_variance
        return found

    def noises(self, kernel: Any) -> Any:
        """v and its first two derivatives in K."""
        s, ds, dds = np.moveaxis(self.averages(lambda s, d: s**2, kernel, 2), -1, 0)
        squared = np.stack([s**2, 2 * s * ds, 2 * ds**2 + 2 * s * dds], axis=-1)
        return self.weight_variance**2 * (self.averages(lambda s, d: s**4, kernel, 2) - squared)


class Layers(NamedTuple):
    """Along the layers 1, ..., L: K, F', v and χ = C_W ⟨s'²⟩."""

    kernel: np.ndarray
    parallel: np.ndarray
    noise: np.ndarray
    perpendicular: np.ndarray


def infinite_width(network: Network, depth: int) -> Layers:
    """Kernels of all layers, and what their fluctuations obey."""
    kernels = np.empty(depth)
    kernels[0] = network.input_kernel
    for layer in range(1, depth):
        kernels[layer] = network.maps(kernels[layer - 1], 0)[0]
    slopes = network.averages(lambda s, d: d**2, kernels)
    return Layers(
        kernels, network.maps(kernels, 1)[:, 1], network.noises(kernels)[:, 0], network.weight_variance * slopes
    )


class Fluctuations(NamedTuple):
    """Mean of k_l - K_l and variance of k_l, along the layers."""

    kernel: np.ndarray
    shift: np.ndarray
    variance: np.ndarray


def vertex(
    network: Network,
    depth: int,
    width: float,
    *,
    transfer: Callable[[Layers], Any] = lambda layers: layers.parallel**2,
    noise: Callable[[Layers], Any] = lambda layers: layers.noise,
    curvature: float = 1.0,
) -> Fluctuations:
    """Leading order: V' = F'² V + v for n Var k, μ' = F' μ + F'' V/2 for n (E k - K), both from zero.

    Another ``transfer`` than F'², ``noise`` than v, or factor of F'' is a wrong version that a check must reject.
    """
    layers = infinite_width(network, depth)
    bend, passed, added = network.maps(layers.kernel, 2)[:, 2], transfer(layers), noise(layers)
    shift, variance = np.zeros(depth), np.zeros(depth)
    for layer in range(depth - 1):
        shift[layer + 1] = layers.parallel[layer] * shift[layer] + curvature * bend[layer] * variance[layer] / 2
        variance[layer + 1] = passed[layer] * variance[layer] + added[layer]
    return Fluctuations(layers.kernel, shift / width, variance / width)


def closure(
    network: Network, depth: int, width: float, *, curved_noise: float = 1.0, fourth: float = 1.0
) -> Fluctuations:
    """Second order: the moments m_j = E (k - K)^j for j up to 4, each to O(1/n²).

    Exact for piecewise linear activations without biases, whose F'' and v''' vanish. ``curved_noise`` multiplies v's
    change with k, ``fourth`` the part of m_4: 0 makes wrong versions.
    """
    layers, n = infinite_width(network, depth), width
    maps, noises = network.maps(layers.kernel, 4), network.noises(layers.kernel)
    cumulants = third_cumulant(network, layers.kernel)
    m1 = m2 = m3 = m4 = 0.0
    shift, variance = np.zeros(depth), np.zeros(depth)
    for layer in range(depth - 1):
        _, f1, f2, f3, f4 = maps[layer]
        v0, v1, v2 = noises[layer] * np.array([1.0, curved_noise, curved_noise])
        m1, m2, m3, m4 = (
            f1 * m1 + f2 * m2 / 2 + f3 * m3 / 6 + fourth * f4 * m4 / 24,
            f1**2 * m2 + f1 * f2 * m3 + fourth * (f2**2 / 4 + f1 * f3 / 3) * m4 + (v0 + v1 * m1 + v2 * m2 / 2) / n,
            f1**3 * m3
            + 1.5 * f1**2 * f2 * m4
            + 3 / n * (f1 * v0 * m1 + (f1 * v1 + f2 * v0 / 2) * m2)
            + cumulants[layer] / n**2,
            f1**4 * m4 + 6 / n * f1**2 * v0 * m2 + 3 * v0**2 / n**2,
        )
        shift[layer + 1], variance[layer + 1] = m1, m2 - m1**2
    return Fluctuations(layers.kernel, shift, variance)


def third_cumulant(network: Network, kernel: Any) -> Any:
    """Third cumulant of C_W s²."""
    one = network.averages(lambda s, d: s**2, kernel)
    two = network.averages(lambda s, d: s**4, kernel)
    three = network.averages(lambda s, d: s**6, kernel)
    return network.weight_variance**3 * (three - 3 * two * one + 2 * one**3)


class TangentKernel(NamedTuple):
    """Infinite-width value of Θ, and n Var Θ."""

    mean: float
    variance: float


def ntk_vertex(
    network: Network,
    depth: int,
    bias_learning_rate: float = 0.0,
    *,
    covariance: float = 1.0,
    response: float = 1.0,
    gradient_noise: float = 3.0,
) -> TangentKernel:
    """Variance of the tangent kernel Θ = Σ_l (k_l - C_b + λ_b) |b_l|² at order 1/n, derived here.

    Fluctuations of the kernel propagate as dk_{l+1} = F' dk_l + ζ_l, those of the gradients as
    d log|b_l|² = Σ_{j >= l} [(χ_K/χ)_j dk_j + η_j]. Both noises are of one layer: n Var ζ = v,
    n Var η = C_W² (3 ⟨s'⁴⟩ - ⟨s'²⟩²)/χ², n Cov = C_W² (⟨s² s'²⟩ - ⟨s²⟩⟨s'²⟩)/χ. Θ is linear in them; one sweep from the
    top adds up its coefficients. ``covariance``, ``response`` (of χ_K) and ``gradient_noise`` make wrong versions.
    """
    layers, c_w = infinite_width(network, depth), network.weight_variance
    # Only hidden layers have noise.
    hidden, chi = layers.kernel[:-1], layers.perpendicular[:-1]
    slopes = network.averages(lambda s, d: d**2, hidden, 1)
    eta = c_w**2 * (gradient_noise * network.averages(lambda s, d: d**4, hidden) - slopes[:, 0] ** 2) / chi**2
    mixed = network.averages(lambda s, d: (s * d) ** 2, hidden)
    both = c_w**2 * (mixed - network.averages(lambda s, d: s**2, hidden) * slopes[:, 0]) / chi
    # Gradients |b_l|² at infinite width, and what layers 1, ..., l give to Θ.
    gradients = np.append(np.cumprod(chi[::-1])[::-1], 1.0)
    given = np.cumsum((layers.kernel - network.bias_variance + bias_learning_rate) * gradients)
    # Coefficients of dk_l, and of ζ_l: through dk_{l+1}, and through F' as ζ_{l+1} has it.
    direct = gradients + np.append(response * c_w * slopes[:, 1] / chi * given[:-1], 0.0)
    zeta = np.zeros(depth)
    for layer in range(depth - 2, -1, -1):
        zeta[layer] = direct[layer + 1] + layers.parallel[layer + 1] * zeta[layer + 1]
    zeta, below = zeta[:-1], given[:-1]
    noise = zeta**2 * layers.noise[:-1] + 2 * covariance * zeta * below * both + below**2 * eta
    return TangentKernel(float(given[-1]), float(noise.sum()))
