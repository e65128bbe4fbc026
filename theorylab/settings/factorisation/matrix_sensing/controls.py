"""Wrong versions of the theories of matrix sensing, each of one named mistake: a check must reject them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.contract import at_config
from theorylab.settings.factorisation.factors import last_value, spectrum
from theorylab.settings.factorisation.matrix_sensing.config import Config, effective_rate, num_columns
from theorylab.settings.factorisation.matrix_sensing.data import drawn, sample
from theorylab.settings.factorisation.matrix_sensing.model import tangent_gram
from theorylab.settings.factorisation.matrix_sensing.theory import asymmetric, measurements, symmetric
from theorylab.settings.factorisation.matrix_sensing.theory.reduction import reduce_rows
from theorylab.settings.factorisation.matrix_sensing.train import (
    Factors,
    descent_step,
    limit_slope,
    recorded_steps,
    train,
)

Predicted = dict[str, Any]


def slope(config: Config, rate: Any) -> Predicted:
    """ln(1 − rate λ) per step."""
    return {"error_slope": math.log1p(-effective_rate(config) * float(rate))}


# --- reduction ------------------------------------------------------------------------------------------------


def signal_rows_alone(key: jax.Array, config: Config) -> Predicted:
    """The rows off the signal do not matter."""
    instance, r = sample(key, config), config.target_rank
    right = None if instance.right is None else instance.right[:r]
    small = instance._replace(left=instance.left[:r], right=right)
    return train(small, config, recorded_steps(config)).observables


def sequential_updates(key: jax.Array, config: Config) -> Predicted:
    """G follows the F that was updated already."""
    instance, r = sample(key, config), config.target_rank
    right = None if instance.right is None else reduce_rows(instance.right, r)
    small = instance._replace(left=reduce_rows(instance.left, r), right=right)
    together = descent_step(small, config)

    def step(state: Factors, t: Any) -> Factors:
        new_left, _ = together(state, t)
        _, new_right = together((new_left, state[1]), t)
        return new_left, new_right

    return train(small, config, recorded_steps(config), step).observables


# --- symmetric model ------------------------------------------------------------------------------------------

#: The loss ½ |A(E)|² in place of ¼ |A(E)|².
twice_the_rate = at_config(lambda config: dataclasses.replace(config, loss_prefactor=2 * config.loss_prefactor))


def signal_start(key: jax.Array, config: Config) -> Predicted:
    """The start has no part off the signal."""
    instance, rate = drawn(key, config), effective_rate(config)
    start = np.concatenate([instance.left[: config.target_rank], 0 * instance.left[config.target_rank :]])
    return {"recovery_error": symmetric.descent_errors(start, instance.spectrum, rate, recorded_steps(config))}


def continuous_time(key: jax.Array, config: Config) -> Predicted:
    """The flow itself: the step size has no effect but to set the time."""
    instance = drawn(key, config)
    times = effective_rate(config) * np.asarray(recorded_steps(config))
    return {"recovery_error": np.array([symmetric.flow_error(instance.left, instance.spectrum, t) for t in times])}


def tail_without_offset(key: jax.Array, config: Config) -> Predicted:
    """|E| = sqrt(k − r)/(2 rate t), as if the initial scales were infinite."""
    extra = config.model_rank - config.target_rank
    error = math.sqrt(extra) / (2 * effective_rate(config) * config.num_steps)
    return {"tail_constant": np.float64(1.0), "final_error": error / math.hypot(*spectrum(config))}


def slope_of_the_flow(key: jax.Array, config: Config) -> Predicted:
    """−rate s_r: time is continuous."""
    return {"error_slope": -effective_rate(config) * last_value(config)}


def slope_of_the_largest(key: jax.Array, config: Config) -> Predicted:
    """The largest singular value decides."""
    return slope(config, config.largest_value)


# --- asymmetric model -----------------------------------------------------------------------------------------


def conserved_sum(key: jax.Array, config: Config) -> Predicted:
    """FᵀF + GᵀG is conserved."""
    f, g = drawn(key, config)[1:3]
    return {"imbalance": np.full(len(recorded_steps(config)), np.linalg.norm(f.T @ f + g.T @ g))}


def first_factor(key: jax.Array, config: Config) -> Predicted:
    """FᵀF is conserved."""
    f = drawn(key, config).left
    return {"imbalance": np.full(len(recorded_steps(config)), np.linalg.norm(f.T @ f))}


def slope_of_the_signal(key: jax.Array, config: Config) -> Predicted:
    """s_r, as if the factors were balanced and there were no modes off the signal."""
    return {"error_slope": jnp.log1p(-effective_rate(config) * last_value(config))}


def expected_imbalance(key: jax.Array, config: Config) -> Predicted:
    """α² (1 − 1/γ²), the mean of the imbalance."""
    return slope(config, asymmetric.crude_rate(config.init_scale, config.init_ratio))


def whole_imbalance(key: jax.Array, config: Config) -> Predicted:
    """The smallest of all eigenvalues of Δ_0."""
    f, g = drawn(key, config)[1:3]
    return slope(config, np.abs(np.linalg.eigvalsh(f.T @ f - g.T @ g)).min())


def balanced_imbalance(key: jax.Array, config: Config) -> Predicted:
    """d, however large: the fall beyond the best scale is missed."""
    return slope(config, config.init_scale**2 * (1 - config.init_ratio**-2.0))


def balanced_signal(key: jax.Array, config: Config) -> Predicted:
    """No modes off the signal, as at k = r."""
    d = config.init_scale**2 * (1 - config.init_ratio**-2.0)
    return slope(config, asymmetric.balanced_rate(d, last_value(config), over_parameterised=False))


def larger_root(key: jax.Array, config: Config) -> Predicted:
    """a in place of b, where a b = s_r²."""
    instance = drawn(key, config)
    smaller = asymmetric.exact_rank_rate(instance.left, instance.right, instance.spectrum)
    return slope(config, last_value(config) ** 2 / smaller)


def rebalanced_signal(key: jax.Array, config: Config) -> Predicted:
    """s_r²/β², without the modes off the signal."""
    signal = asymmetric.rebalanced_rate(
        config.rebalance_scale,
        np.array(spectrum(config)),
        boost_only=config.trainer == "boost",
        over_parameterised=False,
    )
    return slope(config, signal)


# --- finitely many measurements -------------------------------------------------------------------------------


def population_at_the_end(key: jax.Array, config: Config) -> Predicted:
    """The spectra of the final factors, as if A*A were the identity."""
    instance = sample(key, config)
    state = train(instance, config).state
    return {"error_slope": limit_slope(state, instance._replace(rows=None), config)}


def gauge_included(key: jax.Array, config: Config) -> Predicted:
    """The smallest of all eigenvalues of the tangent kernel."""
    instance = sample(key, config)
    left, right = train(instance, config).state
    rows: Any = instance.rows
    smallest = jnp.abs(jnp.linalg.eigvalsh(tangent_gram(rows, left, right))[0])
    return {"error_slope": jnp.log1p(-effective_rate(config) * smallest)}


def population_slope(key: jax.Array, config: Config) -> Predicted:
    """The levels of the initialisation, as if A*A were the identity."""
    instance = drawn(key, config)
    return slope(config, asymmetric.initial_rate(instance.left, instance.right, config.target_rank))


def half_of_the_measurements(key: jax.Array, config: Config) -> Predicted:
    """m/2 in place of m."""
    instance = drawn(key, config)
    levels = np.asarray(asymmetric.slow_levels(instance.left, instance.right, config.target_rank))
    mean, _ = measurements.wishart_rate(
        levels, config.dim, num_columns(config), config.target_rank, config.num_measurements // 2
    )
    return slope(config, mean)


def always_recovered(key: jax.Array, config: Config) -> Predicted:
    """Any number of measurements is enough."""
    return {"recovered": 1.0}


def threshold_of_a_full_matrix(key: jax.Array, config: Config) -> Predicted:
    """As many measurements as the matrix has entries."""
    return {"recovered": float(config.num_measurements >= config.dim * num_columns(config))}
