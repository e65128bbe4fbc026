"""The largest stable step: two thirds at infinite width, per seed at finite width, muP's own number, bad input."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.factorisation import catapult, linear_map


def numpy_limit(gram, task, tried, steps, growth):
    """Largest stable step by NumPy's own loop, all steps side by side; the congruence P' = A P A written out."""
    c, s, target = task.output_scale, np.array(task.variances), np.array(task.target)
    grams, d = np.repeat(np.array(gram)[None], len(tried), 0), len(s)
    loss = lambda g: 0.5 * np.sum(s * (c * g[:, :d, d] - target) ** 2, 1)  # noqa: E731
    first = loss(grams)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            a = np.repeat(np.eye(d + 1)[None], len(tried), 0)
            pull = tried[:, None] * task.rate_scale * c * s * (c * grams[:, :d, d] - target)
            a[:, :d, d] = a[:, d, :d] = -pull
            grams = a @ grams @ a
        return loss(grams) < growth * first


def test_infinitely_wide_networks_survive_up_to_two_thirds():
    config = catapult.Config(width=10**9, lowest_rate=0.1, highest_rate=0.9, num_rates=401, target_scale=1.0)
    task = catapult.problem(config)
    gram = linear_map.mean_gram(task, config.width)

    def stable(growth, steps):
        return jax.jit(lambda gram: catapult.stable_rates(gram, config, growth, steps))(gram)

    tried = np.array(catapult.rates(config))
    ours = np.array(stable(10.0, 600))
    np.testing.assert_array_equal(ours, numpy_limit(gram, task, tried, 600, 10.0))
    found = catapult.limits(jnp.array(ours), config)
    assert abs(found["last_stable"] - 2 / 3) < 4e-3
    # A weak criterion after few steps returns the quadratic's limit, and hides the catapult.
    weak = catapult.limits(stable(1.0, 50), config)
    assert abs(weak["first_unstable"] - 1 / 3) < 0.01


@pytest.mark.slow
def test_mup_has_a_limit_of_its_own_at_every_width():
    config = dataclasses.replace(catapult.MUP, num_rates=200)
    values = {}
    predict = jax.jit(catapult.mean_field_limit.predict)
    for scale, published in ((0.3, 0.602), (0.447, 0.528)):
        limit = predict(jax.random.key(0), dataclasses.replace(config, target_scale=scale))["first_unstable"]
        values[scale] = float(limit)
        assert abs(limit - published) < 0.01
    wider = dataclasses.replace(config, width=10**6)
    other = catapult.mean_field_limit.predict(jax.random.key(0), wider)["first_unstable"]
    np.testing.assert_allclose(other, values[0.447], rtol=1e-6)


def test_lists_of_steps_that_end_too_early_find_nothing():
    config = catapult.Config(num_rates=5, lowest_rate=1.0, highest_rate=16.0)
    for stable, first, last, switches in (
        ([1, 1, 1, 1, 1], math.nan, math.nan, 0),
        ([0, 0, 0, 0, 0], math.nan, math.nan, 0),
        ([1, 1, 0, 0, 0], 2**1.5, 2**1.5, 1),
        ([1, 0, 1, 0, 0], 2**0.5, 2**2.5, 3),
        ([1, 0, 1, 1, 1], 2**0.5, math.nan, 2),
    ):
        found = catapult.limits(jnp.array(stable, dtype=bool), config)
        np.testing.assert_allclose(
            [found["first_unstable"], found["last_stable"], found["switches"]], [first, last, switches]
        )


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="highest_rate"):
        catapult.SETTING.validate(catapult.Config(lowest_rate=1.0, highest_rate=0.5))
    assert "num_steps = 100" in catapult.kernel_limit.holds(catapult.Config(num_steps=100))
