"""The safeguarded Newton iteration: answers, derivatives, batches, and the error where it falls short."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics.roots import ResidualError, decreasing_root, require_residual


def cube_root(value, lower=0.0, upper=10.0, start=5.0, **options):
    """Root of value − u³."""
    return decreasing_root(lambda u: (value - u**3, -3 * u**2), lower, upper, jnp.asarray(start), **options)


@pytest.mark.parametrize("value", [1e-9, 0.3, 8.0, 999.0])
def test_finds_the_root_and_reports_its_residual(value):
    root = cube_root(value)
    np.testing.assert_allclose(root.position, value ** (1 / 3), rtol=1e-9)
    np.testing.assert_allclose(root.residual, value - root.position**3, atol=1e-14 * max(value, 1))
    assert root.iterations <= 40


def test_bisects_where_the_slope_misleads():
    # Newton on −arctan diverges from |u| > 1.39.
    root = decreasing_root(lambda u: (-jnp.arctan(u - 3), -1 / (1 + (u - 3) ** 2)), -1e3, 1e4, jnp.asarray(1e4))
    np.testing.assert_allclose(root.position, 3, rtol=1e-12)
    flat = decreasing_root(lambda u: (jnp.where(u < 2, 1.0, -1.0), jnp.zeros(())), 0.0, 8.0, jnp.asarray(8.0))
    np.testing.assert_allclose(flat.position, 2, rtol=1e-12)


def test_derivatives_follow_from_the_implicit_function_theorem():
    def solve(value):
        return cube_root(value).position

    x = 8.0
    np.testing.assert_allclose(jax.grad(solve)(x), x ** (-2 / 3) / 3, rtol=1e-12)
    np.testing.assert_allclose(jax.jacfwd(solve)(x), x ** (-2 / 3) / 3, rtol=1e-12)
    np.testing.assert_allclose(jax.hessian(solve)(x), -2 / 9 * x ** (-5 / 3), rtol=1e-12)
    np.testing.assert_allclose(jax.grad(jax.grad(jax.grad(solve)))(x), 10 / 27 * x ** (-8 / 3), rtol=1e-11)


def test_a_batch_gives_what_single_solves_give():
    values = jnp.logspace(-6, 2, 9)
    batch = jax.jit(jax.vmap(cube_root))(values)
    single = [cube_root(value) for value in values]
    np.testing.assert_allclose(batch.position, [root.position for root in single], rtol=1e-14)
    np.testing.assert_array_equal(batch.iterations, [root.iterations for root in single])


def test_stops_at_the_given_number_of_evaluations_and_the_residual_tells():
    root = cube_root(8.0, max_iterations=2)
    assert root.iterations == 2
    with pytest.raises(ResidualError, match=r"cubic: residual .* is above the tolerance 1.0e-10") as caught:
        require_residual(root.residual, 1e-10, "cubic")
    assert caught.value.residual > 1e-10
    require_residual(cube_root(8.0).residual, 1e-10, "cubic")


def test_nan_never_passes():
    with pytest.raises(ResidualError):
        require_residual(np.array([0.0, np.nan]), 1e-3, "broken")


def test_float32_stays_float32_and_converges():
    root = cube_root(jnp.float32(8), start=jnp.float32(5))
    assert root.position.dtype == jnp.float32
    np.testing.assert_allclose(root.position, 2, rtol=1e-6)
