r"""Dynamical mean-field theory of the grokking model with full feature learning, by one causal march in time.

Proportional limit: D -> ∞ at fixed P/D = ν, then N -> ∞, discrete full-batch gradient descent with
c = γ/α (γ the scaled learning rate, α the output scale), κ = αε. Initial mean weight 0 and second moment
M(0) = (I - ββᵀ/D) + ρ₀ ββᵀ. With w_i = b + μ_i v + bulk_i, the network on one datum is
α h_b + (κ/2)(h_b² + ρ₀ h_v² + q), with fields h_b = b·x, h_v = v·x and q the bulk's quadratic form. For steps s <= t:

- fields      h_b(t) = ξ_b(t) + Σ_s R_b(t,s) g_b(s),  h_v(t) = G(t) h* + ξ_v(t) + Σ_s R_v(t,s) g_v(s),
              ξ_x ~ GP(0, C_x), C_x = ν R_x <g_x g_x> R_xᵀ;
- bulk        H(t,t) = 1, H(t,j) = Σ_s R_d(t,s) ε Δ(s) H(s,j),  Q = H C_d Hᵀ,  q(t) = Q(t,t);
- residual    Δ = h*²/2 - α h_b - (κ/2)(h_b² + ρ₀ h_v² + q),  g_b = Δ (1 + ε h_b),  g_v = ε Δ h_v;
- responses   Rg_x(t,s) = <dg_x(t)/dξ_x(s)> (full derivative, through Δ, the other field and q),
              Rg_d(t,s) = ε <Δ(t) H(t,s)> (Δ frozen: one neuron of infinitely many);
- weights     R_x(t+1,s) = R_x(t,s) + c [δ_ts + ν Σ_k Rg_x(t,k) R_x(k,s)],  G(t+1) = G(t) + c ν <g_v(t) h*>,
              C_d = m mᵀ + ν R_d Cg_d R_dᵀ, Cg_d = ε² <Δ(t) Δ(s) Q(t,s)>, m(0) = 1,
              m(t+1) = m(t) + c ν Σ_k Rg_d(t,k) m(k).

Everything at step t depends on steps before t alone, so one pass solves it: no iteration, no damping.

Derived here, for the model of Kumar, Bordelon, Gershman and Pehlevan, arXiv 2310.06110; their own equations may be
parametrised differently. Simulations at finite D differ by O(1/D): at D = 100 and γ·step = 4.8, about 10 % on the train
loss and 4 % on test loss and overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.numerics import random
from theorylab.settings.two_layer.grokking.theory.dmft_sampling import Noise, extend_noise, start_noise, teacher_nodes

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


class Dynamics(NamedTuple):
    """Curves of the limit, each over steps 0, ..., num_steps.

    Attributes
    ----------
    train_loss, test_loss
        Mean squared errors <Δ²> and E(f - y)² = variance_error + misalignment_error + linear_power.
    variance_error, misalignment_error, linear_power
        (1/4)(tr A/D)², |A|²/(2D²) for A = ββᵀ - αεM, and α²|w̄|²/D.
    spike_overlap
        ρ = ρ₀G², the overlap βᵀMβ/D² of the second moment with the teacher.
    mean_weight_power, spike_noise, bulk_power
        C_b(t,t), C_v(t,t) and C_d(t,t).
    teacher_growth
        G(t), the spike's component along the teacher.
    weight_norm
        |W|²/(ND) = C_d + C_b + ρ₀(G² + C_v).
    seed_noise
        V_d(t): variance, over neurons, of the component along β that data noise gives the bulk (frozen residual).
    """

    train_loss: Array
    test_loss: Array
    variance_error: Array
    misalignment_error: Array
    linear_power: Array
    spike_overlap: Array
    mean_weight_power: Array
    spike_noise: Array
    bulk_power: Array
    teacher_growth: Array
    weight_norm: Array
    seed_noise: Array


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


class _State(NamedTuple):
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


def dmft(
    key: jax.Array,
    model: Model,
    *,
    spike_overlap: ArrayLike,
    num_steps: int,
    num_particles: int,
    field_reaction: ArrayLike = 1.0,
    bulk_reaction: ArrayLike = 1.0,
) -> Dynamics:
    """Curves of the infinite network with a planted spike, M(0) = σ² [(I - ββᵀ/D) + ρ₀ ββᵀ], in the limit D -> ∞.

    See the module's docstring for the equations and :func:`march` for the numerical parameters. At ``spike_overlap``
    = 0 the teacher's direction is a saddle that is never left: the network memorises and never learns.
    """
    overlap = jnp.reshape(jnp.asarray(spike_overlap, jnp.result_type(float)) * jnp.asarray(model.init_scale) ** 2, (1,))
    spikes = Spikes(overlap, jnp.ones_like(overlap), jnp.zeros((1, num_steps + 1), overlap.dtype))
    kernels = march(
        key, model, spikes, num_steps=num_steps, num_particles=num_particles, field_reaction=field_reaction,
        bulk_reaction=bulk_reaction,
    )  # fmt: skip
    return losses(kernels, model, spikes)


def average(key: jax.Array, num_runs: int, solve: Callable[[jax.Array], Dynamics]) -> tuple[Dynamics, Dynamics]:
    """Mean of ``solve(key)`` over independent runs, one after the other, and its standard error.

    Raises
    ------
    ValueError
        If there are fewer than two runs: one has no error bar.
    """
    if num_runs < 2:
        raise ValueError(f"num_runs = {num_runs} is not allowed: a standard error needs at least 2 runs")
    runs = jax.lax.map(solve, random.split(key, num_runs))
    return (
        jax.tree.map(lambda x: jnp.mean(x, axis=0), runs),
        jax.tree.map(lambda x: jnp.std(x, axis=0, ddof=1) / num_runs**0.5, runs),
    )


def losses(kernels: Kernels, model: Model, spikes: Spikes) -> Dynamics:
    """Losses and overlaps from the order parameters of :func:`march`, given the same arguments.

    With A = ββᵀ - κ (M - z M(0)), z = ``centred``, the test error is (1/4)(tr A/D)² + |A|²/(2D²) + α²|w̄|²/D; only the
    spikes and w̄ w̄ᵀ have a Frobenius norm of order D.
    """
    alpha, eps, sigma = (jnp.asarray(x) for x in (model.output_scale, model.quadratic_coeff, model.init_scale))
    kappa, centred, overlaps = alpha * eps, model.centred, spikes.overlaps
    growth = kernels.growth[:, :-1]
    variances = jnp.diagonal(kernels.covariance, axis1=2, axis2=3)  # [fields, fields, step]
    mean_power, spread = variances[0, 0], variances[1:, 1:]
    bulk = jnp.diagonal(kernels.bulk_covariance)
    overlap = overlaps @ growth**2
    norm = mean_power + overlap + jnp.einsum("a,aat->t", overlaps, spread) + bulk
    initial = centred * jnp.sum(overlaps * spikes.starts**2)
    variance_error = 0.25 * (1 - kappa * (norm - centred * sigma**2 - initial)) ** 2
    # |ββᵀ (1 + κ z ρ(0)) - κ Σ_a ρ_a v_a v_aᵀ|²/D², with v_a·v_b/D = G_a G_b + C_ab.
    teacher = 1 + kappa * initial
    products = growth[:, None] * growth[None, :] + spread
    squares = jnp.einsum("a,b,abt->t", overlaps, overlaps, products**2)
    misalignment = 0.5 * (teacher**2 - 2 * teacher * kappa * overlap + kappa**2 * (squares + mean_power**2))
    linear_power = alpha**2 * mean_power
    return Dynamics(
        train_loss=kernels.residual_power,
        test_loss=variance_error + misalignment + linear_power,
        variance_error=variance_error,
        misalignment_error=misalignment,
        linear_power=linear_power,
        spike_overlap=overlap,
        mean_weight_power=mean_power,
        spike_noise=spread[0, 0],
        bulk_power=bulk,
        teacher_growth=growth[0],
        weight_norm=norm,
        seed_noise=jnp.diagonal(kernels.seed_covariance),
    )


def march(
    key: jax.Array,
    model: Model,
    spikes: Spikes,
    *,
    num_steps: int,
    num_particles: int,
    field_reaction: ArrayLike = 1.0,
    bulk_reaction: ArrayLike = 1.0,
) -> Kernels:
    """Solve the mean-field equations of this module for any number of spikes.

    The bulk is σ² I at the start, and G_a(t+1) = G_a(t) + cν <g_a(t) h*> + kicks[a, t]. The network's spike term is
    Σ_a ρ_a h_a², and the R, Rg, C of the spikes are matrices in (a, b). One planted spike has starts = 1 and kicks = 0
    (see :func:`dmft`).

    Memory is num_particles · num_steps² · (fields² + fields + 1) · 4 bytes, work that times num_steps.

    Parameters
    ----------
    key
        Randomness of the particles' noise: the Monte-Carlo error of the solution.
    num_steps, num_particles
        Static. The noise is projected off about 3 · fields · num_steps directions, so take at least 8 times as many
        particles as that for small bias.
    field_reaction, bulk_reaction
        Factors of Σ R g in the fields and of the term in Rg that comes through q. Both are 1; 0 leaves the term out,
        which is wrong and for showing that it matters.
    """
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

    def start() -> _State:
        def zeros(*shape: int, dtype: Any = dtype) -> Array:
            return jnp.zeros(shape, dtype)

        return _State(
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
        )

    def advance(t: Array, state: _State) -> _State:
        now = (jnp.arange(n) == t).astype(dtype)
        memory = state.response[:, :, t]  # [fields, fields, n]

        # The process of one datum at step t.
        noise_field = jnp.einsum("fgk,gks->fs", memory, state.source)
        reaction = field_reaction * jnp.einsum("fgk,gks->fs", memory, state.force)
        teacher = jnp.concatenate([jnp.zeros(1, dtype), state.growth[:, t]])
        field = teacher[:, None] * nodes[None, :] + noise_field + reaction
        echo = (eps * state.bulk_response[t][:, None] * state.residual).astype(TANGENT_DTYPE)
        kept = jnp.asarray(field_reaction * memory, TANGENT_DTYPE)
        row, tangent = _recall(t, echo, kept, state, now)
        bulk = state.bulk.at[t].set(row)
        mixed = _bulk_covariance(state, nu)[:n, :n].astype(TANGENT_DTYPE) @ row
        quadratic = _quadratic_form(t, bulk, mixed)  # Q(k, t) for all k <= t
        q = quadratic[t].astype(dtype)
        residual = label - alpha * field[0] - 0.5 * kappa * (power @ field**2 + q)
        slope = linear[:, None] + eps * field  # [fields, S]
        force = residual[None, :] * slope

        # Its tangents with respect to the noise at s <= t.
        pushed = (state.bulk_response[:n].T.astype(TANGENT_DTYPE) @ row) * quadratic  # (H R_d)(t, k) Q(k, t)
        quadratic_tangent = _accumulate(t, lambda k: pushed[k][None, None, :] * state.residual_tangent[k])
        quadratic_tangent *= (2 * eps * bulk_reaction).astype(TANGENT_DTYPE)
        weight = (-alpha * linear[:, None] - kappa * power[:, None] * field).astype(TANGENT_DTYPE)
        residual_tangent = jnp.sum(weight[:, None, None, :] * tangent, axis=0)
        residual_tangent -= (0.5 * kappa).astype(TANGENT_DTYPE) * quadratic_tangent
        force_tangent = residual_tangent[None] * slope.astype(TANGENT_DTYPE)[:, None, None, :]
        force_tangent += (eps * residual).astype(TANGENT_DTYPE)[None, None, None, :] * tangent

        # Averages over data.
        field_response = jnp.einsum("fgks,s->fgk", force_tangent, p.astype(TANGENT_DTYPE)).astype(dtype)
        field_response = state.field_response.at[:, :, t].set(field_response * same_parity[:, :, None])
        weighted = p * residual
        frozen = eps * (row.astype(dtype) @ jnp.stack([weighted, weighted * nodes**2], axis=1))
        residuals = state.residual.at[t].set(residual)
        pair = eps**2 * (
            (residuals * quadratic) @ jnp.stack([weighted, weighted * nodes**2], axis=1)
        )  # [n, 2]: ε² <Δ(k) Δ(t) Q(k, t)>, without and with h*²
        bulk_field_response = state.bulk_field_response.at[t].set(frozen[:, 0])
        seed_field_response = state.seed_field_response.at[t].set(frozen[:, 1])
        bulk_force = state.bulk_force.at[t].set(pair[:, 0]).at[:, t].set(pair[:, 0])
        seed_kick = state.seed_kick.at[t].set(pair[:, 1]).at[:, t].set(pair[:, 1])
        drive = force[1:] @ (p * nodes)

        # Weights at step t + 1.
        reach = jnp.einsum("fgk,ghks->fhs", field_response[:, :, t], state.response[:, :, :n])
        later = memory + rate * (jnp.eye(fields)[:, :, None] * now[None, None, :] + nu * reach)
        bulk_later = state.bulk_response[t] + rate * (now + nu * frozen[:, 0] @ state.bulk_response[:n])
        seed_later = state.seed_response[t] + rate * (now + nu * frozen[:, 1] @ state.seed_response[:n])
        mean_later = state.bulk_mean[t] + rate * nu * frozen[:, 0] @ state.bulk_mean[:n]
        grown = state.growth[:, t] + rate * nu * drive + kicks[:, t]

        noise_so_far, source = extend_noise(
            state.noise, t, p, jnp.stack([residual, residual * nodes]), by_parity(force), by_parity(fresh[:, t])
        )
        source = jnp.sqrt(nu) * jnp.concatenate([source[0, :1], source[1]])
        return _State(
            residual=residuals,
            source=state.source.at[:, t].set(source),
            noise=noise_so_far,
            force=state.force.at[:, t].set(force),
            bulk=bulk,
            residual_tangent=state.residual_tangent.at[t].set(residual_tangent),
            force_tangent=state.force_tangent.at[:, t].set(force_tangent),
            response=state.response.at[:, :, t + 1].set(later),
            field_response=field_response,
            bulk_response=state.bulk_response.at[t + 1].set(bulk_later),
            bulk_mean=state.bulk_mean.at[t + 1].set(mean_later),
            bulk_field_response=bulk_field_response,
            bulk_force=bulk_force,
            growth=state.growth.at[:, t + 1].set(grown),
            drive=state.drive.at[:, t].set(drive),
            seed_response=state.seed_response.at[t + 1].set(seed_later),
            seed_field_response=seed_field_response,
            seed_kick=seed_kick,
        )

    state = jax.lax.fori_loop(0, n, advance, start())
    loadings = jnp.concatenate([state.noise.loadings[0, :1], state.noise.loadings[1]])
    mixing = jnp.einsum("fgts,gsk->ftk", state.response[:, :, :n], loadings)
    covariance = nu * jnp.einsum("ftk,gsk->fgts", mixing, mixing) * same_parity[:, :, None, None]
    seed_response = state.seed_response[:n]
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
    )


def _accumulate(count: Array, term: Callable[[Array], Any]) -> Any:
    """Sum term(0) + ... + term(count - 1). A loop of vector operations: XLA's own reduction strides over memory."""
    shapes = jax.eval_shape(term, count)
    start = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    return jax.lax.fori_loop(0, count, lambda k, total: jax.tree.map(jnp.add, total, term(k)), start)


def _recall(t: Array, echo: Array, kept: Array, state: _State, now: Array) -> tuple[Array, Array]:
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


def _bulk_covariance(state: _State, nu: Array) -> Array:
    """C_d = m mᵀ + ν R_d Cg_d R_dᵀ; entries of later steps are not yet meaningful."""
    noise = nu * state.bulk_response @ state.bulk_force @ state.bulk_response.T
    return state.bulk_mean[:, None] * state.bulk_mean[None, :] + noise
