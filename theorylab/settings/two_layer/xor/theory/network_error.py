"""Test error of a given network, however small: importance sampling, its closed approximation, and a rigorous bound.

On a cluster with mean ν the pre-activations are h ~ N(Wν, Σ), Σ = W Wᵀ (plus a multiple of 1 for directions that the
coordinates leave out). All of it happens in h: with Σ = L Lᵀ, h = Wν + L z, z ~ N(0, 1_m), and the error is
P(y Σ_j a_j relu(h_j) < 0).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr, ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random


class Network(NamedTuple):
    """Law of the pre-activations of a trained network: ``mean`` per cluster (1, +), (1, −), (2, +), (2, −)."""

    mean: Float[Array, "4 width"]
    factor: Float[Array, "width width"]
    signs: Float[Array, " width"]


class Error(NamedTuple):
    """Test error per cluster: by importance sampling with its standard error, and by the first-order estimate.

    ``distance`` is that of the design point, with the sign of the margin at the centre. ``converged`` is 1 where a
    point on f = 0 was found, else 0 and ``form`` is NaN.
    """

    error: Float[Array, " 4"]
    standard_error: Float[Array, " 4"]
    form: Float[Array, " 4"]
    distance: Float[Array, " 4"]
    converged: Float[Array, " 4"]


def network(
    weights: Float[Array, "width coords"],
    signs: Float[Array, " width"],
    outside_variance: ArrayLike,
    *,
    mean_norm: ArrayLike,
    input_dim: int,
) -> Network:
    """Law of the pre-activations (in kicks) of weights in coordinates of which the first two are along μ_1, μ_2."""
    p, m = input_dim, signs.shape[0]
    covariance = weights @ weights.T / float(p) ** 2 + outside_variance * jnp.eye(m)
    # Where fewer coordinates than neurons carry the weights, rounding alone could make it indefinite.
    covariance = covariance + 1e-13 * (jnp.trace(covariance) / m) * jnp.eye(m)
    centre = weights[:, :2].T * (mean_norm / p)
    mean = jnp.stack([centre[0], -centre[0], centre[1], -centre[1]])
    return Network(mean, jnp.linalg.cholesky(covariance), signs)


TRUTH = (1.0, 1.0, -1.0, -1.0)


def margins(net: Network, mean: Float[Array, " width"], z: Float[Array, "points width"]) -> Float[Array, " points"]:
    """(4/m) Σ_j sgn(a_j) relu(mean + L z), f in units of α p/8n."""
    return (4 / net.signs.shape[0]) * (jnp.maximum(mean[None] + z @ net.factor.T, 0) @ net.signs)


def design_point(
    net: Network, mean: Float[Array, " width"], starts: Float[Array, "starts width"], *, iterations: int = 30
) -> tuple[Float[Array, " width"], Array]:
    """Point z* of least norm with f(mean + L z*) = 0, and whether one was found.

    Hasofer-Lind-Rackwitz-Fiessler: z ← ((g·z − f)/|g|²) g, g = ∇f, from every start; damped by 1/2 after ten
    iterations; then brought to f = 0 along its ray, since between kinks the iteration need not converge. The shortest.
    """
    scale = 4 / net.signs.shape[0]

    def value(z: Array) -> tuple[Array, Array]:
        h = mean[None] + z @ net.factor.T
        gradient = scale * (jnp.where(h > 0, net.signs[None], 0.0) @ net.factor)
        return scale * (jnp.maximum(h, 0) @ net.signs), gradient

    def body(i: Array, z: Array) -> Array:
        f, g = value(z)
        square = jnp.maximum(jnp.sum(g * g, axis=1), 1e-300)
        target = ((jnp.sum(g * z, axis=1) - f) / square)[:, None] * g
        return jnp.where(i < 10, target, 0.5 * (z + target))

    z = jax.lax.fori_loop(0, iterations, body, starts)
    z = jnp.where(jnp.isfinite(z), z, 0.0)
    # f has kinks, between which the iteration may jump for ever: bisect along each ray for a point on f = 0.
    at_centre, _ = value(jnp.zeros_like(z))

    def halve(i: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        inside = value(middle[:, None] * z)[0] * at_centre > 0
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    far = jnp.full(z.shape[0], 3.0, z.dtype)
    crosses = value(far[:, None] * z)[0] * at_centre < 0
    low, high = jax.lax.fori_loop(0, 40, halve, (0 * far, far))
    z = ((low + high) / 2)[:, None] * z
    norm = jnp.linalg.norm(z, axis=1)
    best = jnp.argmin(jnp.where(crosses, norm, jnp.inf))
    return jnp.where(jnp.any(crosses), z[best], 0.0), jnp.where(jnp.any(crosses), 1.0, 0.0)


def sample_error(key: jax.Array, net: Network, *, draws: int = 4000, starts: int = 6, shift: ArrayLike = 1.0) -> Error:
    """Unbiased test error per cluster by importance sampling around the design point.

    Draws from the defensive mixture ½ N(0, 1) + ½ N(z*, 1), with weights 1/(½ + ½ exp(z·z* − |z*|²/2)) <= 2; the
    first half keeps the estimate sound where the design point is on a wrong kink, as do several starts. Reported
    beside it, the first-order (FORM) value Φ(−|z*|), within 10% for errors below 0.15. ``shift`` scales z* in the
    proposal: two proposals must agree.
    """
    m = net.signs.shape[0]
    flat = random.normal(key, (starts + draws) * m)
    begin = flat[: starts * m].reshape(starts, m).at[0].set(0.0)
    noise = flat[starts * m :].reshape(draws, m)
    shifted = jnp.where(jnp.arange(draws) < draws // 2, 1.0, 0.0)

    def one(cluster: tuple[Array, Array]) -> tuple[Array, ...]:
        mean, truth = cluster
        point, found = design_point(net, mean, begin)
        proposal = jnp.asarray(shift) * point
        z = noise + shifted[:, None] * proposal[None]
        wrong = truth * margins(net, mean, z) <= 0  # where all neurons are inactive the output is 0, on no side
        log_ratio = z @ proposal - jnp.sum(proposal**2) / 2
        log_weight = -(jnp.logaddexp(0.0, log_ratio) - math.log(2.0))
        # Tiny errors: factor the largest weight out, so that squares do not underflow.
        top = jnp.max(jnp.where(wrong, log_weight, -jnp.inf))
        top = jnp.where(jnp.isfinite(top), top, 0.0)
        value = jnp.where(wrong, jnp.exp(log_weight - top), 0.0)
        # The two halves are strata of the mixture: their variances add without the variance between them.
        halves = value.reshape(2, -1)
        variance = jnp.mean(jnp.var(halves, axis=1, ddof=1)) / draws
        distance = jnp.linalg.norm(point)
        safe = truth * margins(net, mean, jnp.zeros((1, m)))[0] > 0
        signed = jnp.where(safe, distance, -distance)
        error = jnp.mean(value) * jnp.exp(top)
        form = jnp.where(found > 0, jnp.exp(log_ndtr(-signed)), jnp.nan)
        return error, jnp.sqrt(variance) * jnp.exp(top), form, signed, found

    return Error(*jax.lax.map(one, (net.mean, jnp.array(TRUTH))))


def moments(net: Network, *, order: int = 24) -> tuple[Float[Array, " 4"], Float[Array, " 4"]]:
    """Mean and variance of f (units of α p/8n) per cluster.

    E relu(h) = v Φ(t) + s φ(t), t = v/s. Covariances by Mehler's series Σ_q c_q c_q' ρ^q/q!, c_1 = s Φ(t),
    c_q = s φ(t) He_{q−2}(−t) for q >= 2, with the exact value on the diagonal.
    """
    covariance = net.factor @ net.factor.T
    s = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / (s[:, None] * s[None])
    scale = 4 / net.signs.shape[0]

    def one(mean: Array) -> tuple[Array, Array]:
        t = mean / s
        upper, density = ndtr(t), jnp.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        first = s * (t * upper + density)
        exact = s**2 * ((t**2 + 1) * upper + t * density) - first**2
        a = scale * net.signs
        # He_{q−2}(−t)/√q! by recursion, q = 2, 3, …
        lower, current = jnp.zeros_like(t), jnp.full_like(t, 1 / math.sqrt(2.0))
        power, linear = correlation, s * upper
        total, diagonal = (a * linear) @ power @ (a * linear), jnp.sum((a * linear) ** 2)
        for q in range(2, order + 1):
            power = power * correlation
            c = a * s * density * current
            total, diagonal = total + c @ power @ c, diagonal + jnp.sum(c**2)
            following = (-t * current) / math.sqrt(q + 1) - (q - 2) * lower / math.sqrt(q * (q + 1))
            lower, current = current, following
        return first @ a, total - diagonal + jnp.sum(a**2 * exact)

    return jax.lax.map(one, net.mean)


def gaussian_error(net: Network) -> Float[Array, " 4"]:
    """Test error Φ(−y mean/sd) as if f were Gaussian: wrong in the tail, where f is skewed."""
    mean, variance = moments(net)
    return ndtr(-jnp.array(TRUTH) * mean / jnp.sqrt(variance))


def lipschitz_bound(net: Network) -> Float[Array, " 4"]:
    """Rigorous bound on the test error per cluster, exp(−E[y f]²/(2 L²)) with L² = |a|² |Σ|_op where E[y f] > 0.

    Gaussian concentration of a Lipschitz function, |f(x) − f(x')| <= |a| |W|_op |x − x'|: Lemma A.9 of Xu et al. 2023
    with its constant. 1 where the mean margin is not positive.
    """
    mean, _ = moments(net, order=2)
    margin = jnp.maximum(jnp.array(TRUTH) * mean, 0)
    largest = jnp.linalg.norm(net.factor, ord=2) ** 2
    return jnp.exp(-(margin**2) / (2 * (16 / net.signs.shape[0]) * largest))


def counted_error(net: Network, draws: int, seed: int) -> np.ndarray:
    """Test error per cluster by counting among ``draws`` fresh points of NumPy's generator; host-side."""
    rng = np.random.default_rng(seed)
    mean, factor, signs = (np.asarray(part) for part in net)
    z = rng.standard_normal((draws, mean.shape[1])) @ factor.T
    return np.array([np.mean(t * (np.maximum(m + z, 0) @ signs) <= 0) for m, t in zip(mean, TRUTH, strict=True)])
