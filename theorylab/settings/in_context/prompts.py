"""Prompts of in-context regression: by token, or by their sufficient statistic."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random

Covariates = Literal["gaussian", "uniform"]
Target = Literal["linear", "relu", "tanh", "cubic", "network", "hermite"]


class Law(NamedTuple):
    """The law of prompts (x_1, y_1), ..., (x_n, y_n), x_q, up to their length.

    Attributes
    ----------
    covariances, task_variances
        Eigenvalues of the covariates' covariance Λ and of the tasks' second moment Σ_w, in their common basis.
    noise_variance
        σ² of the labels, context and query alike.
    covariates, target
        Law of the coordinates of x; f of the labels y = f(x) + N(0, σ²).
    target_width
        Hidden units of a random network as target.
    link
        Coefficients of a "hermite" link on z, (z² - 1)/√2 and (z³ - 3z)/√6, orthonormal for normal z.
    pool
        The tasks w_k of a finite pool, each used with both signs; None where every prompt has a fresh one.
    """

    covariances: Float[Array, " dim"]
    task_variances: Float[Array, " dim"]
    noise_variance: ArrayLike
    covariates: Covariates = "gaussian"
    target: Target = "linear"
    target_width: int = 1
    link: tuple[ArrayLike, ArrayLike, ArrayLike] = (1.0, 0.0, 0.0)
    pool: Float[Array, "tasks dim"] | None = None


class Prompts(NamedTuple):
    """Prompts with their queries. ``tasks`` are the weights w of linear targets, else None."""

    covariates: Float[Array, "prompts context dim"]
    labels: Float[Array, "prompts context"]
    queries: Float[Array, "prompts dim"]
    targets: Float[Array, " prompts"]
    tasks: Float[Array, "prompts dim"] | None


class Statistics(NamedTuple):
    """Sufficient statistic of a context, G = sum_i v_i v_iᵀ = F Fᵀ with v_i = (x_i, y_i), and the task."""

    factor: Float[Array, "prompts token token"]
    tasks: Float[Array, "prompts dim"]


def power_law(dim: int, exponent: ArrayLike, mean: ArrayLike = 1.0) -> Float[Array, " dim"]:
    """Eigenvalues i^-a, i = 1, ..., d, scaled to a given mean."""
    values = jnp.exp(jnp.negative(exponent) * jnp.log(jnp.arange(1, dim + 1, dtype=float)))
    return jnp.asarray(mean * values / jnp.mean(values))


def sample_pool(key: jax.Array, law: Law, count: int) -> Law:
    """The law with a pool of ``count`` tasks, drawn from N(0, Σ_w)."""
    numbers = random.normal(key, count, law.task_variances.shape[0])
    return law._replace(pool=numbers * jnp.sqrt(law.task_variances)[None])


def sample_prompts(key: jax.Array, law: Law, count: int, context_length: int) -> Prompts:
    """Draw prompts token by token.

    y = f(x) + N(0, σ²) for context and query alike; f(x) = w·x, or φ(w·x) with w uniform on the unit sphere, or a
    random two-layer ReLU network sum_k a_k relu(w_k·x)/sqrt(K).
    """
    d, tokens = law.covariances.shape[0], context_length + 1
    hidden = law.target_width if law.target == "network" else 1
    # One call of the generator, cut into pieces: each call costs compile time.
    sizes = {"covariates": tokens * d, "noise": tokens, "tasks": hidden * d, "outputs": hidden}
    if law.covariates == "uniform":
        sizes["covariates"] = 0
    if law.pool is not None:
        sizes["tasks"] = 0
    if law.target != "network":
        sizes["outputs"] = 0
    numbers = random.normal(key, count * sum(sizes.values()))
    pieces, start = {}, 0
    for name, width in sizes.items():
        pieces[name] = numbers[start : start + count * width].reshape(count, width)
        start += count * width

    if law.covariates == "uniform":
        x = random.uniform(random.fold_in(key, 1), count, tokens, d) - 0.5
        x = x * jnp.sqrt(12.0 * law.covariances)[None, None]
    else:
        x = pieces["covariates"].reshape(count, tokens, d) * jnp.sqrt(law.covariances)[None, None]
    tasks = None
    if law.target == "linear":
        tasks = _tasks(random.fold_in(key, 2), pieces["tasks"], law)
        values = jnp.einsum("bnd,bd->bn", x, tasks)
    else:
        w = pieces["tasks"].reshape(count, hidden, d)
        w = w / jnp.linalg.norm(w, axis=2, keepdims=True)
        z = jnp.einsum("bnd,bkd->bnk", x, w)
        if law.target == "network":
            values = jnp.einsum("bnk,bk->bn", jax.nn.relu(z), pieces["outputs"]) / math.sqrt(hidden)
        else:
            links = {
                "relu": jax.nn.relu,
                "tanh": lambda z: jnp.tanh(3 * z),
                "cubic": lambda z: z**3,
                "hermite": lambda z: _hermite(z, law.link),
            }
            values = links[law.target](z[:, :, 0])
    labels = values + jnp.sqrt(1.0 * jnp.asarray(law.noise_variance)) * pieces["noise"]
    return Prompts(x[:, :-1], labels[:, :-1], x[:, -1], labels[:, -1], tasks)


def _hermite(z: Array, link: tuple[ArrayLike, ArrayLike, ArrayLike]) -> Array:
    """The function of normal z with these coefficients on the first three normalised Hermite polynomials."""
    linear, quadratic, cubic = map(jnp.asarray, link)
    return linear * z + quadratic / math.sqrt(2) * (z**2 - 1) + cubic / math.sqrt(6) * (z**3 - 3 * z)


def _tasks(key: jax.Array, normals: Array, law: Law) -> Float[Array, "prompts dim"]:
    """Weights of linear targets: fresh from N(0, Σ_w), or a random one of the pool with a random sign."""
    if law.pool is None:
        return normals * jnp.sqrt(law.task_variances)[None]
    choice = jax.random.randint(key, (normals.shape[0],), 0, 2 * law.pool.shape[0])
    return jnp.where(choice % 2 == 0, 1.0, -1.0)[:, None] * law.pool[choice // 2]


def sample_statistics(key: jax.Array, law: Law, count: int, context_length: int) -> Statistics:
    """Draw the sufficient statistic of prompts, without the prompts (Bartlett's decomposition).

    Given w, G is Wishart with n degrees of freedom and covariance R Rᵀ, R = [[Λ^½, 0], [wᵀΛ^½, σ]]: G = (RT)(RT)ᵀ with
    T lower triangular, T_jj² ~ χ²(n - j), j = 0, ..., d, and standard normal entries below. Gaussian covariates,
    linear targets, n > d.
    """
    normal_key, chi_key, task_key = (random.fold_in(key, i) for i in range(3))
    d = law.covariances.shape[0]
    below, width = d * (d + 1) // 2, d if law.pool is None else 0
    numbers = random.normal(normal_key, count * (below + width))
    tasks = _tasks(task_key, numbers[: count * width].reshape(count, width), law)
    normals = numbers[count * width :].reshape(count, below)
    noise_scale = jnp.sqrt(1.0 * jnp.asarray(law.noise_variance))
    return statistics_from(chi_key, normals, tasks, jnp.sqrt(law.covariances), noise_scale, context_length)


def statistics_from(
    key: jax.Array,
    normals: Float[Array, "prompts below"],
    tasks: Float[Array, "prompts dim"],
    scales: Float[Array, " dim"],
    noise_scale: ArrayLike,
    context_length: int,
) -> Statistics:
    """Bartlett's decomposition for given tasks and given entries of T below its diagonal, row by row.

    ``scales`` are the covariates' standard deviations; the key serves the diagonal.
    """
    count, dim = tasks.shape
    dtype = tasks.dtype
    below = normals.shape[1]
    degrees = context_length - jnp.arange(dim + 1, dtype=dtype)
    diagonal = jnp.sqrt(random.chi_square(key, degrees, count, dtype, minimum_degrees=context_length - dim))
    entries = jnp.concatenate([normals, diagonal, jnp.zeros((count, 1), dtype)], axis=1)
    # Position of every entry of T in this list; those above the diagonal are its last, zero, entry.
    where = np.full((dim + 1, dim + 1), below + dim + 1)
    where[np.tril_indices(dim + 1, -1)] = np.arange(below)
    where[np.diag_indices(dim + 1)] = below + np.arange(dim + 1)
    triangular = entries[:, where.ravel()].reshape(count, dim + 1, dim + 1)
    scaled = triangular[:, :dim] * scales[None, :, None]
    last = jnp.einsum("bd,bdk->bk", tasks, scaled) + noise_scale * triangular[:, dim]
    return Statistics(jnp.concatenate([scaled, last[:, None]], axis=1), tasks)
