"""Effective ridges of random features whose norms vary from one feature to the next.

A feature g(w, ·) = |w| g(ŵ, ·) of a homogeneous activation has the coefficients s √λ_i z_i with one factor s for all
modes: a column of Φ = X diag(√λ) W diag(s)/√k. Normal weights in d dimensions have s² = χ²_d/d, of variance 2/d. The
sample covariance of k such columns has the deterministic equivalent (elliptical laws, Zhang 2007; derived here)

    k F(c) = z(γ),    κ = γ F(c)/c,    F(c) = E[s²c/(1 + s²c)],    n = z + δ/κ,                       (18)

with E s² = 1. Features of one norm have F = c/(1 + c), and (18) is the pair of equations (1). Squares of the resolvent
follow as derivatives: with ρ = d log γ/d log κ = b/(b + w),

    b = z h/E[(s²c/(1 + s²c))²],    h = E[s²c/(1 + s²c)²],

the errors are those of (3') and (4) with this b for the spare features, which is k − z where norms do not vary. Of two
features of unequal norm the longer one counts for more: the spare ones are fewer, κ is smaller, and the errors of fits
near interpolation are larger.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from theorylab.numerics.roots import decreasing_root
from theorylab.numerics.spectra import Spectrum
from theorylab.settings.kernels.theory.implicit import EffectiveRidges, as_floats, learnabilities


def scaled_ridges(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    squares: Float[ArrayLike, " nodes"],
    weights: Float[ArrayLike, " nodes"],
) -> EffectiveRidges:
    """Solve (18) for finitely many features whose squared norms s² are the nodes of a law of mean 1.

    Traceable in all arguments. Ridges below 0.1 sqrt(ε), ε the rounding unit, times the kernel's trace are solved as if
    they were that: the errors are then 1e-6 off in float64.
    """
    spectrum, scalars = as_floats(spectrum, num_samples, num_features, ridge)
    dtype = scalars[-1].dtype
    return _scaled_ridges(spectrum, *scalars, jnp.asarray(squares, dtype), jnp.asarray(weights, dtype))


@jax.jit
def _scaled_ridges(
    spectrum: Spectrum, samples: Array, features: Array, ridge: Array, squares: Array, weights: Array
) -> EffectiveRidges:
    eigenvalues, multiplicities, _ = spectrum
    epsilon = float(jnp.finfo(ridge.dtype).eps)
    trace = jnp.sum(multiplicities * eigenvalues)
    ridge = jnp.maximum(ridge, 0.1 * epsilon**0.5 * trace)

    def dimensions(gamma: Array) -> tuple[Array, Array]:
        learned, unlearned = learnabilities(jnp.asarray(eigenvalues), gamma)
        return jnp.sum(multiplicities * learned), jnp.sum(multiplicities * learned * unlearned)

    def scale(gamma: Array, z: Array) -> Array:
        """c = γ z (n − z)/(k δ), both equations with κ = δ/(n − z)."""
        return gamma * z * jnp.maximum(samples - z, 0) / (features * ridge)

    def value_and_slope(log_gamma: Array) -> tuple[Array, Array]:
        gamma = jnp.exp(log_gamma)
        z, w = dimensions(gamma)
        c = scale(gamma, z)
        left = 1 / (1 + squares * c)
        total = z + features * (weights @ left)
        falling = features * (weights @ (squares * c * left**2))
        growth = 1 - w / z + w / jnp.maximum(samples - z, epsilon)
        return jnp.log(total / features), -(w + falling * growth) / total

    # Above, γ z > trace/2 and n − z > n/2, and k F(c) at that c exceeds trace/γ > z.
    least = squares * (trace * samples / (4 * features * ridge))
    upper = trace * jnp.maximum(1 + 2 / samples, 1 / (features * (weights @ (least / (1 + least)))))
    root = decreasing_root(value_and_slope, jnp.log(ridge / samples), jnp.log(upper), jnp.log(upper))
    gamma = jnp.exp(root.position)
    z, w = dimensions(gamma)
    c = scale(gamma, z)
    left = 1 / (1 + squares * c)
    learned_features = squares * c * left
    h, square = weights @ (learned_features * left), weights @ learned_features**2
    spare_features = z * h / square
    return EffectiveRidges(
        gamma=gamma,
        kappa=gamma * z / (features * c),
        spare_samples=samples - z,
        spare_features=spare_features,
        spare_feature_fraction=spare_features / features,
        z=z,
        q=z - w,
        w=w,
        unlearned_averages=(jnp.ones_like(z), jnp.ones_like(z)),
        residual=root.residual,
        iterations=root.iterations,
    )
