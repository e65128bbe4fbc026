"""The cell model: the whole trajectory by n- and p-independent equations for classes of samples of each neuron.

While outputs are small the neurons are independent. For each, the samples of a cell c = (pair k, side σ, observed
label y) fall into two classes, active and inactive at the start (s0). Within a class, the start |u_0| and the noise ζ
that all other samples make are represented by Q nodes. Nothing is fitted.

Derived for this library; the arcsine law of initial activations and the noise nodes are part of it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.training.iterate import Record, iterate

#: Joint nodes of |u_0| and ζ, and draws of the eight common factors of the test read-out.
NODES, DRAWS = 16, 128
# The eight cells, in the order of bits (pair, side, label).
CELLS = np.array([(k, s, y) for k in (0, 1) for s in (1.0, -1.0) for y in (1.0, -1.0)])
PAIR, SIDE, LABEL = CELLS[:, 0].astype(int), CELLS[:, 1], CELLS[:, 2]
FLIPPED = np.where(PAIR == 0, 1.0, -1.0) != LABEL
MEMBER = np.stack([PAIR == 0, PAIR == 1]).astype(float)  # [2, cells]


class Cells(NamedTuple):
    """What is fixed along a trajectory: counts of the cells, of their active samples per neuron, nodes, and scales.

    ``start`` is u at step 0 by (s0 = 1, 0) and node; ``alignment`` is v at step 0; ``coupling`` is λ/n = |μ|²/p.
    """

    counts: Float[Array, " cells"]
    active: Float[Array, "width cells"]
    signs: Float[Array, " width"]
    alignment: Float[Array, "width 2"]
    start: Float[Array, "2 nodes"]
    zeta: Float[Array, " nodes"]
    coupling: Float[Array, ""]
    input_dim: Float[Array, ""]
    step_init_ratio: Float[Array, ""]


class State(NamedTuple):
    """Cumulative activations R of every class and node, pre-activations u in kicks, alignments v of every neuron."""

    activations: Float[Array, "width cells 2 nodes"]
    preactivations: Float[Array, "width cells 2 nodes"]
    alignment: Float[Array, "width 2"]


def cell_of(pair: Array, side: Array, observed: Array) -> Array:
    """Index of each sample's cell, from its pair (0 or 1), side and label (±1)."""
    bits = 4 * pair + 2 * (1 - side) / 2 + (1 - observed) / 2
    return bits.astype(jnp.int32)


def draw(
    key: jax.Array,
    pair: Float[Array, " samples"],
    side: Float[Array, " samples"],
    observed: Float[Array, " samples"],
    *,
    width: int,
    input_dim: int,
    mean_norm: ArrayLike,
    step_init_ratio: ArrayLike,
    nodes: int = NODES,
) -> Cells:
    """Draw signs, initial alignments and initially active counts of every neuron; the cells are the given labels'.

    v_k(0) = g_k √(n/λ)/κ with g_k ~ N(0, 1), and a sample of side σ is active with probability
    Φ(σ g_k √(ρ/(1 − ρ))), ρ = |μ|²/(p + |μ|²): the same arcsine law as in the first step. |u_0| are the quantiles
    (q + 1)/2 of N(0, 1), over κ; ζ those of N(0, 1) in a fixed random order. The number of nodes needed grows as
    γ = |μ|⁴/p falls: 2 for γ >= 30, 16 down to γ = 0.1.
    """
    n, m = pair.shape[0], width
    flat = jax.random.normal(random.fold_in(key, 2), (m * (n + 3),))
    signs = jnp.where(flat[:m] < 0, -1.0, 1.0)
    g = flat[m : 3 * m].reshape(m, 2)
    own = flat[3 * m :].reshape(m, n)
    # A sum of n independent activations is the binomial count.
    odds = mean_norm / math.sqrt(input_dim)
    return given(
        pair,
        side,
        observed,
        own + odds * side[None] * g[:, pair.astype(jnp.int32)],
        signs,
        g * (math.sqrt(input_dim) / mean_norm) / step_init_ratio,
        input_dim=input_dim,
        mean_norm=mean_norm,
        step_init_ratio=step_init_ratio,
        nodes=nodes,
    )


def given(
    pair: Float[Array, " samples"],
    side: Float[Array, " samples"],
    observed: Float[Array, " samples"],
    preactivations: Float[Array, "width samples"],
    signs: Float[Array, " width"],
    alignment: Float[Array, "width 2"],
    *,
    input_dim: int,
    mean_norm: ArrayLike,
    step_init_ratio: ArrayLike,
    nodes: int = NODES,
) -> Cells:
    """Cells of given labels and neurons; of the pre-activations at the start only the signs count."""
    cells = cell_of(pair, side, observed)
    member = jnp.where(cells[:, None] == jnp.arange(8)[None], 1.0, 0.0)
    dtype = preactivations.dtype
    kappa = jnp.asarray(step_init_ratio, dtype)
    start, zeta = _nodes(nodes)
    return Cells(
        counts=member.sum(axis=0),
        active=jnp.where(preactivations > 0, 1.0, 0.0) @ member,
        signs=signs,
        alignment=alignment,
        start=jnp.stack([start, -start]) / kappa,
        zeta=jnp.asarray(zeta, dtype),
        coupling=jnp.asarray(mean_norm**2 / input_dim, dtype),
        input_dim=jnp.asarray(input_dim, dtype),
        step_init_ratio=kappa,
    )


def _nodes(count: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtri

    q = (np.arange(count) + 0.5) / count
    return ndtri((1 + q) / 2), ndtri(np.random.default_rng(0).permutation(q))


def class_counts(cells: Cells) -> Float[Array, "width cells 2"]:
    """Samples of each neuron by cell and initial activity (active, inactive)."""
    return jnp.stack([cells.active, cells.counts[None] - cells.active], axis=-1)


def initial_state(cells: Cells) -> State:
    """State before the first step."""
    shape = (*cells.active.shape, *cells.start.shape)
    return State(jnp.zeros(shape, cells.start.dtype), jnp.broadcast_to(cells.start[None, None], shape), cells.alignment)


def step(state: State, cells: Cells) -> State:
    """One step: s = 1[u > 0]; D_k = Σ_c σ b n_c <s>; R += s; v_k += D_k; then, with b = y sgn(a),

    u = u_0 + b R + (λ/n) σ (v_k − v_k(0)) + ζ √(Σ_c n_c <R²>/p),

    of which the third term is the feedback of the clusters on every sample.
    """
    counts = class_counts(cells)
    active = jnp.where(state.preactivations > 0, 1.0, 0.0)
    b = cells.signs[:, None] * jnp.asarray(LABEL)[None]
    pushed = jnp.asarray(SIDE)[None] * b * jnp.sum(counts * jnp.mean(active, axis=-1), axis=-1)
    alignment = state.alignment + pushed @ jnp.asarray(MEMBER.T)
    activations = state.activations + active
    noise = jnp.sqrt(jnp.sum(counts * jnp.mean(activations**2, axis=-1), axis=(1, 2)) / cells.input_dim)
    shift = cells.coupling * jnp.asarray(SIDE)[None] * (alignment - cells.alignment)[:, PAIR]
    preactivations = (
        cells.start[None, None]
        + b[:, :, None, None] * activations
        + shift[:, :, None, None]
        + noise[:, None, None, None] * cells.zeta[None, None, None]
    )
    return State(activations, preactivations, alignment)


def read_train(state: State, cells: Cells) -> tuple[Array, Array, Array]:
    """Training accuracy, the same on flipped labels (NaN without any), and mean training margin in units of α p/8n.

    y f / δ of a sample in cell c has mean (y/√m) Σ_j sgn(a_j) E_j and variance (1/m) Σ_j Var_j, with the moments of
    relu(u) over classes (s0 = 1 with probability A_j/N_c) and nodes; accuracy Σ_c (N_c/n) Φ(mean/√variance).
    """
    relu = jnp.maximum(state.preactivations, 0)
    share = (class_counts(cells) / jnp.maximum(cells.counts, 1)[None, :, None]) / relu.shape[-1]
    first = jnp.sum(share * jnp.sum(relu, axis=-1), axis=-1)
    second = jnp.sum(share * jnp.sum(relu**2, axis=-1), axis=-1)
    mean = jnp.asarray(LABEL) * (cells.signs @ first)
    deviation = jnp.sqrt(jnp.sum(second - first**2, axis=0))
    weight = cells.counts / jnp.sum(cells.counts)
    accuracy = ndtr(mean / jnp.where(deviation > 0, deviation, 1.0))
    flipped = jnp.where(jnp.asarray(FLIPPED), cells.counts, 0.0)
    on_flipped = flipped @ accuracy / jnp.sum(flipped)
    return weight @ accuracy, on_flipped, (4 / cells.signs.shape[0]) * (weight @ mean)


def _common_factors(draws: int) -> np.ndarray:
    """Quasi-random normal points in eight dimensions (an additive recurrence), with their opposites."""
    from scipy.special import ndtri

    root = 1.0
    for _ in range(60):  # root of x^9 = x + 1
        root = (1 + root) ** (1 / 9)
    points = (0.5 + np.arange(1, draws // 2 + 1)[:, None] * root ** -np.arange(1, 9)[None]) % 1
    z = ndtri(points)
    return np.concatenate([z, -z])


def read_test(state: State, cells: Cells, *, draws: int = DRAWS) -> Float[Array, " 4"]:
    """Clean test accuracy in the clusters (1, +), (1, −), (2, +), (2, −).

    A fresh point of cluster (k, σ) has u_j = (λ/n) σ v_kj + Σ_c b (R1 + R0)/2 √(N_c/p) Z_c + noise of its own, of
    variance Σ_c N_c ((R1 − R0)/2)²/p + 1/κ², with Z_c ~ N(0, 1) shared by all neurons and R1, R0 the mean cumulative
    activations of initially active and inactive samples. Given Z, f is a sum of many independent rectified Gaussians:
    accuracy E_Z Φ(y F/S).
    """
    p, kappa = cells.input_dim, cells.step_init_ratio
    mean = jnp.mean(state.activations, axis=-1)
    b = cells.signs[:, None] * jnp.asarray(LABEL)[None]
    shared = b * (mean[..., 0] + mean[..., 1]) / 2 * jnp.sqrt(cells.counts / p)[None]
    own = jnp.sum(cells.counts[None] * ((mean[..., 0] - mean[..., 1]) / 2) ** 2, axis=-1) / p + kappa**-2
    deviation = jnp.sqrt(own)
    common = jnp.asarray(_common_factors(draws), shared.dtype) @ shared.T  # [draws, width]

    def one(cluster: tuple[Array, Array, Array]) -> Array:
        aligned, side, truth = cluster
        h = (common + cells.coupling * side * aligned[None]) / deviation[None]
        upper, density = ndtr(h), jnp.exp(-(h**2) / 2) / math.sqrt(2 * math.pi)
        first = h * upper + density
        second = (h**2 + 1) * upper + h * density
        total = first @ (cells.signs * deviation)
        spread = jnp.sqrt((second - first**2) @ own)
        return jnp.mean(ndtr(truth * total / spread))

    v = state.alignment.T
    stacked = (v[jnp.array([0, 0, 1, 1])], jnp.array([1.0, -1.0, 1.0, -1.0]), jnp.array([1.0, 1.0, -1.0, -1.0]))
    return jax.lax.map(one, stacked)


def run(
    cells: Cells, record: Record, *, num_steps: int, record_at: tuple[int, ...], seen: Cells | None = None
) -> dict[str, Array]:
    """Iterate :func:`step` from :func:`initial_state`; what ``record`` reads of the states at the recorded steps.

    ``seen`` are the cells that every step sees, by default those of the start.
    Regime: outputs stay small (the slope of the loss is 1/2), p/n >= 50.
    """
    orbit = iterate(
        lambda state, t: step(state, cells if seen is None else seen),
        initial_state(cells),
        num_steps=num_steps,
        record=record,
        record_at=record_at,
    )
    return orbit.observables
