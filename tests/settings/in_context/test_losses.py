"""Exact losses of one layer: identities, and Monte Carlo in NumPy; wrong ones are rejected."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from theorylab.settings.in_context import losses
from theorylab.settings.in_context.linear_attention.theory import isotropic

SPECTRUM = np.diag([2.0, 1.5, 1.0, 0.5, 0.25])


@jax.jit
def optimum(problem, n):
    """P*, L_min, risk at P*, and the same for the wrong P with n in place of n + 1 (all compiled once for d = 5)."""
    best = losses.optimal_preconditioner(problem, n)
    return best, losses.minimum_loss(problem, n), losses.risk(best, problem, n)


def problem(cov, tasks, noise):
    return losses.Regression(jnp.asarray(cov, float), jnp.asarray(tasks, float), noise)


def test_isotropic_learning_rate_and_minimum_loss():
    best, least, at_best = optimum(problem(np.eye(5), np.eye(5), 0.25), 20.0)
    np.testing.assert_allclose(best, np.eye(5) / 26.25, atol=1e-15)
    np.testing.assert_allclose([least, at_best], 5 * 6.25 / 26.25 + 0.25, rtol=1e-12)
    np.testing.assert_allclose(isotropic.isotropic_learning_rate(20, 5, 0.25), 1 / 26.25)
    np.testing.assert_allclose(isotropic.isotropic_minimum_loss(20, 5, 0.25), least, rtol=1e-12)


def test_task_covariance_inverse_to_that_of_the_covariates():
    best, least, _ = optimum(problem(SPECTRUM, np.linalg.inv(SPECTRUM), 0.25), 20.0)
    np.testing.assert_allclose(best, np.linalg.inv(SPECTRUM) / 26.25, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(least, isotropic.isotropic_minimum_loss(20, 5, 0.25), rtol=1e-12)


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


def test_random_context_length_uses_the_mean_inverse():
    lengths = np.array([5.0, 10.0, 20.0, 40.0])
    case = problem(SPECTRUM, np.eye(5), 0.25)
    averaged = jax.jit(
        jax.vmap(lambda p: jnp.mean(jax.vmap(lambda m: losses.risk(p / m, case, m))(jnp.array(lengths))))
    )
    right = losses.random_length_preconditioner(case, float(np.mean(1 / lengths)))
    wrong = losses.random_length_preconditioner(case, float(1 / np.mean(lengths)))
    rng = np.random.default_rng(1)
    nearby = np.asarray(right)[None] + 0.02 * rng.standard_normal((10, 5, 5))
    values = np.asarray(averaged(jnp.concatenate([right[None], wrong[None], nearby])))
    np.testing.assert_allclose(values[:2], [2.04089, 2.1463], atol=1e-4)
    assert (values[2:] > values[0]).all()


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
    exact = float(jax.jit(losses.population_loss)(jnp.array(readout), jnp.array(attention), case, 7))
    assert abs(measured - exact) < 4 * error


def test_each_term_of_the_exact_loss_where_it_is_large():
    case = problem(np.eye(2), np.eye(2), 0.25)
    readout, attention = np.array([1.0, 0.0, 1.0]), np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    measured = sampled_terms(readout, attention, case, 2, 200_000, 5)
    terms = losses.population_loss_terms(jnp.array(readout), jnp.array(attention), case, 2)._asdict()
    np.testing.assert_allclose([sum(terms.values()), terms["cross"]], [151.25, 26.0], rtol=1e-12)
    for name, exact in {**terms, "total": 151.25}.items():
        mean, error = measured[name]
        assert abs(mean - exact) < 4 * error, name
    mean, error = measured["cross"]
    assert abs(mean - 18) > 4 * error  # without the term 2n Λ Σ_w Λ


def test_second_branch_in_one_dimension():
    case = problem(np.eye(1), np.eye(1), 0.25)
    rate = isotropic.isotropic_learning_rate(20, 1, 0.25)
    on_labels = losses.population_loss(jnp.array([1.0, 0.0]), jnp.array([[0.0], [rate]]), case, 20)
    on_covariates = losses.population_loss(jnp.array([0.0, 1.0]), jnp.array([[rate], [0.0]]), case, 20)
    np.testing.assert_allclose([on_labels, on_covariates], isotropic.isotropic_minimum_loss(20, 1, 0.25), rtol=1e-12)


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
    exact = float(losses.risk(jnp.array(p), case, m, jnp.array(query)))
    assert abs(mean - exact) < 4 * error
    for wrong in (losses.risk(jnp.array(p), case, m), losses.risk(jnp.array(p), case, m - 1, jnp.array(query))):
        assert abs(mean - float(wrong)) > 4 * error
