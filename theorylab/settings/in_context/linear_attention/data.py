"""Prompts of in-context regression: by token, or by their sufficient statistic."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import ConfigError
from theorylab.numerics import random
from theorylab.settings.in_context.linear_attention.config import Config


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


def chi_square(
    key: jax.Array, degrees: Float[Array, " entries"], count: int, dtype: Any = None, *, minimum_degrees: int = 1
) -> Float[Array, "count entries"]:
    """Chi-square numbers with the given degrees of freedom (each >= ``minimum_degrees`` >= 1), all draws at once.

    Marsaglia and Tsang's (2000) rejection sampler of the gamma law, repeated until all are accepted (three rounds or
    so); one degree of freedom is the square of a normal number.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype or float)
    shape = degrees.astype(dtype) / 2
    # The sampler wants a shape of at least 1: one degree of freedom (shape 1/2) gains two and loses them below.
    small = shape < 1
    enough = jnp.where(small, 2 * shape + 2, 2 * shape)
    entries = degrees.shape[0]

    def attempt(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        round_, value, done = state
        normal_key, uniform_key = random.split(random.fold_in(key, round_))
        z = random.normal(normal_key, count, entries, dtype=dtype)
        u = random.uniform(uniform_key, count, entries, dtype=dtype)
        proposed, accepted = random.chi_square_proposal(z, u, enough[None])
        return round_ + 1, jnp.where(done | ~accepted, value, proposed), done | accepted

    start = (jnp.int32(0), jnp.zeros((count, entries), dtype), jnp.zeros((count, entries), bool))
    _, value, _ = jax.lax.while_loop(lambda state: ~jnp.all(state[2]), attempt, start)
    if minimum_degrees > 1:
        return value
    # Gamma(a) = Gamma(a + 1) U^(1/a), here with a = 1/2.
    u = random.uniform(random.fold_in(key, 1_000_000), count, dtype=dtype)
    return jnp.where(small[None], value * u[:, None] ** 2, value)


def eigenvalues(config: Config) -> tuple[Float[Array, " dim"], Float[Array, " dim"]]:
    """Eigenvalues of the covariates' covariance Λ and of the tasks' second moment Σ_w, in their common basis.

    Power laws i^-a and i^-b, scaled to the means ``covariate_variance`` and 1.
    """
    log_index = jnp.log(jnp.arange(1, config.dim + 1, dtype=float))
    covariates = jnp.exp(-config.covariate_exponent * log_index)
    tasks = jnp.exp(-config.task_exponent * log_index)
    return config.covariate_variance * covariates / jnp.mean(covariates), tasks / jnp.mean(tasks)


def sample_pool(key: jax.Array, config: Config) -> Float[Array, "tasks dim"] | None:
    """Draw the tasks of a finite pool, w_k ~ N(0, Σ_w); None where every prompt has a fresh one."""
    if math.isinf(config.num_tasks):
        return None
    count = int(config.num_tasks)
    _, variances = eigenvalues(config)
    return random.normal(key, count, config.dim) * jnp.sqrt(variances)[None]


def sample_prompts(
    key: jax.Array, config: Config, count: int, context_length: int, pool: Float[Array, "tasks dim"] | None = None
) -> Prompts:
    """Draw prompts token by token.

    y = f(x) + N(0, σ²) for context and query alike; f(x) = w·x, or φ(w·x) with w uniform on the unit sphere, or a
    random two-layer ReLU network sum_k a_k relu(w_k·x)/sqrt(K).
    """
    d, tokens = config.dim, context_length + 1
    hidden = config.target_width if config.target == "network" else 1
    # One call of the generator, cut into pieces: each call costs compile time.
    sizes = {"covariates": tokens * d, "noise": tokens, "tasks": hidden * d, "outputs": hidden}
    if config.covariates == "uniform":
        sizes["covariates"] = 0
    if pool is not None:
        sizes["tasks"] = 0
    if config.target != "network":
        sizes["outputs"] = 0
    numbers = random.normal(key, count * sum(sizes.values()))
    pieces, start = {}, 0
    for name, width in sizes.items():
        pieces[name] = numbers[start : start + count * width].reshape(count, width)
        start += count * width

    if config.covariates == "uniform":
        x = random.uniform(random.fold_in(key, 1), count, tokens, d) - 0.5
        x = x * jnp.sqrt(12.0 * jnp.asarray(config.covariate_variance))
    else:
        scales = jnp.sqrt(eigenvalues(config)[0])
        x = pieces["covariates"].reshape(count, tokens, d) * scales[None, None]
    tasks = None
    if config.target == "linear":
        tasks = _tasks(random.fold_in(key, 2), pieces["tasks"], config, pool)
        values = jnp.einsum("bnd,bd->bn", x, tasks)
    else:
        w = pieces["tasks"].reshape(count, hidden, d)
        w = w / jnp.linalg.norm(w, axis=2, keepdims=True)
        z = jnp.einsum("bnd,bkd->bnk", x, w)
        if config.target == "network":
            values = jnp.einsum("bnk,bk->bn", jax.nn.relu(z), pieces["outputs"]) / math.sqrt(hidden)
        else:
            link = {"relu": jax.nn.relu, "tanh": lambda z: jnp.tanh(3 * z), "cubic": lambda z: z**3}[config.target]
            values = link(z[:, :, 0])
    labels = values + jnp.sqrt(1.0 * jnp.asarray(config.noise_variance)) * pieces["noise"]
    return Prompts(x[:, :-1], labels[:, :-1], x[:, -1], labels[:, -1], tasks)


def _tasks(
    key: jax.Array, normals: Array, config: Config, pool: Float[Array, "tasks dim"] | None
) -> Float[Array, "prompts dim"]:
    """Weights of linear targets: fresh from N(0, Σ_w), or a random one of the pool with a random sign."""
    if pool is None:
        return normals * jnp.sqrt(eigenvalues(config)[1])[None]
    choice = jax.random.randint(key, (normals.shape[0],), 0, 2 * pool.shape[0])
    return jnp.where(choice % 2 == 0, 1.0, -1.0)[:, None] * pool[choice // 2]


def sample_statistics(
    key: jax.Array, config: Config, count: int, pool: Float[Array, "tasks dim"] | None = None
) -> Statistics:
    """Draw the sufficient statistic of prompts, without the prompts (Bartlett's decomposition).

    Given w, G is Wishart with n degrees of freedom and covariance R Rᵀ, R = [[Λ^½, 0], [wᵀΛ^½, σ]]: G = (RT)(RT)ᵀ with
    T lower triangular, T_jj² ~ χ²(n - j), j = 0, ..., d, and standard normal entries below. Gaussian covariates,
    linear targets, n > d.
    """
    normal_key, chi_key, task_key = (random.fold_in(key, i) for i in range(3))
    d, below = config.dim, config.dim * (config.dim + 1) // 2
    width = d if pool is None else 0
    numbers = random.normal(normal_key, count * (below + width))
    tasks = _tasks(task_key, numbers[: count * width].reshape(count, width), config, pool)
    normals = numbers[count * width :].reshape(count, below)
    scales = jnp.sqrt(eigenvalues(config)[0])
    noise_scale = jnp.sqrt(1.0 * jnp.asarray(config.noise_variance))
    return statistics_from(chi_key, normals, tasks, scales, noise_scale, config.context_length)


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
    diagonal = jnp.sqrt(chi_square(key, degrees, count, dtype, minimum_degrees=context_length - dim))
    entries = jnp.concatenate([normals, diagonal, jnp.zeros((count, 1), dtype)], axis=1)
    # Position of every entry of T in this list; those above the diagonal are its last, zero, entry.
    where = np.full((dim + 1, dim + 1), below + dim + 1)
    where[np.tril_indices(dim + 1, -1)] = np.arange(below)
    where[np.diag_indices(dim + 1)] = below + np.arange(dim + 1)
    triangular = entries[:, where.ravel()].reshape(count, dim + 1, dim + 1)
    scaled = triangular[:, :dim] * scales[None, :, None]
    last = jnp.einsum("bd,bdk->bk", tasks, scaled) + noise_scale * triangular[:, dim]
    return Statistics(jnp.concatenate([scaled, last[:, None]], axis=1), tasks)


def check_covariance(name: str, matrix: Any, *, tolerance: float = 1e-9) -> np.ndarray:
    """Return a concrete covariance or second moment as an array, if it is one.

    Raises
    ------
    ConfigError
        Naming the field, the offending value and what is allowed, unless the matrix is finite, square, symmetric
        and positive semi-definite (singular is fine).
    """
    matrix = np.asarray(matrix, float)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ConfigError(f"{name} of shape {matrix.shape} is not allowed: must be a square matrix")
    if not np.isfinite(matrix).all():
        raise ConfigError(f"{name} is not allowed: its entries must be finite")
    scale = max(float(np.abs(matrix).max()), 1e-300)
    gap = float(np.abs(matrix - matrix.T).max())
    if gap > tolerance * scale:
        raise ConfigError(f"{name} is not allowed: must be symmetric, but differs from its transpose by {gap:.3g}")
    smallest = float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[0])
    if smallest < -tolerance * scale:
        raise ConfigError(f"{name} with smallest eigenvalue {smallest:.3g} is not allowed: must be >= 0")
    return matrix
