"""Sums over random points, drawn by their distances, as vectors, or by the nearest alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from theorylab.contract import Observables
from theorylab.numerics import random
from theorylab.numerics.chi_square import chi_square_of_normal
from theorylab.settings.statistics import nearest
from theorylab.settings.statistics.random_energy.config import Config

#: Half of a normal variable lies within this many standard deviations.
QUARTILE = 0.6744897501960817


def simulate(key: jax.Array, config: Config) -> Observables:
    """Means over ``num_draws`` queries, each among points of its own. Pure, and traceable in ``bandwidth``."""
    beta = 1 / jnp.asarray(config.bandwidth) ** 2
    log_num = math.log(config.num_samples)
    beyond = _beyond(config, beta) if config.sampler == "nearest" else None

    def draw(key: jax.Array) -> Observables:
        norm, distances = _distances(key, config)
        first = jnp.min(distances)
        terms = jnp.exp(-beta / 2 * (distances - first))
        total = jnp.sum(terms)
        if beyond is not None:
            total = total + beyond(distances[-1], first)
        log_partition = jnp.log(total) - beta / 2 * first - log_num
        ratio = jnp.exp(log_partition - log_mean(config.dim, norm, beta))
        variance = relative_variance(config.dim, norm, beta, log_num)
        return {
            "participation": jnp.sum(terms**2) / total**2,
            "log_partition": log_partition / config.dim,
            "relative_variance": (ratio - 1) ** 2,
            "within_quartiles": jnp.where((ratio - 1) ** 2 < QUARTILE**2 * variance, 1.0, 0.0).astype(ratio.dtype),
        }

    found = jax.lax.map(draw, random.split(key, config.num_draws))
    return {name: jnp.mean(values) for name, values in found.items()}


def _distances(key: jax.Array, config: Config) -> tuple[Any, Float[Array, " points"]]:
    """|x|², and squared distances from x."""
    dim = config.dim
    query_key, key, other_key = random.split(key, 3)
    gaussian = config.query == "gaussian"
    norm = jnp.sum(random.normal(query_key, dim) ** 2) if gaussian else jnp.asarray(float(dim))
    if config.sampler == "nearest":
        table = nearest.table(dim, math.log(config.num_samples))
        counts = jnp.cumsum(-jnp.log(random.uniform(key, nearest.COUNT)))
        span = math.log(2 * nearest.COUNT) - nearest.LOWEST
        place = (jnp.log(counts) - nearest.LOWEST) * ((nearest.NODES - 1) / span)
        place = jnp.clip(place, 0.0, nearest.NODES - 1.001)
        low = jnp.floor(place).astype(jnp.int32)
        distances = jnp.asarray(table.distances, counts.dtype)
        return norm, distances[low] + (place - low) * (distances[low + 1] - distances[low])
    num = int(config.num_samples)
    if config.sampler == "vectors":
        points = random.normal(key, num, dim)
        return norm, jnp.sum((points - jnp.sqrt(norm / dim)) ** 2, axis=1)
    along = random.normal(key, num)
    return norm, (along - jnp.sqrt(norm)) ** 2 + chi_square_of_normal(random.normal(other_key, num), dim - 1)


def _beyond(config: Config, beta: Array) -> Callable[[Array, Array], Array]:
    """Mean of the sum over all points beyond a squared distance, in units of the term at another."""
    table = nearest.table(config.dim, math.log(config.num_samples))
    points = jnp.asarray(table.tail_points, beta.dtype)
    start = points[0]
    terms = jnp.asarray(table.tail_masses, beta.dtype) * jnp.exp(-beta / 2 * (points - start))
    sums = jnp.cumsum(terms[::-1])[::-1] - terms / 2

    def beyond(distance: Array, first: Array) -> Array:
        return jnp.interp(distance, points, sums) * jnp.exp(-beta / 2 * (start - first))

    return beyond


def log_mean(dim: int, norm: Any, beta: Any) -> Any:
    """log E e^{-E} given |x|²: -(d/2) log(1+β) - β|x|²/(2(1+β))."""
    return -(dim / 2) * jnp.log1p(beta) - beta * norm / (2 * (1 + beta))


def relative_variance(dim: int, norm: Any, beta: Any, log_num: float) -> Any:
    """Var Z/(E Z)² = (E e^{-2E}/(E e^{-E})² - 1)/n."""
    excess = log_mean(dim, norm, 2 * beta) - 2 * log_mean(dim, norm, beta)
    return -jnp.expm1(-excess) * jnp.exp(excess - log_num)
