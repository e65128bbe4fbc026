"""Several layers of attention: one step of gradient descent each.

Prompts (x_1, y_1), ..., (x_n, y_n), x_q; y = w·x + N(0, σ²), x ~ N(0, Λ), w ~ N(0, I); loss E(ŷ - y_q)² on noisy
targets, no factor 1/2. Layers average over the context. "preconditioned" ones update labels only,
ŵ <- ŵ + A_l (b - S ŵ)/n with b = sum_i x_i y_i and S = sum_i x_i x_iᵀ, and are trained on sufficient statistics;
"linear" and "softmax" ones have queries, keys and values, and are trained on prompts. k preconditioned layers are k
steps of gradient descent, and on isotropic regressions the best k steps are known exactly.

Ahn, Cheng, Daneshmand and Sra 2023 (arXiv 2306.00297).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from theorylab.contract import Case, ConfigError, Observable, Observables, Setting, config, scalar, size, theory
from theorylab.numerics import random
from theorylab.settings.in_context.descent import descend, recorded_steps
from theorylab.settings.in_context.gradient_steps import gradient_step_sizes, gradient_steps_excess, other_length_excess
from theorylab.settings.in_context.layer import Layer, effective_layer, preconditioner
from theorylab.settings.in_context.losses import query_averaged
from theorylab.settings.in_context.papers import AHN, VON_OSWALD
from theorylab.settings.in_context.prompts import (
    Law,
    Prompts,
    Statistics,
    power_law,
    sample_prompts,
    sample_statistics,
)


@config
class Config:
    """Layers trained together by Adam, on fresh prompts (or their sufficient statistics) in every step."""

    dim: int = size(default=5, help="covariate dimension", symbol="d", at_least=1, source="our choice")
    context_length: int = size(default=20, help="context tokens", symbol="n", at_least=1)
    test_length: int = size(
        default=0, help="context tokens of test_length_loss; 0: as many as in training", symbol="m", at_least=0
    )
    noise_variance: float = scalar(default=0.25, help="variance of the label noise", symbol=r"\sigma^2", at_least=0)
    covariate_exponent: float = scalar(
        default=0.0, help="decay of the covariates' eigenvalues, i^-a, of mean 1", symbol="a"
    )
    attention: Literal["preconditioned", "linear", "softmax"] = size(
        default="preconditioned",
        help="one learned d x d preconditioner per layer; or query-key-value attention, linear or softmax",
    )
    num_layers: int = size(default=2, help="layers", symbol="k", at_least=1, at_most=100)
    num_steps: int = size(default=1000, help="training steps", at_least=1)
    batch_size: int = size(default=256, help="fresh prompts per step", symbol="B", at_least=1)
    learning_rate: float = scalar(default=0.02, help="Adam's peak learning rate (cosine to zero)", at_least=0)
    initial_scale: float = scalar(
        default=0.1, help="size of the initial weights: N(0, scale^2/width) entries", symbol=r"\epsilon", above=0
    )
    clip_norm: float = scalar(default=1.0, help="global norm at which Adam's gradients are clipped", above=0)
    num_test: int = size(default=1000, help="prompts on which losses are measured", at_least=2)


def check_config(config: Config) -> None:
    """Refuse contexts whose sufficient statistic has no density.

    Raises
    ------
    ConfigError
        Naming the field.
    """
    for name, length in (("context_length", config.context_length), ("test_length", test_length(config))):
        if config.attention == "preconditioned" and length <= config.dim:
            raise ConfigError(
                f"{name} = {length} is not allowed: preconditioned layers are trained and tried on sufficient "
                f"statistics, which need at least dim + 1 = {config.dim + 1} tokens"
            )


def test_length(config: Config) -> int:
    """Context tokens of ``test_length_loss``."""
    return config.test_length or config.context_length


# --- layers -----------------------------------------------------------------------------------------------------------


def preconditioned_weights(
    steps: Float[Array, "layers dim dim"], statistics: Statistics, normaliser: ArrayLike
) -> Float[Array, "prompts dim"]:
    """Weights after L steps ŵ <- ŵ + A_l (b - S ŵ)/ν from zero, S and b the blocks of G.

    L layers of linear attention in the form of Ahn et al. 2023 (arXiv 2306.00297): only labels are updated.
    """
    covariates, labels = statistics.factor[:, :-1], statistics.factor[:, -1]
    b = jnp.einsum("bdk,bk->bd", covariates, labels) / normaliser

    def step(weights: Array, matrix: Array) -> tuple[Array, None]:
        fitted = jnp.einsum("bdk,bd->bk", covariates, weights)
        residual = b - jnp.einsum("bdk,bk->bd", covariates, fitted) / normaliser
        return weights + residual @ matrix.T, None

    weights, _ = jax.lax.scan(step, jnp.zeros_like(b), steps)
    return weights


def transformer(num_layers: int, *, softmax: bool = False) -> Any:
    """Attention layers with residual stream as a flax module on tokens; the prediction is the query's last entry.

    z_q <- z_q + (1/n) sum_i W_V z_i s(z_iᵀ W_Kᵀ W_Q z_q) and likewise for the context tokens; sums are over the context
    only; s is the identity, or n times a softmax over the context. With one linear layer this is
    :class:`~theorylab.settings.in_context.layer.Layer` with readout e_{d+1}.

    Returns
    -------
    flax.linen.Module
        ``apply(params, covariates, labels, queries) -> predictions``; its fields hold nothing but sizes. Initial
        entries are N(0, scale²/(d+1)), ``scale`` given to ``init`` through :func:`init_transformer`.
    """
    import flax.linen as nn

    class Transformer(nn.Module):
        @nn.compact
        def __call__(self, covariates: Array, labels: Array, queries: Array) -> Array:
            context = jnp.concatenate([covariates, labels[:, :, None]], axis=2)
            query = jnp.concatenate([queries, jnp.zeros_like(queries[:, :1])], axis=1)[:, None]
            tokens = jnp.concatenate([context, query], axis=1)
            length, width = labels.shape[1], tokens.shape[2]
            initial = nn.initializers.normal(width**-0.5)
            for index in range(num_layers):
                value, key, ask = (
                    self.param(f"{name}_{index}", initial, (width, width)) for name in ("value", "key", "query")
                )
                scores = jnp.einsum("bit,st,sr,bjr->bji", tokens[:, :length], key, ask, tokens)
                scores = jax.nn.softmax(scores, axis=2) if softmax else scores / length
                tokens = tokens + jnp.einsum("bji,bit,st->bjs", scores, tokens[:, :length], value)
            return tokens[:, -1, -1]

    return Transformer()


def init_transformer(module: Any, key: jax.Array, dim: int, scale: ArrayLike) -> Any:
    """Parameters of :func:`transformer` for covariates of dimension ``dim``, scaled by ``scale``."""
    params = module.init(key, jnp.zeros((1, 1, dim)), jnp.zeros((1, 1)), jnp.zeros((1, dim)))
    return jax.tree.map(lambda p: scale * p, params)


class Stack(NamedTuple):
    """Layers to be trained: initial parameters, loss on a batch of a length, sampler of batches, step sizes."""

    params: Any
    loss: Callable[[Any, Any, int], Array]
    draw: Callable[[jax.Array, Law, int, int], Any]
    step_sizes: Callable[[Any], Float[Array, " layers"]]


def preconditioned_stack(key: jax.Array, config: Config, law: Law) -> Stack:
    """Layers that are one d x d matrix each; the loss is averaged over the query."""
    d = config.dim

    def loss(params: Array, batch: Statistics, length: int) -> Array:
        return query_averaged(preconditioned_weights(params, batch, float(length)), batch.tasks, law)

    params = config.initial_scale * random.normal(key, config.num_layers, d, d) / jnp.sqrt(1.0 * d)
    return Stack(params, loss, sample_statistics, lambda params: jnp.trace(params, axis1=1, axis2=2) / d)


def transformer_stack(key: jax.Array, config: Config) -> Stack:
    """Layers with queries, keys and values; a layer's step is what it does linearly to its own labels."""
    d, n = config.dim, config.context_length
    module = transformer(config.num_layers, softmax=config.attention == "softmax")

    def loss(params: Any, batch: Prompts, length: int) -> Array:  # whose length the batch knows
        predictions = module.apply(params, batch.covariates, batch.labels, batch.queries)
        return jnp.mean((predictions - batch.targets) ** 2)

    def step_sizes(params: Any) -> Array:
        weights, readout = params["params"], jnp.zeros(d + 1).at[d].set(1.0)
        layers = [
            Layer(readout, *(weights[f"{name}_{index}"] for name in ("value", "key", "query")))
            for index in range(config.num_layers)
        ]
        return jnp.stack([n * jnp.trace(preconditioner(effective_layer(layer, n))) / d for layer in layers])

    return Stack(init_transformer(module, key, d, config.initial_scale), loss, sample_prompts, step_sizes)


def simulate(key: jax.Array, config: Config) -> Observables:
    """Train the layers from one initialisation; measure them on ``num_test`` fresh prompts.

    Pure and traceable in every scalar field.
    """
    # Four keys, as of ``linear_attention``: initial weights, a pool of tasks (none here), training and test prompts.
    init_key, _, data_key, test_key = random.split(key, 4)
    n, m = config.context_length, test_length(config)
    law = Law(power_law(config.dim, config.covariate_exponent), jnp.ones(config.dim), config.noise_variance)
    preconditioned = config.attention == "preconditioned"
    stack = preconditioned_stack(init_key, config, law) if preconditioned else transformer_stack(init_key, config)
    test = stack.draw(test_key, law, config.num_test, n)
    params, losses = descend(
        lambda params, batch: stack.loss(params, batch, n),
        stack.params,
        config,
        lambda params: stack.loss(params, test, n),
        key=data_key,
        sample_batch=lambda key: stack.draw(key, law, config.batch_size, n),
    )
    # As many tokens as in training need no prompts of their own.
    others = losses[-1]
    if m != n:
        others = stack.loss(params, stack.draw(random.fold_in(test_key, 1), law, config.num_test, m), m)
    steps = jnp.sort(stack.step_sizes(params))
    return {"loss": losses, "sampled_loss": losses[-1], "test_length_loss": others, "step_sizes": steps}


# --- theory -----------------------------------------------------------------------------------------------------------


def steps_are_reached(config: Config) -> str | None:
    """Say where trained layers need not be at the optimal steps; None where they should be.

    Four layers of d = 5 at learning rate 0.02 are 24% (of the excess) above the optimum after 1000 steps, and at it
    after 4000: the larger the largest step size, the longer its way.
    """
    if config.attention != "preconditioned":
        return "the closed form is for layers that update labels only, attention = 'preconditioned'"
    if config.covariate_exponent != 0:
        return "the closed form is for standard normal covariates"
    if config.num_layers > 2 and config.num_steps < 1000 * config.num_layers:
        return f"num_steps = {config.num_steps}: {config.num_layers} layers need {1000 * config.num_layers}"
    sizes = (config.context_length, config.dim, config.noise_variance)
    if config.num_layers == 2 and np.isnan(gradient_step_sizes(*sizes, 2)).any():
        return "the best two step sizes are complex, for samples as few and as noisy"
    return None


def _loss_of(config: Config, num_steps: int) -> Array:
    excess = gradient_steps_excess(config.context_length, config.dim, config.noise_variance, num_steps)
    return excess + config.noise_variance


def _at_test_length(config: Config, trained_at: int) -> Array:
    """Loss at the test length of the steps that are best at ``trained_at`` tokens, each averaged over its context."""
    n, m, noise = trained_at, test_length(config), config.noise_variance
    excess = other_length_excess(n, m, config.dim, noise, config.num_layers)
    return excess + noise


def _one_step_more(key: jax.Array, config: Config) -> Observables:
    return {"sampled_loss": _loss_of(config, config.num_layers + 1)}


def _again(key: jax.Array, config: Config) -> Observables:
    """The best steps at the test length, as if the layers were trained again there."""
    return {"test_length_loss": _at_test_length(config, test_length(config))}


def _each_alone(key: jax.Array, config: Config) -> Observables:
    """Every layer at the best size of a single step."""
    n = config.context_length
    alone = n * gradient_step_sizes(n, config.dim, config.noise_variance, 1)[0]
    return {"step_sizes": jnp.full(config.num_layers, alone)}


@theory(
    kind="ensemble",
    source=AHN.at(
        "layers as steps of gradient descent; their best sizes and losses from Wishart moments, derived here"
    ),
    predicts=("sampled_loss", "step_sizes", "test_length_loss"),
    holds=steps_are_reached,
    error={"sampled_loss": 0.01, "step_sizes": 0.03, "test_length_loss": 0.01},
    controls={
        "one step more": _one_step_more,
        "each step as if alone": _each_alone,
        "trained at the test length": _again,
    },
)
def gradient_steps(key: jax.Array, config: Config) -> Observables:
    """Predict the loss of layers that update labels only, one optimal step of gradient descent each.

    For one or two layers also their step sizes, in increasing order; for up to four their loss at another length.
    """
    n, noise, layers = config.context_length, config.noise_variance, config.num_layers
    predicted = {"sampled_loss": _loss_of(config, layers)}
    if layers <= 4:
        predicted["test_length_loss"] = _at_test_length(config, n)
    if layers <= 2:
        predicted["step_sizes"] = n * gradient_step_sizes(n, config.dim, noise, layers)
    return predicted


# --- cases ------------------------------------------------------------------------------------------------------------

TWO_LAYERS = Config()
LONG = dataclasses.replace(TWO_LAYERS, num_steps=8000, batch_size=2048)


def _layers(config: Config, counts: tuple[int, ...], seeds: int) -> tuple[Case, ...]:
    """One to several layers, more than two trained for longer."""
    return tuple(
        Case(
            f"layers_{k}",
            dataclasses.replace(config, num_layers=k, num_steps=config.num_steps * (k if k > 2 else 1)),
            {},
            seeds=seeds,
        )
        for k in counts
    )


PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (Case("two layers", dataclasses.replace(TWO_LAYERS, test_length=80), {}, seeds=4),),
    "default": (Case("two layers", TWO_LAYERS, {"test_length": (20, 40, 80)}, seeds=4),),
    "paper": (Case("one to four layers", LONG, {"num_layers": (1, 2, 3, 4)}, seeds=8),),
}

MEASURED = dataclasses.replace(TWO_LAYERS, num_test=10_000)
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": _layers(dataclasses.replace(TWO_LAYERS, num_steps=100, num_test=500), (1,), seeds=2),
    "default": _layers(MEASURED, (1, 2, 3, 4), seeds=4),
    "paper": (
        *_layers(MEASURED, (1, 2, 3, 4), seeds=4),
        # No theory is known here: nothing to check.
        Case("anisotropic covariates", LONG, {"covariate_exponent": (0.5, 1.0)}, seeds=8),
        Case("queries, keys and values", LONG, {"attention": ("linear", "softmax"), "num_layers": (1, 2)}, seeds=8),
    ),
}

SETTING = Setting(
    papers=(AHN, VON_OSWALD),
    config=Config,
    simulate=simulate,
    theories=(gradient_steps,),
    observables=(
        Observable("sampled_loss", "loss on fresh prompts, noisy target, no factor 1/2", r"\hat L"),
        Observable("test_length_loss", "loss on fresh prompts of the test length", r"R(m)"),
        Observable("loss", "loss on the same fresh prompts, along training", r"L(t)", dims=("step",)),
        Observable("step_sizes", "n tr(P_l)/d of each layer, increasing", dims=("layer",)),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    coords=lambda config: {"step": recorded_steps(config.num_steps), "layer": tuple(range(1, config.num_layers + 1))},
    check_config=check_config,
)
