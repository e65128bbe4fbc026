"""Closed forms of linear attention: identities, published numbers, Monte Carlo in NumPy; wrong ones are rejected."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.settings.in_context.linear_attention.theory import baselines, dynamics, nonlinear, risk, task_diversity

SPECTRUM = np.diag([2.0, 1.5, 1.0, 0.5, 0.25])


@jax.jit
def optimum(problem, n):
    """P*, L_min, risk at P*, and the same for the wrong P with n in place of n + 1 (all compiled once for d = 5)."""
    best = risk.optimal_preconditioner(problem, n)
    return best, risk.minimum_loss(problem, n), risk.risk(best, problem, n)


def problem(cov, tasks, noise):
    return risk.Regression(jnp.asarray(cov, float), jnp.asarray(tasks, float), noise)


# --- minimisers and minimum losses ----------------------------------------------------------------------------


def test_isotropic_learning_rate_and_minimum_loss():
    best, least, at_best = optimum(problem(np.eye(5), np.eye(5), 0.25), 20.0)
    np.testing.assert_allclose(best, np.eye(5) / 26.25, atol=1e-15)
    np.testing.assert_allclose([least, at_best], 5 * 6.25 / 26.25 + 0.25, rtol=1e-12)
    np.testing.assert_allclose(risk.isotropic_learning_rate(20, 5, 0.25), 1 / 26.25)
    np.testing.assert_allclose(risk.isotropic_minimum_loss(20, 5, 0.25), least, rtol=1e-12)


def test_task_covariance_inverse_to_that_of_the_covariates():
    best, least, _ = optimum(problem(SPECTRUM, np.linalg.inv(SPECTRUM), 0.25), 20.0)
    np.testing.assert_allclose(best, np.linalg.inv(SPECTRUM) / 26.25, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(least, risk.isotropic_minimum_loss(20, 5, 0.25), rtol=1e-12)


def test_optimum_is_stationary_and_singular_task_moments_are_fine():
    rng = np.random.default_rng(0)
    half = rng.standard_normal((5, 5))
    w = rng.standard_normal((5, 1))
    for tasks in (half @ half.T, w @ w.T):
        case = problem(SPECTRUM, tasks, 0.3)
        best, least, at_best = optimum(case, 7.0)
        np.testing.assert_allclose(at_best, least, rtol=1e-10)
        cov, n = SPECTRUM, 7
        power = np.trace(cov @ tasks) + 0.3
        second = n * (n + 1) * cov @ tasks @ cov + n * power * cov
        np.testing.assert_allclose(best @ second, n * tasks @ cov, atol=1e-9)
        # Gradient with n in place of n + 1 in B_n does not vanish.
        wrong = n * n * cov @ tasks @ cov + n * power * cov
        assert np.abs(best @ wrong - n * tasks @ cov).max() > 1e-2


def test_context_length_curve_has_the_published_values():
    m = np.array([5, 10, 20, 40, 80, 320])
    mean = risk.isotropic_context_length_risk(m, 20, 5, 0.25)
    np.testing.assert_allclose(mean, [4.1616, 2.3475, 1.4405, 0.9870, 0.7602, 0.5901], atol=6e-5)
    summed = risk.isotropic_context_length_risk(m, 20, 5, 0.25, mean=False)
    np.testing.assert_allclose(summed, [3.753, 2.620, 1.4405, 3.436, 24.84, 640.9], rtol=3e-4)
    grid = np.arange(5, 60)
    assert grid[np.argmin(risk.isotropic_context_length_risk(grid, 20, 5, 0.25, mean=False))] == 23


def test_random_context_length_uses_the_mean_inverse():
    lengths = np.array([5.0, 10.0, 20.0, 40.0])
    case = problem(SPECTRUM, np.eye(5), 0.25)
    averaged = jax.jit(jax.vmap(lambda p: jnp.mean(jax.vmap(lambda m: risk.risk(p / m, case, m))(jnp.array(lengths)))))
    right = risk.random_length_preconditioner(case, float(np.mean(1 / lengths)))
    wrong = risk.random_length_preconditioner(case, float(1 / np.mean(lengths)))
    rng = np.random.default_rng(1)
    nearby = np.asarray(right)[None] + 0.02 * rng.standard_normal((10, 5, 5))
    values = np.asarray(averaged(jnp.concatenate([right[None], wrong[None], nearby])))
    np.testing.assert_allclose(values[:2], [2.04089, 2.1463], atol=1e-4)
    assert (values[2:] > values[0]).all()


def test_uniform_covariates_have_the_published_minimum():
    rate = risk.independent_coordinates_learning_rate(10, 10, 0.0, 1 / 12, 1.8)
    loss = risk.independent_coordinates_minimum_loss(10, 10, 0.0, 1 / 12, 1.8)
    np.testing.assert_allclose([rate, loss], [0.60606, 0.41246], atol=5e-6)
    np.testing.assert_allclose(risk.independent_coordinates_learning_rate(20, 5, 0.25), 1 / 26.25)
    rng = np.random.default_rng(2)
    x = rng.uniform(-0.5, 0.5, (40_000, 10, 10))
    w = rng.standard_normal((40_000, 10))
    b = np.einsum("bnd,bne,be->bd", x, x, w, optimize=True)
    measured = np.mean(w * b) / np.mean(b**2)  # least squares for one learning rate
    assert abs(measured / rate - 1) < 0.01
    assert abs(measured / risk.independent_coordinates_learning_rate(10, 10, 0.0, 1 / 12, 3.0) - 1) > 0.02


# --- the whole layer ------------------------------------------------------------------------------------------


def sampled_terms(readout, attention, case, n, count, seed):
    """Batch means (20) of the loss and its parts from prompts; query averaged."""
    rng = np.random.default_rng(seed)
    cov, tasks = np.asarray(case.covariate_covariance), np.asarray(case.task_second_moment)
    d = len(cov)
    x = rng.standard_normal((count, n, d)) @ np.linalg.cholesky(cov).T
    w = rng.standard_normal((count, d)) @ np.linalg.cholesky(tasks).T
    y = np.einsum("bnd,bd->bn", x, w) + math.sqrt(case.noise_variance) * rng.standard_normal((count, n))
    u_x, u_y, a, c = readout[:d], readout[d], attention[:d], attention[d]
    s = np.einsum("bnd,bne->bde", x, x)
    b = np.einsum("bn,bnd->bd", y, x)
    labels = np.sum(y**2, 1)
    odd = b @ (u_y * a.T + np.outer(c, u_x)).T
    even_s, even_c = s @ u_x @ a, u_y * labels[:, None] * c

    def square(v, z):
        return np.sum((v @ cov) * z, axis=1)

    parts = {
        "reduced": square(odd - w, odd - w) + case.noise_variance,
        "even_squared": square(even_s, even_s),
        "cross": 2 * square(even_s, even_c),
        "label_power": square(even_c, even_c),
        "total": square(odd + even_s + even_c - w, odd + even_s + even_c - w) + case.noise_variance,
    }
    means = {name: value.reshape(20, -1).mean(1) for name, value in parts.items()}
    return {name: (value.mean(), value.std(ddof=1) / math.sqrt(20)) for name, value in means.items()}


def test_exact_loss_of_a_random_layer():
    rng = np.random.default_rng(3)
    half = rng.standard_normal((4, 4)) / 2
    case = problem(np.diag([1.5, 1.0, 0.7, 0.4]), half @ half.T + 0.2 * np.eye(4), 0.5)
    readout, attention = 0.3 * rng.standard_normal(5), 0.3 * rng.standard_normal((5, 4))
    measured, error = sampled_terms(readout, attention, case, 7, 100_000, 4)["total"]
    exact = float(jax.jit(risk.population_loss)(jnp.array(readout), jnp.array(attention), case, 7))
    assert abs(measured - exact) < 4 * error


def test_each_term_of_the_exact_loss_where_it_is_large():
    case = problem(np.eye(2), np.eye(2), 0.25)
    readout, attention = np.array([1.0, 0.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    measured = sampled_terms(readout, attention, case, 2, 200_000, 5)
    terms = risk.population_loss_terms(jnp.array(readout), jnp.array(attention), case, 2)._asdict()
    np.testing.assert_allclose([sum(terms.values()), terms["cross"]], [151.25, 26.0], rtol=1e-12)
    for name, exact in {**terms, "total": 151.25}.items():
        mean, error = measured[name]
        assert abs(mean - exact) < 4 * error, name
    mean, error = measured["cross"]
    assert abs(mean - 18) > 4 * error  # without the term 2n Λ Σ_w Λ


def test_second_branch_in_one_dimension():
    case = problem(np.eye(1), np.eye(1), 0.25)
    rate = risk.isotropic_learning_rate(20, 1, 0.25)
    on_labels = risk.population_loss(jnp.array([1.0, 0.0]), jnp.array([[0.0], [rate]]), case, 20)
    on_covariates = risk.population_loss(jnp.array([0.0, 1.0]), jnp.array([[rate], [0.0]]), case, 20)
    np.testing.assert_allclose([on_labels, on_covariates], risk.isotropic_minimum_loss(20, 1, 0.25), rtol=1e-12)


def test_risk_under_every_shift():
    """Averaged over query, task and noise given the covariates, so that the standard error is small."""
    rng = np.random.default_rng(6)
    matrices = [rng.standard_normal((4, 4)) / 2 for _ in range(3)]
    cov, query, tasks = (m @ m.T + 0.3 * np.eye(4) for m in matrices)
    p, m, noise = 0.05 * np.eye(4) + 0.01 * rng.standard_normal((4, 4)), 12, 0.4
    x = rng.standard_normal((40_000, m, 4)) @ np.linalg.cholesky(cov).T
    s = np.einsum("bnd,bne->bde", x, x)
    rest = np.eye(4) - p @ s
    values = np.einsum("de,bef,fg,bdg->b", query, rest, tasks, rest, optimize=True)
    values += noise * np.einsum("de,ef,bfg,dg->b", query, p, s, p, optimize=True) + noise
    mean, error = values.mean(), values.std() / math.sqrt(len(values))
    case = problem(cov, tasks, noise)
    exact = float(risk.risk(jnp.array(p), case, m, jnp.array(query)))
    assert abs(mean - exact) < 4 * error
    for wrong in (risk.risk(jnp.array(p), case, m), risk.risk(jnp.array(p), case, m - 1, jnp.array(query))):
        assert abs(mean - float(wrong)) > 4 * error


# --- nonlinear targets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "rate", "tolerance"), [("relu", 0.026316, 0.02), ("tanh", 0.035823, 0.02), ("cubic", 0.026686, 0.03)]
)
def test_learning_rate_of_nonlinear_targets(link, rate, tolerance):
    moments = nonlinear.single_index_moments(link, 5)
    theory = nonlinear.nonlinear_learning_rate(moments, 20, 0.25)
    assert abs(theory - rate) < 1e-6
    rng = np.random.default_rng(7)
    x = rng.standard_normal((60_000, 21, 5))
    w = rng.standard_normal((60_000, 5))
    z = np.einsum("bnd,bd->bn", x, w / np.linalg.norm(w, axis=1, keepdims=True))
    y = {"relu": np.maximum(z, 0), "tanh": np.tanh(3 * z), "cubic": z**3}[link] + 0.5 * rng.standard_normal(z.shape)
    b = np.einsum("bn,bnd->bd", y[:, :20], x[:, :20])
    # The query averaged over its angle: E[y_q x_q·b] = c1 w·b.
    c1 = math.sqrt(5 * moments.linear)
    gain = c1 * np.einsum("bd,bd->b", w / np.linalg.norm(w, axis=1, keepdims=True), b)
    measured = gain.mean() / (b**2).sum(1).mean()
    assert abs(measured / theory - 1) < tolerance
    if link == "relu":
        np.testing.assert_allclose(nonlinear.nonlinear_minimum_loss(moments, 5, 20, 0.25), 0.61842, atol=5e-6)
        linear = nonlinear.TargetMoments(moments.linear, moments.weighted_power * 1.1, moments.power)
        assert abs(measured / nonlinear.nonlinear_learning_rate(linear, 20, 0.25) - 1) > tolerance


def test_nonlinear_theory_reduces_to_the_linear_one():
    moments = nonlinear.single_index_moments("linear", 5)
    np.testing.assert_allclose(nonlinear.nonlinear_learning_rate(moments, 20, 0.25), 1 / (20 + 5 + 1 + 5 * 0.25))


# --- baselines ------------------------------------------------------------------------------------------------


def test_wishart_moments():
    assert baselines.wishart_moments(6, 3) == (18, 180, 2340, 36000)
    # chi-square moments n(n+2)(n+4)..., and the symmetry tr (XᵀX)^j = tr (XXᵀ)^j.
    assert baselines.wishart_moments(7, 1, 6) == tuple(math.prod(range(7, 7 + 2 * j, 2)) for j in range(1, 7))
    assert baselines.wishart_moments(20, 5, 8) == baselines.wishart_moments(5, 20, 8)


def sampled_excess(spectra, noise, steps):
    """Mean excess, and its standard error, of the polynomial best for half of the spectra, on the other half."""
    fitted, fresh = np.split(spectra, 2)
    s = fitted.ravel()
    powers = (s[:, None] / s.max()) ** np.arange(steps)
    rows = np.concatenate([powers * s[:, None], np.sqrt(noise * s)[:, None] * powers])
    target = np.concatenate([np.ones_like(s), np.zeros_like(s)])
    c = np.linalg.lstsq(rows, target, rcond=None)[0]
    r = ((fresh[..., None] / s.max()) ** np.arange(steps)) @ c
    excess = np.sum((1 - fresh * r) ** 2 + noise * fresh * r**2, axis=1)
    return excess.mean(), excess.std(ddof=1) / math.sqrt(len(excess))


def test_optimal_steps_of_gradient_descent():
    exact = [float(baselines.gradient_steps_excess(20, 5, 0.25, k)) for k in (1, 2, 3, 4, 6)]
    np.testing.assert_allclose(exact[0] + 0.25, risk.isotropic_minimum_loss(20, 5, 0.25), atol=1e-12)
    np.testing.assert_allclose(exact[1:], [0.42244, 0.207413, 0.135057, 0.096918], atol=6e-6)
    np.testing.assert_allclose(20 * baselines.gradient_step_sizes(20, 5, 0.25, 2), [0.5178, 1.2168], atol=1e-4)
    for function, steps in ((baselines.gradient_step_sizes, 3), (baselines.gradient_steps_excess, 0)):
        with pytest.raises(ValueError, match=f"num_steps = {steps}"):
            function(20, 5, 0.25, steps)
    # The polynomial that is best for one sample of spectra, on another: above the optimum by its own sampling error.
    spectra = baselines.wishart_spectra(np.random.default_rng(8), 80_000, 20, 5)
    for k, right in ((1, exact[0]), (2, exact[1]), (3, exact[2])):
        mean, error = sampled_excess(spectra, 0.25, k)
        assert abs(mean - right) <= 4 * error + 0.002 * right
        # Negative control: labels whose noise is forgotten.
        assert abs(mean - float(baselines.gradient_steps_excess(20, 5, 0.0, k))) > 4 * error + 0.002 * right
    bayes = np.mean(np.sum(0.25 / (spectra + 0.25), axis=1))
    assert bayes < exact[-1]


def test_bayes_risk_and_its_correction():
    generator = np.random.default_rng(9)
    for n, d, noise in ((20, 5, 0.25), (40, 20, 0.5), (5, 10, 1.0)):
        sampled = np.sum(noise / (baselines.wishart_spectra(generator, 8000, n, d) + noise), axis=1)
        error = 4 * sampled.std() / math.sqrt(len(sampled))
        plain = float(baselines.bayes_excess(float(n), float(d), noise, correction=False))
        corrected = float(baselines.bayes_excess(float(n), float(d), noise))
        assert abs(sampled.mean() - corrected) < error + 0.01 * corrected
        assert abs(sampled.mean() - plain) > error
        equivalent = float(baselines.bayes_risk(n, jnp.ones(d), noise)) - noise
        np.testing.assert_allclose(equivalent, plain, rtol=1e-9)
    assert float(baselines.bayes_risk(20, jnp.ones(5), 0.0)) == 0


def test_least_squares():
    np.testing.assert_allclose(baselines.least_squares_excess(20, 5, 0.25), 0.25 * 5 / 14)
    np.testing.assert_allclose(baselines.least_squares_excess(5, 20, 0.25), 15 + 0.25 * 5 / 14)
    assert np.isinf(baselines.least_squares_excess(6, 5, 0.25))
    assert baselines.least_squares_excess(4, 5, 0.0) == 1


@pytest.mark.parametrize(
    ("ratio", "values"), [(0.5, (0.3333, 0.1429, 0.0667, 0.0159)), (1.0, (0.5, 1 / 3, 0.25, 1 / 6))]
)
def test_asymptotic_steps(ratio, values):
    theory = [baselines.asymptotic_gradient_steps_excess(ratio, k) for k in (1, 2, 3, 5)]
    np.testing.assert_allclose(theory, values, atol=5e-5)
    # At finite size the excess is exact, and its distance from the limit halves when the dimension doubles.
    finite = [
        [float(baselines.gradient_steps_excess(n, round(n * ratio), 0.0, k)) / round(n * ratio) for k in (1, 2, 3)]
        for n in (200, 400)
    ]
    distance = np.array(finite) - theory[:3]
    np.testing.assert_allclose(distance[0] / distance[1], 2, rtol=0.05)


# --- few tasks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alpha", "kappa", "rho", "fresh", "pool"),
    [(2, 0.5, 0.1, 0.8024, 0.2931), (2, 2, 0.1, 0.5203, 0.4113), (5, 1, 0.01, 0.3302, 0.1394)],
)
def test_infinitely_many_prompts_on_few_tasks(alpha, kappa, rho, fresh, pool):
    """Exact errors at d = 200 against the limit of large dimension, tau = infinity."""
    limit = task_diversity.infinite_prompts_errors(alpha, kappa, rho)
    np.testing.assert_allclose([limit.fresh, limit.pool], [fresh, pool], atol=6e-5)
    d, rng = 200, np.random.default_rng(11)
    case = problem(np.eye(d) / d, np.eye(d), rho)
    errors = jax.jit(task_diversity.finite_pool_errors)
    draws = []
    for _ in range(3):
        w = rng.standard_normal((round(kappa * d), d))
        w *= math.sqrt(d) / np.linalg.norm(w, axis=1, keepdims=True)
        draws.append([float(e) for e in errors(jnp.array(w), case, float(alpha * d))])
    np.testing.assert_allclose(np.mean(draws, 0), limit, rtol=0.011)
    wrong = task_diversity.infinite_prompts_errors(alpha, 1.2 * kappa, rho)
    assert np.any(np.abs(np.mean(draws, 0) / np.array(wrong) - 1) > 0.011)


def test_finitely_many_prompts_have_the_published_values():
    errors = task_diversity.pretraining_errors
    np.testing.assert_allclose(errors(2, 2, 3, 0.1), (0.7718, 0.6169), atol=6e-5)
    np.testing.assert_allclose(errors(2, 0.5, 2, 0.1), (1.3385, 0.5863), atol=6e-5)
    np.testing.assert_allclose(errors(2, 1, 0.5, 0.1), (1.2854, 0.9989), atol=6e-5)
    for arguments, name in (
        ((2, 1, 1, 0.1), "prompt_ratio"),
        ((0, 1, 2, 0.1), "context_ratio"),
        ((1, 1, 2, -1), "noise"),
    ):
        with pytest.raises(ValueError, match=name):
            errors(*arguments)


# --- dynamics -------------------------------------------------------------------------------------------------


def test_flow_conserves_and_reaches_its_limit():
    values = jnp.array([2.0, 1.5, 1.0, 0.5, 0.25])
    gamma = dynamics.curvatures(values, 20, 0.25)
    solve = jax.jit(dynamics.solve_flow, static_argnames=("separate", "substeps"))
    times = jnp.linspace(0.0, 40.0, 41)
    path = solve(dynamics.structured_start(0.01, values), times, values, gamma)
    drift = path.readout**2 - jnp.sum(path.attention**2, axis=1)
    assert float(jnp.abs(drift).max()) < 1e-8
    limit = dynamics.balanced_limit(gamma)
    np.testing.assert_allclose(path.readout[-1], limit.readout, rtol=0.02)
    np.testing.assert_allclose(path.readout[-1] * path.attention[-1][:4], 1 / gamma[:4], rtol=5e-3)
    least = dynamics.plateau_losses(values, gamma, 0.25)[-1]
    np.testing.assert_allclose(least, 1.41608, atol=1e-5)
    np.testing.assert_allclose(dynamics.rank_one_plateaus(values, gamma, 0.25)[0], 3.8158, atol=1e-4)


def test_isotropic_flow_is_logistic():
    values = jnp.ones(5)
    gamma = dynamics.curvatures(values, 20, 0.25)
    times = jnp.linspace(0.0, 3.0, 41)
    start = dynamics.structured_start(0.05, values)
    path = jax.jit(dynamics.solve_flow)(start, times, values, gamma)
    gains = path.readout * path.attention[:, 0]
    closed = dynamics.logistic_gain(times, 0.05**2 / math.sqrt(5), 5, gamma[0])
    np.testing.assert_allclose(gains, closed, rtol=1e-7)


def test_plateaus_of_separate_queries_and_keys():
    values = jnp.array([2.0, 1.0, 0.5, 0.25])
    gamma = dynamics.curvatures(values, 20, 0.25)
    plateaus = dynamics.plateau_losses(values, gamma, 0.25)
    np.testing.assert_allclose(plateaus, [4.0, 2.261, 1.461, 1.116, 0.981], atol=6e-4)


def test_a_small_random_start_grows_along_one_direction():
    """The whole layer's gradient flow from a random start of scale ε is delayed as its linearisation says, to O(ε)."""
    values, n, noise, dt, steps = jnp.array([2.0, 1.5, 1.0, 0.5, 0.25]), 20, 0.25, 2e-3, 3000
    case = problem(jnp.diag(values), jnp.eye(5), noise)
    gamma = dynamics.curvatures(values, n, noise)

    def loss(weights):  # averaging layer: 1/n in the readout
        return risk.population_loss(weights[0] / n, weights[1], case, n) / 2

    @jax.jit
    def descend(weights):
        step = lambda w, _: (jax.tree.map(lambda a, g: a - dt * g, w, jax.grad(loss)(w)), 2 * loss(w))  # noqa: E731
        return jax.lax.scan(step, weights, None, length=steps)[1]

    @jax.jit
    def flow(start):
        path = dynamics.solve_flow(start, dt * jnp.arange(0.0, steps, 10), values, gamma, substeps=2)
        gains = path.readout[:, None] * path.attention
        return jax.vmap(lambda gain: dynamics.flow_loss(gain, values, gamma, noise))(gains)

    def half_time(losses, interval):
        """Time at which the loss is half-way down, between records."""
        level = (losses[0] + 1.416) / 2
        k = int(np.argmax(losses < level))
        return (k - 1 + float((losses[k - 1] - level) / (losses[k - 1] - losses[k]))) * interval

    rng = np.random.default_rng(0)
    shape = [(rng.standard_normal(6), rng.standard_normal((6, 5))) for _ in range(3)]
    growth = float(jnp.linalg.norm(values**2))
    for scale in (1e-2, 1e-3):
        for u, m in shape:
            weights = (jnp.array(scale * u), jnp.array(scale * m))
            start = dynamics.linearised_start(*weights, values)
            # Euler's steps grow like exp(r (1 - r dt/2) t).
            measured = half_time(descend(weights), dt) * (1 - growth * dt / 2)
            predicted = half_time(flow(start), 10 * dt)
            assert abs(measured - predicted) < scale + 1e-3
            # Negative control: the amplitude without its half.
            doubled = half_time(flow(jax.tree.map(lambda x: 2 * x, start)), 10 * dt)
            assert abs(measured - doubled) > 0.1
