"""Wrong versions of the theories of robust recovery, each of one named mistake: a check must reject them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from theorylab.contract import at_config
from theorylab.settings.factorisation.factors import last_value, spectrum
from theorylab.settings.factorisation.robust_recovery.config import Config, num_entries
from theorylab.settings.factorisation.robust_recovery.data import drawn, noise_matrix
from theorylab.settings.factorisation.robust_recovery.theory import subgradient

Predicted = dict[str, Any]

#: The corrupted measurements are taken to be as good as the others.
no_outliers = at_config(lambda config: dataclasses.replace(config, outlier_prob=0.0))
#: The sign of a Gaussian number is taken to have unit correlation with it: no sqrt(2/π).
unit_scale = at_config(
    lambda config: dataclasses.replace(config, learning_rate=config.learning_rate / subgradient.SIGN)
)


#: Steps of the mean residual are taken for gradient descent of their own size, not of 2/π of it.
rate_of_the_steps = at_config(
    lambda config: dataclasses.replace(config, learning_rate=config.learning_rate / subgradient.effective_rate_l1(1.0))
)


def frobenius_deviation(key: jax.Array, config: Config) -> Predicted:
    """sqrt(n (n + 1)/(2 m)): the Frobenius norm of what is left over, not the spectral one."""
    return {"sign_rip_deviation": math.sqrt(num_entries(config) / config.num_measurements)}


def slope_of_the_largest(key: jax.Array, config: Config) -> Predicted:
    """ln(1 − η (2/π) s_1): the largest singular value decides."""
    return {"error_slope": math.log1p(-subgradient.effective_rate_l1(config.learning_rate) * config.largest_value)}


def slope_of_the_smallest(key: jax.Array, config: Config) -> Predicted:
    """ln(1 − η (2/π) s_r): measurements do not slow the late descent."""
    return {"error_slope": math.log1p(-subgradient.effective_rate_l1(config.learning_rate) * last_value(config))}


def population_exponent(key: jax.Array, config: Config) -> Predicted:
    """2: nothing grows off the signal, as with infinitely many measurements."""
    return {"plateau_exponent": 2.0}


def twice_the_growth(key: jax.Array, config: Config) -> Predicted:
    """2 (1 − 2 g) in place of 2 (1 − g)."""
    rows: Any = drawn(key, config).rows
    exponent = subgradient.plateau_exponent(rows, np.array(spectrum(config)), config.dim, loss=config.loss)
    return {"plateau_exponent": 2 * exponent - 2}


def pairs_without_outliers(key: jax.Array, config: Config) -> Predicted:
    """sqrt(2/π), whatever is corrupted."""
    return {"pair_sum": subgradient.SIGN}


def pairs_of_unit_scale(key: jax.Array, config: Config) -> Predicted:
    """1 − p: the scale of the sign map is forgotten."""
    return {"pair_sum": 1 - config.outlier_prob}


def pairs_without_largest_value(key: jax.Array, config: Config) -> Predicted:
    """|E_t| + |E_{t+1}| = 2 φ η_t: the largest singular value is forgotten."""
    kept: Any = drawn(key, config)
    scale = subgradient.instance_scale(kept.rows, (kept.corruption == 0).astype(float))
    return {"pair_sum": scale / config.largest_value}


def averaged_outliers(key: jax.Array, config: Config) -> Predicted:
    """0: corruptions of either sign cancel, and the target is recovered."""
    return {"final_error": 0.0}


def all_of_the_noise(key: jax.Array, config: Config) -> Predicted:
    """|N|: its negative part is fitted too, as by a model that need not be positive."""
    instance: Any = drawn(key, config)
    noise = np.asarray(noise_matrix(instance.rows, instance.corruption, config.dim))
    return {"final_error": np.linalg.norm(noise) / math.hypot(*spectrum(config))}
