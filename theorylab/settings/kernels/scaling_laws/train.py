"""Training: one-pass SGD on a sketch, and full-batch descent on samples; each in a fast way and a plain one."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.settings.kernels.scaling_laws.config import Config, recorded_steps, traced_powers
from theorylab.settings.kernels.scaling_laws.data import Sketch, samples, sketch, sketch_matrix
from theorylab.training.iterate import iterate

#: Proposals for each chi-square number; one in 10⁸ has none that is accepted.
PROPOSALS = 6


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train from zero weights and record the population loss.

    Pure and traceable in every scalar field, the batch size among them.
    """
    return _online(key, config) if config.regime == "online" else _offline(key, config)


def _online(key: jax.Array, config: Config) -> Observables:
    drawn = sketch(key, config)
    run = _sgd_on_modes if config.trainer == "modes" else _sgd_on_samples
    loss = run(key, config, drawn)
    return {"loss": loss, "irreducible_loss": drawn.irreducible}


def _recorded(config: Config, step: Callable[..., Array], state: Array, loss: Callable[[Array], Array]) -> Array:
    orbit = iterate(
        step,
        state,
        num_steps=config.num_steps,
        record=lambda state: {"loss": loss(state)},
        record_at=recorded_steps(config),
    )
    return jnp.asarray(orbit.observables["loss"])


def _chi_square(key: jax.Array, count: int, degrees: Array) -> Float[Array, " count"]:
    """Chi-square numbers of ``degrees`` >= 1, traced: those of two degrees more, times U^(2/degrees)."""
    normal_key, uniform_key = random.split(key)
    uniforms = random.uniform(uniform_key, PROPOSALS + 1, count)
    found = random.chi_square_of(
        random.normal(normal_key, PROPOSALS, count), uniforms[1:], jnp.full((count,), degrees + 2.0)
    )
    return found * uniforms[0] ** (2 / degrees)


def _sgd_on_modes(key: jax.Array, config: Config, drawn: Sketch) -> Array:
    """One-pass SGD in the Hessian's eigenbasis: exact in law, at a cost that depends on neither D nor B.

    Errors u_i = √h_i w_i and the label noise √s make one Gaussian residual with a standard normal vector g of M + 1
    entries, r = g·ū. The sum of g (g·ū) over a batch is |ū| (χ² û + χ ξ): χ² has B degrees, ξ is normal and
    orthogonal to û. So a step takes M + 1 normal numbers and a chi-square number.
    """
    h, runs, width = drawn.eigenvalues, config.num_replicas, config.width
    batch = jnp.asarray(config.batch_size, h.dtype)
    rate = config.learning_rate / batch * h
    steps_key = random.split(key, 2)[1]

    def step(errors: Array, t: Array) -> Array:
        normal_key, square_key = random.split(random.fold_in(steps_key, t))
        xi = random.normal(normal_key, runs, width + 1)
        squares = _chi_square(square_key, runs, batch)
        length = jnp.sqrt(jnp.sum(errors**2, axis=1) + drawn.irreducible)
        along = jnp.einsum("rm,rm->r", errors, xi[:, :width]) - jnp.sqrt(drawn.irreducible) * xi[:, width]
        chi = jnp.sqrt(squares)
        # |ū| χ² û + |ū| χ (ξ - û (û·ξ)), of which the last entry moves no weight.
        parallel = (squares - chi * along / length)[:, None] * errors
        return errors - rate[None] * (parallel + (length * chi)[:, None] * xi[:, :width])

    start = jnp.broadcast_to(-jnp.sqrt(drawn.energies), (runs, width))
    return _recorded(config, step, start, lambda errors: jnp.mean(jnp.sum(errors**2, axis=1)) + drawn.irreducible)


def _sgd_on_samples(key: jax.Array, config: Config, drawn: Sketch) -> Array:
    """One-pass SGD itself: inputs of D features, sketched one by one; the oracle of :func:`_sgd_on_modes`."""
    variances, target = traced_powers(config)
    sketching, runs = sketch_matrix(key, config), config.num_replicas
    roots, weights = jnp.sqrt(variances), jnp.sqrt(target / variances)
    batch = jnp.asarray(config.batch_size, roots.dtype)
    steps_key = random.split(key, 2)[1]

    def step(theta: Array, t: Array) -> Array:
        batch_key = random.fold_in(steps_key, t)

        def add(number: Array, gradient: Array) -> Array:
            x = random.normal(random.fold_in(batch_key, number), runs, config.num_features) * roots[None]
            features = x @ sketching
            residual = jnp.sum(features * theta, axis=1) - x @ weights
            return gradient + residual[:, None] * features

        total = jax.lax.fori_loop(0, batch.astype(int), add, jnp.zeros_like(theta))
        return theta - config.learning_rate / batch * total

    def loss(theta: Array) -> Array:
        return jnp.mean(((theta @ sketching.T - weights[None]) ** 2) @ variances)

    return _recorded(config, step, jnp.zeros((runs, config.width), roots.dtype), loss)


def _offline(key: jax.Array, config: Config) -> Observables:
    """Full-batch descent: by what t steps do to each eigenvalue of the sample covariance, or step by step."""
    x, noise, weights, variances = samples(key, config)
    n, clean = config.num_samples, x @ weights

    def excess(estimates: Float[Array, "some features"]) -> Float[Array, " some"]:
        return ((estimates - weights[None]) ** 2) @ variances

    if n <= config.num_features:
        eigenvalues, basis = jnp.linalg.eigh(x @ x.T / n)
        back, along = basis.T @ x / n, basis.T  # labels y give the weights (φ ∘ along y) back
        left = excess(((along @ clean / eigenvalues) @ back)[None])[0]
    else:
        eigenvalues, basis = jnp.linalg.eigh(x.T @ x / n)
        back, along = basis.T, basis.T @ x.T / n
        left = jnp.zeros((), x.dtype)
    labels = clean + noise
    if config.trainer == "plain":

        def step(theta: Array, t: Array) -> Array:
            return theta - config.learning_rate * ((x @ theta - labels) @ x) / n

        loss = _recorded(config, step, jnp.zeros_like(weights), lambda theta: excess(theta[None])[0])
    else:
        filters = _filters(eigenvalues, config) / eigenvalues[None]
        loss = excess((filters * (along @ labels)[None]) @ back)
    return {"loss": loss, "irreducible_loss": left}


def _filters(eigenvalues: Float[Array, " modes"], config: Config) -> Float[Array, "steps modes"]:
    """1 - (1 - ηg)^t at the recorded steps, without cancellation; 1 - ηg may be negative."""
    steps = jnp.asarray(recorded_steps(config), eigenvalues.dtype)[:, None]
    scaled = (config.learning_rate * eigenvalues)[None]
    slow = scaled < 1
    shrinking = -jnp.expm1(steps * jnp.log1p(-jnp.where(slow, scaled, 0.0)))
    signs = jnp.where(steps % 2 == 1, -1.0, 1.0)
    return jnp.where(slow, shrinking, 1 - signs * jnp.abs(1 - scaled) ** steps)
