"""The compiled trainer against closed forms, and against a plain Python loop over optax."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorylab.training import gradient_descent, iterate, log_spaced_steps
from theorylab.training.iterate import check_schedule

CURVATURES = jnp.array([2.0, 0.7, 0.1, 0.01])
START = jnp.array([1.0, -2.0, 0.5, 3.0])


def quadratic(w):
    """Loss sum_i lambda_i w_i^2 / 2, whose gradient descent has w_i(t) = (1 - lr lambda_i)^t w_i(0)."""
    return 0.5 * jnp.sum(CURVATURES * w**2)


def rosenbrock(params):
    x, y = params["x"], params["y"]
    return jnp.sum((1 - x) ** 2 + 10 * (y - x**2) ** 2)


ROSENBROCK_START = {"x": jnp.array([-1.0, 0.3]), "y": jnp.array([0.5, 1.5])}


def modes(learning_rate, steps):
    return (1 - learning_rate * CURVATURES[None, :]) ** jnp.asarray(steps)[:, None] * START[None, :]


def test_quadratic_follows_its_closed_form_at_every_recorded_step():
    record_at = (0, 1, 2, 17, 100, 400)
    run = gradient_descent(
        quadratic, START, optax.sgd(0.3), num_steps=500, record=lambda w: {"w": w}, record_at=record_at
    )
    assert run.steps.tolist() == list(record_at)
    np.testing.assert_allclose(run.observables["w"], modes(0.3, record_at), rtol=1e-12)
    np.testing.assert_allclose(run.params, modes(0.3, [500])[0], rtol=1e-12)
    assert run.first_bad_step == -1
    # Negative control: counting steps from one instead of zero.
    off_by_one = modes(0.3, np.array(record_at) + 1)
    assert not np.allclose(run.observables["w"], off_by_one, rtol=1e-3)


def python_loop(loss, params, optimizer, num_steps, batches=None):
    path, opt_state = [params], optimizer.init(params)
    for t in range(num_steps):
        gradient = jax.grad(loss)(params) if batches is None else jax.grad(loss)(params, batches(t))
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
        path.append(params)
    return path


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.sgd(2e-3),
        optax.sgd(1e-3, momentum=0.9, nesterov=True),
        optax.adam(1e-2),
        optax.adamw(1e-2, weight_decay=0.1),
        optax.sgd(optax.cosine_decay_schedule(3e-3, 25)),
    ],
    ids=["sgd", "momentum", "adam", "adamw", "schedule"],
)
def test_agrees_with_a_python_loop_over_optax(optimizer):
    record_at = (0, 3, 11, 25)
    run = gradient_descent(
        rosenbrock, ROSENBROCK_START, optimizer, num_steps=25, record=lambda p: p, record_at=record_at
    )
    path = python_loop(rosenbrock, ROSENBROCK_START, optimizer, 25)
    for name in ("x", "y"):
        expected = np.stack([path[t][name] for t in record_at])
        np.testing.assert_allclose(run.observables[name], expected, rtol=1e-12, atol=1e-14)


def test_optimiser_that_asks_for_the_loss_gets_it():
    # Polyak's step (value - 0) / |gradient|^2 on w^2 / 2 halves w.
    run = gradient_descent(lambda w: 0.5 * w**2, 8.0, optax.polyak_sgd(max_learning_rate=1.0), num_steps=3)
    np.testing.assert_allclose(run.params, 1.0, rtol=1e-6)
    # Its line search evaluates the function itself.
    found = gradient_descent(quadratic, START, optax.lbfgs(), num_steps=30)
    assert quadratic(found.params) < 1e-9 * quadratic(START)
    assert found.first_bad_step == -1


def test_fresh_batches_depend_on_key_and_step_alone():
    def loss(w, x):
        return jnp.mean((x @ w - 1.0) ** 2)

    def sample(key):
        return jax.random.uniform(key, (6 * 4,)).reshape(6, 4)

    key, optimizer = jax.random.key(3), optax.adam(0.05)

    def train(num_steps, record_at):
        return gradient_descent(
            loss, START, optimizer, num_steps=num_steps, record=lambda w: {"w": w}, record_at=record_at,
            key=key, sample_batch=sample,
        )  # fmt: skip

    path = python_loop(loss, START, optimizer, 20, lambda t: sample(jax.random.fold_in(key, t)))
    dense = train(20, tuple(range(21)))
    np.testing.assert_allclose(dense.observables["w"], np.stack(path), rtol=1e-12, atol=1e-14)
    # Negative control: one batch reused for all steps.
    fixed = python_loop(loss, START, optimizer, 20, lambda t: sample(jax.random.fold_in(key, 0)))
    assert not np.allclose(dense.params, fixed[-1], rtol=1e-3)


def test_a_grid_of_learning_rates_and_seeds_is_one_program():
    traces = 0

    def simulate(key, learning_rate):
        nonlocal traces
        traces += 1
        start = jax.random.normal(key, (4,))
        run = gradient_descent(quadratic, start, optax.sgd(learning_rate), num_steps=200, record=lambda w: {"w": w})
        return run.observables["w"], start

    rates = jnp.array([0.01, 0.1, 0.9])
    keys = jax.random.split(jax.random.key(0), 5)
    grid = jax.jit(jax.vmap(jax.vmap(simulate, (None, 0)), (0, None)))
    paths, starts = grid(keys, rates)
    grid(keys, rates / 2)
    assert traces == 1
    steps = np.array(log_spaced_steps(200))
    factors = (1 - rates[:, None, None] * CURVATURES[None, None, :]) ** steps[None, :, None]
    np.testing.assert_allclose(paths, factors[None] * starts[:, :, None, :], rtol=1e-11, atol=1e-300)

    # The loops' conditions stay scalar: a batched one would mask every update by a select.
    def masked(function, values):
        return re.search("select.*f64", jax.jit(jax.vmap(function)).lower(values).as_text())

    assert not masked(train_only, rates)
    # Negative control: a loop whose length is mapped over.
    assert masked(lambda n: jax.lax.fori_loop(0, n, lambda t, w: w / 2, 1.0), jnp.arange(3))


def train_only(learning_rate):
    return gradient_descent(quadratic, START, optax.sgd(learning_rate), num_steps=9, record_at=()).params


def test_recording_is_paid_for_at_recorded_steps_only():
    calls = []

    def record(w):
        jax.debug.callback(lambda: calls.append(1))
        return {"w": w}

    def train(start):
        return gradient_descent(
            quadratic, start, optax.sgd(0.1), num_steps=300, record=record, record_at=(0, 10, 200)
        ).observables

    jax.block_until_ready(jax.jit(train)(START))
    jax.effects_barrier()
    assert len(calls) == 3


def test_hand_written_step_and_its_step_counter():
    orbit = iterate(
        lambda state, t: (state[0] + t, state[1] * 2), (jnp.int32(0), jnp.float32(1)),
        num_steps=10, record=lambda s: {"sum": s[0]}, record_at=(0, 4, 10),
    )  # fmt: skip
    assert orbit.observables["sum"].tolist() == [0, 6, 45]
    assert orbit.state[0] == 45
    assert orbit.state[1] == 1024.0
    assert orbit.state[1].dtype == jnp.float32


@pytest.mark.parametrize("record_at", [(), (0,), (9,), None])
def test_the_last_state_does_not_depend_on_what_is_recorded(record_at):
    run = gradient_descent(quadratic, START, optax.sgd(0.2), num_steps=9, record_at=record_at)
    np.testing.assert_allclose(run.params, modes(0.2, [9])[0], rtol=1e-13)
    assert run.observables == {}


def test_float32_stays_float32_under_a_float64_learning_rate():
    run = gradient_descent(
        lambda w: jnp.sum(w**2),
        jnp.ones(3, jnp.float32),
        optax.sgd(jnp.float64(0.1), momentum=0.5),
        num_steps=4,
    )
    assert run.params.dtype == jnp.float32


def test_differentiates_forwards():
    def last(learning_rate):
        return gradient_descent(lambda w: 0.5 * w**2, 1.0, optax.sgd(learning_rate), num_steps=5).params

    value, slope = jax.jvp(last, (0.1,), (1.0,))
    np.testing.assert_allclose([value, slope], [0.9**5, -5 * 0.9**4], rtol=1e-12)


def test_divergence_is_reported_with_its_step_and_never_raised():
    def train(learning_rate):
        return gradient_descent(
            lambda w: 0.5 * w**2, 1.0, optax.sgd(learning_rate), num_steps=400,
            record=lambda w: {"positive": w > 0}, record_at=(0, 100, 200, 300, 400),
        )  # fmt: skip

    # |1 - 50|^t passes the largest float64 at t = ln(1.8e308) / ln 49 = 182.4; at 0.5 it converges.
    run = jax.jit(jax.vmap(train))(jnp.array([0.5, 50.0]))
    assert run.first_bad_step.tolist() == [-1, 200]


def test_divergence_of_an_observable_and_of_the_end():
    def train(**options):
        return gradient_descent(
            lambda w: 0.5 * w**2, 1.0, optax.sgd(50.0), num_steps=190,
            record=lambda w: {"loss": jnp.exp(w**2)}, **options,
        )  # fmt: skip

    assert train(record_at=(0, 1, 2)).first_bad_step == 1
    assert train(record_at=(0, 1, 2), allow_nan=("loss",)).first_bad_step == 190


def test_gradient_flow_is_the_limit_of_small_steps():
    """At time t, |(1 - lr l)^(t/lr) - exp(-l t)| <= lr l^2 t exp(-l t) (1 + O(lr)) / 2 <= 2 lr / e^2."""
    time = 2.0
    exact = jnp.exp(-CURVATURES * time) * START

    def error(learning_rate, target):
        steps = round(time / learning_rate)
        return jnp.max(
            jnp.abs(gradient_descent(quadratic, START, optax.sgd(learning_rate), num_steps=steps).params - target)
        )

    rates = np.array([0.02, 0.01, 0.005])
    errors = np.array([error(rate, exact) for rate in rates])
    bound = rates * np.max(CURVATURES**2 * time * np.exp(-CURVATURES * time) * np.abs(START)) / 2
    assert np.all(errors < 1.05 * bound)
    np.testing.assert_allclose(errors[:-1] / errors[1:], 2, rtol=0.05)
    # Negative control: flow of the loss without its factor 1/2 (twice the speed).
    wrong = np.array([error(rate, jnp.exp(-2 * CURVATURES * time) * START) for rate in rates])
    assert np.all(wrong > 1.05 * bound)


@settings(deadline=None, max_examples=40)
@given(num_steps=st.integers(1, 10**7), shorter=st.integers(1, 10**7), per_decade=st.integers(1, 40))
def test_log_spaced_steps(num_steps, shorter, per_decade):
    steps = log_spaced_steps(num_steps, per_decade)
    assert steps[0] == 0
    assert steps[-1] == num_steps
    assert list(steps) == sorted(set(steps))
    assert {power for power in (1, 10, 100, 1000) if power <= num_steps} <= set(steps)
    assert len(steps) <= 3 + per_decade * np.log10(num_steps)
    if shorter < num_steps:
        assert set(log_spaced_steps(shorter, per_decade)) <= set(steps) | {shorter}
    gaps = np.diff(np.log10(np.array(steps[1:], dtype=float)))
    assert np.all(gaps <= max(1 / per_decade, np.log10(2)) + 0.31)


@pytest.mark.parametrize(
    ("num_steps", "record_at", "words"),
    [
        (0, None, "num_steps = 0 is not allowed: must be a whole number >= 1"),
        (2.5, None, "num_steps = 2.5"),
        (True, None, "num_steps = True"),
        (2**31, None, "num_steps"),
        ("10", None, "num_steps = '10'"),
        (10, (0, 11), "step 11 lies beyond the last step, num_steps = 10"),
        (10, (0, 5, 5), "5 follows 5"),
        (10, (5, 3), "3 follows 5"),
        (10, (-1, 3), "record_at step = -1"),
        (10, (0.5,), "record_at step = 0.5"),
    ],
)
def test_rejects_impossible_schedules(num_steps, record_at, words):
    with pytest.raises(ValueError, match="not allowed") as caught:
        check_schedule(num_steps, record_at)
    assert words in str(caught.value)


def test_rejects_a_key_without_batches():
    with pytest.raises(ValueError, match="both key and sample_batch"):
        gradient_descent(quadratic, START, optax.sgd(0.1), num_steps=1, key=jax.random.key(0))
