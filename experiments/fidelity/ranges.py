"""Where each setting is measured: a configuration for each point of a Latin hypercube over its documented ranges.

Sizes come in a few bundles, since each bundle is a program of its own; everything else is drawn. Where no theory holds,
nothing is judged: the ranges go a little beyond, so that the edges of ``holds`` are tried too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from experiments.fidelity.draw import Draw
from experiments.fidelity.widths_and_steps import MORE
from theorylab.settings.factorisation.matrix_sensing import Config as Sensing
from theorylab.settings.factorisation.robust_recovery import Config as Robust
from theorylab.settings.in_context.deep_layers import Config as Layers
from theorylab.settings.in_context.estimators import Config as Estimators
from theorylab.settings.in_context.gradient_flow import Config as Flow
from theorylab.settings.in_context.linear_attention import Config as Attention
from theorylab.settings.in_context.task_diversity import Config as Diversity
from theorylab.settings.kernels.finite_population import Config as Population
from theorylab.settings.kernels.random_features import Config as Features
from theorylab.settings.two_layer.grokking import Config as Grokking
from theorylab.settings.two_layer.grokking_networks import Config as Networks
from theorylab.settings.two_layer.xor.config import at_ratio


def random_features(draw: Draw) -> Features:
    sizes = draw.one_of(
        "sizes",
        [
            {"num_samples": 100, "num_features": 60, "num_modes": 400},
            {"num_samples": 100, "num_features": 160, "num_modes": 600},
            {"num_samples": 150, "num_features": 120, "num_modes": 600},
            {"num_samples": 120, "num_features": math.inf, "num_modes": 800},
            {"num_samples": 200, "num_features": 250, "num_modes": 400},
            {"model": "relu_sphere", "num_samples": 100, "num_features": 150},
            {"model": "erf_hypercube", "num_samples": 100, "num_features": 150},
        ],
    )
    return Features(
        ridge=draw.log("ridge", 0.003, 10),
        noise_variance=draw.between("noise_variance", 0, 1),
        eigenvalue_exponent=draw.between("eigenvalue_exponent", 1.1, 2.2),
        target_exponent=draw.between("target_exponent", 1.1, 3),
        label_draws=8,
        **sizes,
    )


def finite_population(draw: Draw) -> Population:
    sizes = draw.one_of(
        "sizes",
        [
            {"population": 300, "num_samples": 40},
            {"population": 600, "num_samples": 60},
            {"population": 600, "num_samples": 120},
            {"population": 600, "num_samples": 300},
            {"population": 600, "num_samples": 60, "num_features": 40},
            {"population": 600, "num_samples": 240, "num_features": 300},
            {"population": 600, "num_samples": 60, "kernel": "ntk"},
            {"population": 1797, "num_samples": 400},
        ],
    )
    noise = max(0.0, draw.between("noise_variance", -0.7, 2))  # a quarter without noise, where errors are largest
    return Population(ridge=draw.log("ridge", 0.03, 10), noise_variance=noise, **sizes)


def linear_attention(draw: Draw) -> Attention:
    sizes = draw.one_of(
        "sizes",
        [
            {"dim": 2, "context_length": 10},
            {"dim": 3, "context_length": 10},
            {"dim": 5, "context_length": 20},
            {"dim": 5, "context_length": 6},
            {"dim": 5, "context_length": 20, "num_tasks": 10},
            {"dim": 4, "context_length": 30, "num_starts": 8},
        ],
    )
    return Attention(
        noise_variance=draw.between("noise_variance", 0, 1.5),
        covariate_exponent=draw.between("covariate_exponent", 0, 1),
        task_exponent=draw.between("task_exponent", -0.5, 0.5),
        num_test=500,
        **sizes,
    )


def gradient_flow(draw: Draw) -> Flow:
    sizes = draw.one_of("sizes", [{"dim": 3, "context_length": 10}, {"dim": 5, "context_length": 20}])
    return Flow(
        noise_variance=draw.between("noise_variance", 0, 1),
        covariate_exponent=draw.one_of("isotropic", [0.0, draw.between("covariate_exponent", 0, 1)]),
        query_key=draw.one_of("query_key", ["merged", "separate"]),
        initial_scale=draw.log("initial_scale", 0.003, 0.03),
        time_step=draw.log("time_step", 0.001, 0.004),
        **sizes,
    )


def estimators(draw: Draw) -> Estimators:
    dim, length = draw.one_of("sizes", [(3, 4), (5, 7), (5, 12), (5, 30), (8, 16), (12, 20)])
    return Estimators(dim=dim, context_length=length, noise_variance=draw.log("noise_variance", 0.03, 3), num_test=8000)


def task_diversity(draw: Draw) -> Diversity:
    sizes = [(10, 5, 10), (10, 30, 30), (20, 20, 10), (20, 40, 40), (30, 30, 15), (24, 6, 12)]
    dim, length, tasks = draw.one_of("sizes", sizes)
    ratio = draw.one_of("prompt_ratio", [0.3, 0.6, 1.5, 2.0, 3.0, 5.0])
    other = draw.one_of("test_length", [0, 0, 0.25, 0.5, 2, 8])  # of the training length
    return Diversity(
        dim=dim, context_length=length, test_length=math.ceil(other * length), num_tasks=tasks, prompt_ratio=ratio,
        noise_variance=draw.log("noise_variance", 0.03, 1), num_test=500,
    )  # fmt: skip


def deep_layers(draw: Draw) -> Layers:
    sizes = draw.one_of("sizes", [{"num_layers": 2}, {"num_layers": 1}, {"num_layers": 2, "dim": 3}])
    return Layers(noise_variance=draw.between("noise_variance", 0.05, 1), **({"dim": 5, "context_length": 20} | sizes))


def matrix_sensing(draw: Draw) -> Sensing:
    wide: Mapping[str, Any] = {"init_scale": draw.log("wide_scale", 0.1, 0.6)}
    leading: Mapping[str, Any] = {"init_scale": draw.log("leading_scale", 0.03, 0.3)}
    sizes, small = draw.one_of(
        "sizes",
        [
            ({"dim": 12, "target_rank": 1, "model_rank": 1, "num_steps": 1500}, wide),
            ({"dim": 12, "target_rank": 2, "model_rank": 2, "num_steps": 1500}, wide),
            ({"dim": 6, "target_rank": 1, "model_rank": 2, "num_steps": 3000}, wide),
            ({"dim": 20, "target_rank": 2, "model_rank": 4, "num_steps": 4000}, wide),
            ({"model": "asymmetric", "dim": 20, "target_rank": 2, "model_rank": 2, "num_steps": 2500}, leading),
            (
                {"model": "asymmetric", "dim": 20, "target_rank": 2, "model_rank": 3, "num_steps": 20_000},
                {"init_scale": draw.log("over_scale", 0.1, 0.3)},
            ),
            (
                {
                    "model": "asymmetric",
                    "dim": 10,
                    "target_rank": 2,
                    "model_rank": 3,
                    "num_steps": 4000,
                    "init": "orthonormal",
                },
                {"init_scale": draw.log("balanced_scale", 0.2, 1.2)},
            ),
            (
                {
                    "model": "asymmetric",
                    "trainer": "modified",
                    "dim": 10,
                    "target_rank": 2,
                    "model_rank": 3,
                    "num_steps": 4000,
                },
                wide,
            ),
            (
                {
                    "model": "asymmetric",
                    "trainer": "boost",
                    "dim": 10,
                    "target_rank": 2,
                    "model_rank": 3,
                    "num_steps": 4000,
                },
                {"init_scale": draw.log("boost_scale", 0.02, 0.1)},
            ),
            (
                {
                    "model": "asymmetric",
                    "operator": "gaussian",
                    "dim": 8,
                    "target_rank": 1,
                    "model_rank": 2,
                    "num_measurements": 400,
                    "num_steps": 4000,
                },
                wide,
            ),
            (
                {
                    "model": "asymmetric",
                    "operator": "gaussian",
                    "dim": 10,
                    "target_rank": 1,
                    "model_rank": 1,
                    "num_measurements": 120,
                    "num_steps": 1500,
                },
                wide,
            ),
            (
                {
                    "model": "asymmetric",
                    "operator": "gaussian",
                    "dim": 20,
                    "target_rank": 1,
                    "model_rank": 3,
                    "num_measurements": draw.one_of("measurements", [500, 800]),
                    "num_steps": 6000,
                },
                {
                    "init_scale": draw.log("wishart_scale", 0.2, 0.6),
                    "learning_rate": draw.log("wishart_rate", 0.1, 0.2),
                },
            ),
            (
                {
                    "model": "asymmetric",
                    "operator": "gaussian",
                    "dim": 10,
                    "target_rank": 2,
                    "model_rank": 4,
                    "num_measurements": draw.one_of("threshold", [36, 95]),
                    "num_steps": 1600,
                },
                {"init_scale": draw.log("early_scale", 0.002, 0.01), "learning_rate": draw.log("early_rate", 0.1, 0.2)},
            ),
        ],
    )
    largest = draw.log("largest_value", 0.7, 1.5)
    return Sensing(
        **{
            "largest_value": largest,
            "smallest_value": float(f"{largest * draw.between('condition', 0.4, 1.0):.4g}"),
            "learning_rate": draw.log("learning_rate", 0.05, 0.2),
            "init_ratio": draw.between("init_ratio", 1.5, 4),
            "rebalance_scale": draw.log("rebalance_scale", 0.5, 1.1),
            **sizes,
            **small,
        }
    )  # fmt: skip


def robust_recovery(draw: Draw) -> Robust:
    small: Mapping[str, Any]  # ranges that the regimes have of their own
    sizes, small = draw.one_of(
        "sizes",
        [
            ({"num_steps": 800}, {"init_scale": draw.log("budget_scale", 1e-7, 1e-4)}),
            ({"num_steps": 1200}, {"init_scale": draw.log("pairs_scale", 1e-8, 1e-6)}),
            ({"num_steps": 1600, "step_schedule": "residual"}, {"outlier_prob": 0.0}),
            ({"operator": "population", "step_schedule": "residual", "num_steps": 200}, {"outlier_prob": 0.0}),
            ({"loss": "l2", "step_schedule": "constant", "num_steps": 2500}, {}),
            ({"loss": "l2", "step_schedule": "constant", "num_steps": 4000}, {"outlier_prob": 0.0}),
        ],
    )
    factor = {"geometric": 1.0, "residual": 0.3, "constant": 0.1}[sizes.get("step_schedule", "geometric")]
    largest = draw.log("largest_value", 0.7, 1.4)
    return Robust(
        **{
            "dim": 10,
            "target_rank": 2,
            "model_rank": 10,
            "num_measurements": 800,
            "learning_rate": draw.log("learning_rate", 0.7, 1.5) * factor,
            "step_decay": draw.between("step_decay", 0.97, 0.985),
            "largest_value": largest,
            "smallest_value": float(f"{largest * draw.between('condition', 0.5, 1.0):.4g}"),
            "init_scale": draw.log("init_scale", 1e-7, 1e-4),
            "outlier_prob": draw.between("outlier_prob", 0, 0.4),
            **sizes,
            **small,
        }
    )


def xor(draw: Draw) -> Any:
    n, p, m = draw.one_of("sizes", [(50, 20_000, 200), (100, 40_000, 300), (200, 40_000, 200), (200, 200_000, 400)])
    ratio = draw.log("step_init_ratio", 0.01, 30)
    return at_ratio(
        ratio,
        cluster_coupling=draw.log("cluster_coupling", 0.15, 6),
        label_noise=draw.between("label_noise", 0.02, 0.2),
        num_train=n,
        input_dim=p,
        width=m,
        num_steps=60 if ratio > 1 else 120,
        num_test=400,
        loss_slope=draw.one_of("loss_slope", ["true", "half"]),
    )


def grokking(draw: Draw) -> Grokking:
    sizes: Mapping[str, Any] = draw.one_of(
        "sizes",
        [
            {"input_dim": 20, "num_samples": 110, "num_steps": 200},
            {"input_dim": 20, "num_samples": 110, "num_steps": 200, "trainer": "network", "width": 50},
            {"input_dim": 20, "num_samples": 20, "num_steps": 100, "trainer": "linearised"},
            {"input_dim": 10, "num_samples": 8000, "num_steps": 60},
            {"input_dim": 120, "num_samples": 480, "num_steps": 8, "planted": True, "centred": True},
            {"input_dim": 120, "num_samples": 480, "num_steps": 8, "centred": True},
        ],
    )
    return Grokking(
        output_scale=draw.log("output_scale", 0.5, 4),
        quadratic_coeff=draw.log("quadratic_coeff", 0.1, 1),
        scaled_learning_rate=draw.log("scaled_learning_rate", 0.03, 0.1) * 220 / max(220, sizes["num_samples"]),
        spike_overlap=draw.log("spike_overlap", 0.05, 0.5),
        **sizes,
    )


def grokking_networks(draw: Draw) -> Networks:
    centred = draw.one_of("centred", [True, False])
    return Networks(
        modulus=5,
        width=16,
        num_steps=12 if centred else 40,
        centred=centred,
        loss="squared" if centred else "softmax",
        output_scale=draw.log("output_scale", 0.3, 10),
        weight_scale=draw.log("weight_scale", 0.5, 2),
        learning_rate=draw.log("learning_rate", 1e-3, 1e-2),
    )


#: Setting -> configuration at a point, and the seeds of one round (rounds are added until the errors are small enough).
RANGES: dict[str, tuple[Callable[[Draw], Any], int | Callable[[Any], int]]] = {
    "random_features": (random_features, 40),
    "linear_attention": (linear_attention, 24),
    "finite_population": (finite_population, 100),
    "gradient_flow": (gradient_flow, 2),
    "estimators": (estimators, 20),
    "task_diversity": (task_diversity, 48),
    "deep_layers": (deep_layers, 4),
    "matrix_sensing": (matrix_sensing, 20),
    "robust_recovery": (robust_recovery, 12),
    "xor": (xor, 32),
    "grokking": (grokking, 32),
    "grokking_networks": (grokking_networks, 3),
    **MORE,
}
