"""Gradient descent on two-layer linear networks: the map, the Hessian and the edge against NumPy's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.contract import ConfigError
from theorylab.settings.factorisation import linear_map
from theorylab.settings.factorisation.linear_networks import SETTING, Config, predictions

RNG = np.random.default_rng(0)


def random_case(m, d):
    c, rate = RNG.uniform(0.2, 2), RNG.uniform(0.05, 1)
    w, a, target = RNG.normal(size=(m, d)), RNG.normal(size=m), RNG.normal(size=d)
    return w, a, linear_map.Problem(jnp.array(RNG.uniform(0.1, 2, d)), jnp.array(target), c, 1.0, jnp.ones(d + 1)), rate


def numpy_step(w, a, task, rate):
    """One step of gradient descent on both layers, from the derivatives of the loss."""
    gradient = task.output_scale * np.array(task.variances) * (task.output_scale * w.T @ a - np.array(task.target))
    return w - rate * np.outer(a, gradient), a - rate * w @ gradient


def numpy_gram(w, a):
    return np.concatenate([w, a[:, None]], 1).T @ np.concatenate([w, a[:, None]], 1)


def test_one_step_of_the_map_is_gradient_descent():
    step = jax.jit(linear_map.gram_step)
    for m in (1, 2, 3, 7, 30):
        for d in (1, 2, 6):
            w, a, task, rate = random_case(m, d)
            exact, found = numpy_gram(*numpy_step(w, a, task, rate)), np.array(step(numpy_gram(w, a), task, rate))
            assert np.linalg.norm(found - exact) < 1e-13 * np.linalg.norm(exact)
            for parts in ("Muq", "M", "u", "q"):
                assert np.linalg.norm(numpy_without(parts, w, a, task, rate) - exact) > 1e-5 * np.linalg.norm(exact)


def numpy_without(parts, w, a, task, rate):
    """The step without its terms of second order in some blocks of P."""
    (w1, a1), gram = numpy_step(w, a, task, rate), numpy_gram(w, a)
    full = numpy_gram(w1, a1)
    moved = numpy_gram(w1 - w, a1 - a)
    for part, place in (("M", np.s_[:-1, :-1]), ("u", np.s_[:-1, -1]), ("u", np.s_[-1, :-1]), ("q", np.s_[-1, -1])):
        if part in parts:
            full[place] -= moved[place]
    return full + 0 * gram


@pytest.mark.parametrize("width", [2, 6, 20])
def test_whole_hessian_from_the_moments(width):
    w, a, task, _ = random_case(width, 5)

    def loss(weights):
        residual = task.output_scale * weights[: 5 * width].reshape(width, 5).T @ weights[5 * width :] - task.target
        return jnp.sum(task.variances * residual**2) / 2

    # Central differences of NumPy's gradient: the loss is quartic, so that two steps extrapolate it exactly.
    def gradient(x):
        w, a = x[: 5 * width].reshape(width, 5), x[5 * width :]
        moved = numpy_step(w, a, task, 1.0)
        return np.concatenate([(w - moved[0]).ravel(), a - moved[1]])

    x, eye = np.concatenate([w.ravel(), a]), np.eye(6 * width)
    slopes = [np.array([gradient(x + h * e) - gradient(x - h * e) for e in eye]) / (2 * h) for h in (0.5, 1.0)]
    exact = np.linalg.eigvalsh((4 * slopes[0] - slopes[1]) / 3)

    def spectrum(neurons=None):
        reduced, bulk, copies = linear_map.hessian_spectrum(jnp.array(numpy_gram(w, a)), task, width, neurons)
        beside = np.full(copies, float(bulk))
        return np.sort(np.concatenate([reduced, beside, -beside, np.zeros(copies * 4)]))

    np.testing.assert_allclose(spectrum(), exact, atol=1e-11 * np.abs(exact).max())
    if width == 2:
        assert abs(spectrum(6)[0] - exact[0]) > 1e-3  # spurious eigenvalues of neurons that are not there


@pytest.mark.parametrize(("rate", "final"), [(0.06, 31.6878), (0.09, 21.8371)])
def test_opposing_signals_end_below_the_edge(rate, final):
    """The map against NumPy's descent of three neurons; numbers of an implementation from prose alone."""
    task = linear_map.problem_of("opposing", "standard", 3, 2.0, 1.0)
    gram = 0.0225 * np.eye(3)
    gram[:2, 2] = gram[2, :2] = 1e-4
    values, vectors = np.linalg.eigh(gram)
    root = (vectors * np.sqrt(values)) @ vectors.T
    w, a = root[:, :2], root[:, 2]
    for _ in range(400):
        w, a = numpy_step(w, a, task, rate)
    last = jax.lax.fori_loop(0, 400, lambda _, gram: linear_map.gram_step(gram, task, rate), jnp.array(gram))
    for end in (last, numpy_gram(w, a)):
        sharpness = float(linear_map.sharpness_of(*linear_map.hessian_spectrum(jnp.asarray(end), task, 3), task))
        assert abs(sharpness - final) < 5e-3
        assert sharpness < 2 / rate


def test_wishart_draws_have_the_moments_of_weights():
    """Means and variances of P from Bartlett's factor, by the law of a Wishart matrix."""
    task = linear_map.problem_of("scalar", "standard", 50, 1.0, 1.0)
    draws = np.array(
        jax.jit(jax.vmap(lambda k: linear_map.draw_gram(k, task, 50)))(jax.random.split(jax.random.key(0), 20_000))
    )
    np.testing.assert_allclose(draws.mean(0), [[50, 0], [0, 1]], atol=0.3)
    np.testing.assert_allclose(draws.var(0), [[100, 1], [1, 0.04]], rtol=0.05)


def test_bad_input_is_refused():
    for changes, name in (
        ({"width": 1}, "width"),
        ({"simulator": "weights", "width": 1000}, "width = 1000"),
        ({"init_scale": 0.0}, "init_scale"),
        ({"num_records": 10**9}, "num_records"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"scaling": "other"}, "scaling"),
    ):
        with pytest.raises(ConfigError, match=name):
            SETTING.validate(Config(**changes))


def test_theories_say_where_they_do_not_apply():
    fast = Config(simulator="weights", width=16, learning_rate=0.6)
    assert "above 2.5" in predictions.gram_map.holds(fast)
    assert "simulator = gram" in predictions.hessian_reduction.holds(Config())
    assert "not converged" in predictions.edge_of_stability.holds(
        Config(problem="opposing", scaling="standard", num_steps=10, init_scale=0.05, target_scale=2.0)
    )
