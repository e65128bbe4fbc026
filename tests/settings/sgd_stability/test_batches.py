"""What is drawn: gradients and Hessians exact in law, batches of given points, outliers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import eigvalsh_tridiagonal

from theorylab.contract import ConfigError
from theorylab.numerics import random
from theorylab.numerics.outliers import additive_outlier, outlier
from theorylab.settings.step_size.sgd_stability import SETTING, Config
from theorylab.settings.step_size.sgd_stability.data import chi_squares, gaussian_gradients, subsets, wishart_factor
from theorylab.settings.step_size.sgd_stability.predictions import (
    fresh_batches,
    given_batches,
    given_norm,
    spiked_wigner,
)

LAMBDA = np.array([2.0, 1.0, 0.5])
WEIGHTS = np.array([0.5, -1.0, 2.0])


def explicit_gradients(batch, count, seed=0):
    x = np.random.default_rng(seed).standard_normal((count, batch, 3)) * np.sqrt(LAMBDA)
    return np.einsum("cbi,cbj,j->ci", x, x, WEIGHTS) / batch


@pytest.mark.parametrize("batch", [1, 5])
def test_gradients_have_the_law_of_explicit_batches(batch):
    """First, second and third moments, against samples drawn one by one."""
    count = 100_000
    keys = random.split(jax.random.key(0))
    drawn = gaussian_gradients(
        jnp.broadcast_to(WEIGHTS, (count, 3)),
        random.chi_square(keys[0], jnp.array([float(batch)]), count)[:, 0],
        random.normal(keys[1], count, 3),
        jnp.asarray(LAMBDA),
        batch,
    )
    ours, theirs = np.asarray(drawn), explicit_gradients(batch, count)
    for moment in (lambda g: g, lambda g: g[:, :, None] * g[:, None, :], lambda g: g**3):
        one, other = moment(ours), moment(theirs)
        spread = np.hypot(one.std(0), other.std(0)) / np.sqrt(count)
        assert np.max(np.abs(one.mean(0) - other.mean(0)) / spread) < 4.5


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_chi_square_numbers_are_independent_between_runs(batch):
    """One uniform number shared by all runs would leave every single law right, and the mean of many wrong."""
    drawn = np.asarray(chi_squares(jax.random.key(5), Config(dim=5, batch_size=batch), 20_000)[0])
    assert drawn.mean() == pytest.approx(batch, abs=4.5 * np.sqrt(2 * batch / 20_000))
    assert drawn.var() == pytest.approx(2 * batch, rel=0.15)


@pytest.mark.parametrize("batch", [2, 10])
def test_batch_hessians_have_the_moments_of_a_wishart_matrix(batch):
    """E H = I, E tr H² = d + d(d + 1)/B, for batches smaller and larger than the dimension."""
    d, count = 4, 20_000
    rng = np.random.default_rng(0)
    diagonal = rng.chisquare(np.maximum(batch - np.arange(d), 1), size=(count, d))
    normals = rng.standard_normal((count, d, d))
    factors = jax.vmap(wishart_factor, (0, 0, None))(jnp.asarray(diagonal), jnp.asarray(normals), batch)
    hessians = np.asarray(jnp.einsum("cki,ckj->cij", factors, factors)) / batch
    squares = np.einsum("cij,cij->c", hessians, hessians)
    np.testing.assert_allclose(hessians.mean(0), np.eye(d), atol=4.5 * np.sqrt(2 / batch / count))
    assert squares.mean() == pytest.approx(d + d * (d + 1) / batch, abs=4.5 * squares.std() / np.sqrt(count))
    assert np.linalg.matrix_rank(hessians[0]) == min(d, batch)


def test_batches_of_given_points_are_uniform():
    uniforms = random.uniform(jax.random.key(1), 20_000, 6)
    without, with_ = (np.asarray(subsets(uniforms, 2.0, replacement=way)) for way in (False, True))
    for counts, covariance in ((without, (2 / 6) * (1 / 5) - 1 / 9), (with_, -2 / 36)):
        assert np.all(counts.sum(1) == 2)
        np.testing.assert_allclose(counts.mean(0), 1 / 3, atol=0.02)
        assert np.mean(counts[:, 0] * counts[:, 1]) - 1 / 9 == pytest.approx(covariance, abs=0.01)
    assert without.max() == 1
    assert with_.max() == 2


def test_spikes_in_wigner_noise():
    """GOE of edge 2 with a spike as a tridiagonal matrix, P = 600, ten draws each."""
    rng, size = np.random.default_rng(0), 600
    for spike, bias in ((3.0, 0.0), (1.5, 0.0), (0.7, 1.2 * size ** (-2 / 3))):
        tops = []
        for _ in range(10):
            diagonal = rng.standard_normal(size) * np.sqrt(2 / size)
            diagonal[0] += spike
            beside = np.sqrt(rng.chisquare(np.arange(size - 1, 0, -1)) / size)
            tops.append(eigvalsh_tridiagonal(diagonal, beside, select="i", select_range=(size - 1, size - 1))[0])
        error = np.std(tops, ddof=1) / np.sqrt(10)
        assert abs(np.mean(tops) - float(additive_outlier(spike, 1.0))) < 4 * error + bias
    assert float(additive_outlier(0.7, 1.0)) == 2
    assert float(additive_outlier(3.0, 1.0)) == pytest.approx(10 / 3)


def test_edge_of_small_wigner_matrices():
    """Whole matrices: the edge is a fifth below 2 σ, and the mean of the Tracy-Widom law says so."""
    rng = np.random.default_rng(1)
    for dim, count in ((5, 20_000), (20, 4000)):
        normals = rng.standard_normal((count, dim, dim))
        for spike in (0.0, 0.3, 0.7):
            matrices = (normals + normals.transpose(0, 2, 1)) / np.sqrt(2 * dim)
            matrices[:, 0, 0] += spike
            tops = 3.0 * np.linalg.eigvalsh(matrices)[:, -1]
            config = Config(dim=dim, spike=3.0 * spike + 1e-9, noise_scale=3.0)
            predicted = float(spiked_wigner.predict(jax.random.key(0), config)["noisy_sharpness"])
            error = 3 * np.std(tops) / np.sqrt(count)
            assert (
                abs(np.mean(tops) - predicted)
                < error + spiked_wigner.relative_error(config, "noisy_sharpness") * predicted
            )
            assert abs(np.mean(tops) - 6) > 0.06 * 6
            if spike == 0:
                assert abs(np.mean(tops) - predicted) < error + 0.1 / dim * predicted


def test_outliers_leave_the_bulk_continuously():
    assert float(outlier(25.0, 10.0)) == pytest.approx(25 * (1 + 10 / 24))
    edge = (1 + np.sqrt(0.5)) ** 2
    assert float(outlier(1.0, 0.5)) == pytest.approx(edge)
    assert float(outlier(1 + np.sqrt(0.5) + 1e-9, 0.5)) == pytest.approx(edge, abs=1e-8)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"batch_size": 2.5}, "batch_size = 2.5"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"sampling": "replacement", "batch_size": 21}, "batch_size = 21"),
        ({"relative_rate": 0.0}, "relative_rate"),
        ({"spike": 0.5}, "spike"),
    ],
)
def test_bad_configurations_are_named(changes, field):
    with pytest.raises(ConfigError, match=field):
        SETTING.validate(Config(**changes))


def test_heavy_tails_and_transitions_are_not_judged():
    assert "rare runs" in fresh_batches.holds(Config(num_steps=6))
    assert fresh_batches.holds(Config(num_steps=6, relative_rate=0.4)) is None
    assert "given points" in given_batches.holds(Config())
    assert "transition" in given_norm.holds(Config(dim=200, batch_size=50, spectrum_exponent=0, spike=3.0))
    assert "no outlier" in given_norm.holds(Config(dim=200, batch_size=50, spectrum_exponent=0, spike=1.5))
