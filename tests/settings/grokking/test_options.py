"""Weight decay, label noise, momentum and mini-batches: every neuron by itself in NumPy, and wrong recursions."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import theorylab as tl
from theorylab.contract import ConfigError
from theorylab.settings.two_layer.grokking import SETTING, Config, controls
from theorylab.settings.two_layer.grokking.config import stability_edge
from theorylab.settings.two_layer.grokking.data import Instance, initial_moments, sample
from theorylab.settings.two_layer.grokking.moments import (
    Moments,
    moments_of,
    moments_output,
    population_risk,
    square_root,
    transform,
)
from theorylab.settings.two_layer.grokking.moments import tangent_kernel as kernel_of
from theorylab.settings.two_layer.grokking.optimiser import Optimiser
from theorylab.settings.two_layer.grokking.predictions import THEORIES
from theorylab.settings.two_layer.grokking.theory.lazy import kernel_regression, lazy_curves
from theorylab.settings.two_layer.grokking.theory.population import (
    OrderParameters,
    population_curves,
    population_map,
    stationary_loss,
)
from theorylab.settings.two_layer.grokking.train import optimiser_of, run, train_moments

DIM, WIDTH, COUNT, STEPS, ALPHA, EPS, GAMMA = 6, 9, 15, 80, 1.3, 0.4, 0.05
RNG = np.random.default_rng(5)
INPUTS = RNG.standard_normal((COUNT, DIM)) / np.sqrt(DIM)
WEIGHTS = RNG.standard_normal((WIDTH, DIM))
TARGET = np.sqrt(DIM) * np.eye(DIM)[0]
NOISE = RNG.standard_normal(COUNT)
EPOCHS = np.stack([RNG.permutation(COUNT) for _ in range(math.ceil(STEPS * 5 / COUNT))]).reshape(-1, 5)[:STEPS]
REPEATS = RNG.integers(0, COUNT, (STEPS, 5))
CONFIG = Config(
    input_dim=DIM, num_samples=COUNT, width=WIDTH, num_steps=STEPS, num_test=3, output_scale=ALPHA, quadratic_coeff=EPS,
    scaled_learning_rate=GAMMA,
)  # fmt: skip
INSTANCE = Instance(
    jnp.asarray(INPUTS), jnp.asarray(TARGET), moments_of(jnp.asarray(WEIGHTS)), jnp.asarray(WEIGHTS),
    jnp.asarray(INPUTS[:3]), jnp.asarray(NOISE),
)  # fmt: skip


def output(weights, points):
    h = points @ weights.T
    return ALPHA * (h + EPS / 2 * h * h).mean(1)


def neurons(config, batches=None):
    """Every neuron by itself, as the equations read; the weights before each step and in the end."""
    goal = (INPUTS @ TARGET) ** 2 / 2 + config.label_noise * NOISE + config.centred * output(WEIGHTS, INPUTS)
    weights, velocity, path = WEIGHTS, np.zeros_like(WEIGHTS), [WEIGHTS]
    for t in range(config.num_steps):
        rows = np.arange(COUNT) if batches is None else batches[t]
        x = INPUTS[rows]
        pull = np.zeros_like(weights)
        for i, w in enumerate(weights):
            slope = 1 + EPS * x @ w
            pull[i] = GAMMA / ALPHA * COUNT / len(rows) * ((goal[rows] - output(weights, x)) * slope) @ x
        decay = GAMMA * config.weight_decay * (weights - WEIGHTS * (config.decay_towards == "start"))
        coupled = config.decay_form == "coupled"
        velocity = config.momentum * velocity + pull - coupled * decay
        weights = weights + velocity - (not coupled) * decay
        path.append(weights)
    return path


CASES = {
    "decay": {"weight_decay": 0.3, "label_noise": 0.4},
    "decay to a start": {"weight_decay": 0.3, "decay_towards": "start", "centred": True},
    "momentum": {"weight_decay": 0.3, "heavy_ball": True, "momentum": 0.8},
    "all": {
        "weight_decay": 0.3, "decay_form": "decoupled", "heavy_ball": True, "momentum": 0.6, "label_noise": 0.4,
        "centred": True, "batch_size": 5,
    },
    "repeats": {"weight_decay": 0.1, "batch_size": 5, "replacement": True},
    "all to a start": {
        "weight_decay": 0.3, "decay_form": "decoupled", "decay_towards": "start", "heavy_ball": True, "momentum": 0.6,
        "batch_size": 5,
    },
}  # fmt: skip


def moments_after(config, instance, steps):
    """Mean and second moment after the given steps, from the moments alone."""
    record = lambda moments, spike: {"mean": moments.mean, "second": moments.second}  # noqa: E731
    options = {"num_steps": config.num_steps, "record_at": steps}
    return jax.jit(lambda i: train_moments(i, config, record, **options).observables)(instance)


@pytest.mark.parametrize("name", CASES)
def test_moments_follow_every_neuron(name):
    config = dataclasses.replace(CONFIG, **CASES[name])
    batches = None if math.isinf(config.batch_size) else REPEATS if config.replacement else EPOCHS
    path, steps = neurons(config, batches), (1, 4, 12, STEPS)
    found = moments_after(config, INSTANCE._replace(batches=None if batches is None else jnp.asarray(batches)), steps)
    for row, step in enumerate(steps):
        second = path[step].T @ path[step] / WIDTH
        for part, value in (("mean", path[step].mean(0)), ("second", second)):
            np.testing.assert_allclose(found[part][row], value, atol=1e-13 * np.abs(second).max())


def test_every_neuron_of_the_simulation_is_that_of_the_moments():
    """The trainer of neurons in the library, against the moments: all that both measure."""
    config = dataclasses.replace(CONFIG, **CASES["all"])
    instance = INSTANCE._replace(batches=jnp.asarray(EPOCHS))
    network = jax.jit(run)(instance, dataclasses.replace(config, trainer="network"))
    moments = jax.jit(lambda i, c: run(i, c, summaries=False))(instance, config)
    for name, value in moments.items():
        np.testing.assert_allclose(network[name], value, rtol=1e-10, atol=1e-13, err_msg=name)
    # Memorisation is the cross term: train = clean + 2 σ_y mean ξ (y − f) + σ_y² mean ξ².
    final = neurons(config, EPOCHS)[-1]
    clean = (INPUTS @ TARGET) ** 2 / 2 - output(final, INPUTS) + output(WEIGHTS, INPUTS)
    train = np.mean(clean**2) + 0.8 * np.mean(NOISE * clean) + 0.16 * np.mean(NOISE**2)
    assert float(network["train_loss"][-1]) == pytest.approx(train, rel=1e-10)
    assert float(network["clean_train_loss"][-1]) == pytest.approx(np.mean(clean**2), rel=1e-10)
    assert abs(np.mean(clean**2) + 0.16 * np.mean(NOISE**2) - train) > 0.02
    np.testing.assert_allclose(moments["noisy_test_loss"] - moments["test_loss"], 0.16, rtol=1e-12)


def test_wrong_recursions_are_told_apart():
    """Velocities of the moments themselves, a step 1/(1 − μ) times as long, and decay taken once from M."""
    path = neurons(dataclasses.replace(CONFIG, **CASES["momentum"]))
    goal = (INPUTS @ TARGET) ** 2 / 2

    def plain(mean, second, rate, decay=0.3):
        delta = goal - ALPHA * (INPUTS @ mean + EPS / 2 * np.einsum("pd,de,pe->p", INPUTS, second, INPUTS))
        step = (1 - rate * decay) * np.eye(DIM) + rate / ALPHA * EPS * (INPUTS.T * delta) @ INPUTS
        moved, shift = step @ mean, rate / ALPHA * delta @ INPUTS
        cross = np.outer(moved, shift)
        return moved + shift, step @ second @ step + cross + cross.T + np.outer(shift, shift)

    start = WEIGHTS.mean(0), WEIGHTS.T @ WEIGHTS / WIDTH
    now, speed, long = start, (0 * start[0], 0 * start[1]), start
    for _ in range(12):
        speed = tuple(0.8 * v + new - old for v, new, old in zip(speed, plain(*now, GAMMA), now, strict=True))
        now = tuple(old + v for old, v in zip(now, speed, strict=True))
        long = plain(*long, GAMMA / 0.2)
    right = path[12].T @ path[12] / WIDTH
    assert np.abs(now[1] - right).max() > 0.03 * np.abs(right).max()
    assert np.abs(long[1] - right).max() > 0.05 * np.abs(right).max()
    path, once = neurons(dataclasses.replace(CONFIG, weight_decay=0.3)), start
    for _ in range(STEPS):
        mean, second = plain(*once, GAMMA, 0.0)
        once = mean - 0.3 * GAMMA * once[0], second - 0.3 * GAMMA * once[1]
    right = path[STEPS].T @ path[STEPS] / WIDTH
    assert np.abs(once[1] - right).max() > 0.1 * np.abs(right).max()


def test_a_step_is_that_of_optax():
    optax = pytest.importorskip("optax")
    curvature = jnp.array([0.5, 2.0, 7.0])
    for coupled in (True, False):
        ours = Optimiser(0.3, 0.8, heavy_ball=True, decoupled=not coupled)
        parts = (optax.add_decayed_weights(0.3), optax.sgd(0.05, 0.8))
        if not coupled:  # after the velocity, the decay carries the learning rate's sign itself
            parts = (optax.sgd(0.05, 0.8), optax.add_decayed_weights(-0.05 * 0.3))
        theirs = optax.chain(*parts)

        def both(_, state, ours=ours, theirs=theirs):
            (w, v), (u, memory) = state
            change, memory = theirs.update(curvature * u, memory, u)
            return ours.step(w, v, -0.05 * curvature * w, w, 0.05), (optax.apply_updates(u, change), memory)

        start = jnp.ones(3)
        state = jax.lax.fori_loop(0, 50, both, ((start, ours.velocity(start)), (start, theirs.init(start))))
        np.testing.assert_allclose(state[0][0], state[1][0], rtol=1e-12, atol=1e-14)


def test_square_roots_have_derivatives_where_eigenvalues_coincide():
    change = RNG.standard_normal((4, 4))
    change = change + change.T
    whole, low = 4 * np.eye(4), np.diag([2.0, 2.0, 1.0, 0.0])
    along = np.diag([1.0, 1.0, 1.0, 0.0]) @ change @ np.diag([1.0, 1.0, 1.0, 0.0])  # of the same rank
    tangent = jax.jit(lambda c, d: jax.jvp(square_root, (c,), (d,)))
    for covariance, direction in ((whole, change), (low, along)):
        root, slope = tangent(jnp.asarray(covariance), jnp.asarray(direction))
        np.testing.assert_allclose(root @ root, covariance, atol=1e-14)
        np.testing.assert_allclose(root @ slope + slope @ root, direction, atol=1e-12)


# --- where training ends ----------------------------------------------------------------------------------------------


def test_decay_selects_low_rank():
    """At rest Z w̄ = u/α and Z C = 0 with Z = λ' − (ε/α) S: decoupled decay beside momentum is (1 − μ) λ'."""
    x = np.random.default_rng(0).standard_normal((60, DIM)) / np.sqrt(DIM)
    instance = Instance(jnp.asarray(x), jnp.asarray(TARGET), INSTANCE.moments, None, jnp.asarray(x[:3]))
    base = dataclasses.replace(CONFIG, num_samples=60, num_steps=40_000, weight_decay=0.4)
    heavy = dataclasses.replace(base, heavy_ball=True, momentum=0.7, decay_form="decoupled", num_steps=60_000)
    for config, decay in ((base, 0.4), (heavy, 0.12)):
        found = moments_after(config, instance, (config.num_steps,))
        mean, second = np.asarray(found["mean"][0]), np.asarray(found["second"][0])
        delta = (x @ TARGET) ** 2 / 2 - ALPHA * (x @ mean + EPS / 2 * np.einsum("pd,de,pe->p", x, second, x))
        z = decay * np.eye(DIM) - EPS / ALPHA * (x.T * delta) @ x
        spread = second - np.outer(mean, mean)
        np.testing.assert_allclose(z @ mean, x.T @ delta / ALPHA, atol=1e-12)
        np.testing.assert_allclose(z @ spread, 0, atol=1e-11)
        assert np.linalg.matrix_rank(spread, 1e-8) == 1
        assert np.linalg.eigvalsh(z)[0] == pytest.approx(0, abs=1e-10)
        wrong = z + (0.4 - 0.12) * np.eye(DIM) * (decay != 0.4) + 0.01 * np.eye(DIM) * (decay == 0.4)
        assert np.abs(wrong @ mean - x.T @ delta / ALPHA).max() > 1e-4


# --- the lazy network -------------------------------------------------------------------------------------------------

OPTIMISERS = [
    Optimiser(0.4, momentum if heavy else 0.0, heavy, decoupled, start)
    for (heavy, decoupled), momentum, start in itertools.product(
        ((False, False), (True, False), (True, True)), (0.7,), (False, True)
    )
]


def test_lazy_network_with_decay_and_momentum_is_training_of_the_linearised_neurons():
    steps, fresh = (0, 1, 30, 90), RNG.standard_normal((9, DIM)) / np.sqrt(DIM)
    goal = (INPUTS @ TARGET) ** 2 / 2 + 0.4 * NOISE
    options = {"output_scale": ALPHA, "quadratic_coeff": EPS}

    def jacobian(points):
        slope = 1 + EPS * points @ WEIGHTS.T
        return ALPHA / WIDTH * (slope[:, :, None] * points[:, None, :]).reshape(len(points), -1)

    @jax.jit
    def theories(x, weights, goal, fresh):
        moments = moments_of(weights)
        kernel, residual = kernel_of(moments, x, EPS), goal - moments_output(moments, x, ALPHA, EPS)
        found = []
        for optimiser in OPTIMISERS:
            curves = lazy_curves(
                x, residual, moments, kernel, steps, scaled_learning_rate=GAMMA, optimiser=optimiser, **options
            )
            limit = kernel_regression(x, residual, moments, kernel, optimiser=optimiser, **options)
            last = Moments(curves.moments.mean[-1], curves.moments.second[-1])
            found.append((curves.residual, moments_output(last, fresh, ALPHA, EPS),
                          moments_output(limit, fresh, ALPHA, EPS)))  # fmt: skip
        return found

    inner, outer, first = jacobian(INPUTS), jacobian(fresh), WEIGHTS.ravel()
    for optimiser, (residuals, predicted, limit) in zip(
        OPTIMISERS, theories(INPUTS, WEIGHTS, goal, fresh), strict=True
    ):
        w, v, path = first, 0 * first, []
        for t in range(40_000):
            residual = goal - output(WEIGHTS, INPUTS) - inner @ (w - first)
            if t <= 90:
                path.append(residual)
            if t == 90:
                final = output(WEIGHTS, fresh) + outer @ (w - first)
            pull = GAMMA * WIDTH / ALPHA**2 * inner.T @ residual
            decay = GAMMA * 0.4 * (w - first * optimiser.towards_start)
            v = optimiser.momentum * v + pull - (not optimiser.decoupled) * decay
            step = v - optimiser.decoupled * decay
            w = w + step
            if t > 90 and np.abs(step).max() < 1e-15:
                break
        np.testing.assert_allclose(residuals, np.array(path)[list(steps)], atol=1e-11)
        np.testing.assert_allclose(predicted, final, atol=1e-11)
        np.testing.assert_allclose(limit, output(WEIGHTS, fresh) + outer @ (w - first), atol=1e-9)
        # Control: as if what the initial weights give to first order were their output, which has half of its square.
        if optimiser == Optimiser(0.4):
            kernel, cross = (WIDTH / ALPHA**2 * points @ inner.T for points in (inner, outer))
            wrong = cross @ np.linalg.solve(kernel + 0.4 * np.eye(COUNT), goal)
            assert np.abs(wrong - limit).max() > 0.1


# --- the population ---------------------------------------------------------------------------------------------------


def test_order_parameters_with_decay_are_closed_and_end_where_the_formula_says():
    dim, alpha, eps, gamma, count = 6, 1.4, 0.5, 0.002, 600
    beta = jnp.sqrt(6.0) * jnp.eye(dim)[0]
    moments = initial_moments(beta, 0.3, 1.1)
    start = OrderParameters(moments.second[0, 0], moments.second[1, 1])
    options = {"output_scale": alpha, "quadratic_coeff": eps, "scaled_learning_rate": gamma}
    step = jax.jit(lambda m: transform(m, population_map(m, beta, num_samples=count, weight_decay=20.0, **options)))
    losses = []
    for _ in range(41):
        losses.append(float(population_risk(moments, beta, alpha, eps).total))
        moments = step(moments)
    options |= {"input_dim": dim, "sample_ratio": count / dim}
    ends = (0, 10, 40, 20_000)
    curves = jax.jit(jax.vmap(lambda d: population_curves(start, ends, optimiser=Optimiser(d), **options)[1].total))
    unit, strengths = count / dim * eps / alpha, np.array([0.036, 0.364, 1.091, 1.6])  # where Λ = 1
    found = curves(jnp.asarray([20.0, *(unit * strengths)]))
    np.testing.assert_allclose(found[0, :3], np.array(losses)[[0, 10, 40]], rtol=1e-12)
    exact = np.where(strengths < 1.5, strengths**2 / 3, 0.75)
    np.testing.assert_allclose(found[1:, -1], exact, rtol=1e-6)
    np.testing.assert_allclose(stationary_loss(unit * strengths, alpha, eps, count / dim), exact, rtol=1e-12)
    slower = Optimiser(0.728 * unit, 0.5, heavy_ball=True, decoupled=True)
    end = jax.jit(lambda: population_curves(start, (20_000,), optimiser=slower, **options)[1].total[0])()
    assert float(end) == pytest.approx(0.364**2 / 3, rel=1e-6)


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["coupled", "decoupled"])
def test_stability_edges_are_those_of_the_roots(form):
    for curvature, decay, momentum in ((3.0, 0.0, 0.0), (3.0, 2.0, 0.0), (0.7, 1.0, 0.5), (5.0, 0.4, 0.9)):
        config = Config(weight_decay=decay, momentum=momentum, heavy_ball=True, decay_form=form)

        def radius(rate, form=form, curvature=curvature, decay=decay, momentum=momentum):
            inside, outside = (rate * decay, 0.0) if form == "coupled" else (0.0, rate * decay)
            pull = -rate * curvature - inside
            return np.abs(np.linalg.eigvals([[1 - outside + pull, momentum], [pull, momentum]])).max()

        edge = 2 / stability_edge(config, curvature)
        assert radius(0.999 * edge) < 1 < radius(1.001 * edge)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weight_decay": -0.1}, "weight_decay = -0.1"),
        ({"weight_decay": math.nan}, "weight_decay = nan"),
        ({"weight_decay": 20.0}, r"weight_decay = 20 .* must be < 2/scaled_learning_rate = 20"),
        ({"decay_towards": "one"}, "decay_towards = 'one' .* zero, start"),
        ({"decay_form": "both"}, "decay_form = 'both' .* coupled, decoupled"),
        ({"label_noise": -1.0}, "label_noise = -1"),
        ({"momentum": 0.5}, "momentum = 0.5 .* 0 without heavy_ball"),
        ({"momentum": 1.0, "heavy_ball": True}, "momentum = 1"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"batch_size": 221}, "batch_size = 221 .* at most num_samples = 220"),
        ({"batch_size": 50}, "batch_size = 50 .* divide it .*replacement = True"),
        ({"weight_decay": 10.0}, r"weight decay and momentum"),
    ],
)
def test_bad_input_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        SETTING.validate(Config(**changes))


def test_what_may_not_work_is_warned_of():
    with pytest.warns(UserWarning, match="may diverge with batch_size = 11, whose steps are safe below 0.04"):
        SETTING.validate(Config(batch_size=11))
    with pytest.warns(UserWarning, match="use decay_towards = 'start'"):
        SETTING.validate(Config(centred=True, weight_decay=0.1))
    SETTING.validate(Config(batch_size=50, replacement=True, scaled_learning_rate=0.02))


@pytest.mark.parametrize(
    "changes",
    [{"weight_decay": 0.1}, {"label_noise": 0.3}, {"heavy_ball": True, "momentum": 0.5}, {"batch_size": 30}],
)
def test_theories_that_do_not_know_an_option_say_so(changes):
    plain = SETTING.case("tiny", "mean field").config
    config = dataclasses.replace(plain, **changes)
    name = next(name for name in changes if name != "heavy_ball")
    for theory in THEORIES:
        if theory.holds(plain) is None and theory.name != "exact_risk":
            assert f"{name} = " in theory.holds(config)


def test_noise_and_batches_leave_the_other_draws_alone():
    config = Config(input_dim=4, num_samples=12, num_steps=7, batch_size=4, num_test=2)
    drawn = jax.jit(sample)(jax.random.key(3), config)
    plain = jax.jit(sample)(jax.random.key(3), dataclasses.replace(config, batch_size=math.inf, num_test=5))
    longer = jax.jit(sample)(jax.random.key(3), dataclasses.replace(config, num_steps=11))
    assert plain.batches is None
    np.testing.assert_array_equal(drawn.inputs, plain.inputs)
    np.testing.assert_array_equal(drawn.noise, longer.noise)
    np.testing.assert_array_equal(longer.batches[:7], drawn.batches)
    np.testing.assert_array_equal(np.sort(np.asarray(drawn.batches[:6]).reshape(2, 12)), [np.arange(12)] * 2)
    repeats = jax.jit(sample)(jax.random.key(3), dataclasses.replace(config, replacement=True, num_steps=600))
    np.testing.assert_allclose(np.bincount(np.ravel(repeats.batches), minlength=12), 200, atol=60)


def test_heavy_ball_without_momentum_is_plain_descent():
    config = dataclasses.replace(CONFIG, weight_decay=0.3)
    both = [moments_after(dataclasses.replace(config, heavy_ball=heavy), INSTANCE, (STEPS,)) for heavy in (False, True)]
    np.testing.assert_allclose(both[0]["second"], both[1]["second"], rtol=1e-12, atol=1e-14)
    assert optimiser_of(config).velocity(INSTANCE.moments) == ()


# --- the laboratory ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("case", "theory", "wrong"),
    [
        ("network, with noise, decay, momentum and batches", "reduction", controls.without_cross_block),
        ("linearised, with noise, decay and momentum", "lazy", None),
        ("many samples, decay", "population", None),
    ],
)
def test_theories_agree_with_options_and_wrong_ones_do_not(case, theory, wrong):
    one = SETTING.case("default", case)
    data = tl.sweep(SETTING, one.config, one.grid, seeds=one.seeds)
    rows = [row for row in tl.compare(SETTING, data) if row.status.judged]
    assert theory in {row.theory for row in rows}
    assert not [row for row in rows if row.failed]
    right = SETTING.theory(theory)

    def without_decay(key, config):
        return right.predict(key, dataclasses.replace(config, weight_decay=0.0))

    other = dataclasses.replace(right, name="wrong", predict=wrong or without_decay, controls={})
    failed = [row for row in tl.compare(SETTING, data, theories=[other]) if row.failed]
    assert {row.observable for row in failed} >= {"train_loss" if theory == "reduction" else "test_loss"}
