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

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from theorylab.numerics import random
from theorylab.numerics.statistics import standard_error
from theorylab.numerics.xla import host_program
from theorylab.settings.two_layer.grokking.theory.dmft_march import Kernels, Model, Spikes, march


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
    mean_overlap
        V_b(t): the mean of (β·w̄)²/D, which vanishes in the overlap like V_b/D.
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
    mean_overlap: Array


def dmft(
    key: jax.Array, model: Model, *, spike_overlap: ArrayLike, num_steps: int, num_particles: int, num_spikes: int = 1
) -> Dynamics:
    """Curves of the infinite network with a planted spike, M(0) = σ² [(I - ββᵀ/D) + ρ₀ ββᵀ], in the limit D -> ∞.

    See the module's docstring for the equations and :func:`.dmft_march.march` for the numerical parameters. At
    ``spike_overlap`` = 0 the teacher's direction is a saddle that is never left: the network memorises and never
    learns. With ``num_spikes`` = 2 an idle second spike is carried along: it is then the program that
    :func:`~theorylab.settings.two_layer.grokking.theory.dmft_seed.noise_driven_dmft` runs, compiled once for both.
    """
    spikes = planted_spike(model, spike_overlap, num_steps, num_spikes)
    return solve(key, model, spikes, num_steps=num_steps, num_particles=num_particles)[1]


def solve(
    key: jax.Array, model: Model, spikes: Spikes, *, num_steps: int, num_particles: int
) -> tuple[Kernels, Dynamics]:
    """March, and read the curves off: one compiled routine for each combination of sizes.

    The parameters are :func:`march`'s.
    """
    dtype = jnp.result_type(float)
    model, spikes = (jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), part) for part in (model, spikes))
    return _solve(key, model, spikes, num_steps, num_particles)


@functools.partial(host_program, static=(3, 4))
def _solve(
    key: jax.Array, model: Model, spikes: Spikes, num_steps: int, num_particles: int
) -> tuple[Kernels, Dynamics]:
    kernels = march(key, model, spikes, num_steps=num_steps, num_particles=num_particles)
    return kernels, losses(kernels, model, spikes)


@functools.partial(jax.jit, static_argnums=(2, 3))
def planted_spike(model: Model, spike_overlap: ArrayLike, num_steps: int, num_spikes: int = 1) -> Spikes:
    """One spike along the teacher, of overlap σ² ρ₀, that nothing kicks; any further ones have no overlap."""
    first = (jnp.arange(num_spikes) == 0).astype(jnp.result_type(float))
    overlap = jnp.asarray(spike_overlap, first.dtype) * jnp.asarray(model.init_scale) ** 2
    return Spikes(overlap * first, first, jnp.zeros((num_spikes, num_steps + 1), first.dtype))


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
        jax.tree.map(standard_error, runs),
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
        mean_overlap=jnp.diagonal(kernels.mean_seed_covariance),
    )


@jax.jit
def in_finite_dimension(curves: Dynamics, model: Model, input_dim: ArrayLike) -> Dynamics:
    """Add what the limit leaves out of overlap, norm and losses at order 1/D, as far as the march knows it.

    - The mean weight is random along β too, E (β·w̄)² = D V_b: that adds V_b/D to the overlap, and (V_b - C_b)/D to
      |w̄|²/D, of which β is one of D directions.
    - The bulk has D - 1 directions: tr M/D loses C_d/D.
    - The bulk has a Frobenius norm, κ² tr (bulk - z σ²)²/(2D²) = κ² (C_d - z σ²)² (D - 1)/(2D²), up to what training
      spreads its eigenvalues by, which is left out.

    The order parameters themselves change at order 1/D too, by amounts that are not known. Measured at D = 60 and 120
    (ν = 4), what is left of test loss and norm at the first two steps is below 0.1/D, and without these terms 0.3/D to
    0.7/D; of the linear power it is 0.0(2.1)/D in place of 4.9(2.2)/D.
    """
    dim = jnp.asarray(input_dim, jnp.result_type(float))
    alpha, sigma = jnp.asarray(model.output_scale), jnp.asarray(model.init_scale)
    kappa, centred = alpha * model.quadratic_coeff, jnp.asarray(model.centred)
    along = curves.mean_overlap / dim
    mean_change = along - curves.mean_weight_power / dim
    norm = curves.weight_norm + mean_change - curves.bulk_power / dim
    variance_error = 0.25 * (1 - kappa * (norm - centred * norm[0])) ** 2
    # |ββᵀ (1 + κ z ρ(0)) - κ (ρ ββᵀ + w̄ w̄ᵀ + bulk)|²/(2D²): w̄ w̄ᵀ times the first two, and the bulk's own square.
    slope = 1 + kappa * centred * curves.spike_overlap[0] - kappa * curves.spike_overlap
    bulk = kappa * (curves.bulk_power - centred * sigma**2)
    misalignment = curves.misalignment_error - kappa * slope * along + bulk**2 * (1 - 1 / dim) / (2 * dim)
    linear_power = curves.linear_power + alpha**2 * mean_change
    return curves._replace(
        test_loss=variance_error + misalignment + linear_power,
        variance_error=variance_error,
        misalignment_error=misalignment,
        linear_power=linear_power,
        spike_overlap=curves.spike_overlap + along,
        weight_norm=norm,
    )
