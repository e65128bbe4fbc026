"""The theory on arrays of sizes, ridges and noises: what figures draw beside simulations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from theorylab.numerics.spectra import Spectrum
from theorylab.numerics.xla import host_program
from theorylab.settings.kernels.theory.implicit import effective_ridges
from theorylab.settings.kernels.theory.optimal_ridge import optimal_envelope
from theorylab.settings.kernels.theory.risk import errors_at

#: Points that are solved for at once: one program serves all curves of a spectrum, whatever their length.
LANES = 64
#: The arguments of :func:`error_curves` besides the spectrum, in their order, as configurations name them.
FIELDS = ("num_samples", "num_features", "ridge", "noise_variance")


def error_curves(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    ridge: ArrayLike,
    noise_variance: ArrayLike,
    population: float = np.inf,
) -> dict[str, np.ndarray]:
    """Predict test and train error at arrays of arguments, broadcast against each other.

    ``{"test_error", "train_error"}``, see :func:`~theorylab.settings.kernels.theory.risk.predict_errors`;
    ``"degrees_of_freedom"``, tr K̂ (K̂ + δ)⁻¹ = z of the fit; ``"effective_ridge"``, γ. Sizes may be any real numbers, so
    that curves are smooth.
    """
    arrays = np.broadcast_arrays(*(np.asarray(x, float) for x in (num_samples, num_features, ridge, noise_variance)))
    rows = np.stack([array.ravel() for array in arrays], axis=1)
    padded = np.resize(rows, (-(-len(rows) // LANES) * LANES, 4)).reshape(-1, LANES, 4)
    parts = [_errors(spectrum, jnp.asarray(part), population) for part in padded]
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts])[: len(rows)].reshape(arrays[0].shape)
        for name in parts[0]
    }


@host_program
def _errors(spectrum: Spectrum, rows: jax.Array, population: ArrayLike) -> dict[str, jax.Array]:
    def one(row: jax.Array) -> dict[str, jax.Array]:
        num_samples, num_features, ridge, noise_variance = row
        solution = effective_ridges(spectrum, num_samples, num_features, ridge, population)
        errors = errors_at(spectrum, num_samples, num_features, solution, noise_variance, population)
        return {**errors, "degrees_of_freedom": solution.z, "effective_ridge": solution.gamma}

    return jax.vmap(one)(rows)


def best_errors(
    spectrum: Spectrum,
    num_samples: ArrayLike,
    num_features: ArrayLike,
    noise_variance: ArrayLike,
    population: float = np.inf,
    *,
    allow_negative: bool = False,
) -> dict[str, np.ndarray]:
    """Predict the optimal ridge, and test and train error at it, for arrays of sizes, broadcast against each other."""
    n, k = np.broadcast_arrays(np.asarray(num_samples, float), np.asarray(num_features, float))
    best = _envelope(spectrum, jnp.asarray(n), jnp.asarray(k), noise_variance, population, allow_negative)
    return {name: np.asarray(getattr(best, name)) for name in ("ridge", "test_error", "train_error")}


_envelope = host_program(optimal_envelope, static=(5,))


def effective_kappas(spectrum: Spectrum, num_samples: ArrayLike, population: float = np.inf) -> np.ndarray:
    """Predict κ of ridgeless kernel regression, which 1/tr K⁻¹ of n samples measures, for an array of n."""
    return np.asarray(_kappas(spectrum, jnp.asarray(num_samples, float), population))


@host_program
def _kappas(spectrum: Spectrum, num_samples: jax.Array, population: ArrayLike) -> jax.Array:
    return jax.vmap(lambda n: effective_ridges(spectrum, n, jnp.inf, 0.0, population).kappa)(num_samples)
