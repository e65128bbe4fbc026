"""The mean-field theory without a planted spike: an isotropic start, M(0) = σ² I, in finite dimension D.

The spike then starts from the overlap of chance, σ²/D, and noise of the training set feeds it at the same order: the
bulk of the neurons gets components along the teacher β with covariance V_d over neurons. While the spike is too small
to act on the residual,

    V_d = ν R_β Cg_β R_βᵀ,  Cg_β(t,s) = ε² <Δ(t) Δ(s) Q(t,s) h*²>,
    R_β(t+1,s) = R_β(t,s) + c [δ_ts + ν Σ_k ε <Δ(t) H(t,k) h*²> R_β(k,s)].

The mean weight gets a component along β of the same order: E (β·w̄)² = D V_b, with

    V_b = ν R Cg Rᵀ,  Cg(t,s) = <g_b(t) g_b(s) h*²>,
    R(t+1,s) = R(t,s) + c [δ_ts + ν Σ_k <h*² dg_b(t)/dξ_b(k)> R(k,s)].

βᵀMβ/D² = (σ² G² + V_d + V_b)/D holds all three. V_b stays of order 1 and acts on nothing at this order; it enters the
overlap, the misalignment and the linear power (:func:`~.dmft.in_finite_dimension`).

Two theories follow. :func:`seeded_dmft` plants (1 + χ)σ²/D with χ = V_d/(σ² G²), which has no free parameter but acts
from the start, before the noise has. :func:`noise_driven_dmft` feeds the noise back as it comes. Both hold up to
relative corrections of order 1/D.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.settings.two_layer.grokking.theory.dmft import (
    Dynamics,
    dmft,
    in_finite_dimension,
    planted_spike,
    solve,
)
from theorylab.settings.two_layer.grokking.theory.dmft_march import Kernels, Model, Spikes

EMERGENCE = 0.1  # spike overlap at which χ is read: before the spike reacts on the residual


def seed_ratio(curves: Dynamics, input_dim: ArrayLike, init_scale: ArrayLike = 1.0) -> Float[Array, ""]:
    """χ = V_d/(σ²G²) where (σ²G² + V_d)/D first reaches 0.1 (else the last), from curves without a spike.

    ``curves`` come from :func:`~theorylab.settings.two_layer.grokking.theory.dmft.dmft` at zero spike overlap.
    """
    growth = (jnp.asarray(init_scale) * curves.teacher_growth) ** 2
    ratio = curves.seed_noise / growth
    overlap = jnp.log((1 + ratio) * growth / input_dim)
    # Interpolated in the logarithm; what is not yet reached, or has passed its peak, counts as the last.
    return jnp.interp(jnp.log(EMERGENCE), jax.lax.cummax(overlap), ratio)


def seeded_dmft(key: jax.Array, model: Model, *, input_dim: ArrayLike, num_steps: int, num_particles: int) -> Dynamics:
    """Mean-field curves with the seed (1 + χ)/D, χ from a first run without a spike.

    Measured at α = 1, ε = ½, ν = 4, γ = 0.12 up to step 40 against simulations at D = 400 (200): test loss within 2 %
    (2 %), overlap 18 % (12 %) too high at step 4 and 8 % (13 %) too low at the end, train loss up to 10 % (14 %)
    too low.
    """
    options = {"num_steps": num_steps, "num_particles": num_particles}
    ratio = seed_ratio(dmft(key, model, spike_overlap=0.0, **options), input_dim, model.init_scale)
    curves = dmft(key, model, spike_overlap=(1 + ratio) / input_dim, **options)
    return in_finite_dimension(curves, model, input_dim)


def noise_driven_dmft(
    key: jax.Array, model: Model, *, input_dim: ArrayLike, num_steps: int, num_particles: int
) -> Dynamics:
    """Mean-field curves of an isotropic start, in which data noise drives the spike and acts on the residual.

    Neurons orthogonal to the first spike are kicked along β with covariance K(t,s) = c²ν ε² <Δ(t) Δ(s) Q(t,s) h*²>,
    and all neurons then move by one and the same map. The eigenvectors of K are spikes of their own with G_a(0) = 0 and
    G_a(t+1) = G_a(t) + cν <g_a h*> + sqrt(λ_a) φ_a(t), coupled to the first by responses and noise. Only the dominant
    one is kept (94 % of the trace at α = 1, ε = ½, ν = 4, γ = 0.12). A first run without kicks gives K.

    Measured there up to step 40 against simulations at D = 400 (200): overlap within 2 % (3 %), test loss up to
    3 % (4.5 %) and train loss up to 12 % (18 %) too low; the gaps shrink with D and grow with time.
    """
    options = {"num_steps": num_steps, "num_particles": num_particles}
    spikes = chance_spikes(model, input_dim, num_steps)
    kernels, _ = solve(key, model, spikes, **options)
    _, curves = solve(key, model, kicked(spikes, model, kernels), **options)
    return in_finite_dimension(curves, model, input_dim)


@jax.jit
def kicked(spikes: Spikes, model: Model, kernels: Kernels) -> Spikes:
    """The spikes with the second kicked by the dominant mode of the data's noise."""
    rate = jnp.asarray(model.scaled_learning_rate) / model.output_scale
    # Spikes carry the overlap σ²/D: kicks are in units of σ.
    kick = dominant_mode(rate**2 * model.sample_ratio * kernels.seed_kick) / model.init_scale
    return spikes._replace(kicks=spikes.kicks.at[1].set(kick))


@functools.partial(jax.jit, static_argnums=2)
def chance_spikes(model: Model, input_dim: ArrayLike, num_steps: int) -> Spikes:
    """The spike of an isotropic start, of overlap σ²/D, and one of the same overlap that only kicks will grow."""
    spikes = planted_spike(model, 1 / jnp.asarray(input_dim), num_steps, 2)
    return spikes._replace(overlaps=jnp.full_like(spikes.overlaps, spikes.overlaps[0]))


def dominant_mode(covariance: Float[Array, "n n"]) -> Float[Array, " n"]:
    """sqrt(λ) φ for the largest eigenvalue of a covariance, by power iteration (a spectrum that falls off fast)."""

    def iterate(_: Any, vector: Array) -> Array:
        image = covariance @ vector
        return image / jnp.sqrt(jnp.sum(image**2) + jnp.finfo(image.dtype).tiny)

    start = jnp.sqrt(jnp.diagonal(covariance))
    vector = jax.lax.fori_loop(0, 30, iterate, start)
    return jnp.sqrt(vector @ covariance @ vector) * vector
