"""The march of the dynamical mean-field theory: one causal pass through the equations of :mod:`.dmft`, step by step.

:func:`equations` holds them in three parts, the state before the first step, one step, and what is read off at the end;
:func:`march` runs them. A march of another state at each step is another theory: see the setting's controls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.two_layer.grokking.theory.dmft_sampling import (
    Noise,
    extend_noise,
    put,
    start_noise,
    teacher_nodes,
)

TANGENT_DTYPE = jnp.float32  # derivatives of one datum, only ever averaged: their rounding is below the sampling error


class Model(NamedTuple):
    """The network and its data in the proportional limit; all entries are real numbers and may be traced.

    Attributes
    ----------
    output_scale, quadratic_coeff, scaled_learning_rate, sample_ratio
        α, ε, γ and ν = P/D.
    init_scale
        σ, the standard deviation of an initial weight.
    centred
        Whether the network's initial output is subtracted (1 or 0).
    cutoff
        Where the law of the teacher's field is cut: ``teacher_nodes``.
    """

    output_scale: ArrayLike
    quadratic_coeff: ArrayLike
    scaled_learning_rate: ArrayLike
    sample_ratio: ArrayLike
    init_scale: ArrayLike = 1.0
    centred: ArrayLike = 0.0
    cutoff: ArrayLike = 6.0


class Spikes(NamedTuple):
    """Directions that M holds beside its bulk, M = bulk + Σ_a ρ_a v_a v_aᵀ.

    Attributes
    ----------
    overlaps
        ρ_a.
    starts
        G_a(0), the component of v_a along the teacher.
    kicks
        What is added to G_a(t + 1) from outside.
    """

    overlaps: Float[Array, " spikes"]
    starts: Float[Array, " spikes"]
    kicks: Float[Array, "spikes steps"]


class Kernels(NamedTuple):
    """Order parameters of :func:`march` over (step, step). Field 0 is h_b, fields 1, 2, ... are the spikes.

    Attributes
    ----------
    residual_mean, residual_power
        <Δ(t)> and <Δ(t)²>, [step].
    growth, drive
        G_a(t) and <g_a(t) h*>, [spikes, step]; the growth also at the step after the last.
    covariance, response
        C(t,s) and R(t,s) of the fields, [fields, fields, step, step].
    field_response
        Rg(t,s), the averaged derivatives of g, [fields, fields, step, step].
    bulk_covariance, bulk_response, bulk_field_response
        C_d, R_d and Rg_d, [step, step].
    seed_covariance, seed_kick
        V_d(t,s), and the covariance ε² <Δ(t) Δ(s) Q(t,s) h*²> of the noise that feeds it, [step, step].
    mean_seed_covariance
        V_b(t,s), the covariance over data of β·w̄/sqrt(D), [step, step].
    """

    residual_mean: Array
    residual_power: Array
    growth: Array
    drive: Array
    covariance: Array
    response: Array
    field_response: Array
    bulk_covariance: Array
    bulk_response: Array
    bulk_field_response: Array
    seed_covariance: Array
    seed_kick: Array
    mean_seed_covariance: Array


class State(NamedTuple):
    """What the march has filled in so far; rows of later steps are zero. The last axis is the particles'."""

    residual: Array  # [n, S]
    force: Array  # g, [fields, n, S]
    source: Array  # mixed normals, [fields, n, S]: ξ(t) = Σ_s R(t,s) source(s)
    bulk: Array  # H, [n, n, S]
    residual_tangent: Array  # J, [n, fields, n, S]
    force_tangent: Array  # dg, [fields, n, fields, n, S]
    noise: Noise
    response: Array  # R, [fields, fields, n + 1, n]
    field_response: Array  # Rg, [fields, fields, n, n]
    bulk_response: Array  # R_d, [n + 1, n]
    bulk_mean: Array  # m, [n + 1]
    bulk_field_response: Array  # Rg_d, [n, n]
    bulk_force: Array  # Cg_d, [n, n]
    growth: Array  # G, [spikes, n + 1]
    drive: Array  # <g h*>, [spikes, n]
    seed_response: Array  # R_beta, [n + 1, n]
    seed_field_response: Array  # [n, n]
    seed_kick: Array  # [n, n]
    mean_seed_response: Array  # that of w̄ along beta, [n + 1, n]


class Equations(NamedTuple):
    """The mean-field equations of one model, ready to march.

    Attributes
    ----------
    start
        The state before step 0.
    advance
        ``(step, state) -> state``: the process of one datum at this step, its averages, and the weights after it.
    read
        ``state after the last step -> Kernels``.
    """

    start: State
    advance: Callable[[Array, State], State]
    read: Callable[[State], Kernels]


def march(key: jax.Array, model: Model, spikes: Spikes, *, num_steps: int, num_particles: int) -> Kernels:
    """Solve the mean-field equations for any number of spikes.

    The bulk is σ² I at the start, and G_a(t+1) = G_a(t) + cν <g_a(t) h*> + kicks[a, t]. The network's spike term is
    Σ_a ρ_a h_a², and the R, Rg, C of the spikes are matrices in (a, b). One planted spike has starts = 1 and kicks = 0
    (see :func:`~theorylab.settings.two_layer.grokking.theory.dmft.dmft`).

    Memory is num_particles · num_steps² · (fields² + fields + 1) · 4 bytes, work that times num_steps.

    Parameters
    ----------
    key
        Randomness of the particles' noise: the Monte-Carlo error of the solution.
    num_steps, num_particles
        Static. The noise is projected off about 3 · fields · num_steps directions, so take at least 8 times as many
        particles as that for small bias.
    """
    parts = equations(key, model, spikes, num_steps=num_steps, num_particles=num_particles)
    return parts.read(jax.lax.fori_loop(0, num_steps + 1, parts.advance, parts.start))


def equations(key: jax.Array, model: Model, spikes: Spikes, *, num_steps: int, num_particles: int) -> Equations:
    """Prepare the parts of :func:`march`, whose arguments these are."""
    n, num = num_steps + 1, num_particles
    overlaps, starts, kicks = spikes
    num_spikes = overlaps.shape[0]
    fields = num_spikes + 1
    dtype = jnp.result_type(float)
    alpha, eps, gamma, nu, init_scale, centred, cutoff = (jnp.asarray(value, dtype) for value in model)
    nodes, p = teacher_nodes(num, cutoff)
    kappa, rate = alpha * eps, gamma / alpha
    power = jnp.concatenate([jnp.ones(1, dtype), overlaps])  # weight of each squared field in the output
    linear = jnp.concatenate([jnp.ones(1, dtype), jnp.zeros(num_spikes, dtype)])  # h_b also enters linearly
    even = linear[:, None]
    same_parity = even * even.T + (1 - even) * (1 - even.T)
    label = 0.5 * nodes**2 + centred * 0.5 * kappa * (init_scale**2 + jnp.sum(overlaps * starts**2) * nodes**2)
    fresh = random.normal(key, fields, n, num, dtype=dtype)

    def by_parity(values: Array) -> Array:
        """Lay [fields, ...] out as [parity, slot, ...]."""
        even_part = jnp.concatenate([values[:1], jnp.zeros_like(values[2:])])
        return jnp.stack([even_part, values[1:]])

    def start() -> State:
        def zeros(*shape: int, dtype: Any = dtype) -> Array:
            return jnp.zeros(shape, dtype)

        return State(
            residual=zeros(n, num),
            force=zeros(fields, n, num),
            source=zeros(fields, n, num),
            bulk=zeros(n, n, num, dtype=TANGENT_DTYPE),
            residual_tangent=zeros(n, fields, n, num, dtype=TANGENT_DTYPE),
            force_tangent=zeros(fields, n, fields, n, num, dtype=TANGENT_DTYPE),
            noise=start_noise(nodes, p, n, num_spikes),
            response=zeros(fields, fields, n + 1, n),
            field_response=zeros(fields, fields, n, n),
            bulk_response=zeros(n + 1, n),
            bulk_mean=zeros(n + 1).at[0].set(init_scale),
            bulk_field_response=zeros(n, n),
            bulk_force=zeros(n, n),
            growth=zeros(num_spikes, n + 1).at[:, 0].set(starts),
            drive=zeros(num_spikes, n),
            seed_response=zeros(n + 1, n),
            seed_field_response=zeros(n, n),
            seed_kick=zeros(n, n),
            mean_seed_response=zeros(n + 1, n),
        )

    def advance(t: Array, state: State) -> State:
        now = (jnp.arange(n) == t).astype(dtype)
        memory = state.response[:, :, t]  # [fields, fields, n]

        # The process of one datum at step t.
        noise_field = jnp.einsum("fgk,gks->fs", memory, state.source)
        reaction = jnp.einsum("fgk,gks->fs", memory, state.force)
        teacher = jnp.concatenate([jnp.zeros(1, dtype), state.growth[:, t]])
        field = teacher[:, None] * nodes[None, :] + noise_field + reaction
        echo = (eps * state.bulk_response[t][:, None] * state.residual).astype(TANGENT_DTYPE)
        kept = jnp.asarray(memory, TANGENT_DTYPE)
        row, tangent = _recall(t, echo, kept, state, now)
        bulk = put(state.bulk, row, t)
        mixed = _bulk_covariance(state, nu)[:n, :n].astype(TANGENT_DTYPE) @ row
        quadratic = _quadratic_form(t, bulk, mixed)  # Q(k, t) for all k <= t
        q = quadratic[t].astype(dtype)
        residual = label - alpha * field[0] - 0.5 * kappa * (power @ field**2 + q)
        slope = linear[:, None] + eps * field  # [fields, S]
        force = residual[None, :] * slope

        # Its tangents with respect to the noise at s <= t.
        pushed = (state.bulk_response[:n].T.astype(TANGENT_DTYPE) @ row) * quadratic  # (H R_d)(t, k) Q(k, t)
        quadratic_tangent = _accumulate(t, lambda k: pushed[k][None, None, :] * state.residual_tangent[k])
        quadratic_tangent *= (2 * eps).astype(TANGENT_DTYPE)
        weight = (-alpha * linear[:, None] - kappa * power[:, None] * field).astype(TANGENT_DTYPE)
        residual_tangent = jnp.sum(weight[:, None, None, :] * tangent, axis=0)
        residual_tangent -= (0.5 * kappa).astype(TANGENT_DTYPE) * quadratic_tangent
        force_tangent = residual_tangent[None] * slope.astype(TANGENT_DTYPE)[:, None, None, :]
        force_tangent += (eps * residual).astype(TANGENT_DTYPE)[None, None, None, :] * tangent

        # Averages over data.
        field_response = jnp.einsum("fgks,s->fgk", force_tangent, p.astype(TANGENT_DTYPE)).astype(dtype)
        field_response = put(state.field_response, field_response * same_parity[:, :, None], t, axis=2)
        # A mean weight along β is a field of its own along h*, whose force along β carries h* once more.
        mean_seed = jnp.einsum("ks,s->k", force_tangent[0, 0], (p * nodes**2).astype(TANGENT_DTYPE)).astype(dtype)
        weighted = p * residual
        frozen = eps * (row.astype(dtype) @ jnp.stack([weighted, weighted * nodes**2], axis=1))
        residuals = put(state.residual, residual, t)
        pair = eps**2 * (
            (residuals * quadratic) @ jnp.stack([weighted, weighted * nodes**2], axis=1)
        )  # [n, 2]: ε² <Δ(k) Δ(t) Q(k, t)>, without and with h*²
        bulk_field_response = put(state.bulk_field_response, frozen[:, 0], t)
        seed_field_response = put(state.seed_field_response, frozen[:, 1], t)
        bulk_force = put(put(state.bulk_force, pair[:, 0], t), pair[:, 0], t, axis=1)
        seed_kick = put(put(state.seed_kick, pair[:, 1], t), pair[:, 1], t, axis=1)
        drive = force[1:] @ (p * nodes)

        # Weights at step t + 1.
        reach = jnp.einsum("fgk,ghks->fhs", field_response[:, :, t], state.response[:, :, :n])
        later = memory + rate * (jnp.eye(fields)[:, :, None] * now[None, None, :] + nu * reach)
        bulk_later = state.bulk_response[t] + rate * (now + nu * frozen[:, 0] @ state.bulk_response[:n])
        seed_later = state.seed_response[t] + rate * (now + nu * frozen[:, 1] @ state.seed_response[:n])
        mean_seed_later = state.mean_seed_response[t] + rate * (now + nu * mean_seed @ state.mean_seed_response[:n])
        mean_later = state.bulk_mean[t] + rate * nu * frozen[:, 0] @ state.bulk_mean[:n]
        grown = state.growth[:, t] + rate * nu * drive + kicks[:, t]

        noise_so_far, source = extend_noise(
            state.noise, t, p, jnp.stack([residual, residual * nodes]), by_parity(force), by_parity(fresh[:, t])
        )
        source = jnp.sqrt(nu) * jnp.concatenate([source[0, :1], source[1]])
        return State(
            residual=residuals,
            source=put(state.source, source, t, axis=1),
            noise=noise_so_far,
            force=put(state.force, force, t, axis=1),
            bulk=bulk,
            residual_tangent=put(state.residual_tangent, residual_tangent, t),
            force_tangent=put(state.force_tangent, force_tangent, t, axis=1),
            response=put(state.response, later, t + 1, axis=2),
            field_response=field_response,
            bulk_response=put(state.bulk_response, bulk_later, t + 1),
            bulk_mean=put(state.bulk_mean, mean_later, t + 1),
            bulk_field_response=bulk_field_response,
            bulk_force=bulk_force,
            growth=put(state.growth, grown, t + 1, axis=1),
            drive=put(state.drive, drive, t, axis=1),
            seed_response=put(state.seed_response, seed_later, t + 1),
            seed_field_response=seed_field_response,
            seed_kick=seed_kick,
            mean_seed_response=put(state.mean_seed_response, mean_seed_later, t + 1),
        )

    def read(state: State) -> Kernels:
        loadings = jnp.concatenate([state.noise.loadings[0, :1], state.noise.loadings[1]])
        mixing = jnp.einsum("fgts,gsk->ftk", state.response[:, :, :n], loadings)
        covariance = nu * jnp.einsum("ftk,gsk->fgts", mixing, mixing) * same_parity[:, :, None, None]
        seed_response, mean_seed = state.seed_response[:n], state.mean_seed_response[:n] @ state.force[0]
        return Kernels(
            residual_mean=state.residual @ p,
            residual_power=state.residual**2 @ p,
            growth=state.growth,
            drive=state.drive,
            covariance=covariance,
            response=state.response,
            field_response=state.field_response,
            bulk_covariance=_bulk_covariance(state, nu)[:n, :n],
            bulk_response=state.bulk_response,
            bulk_field_response=state.bulk_field_response,
            seed_covariance=nu * seed_response @ state.seed_kick @ seed_response.T,
            seed_kick=state.seed_kick,
            mean_seed_covariance=nu * (mean_seed * (p * nodes**2)[None, :]) @ mean_seed.T,
        )

    return Equations(start(), advance, read)


def _accumulate(count: Array, term: Callable[[Array], Any]) -> Any:
    """Sum term(0) + ... + term(count - 1). A loop of vector operations: XLA's own reduction strides over memory."""
    shapes = jax.eval_shape(term, count)
    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.fori_loop(0, count, lambda k, total: jax.tree.map(jnp.add, total, term(k)), start)


def _recall(t: Array, echo: Array, kept: Array, state: State, now: Array) -> tuple[Array, Array]:
    """Rows of step t that the past makes: H(t, .) [n, S] and the tangents of the fields [fields, fields, n, S]."""
    fields = kept.shape[0]
    groups = [(0,)] + [tuple(range(1, fields))] * (fields - 1)  # fields that each field responds to

    def term(k: Array) -> tuple[Array, Array]:
        tangents = [sum(kept[f, g, k] * state.force_tangent[g, k] for g in groups[f]) for f in range(fields)]
        return echo[k][None, :] * state.bulk[k], jnp.stack(tangents)

    row, tangent = _accumulate(t, term)
    itself = jnp.eye(fields, dtype=now.dtype)[:, :, None] * now[None, None, :]
    return row + now.astype(row.dtype)[:, None], tangent + itself[..., None].astype(row.dtype)


def _quadratic_form(t: Array, bulk: Array, mixed: Array) -> Array:
    """Q(k, t) = Σ_j H(k, j) (C_d Hᵀ)(j, t) of every particle, [n, S]."""
    return _accumulate(t + 1, lambda j: bulk[:, j] * mixed[j][None, :])


def _bulk_covariance(state: State, nu: Array) -> Array:
    """C_d = m mᵀ + ν R_d Cg_d R_dᵀ; entries of later steps are not yet meaningful."""
    noise = nu * state.bulk_response @ state.bulk_force @ state.bulk_response.T
    return state.bulk_mean[:, None] * state.bulk_mean[None, :] + noise
