"""Where theories hold that the ranges of a setting hardly reach: a few points more for each such corner."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from experiments.fidelity.draw import Draw
from theorylab.settings.factorisation.linear_networks import Config as Linear
from theorylab.settings.in_context.estimators import Config as Estimators
from theorylab.settings.two_layer.grokking import Config as Grokking
from theorylab.settings.two_layer.xor.config import at_ratio
from theorylab.settings.wide_networks.signal_propagation import Config as Networks


def fresh_samples(draw: Draw) -> Grokking:
    """``exact_risk``: a test set large enough to judge the risk by."""
    return Grokking(
        input_dim=20, num_samples=110, num_steps=200, num_test=2000,
        output_scale=draw.log("output_scale", 0.5, 4),
        quadratic_coeff=draw.log("quadratic_coeff", 0.1, 1),
        scaled_learning_rate=draw.log("scaled_learning_rate", 0.03, 0.1),
        spike_overlap=draw.log("spike_overlap", 0.05, 0.5),
    )  # fmt: skip


def residual_of_mean_zero(draw: Draw) -> Grokking:
    """``memorisation``: α ε = 1."""
    dim, samples = draw.one_of("sizes", [(40, 40), (40, 100), (60, 120)])
    output_scale = draw.log("output_scale", 0.5, 4)
    return Grokking(
        trainer="linearised", input_dim=dim, num_samples=samples, num_steps=80, output_scale=output_scale,
        quadratic_coeff=1 / output_scale,
        scaled_learning_rate=draw.log("scaled_learning_rate", 0.03, 0.08),
    )  # fmt: skip


def very_many_samples(draw: Draw) -> Grokking:
    """``population``: a hundred samples and more for each weight of the quadratic form."""
    dim, samples = draw.one_of("sizes", [(6, 7200), (6, 14_400), (10, 10_000)])
    return Grokking(
        input_dim=dim, num_samples=samples, num_steps=120, train_threshold=0.15,
        output_scale=draw.log("output_scale", 0.7, 2),
        quadratic_coeff=draw.log("quadratic_coeff", 0.2, 1),
        scaled_learning_rate=float(f"{draw.log('rate', 0.05, 0.12) * 6 / samples:.4g}"),
    )  # fmt: skip


def late(draw: Draw) -> Any:
    """``late_rates``: large steps, weak clusters, and little noise on the neurons."""
    return at_ratio(
        draw.log("step_init_ratio", 3, 30),
        cluster_coupling=draw.between("cluster_coupling", 0.8, 4),
        label_noise=draw.between("label_noise", 0.05, 0.2),
        num_train=draw.one_of("num_train", [100, 200]), input_dim=40_000, width=200, num_steps=30, num_test=200,
    )  # fmt: skip


def samples_alone(draw: Draw) -> Any:
    """``memorisation``: small steps, before features are learned."""
    ratio = draw.log("step_init_ratio", 0.005, 0.05)
    return at_ratio(
        ratio,
        cluster_coupling=draw.log("cluster_coupling", 0.1, 1),
        label_noise=draw.between("label_noise", 0, 0.2),
        num_train=100, input_dim=draw.one_of("input_dim", [60_000, 200_000]), width=200, num_steps=40, num_test=100,
    )  # fmt: skip


def dying(draw: Draw) -> Networks:
    """``dead_networks``: ReLU, so narrow that whole layers die."""
    width, depth = draw.one_of("sizes", [(4, 3), (6, 6), (10, 6), (10, 12)])
    return Networks(
        width=width, depth=depth, activation="relu", num_networks=20_000,
        weight_variance=draw.between("weight_variance", 1.2, 3),
        input_cosine=draw.between("input_cosine", -0.3, 0.9),
    )  # fmt: skip


def two_tasks(draw: Draw) -> Estimators:
    """``two_tasks``: contexts so short or noisy that the wrong task is taken for the right one."""
    dim, length = draw.one_of("sizes", [(2, 3), (3, 2), (5, 4)])
    noise = draw.log("noise_variance", 0.3, 4)
    return Estimators(dim=dim, context_length=length, noise_variance=noise, num_tasks=2, num_test=16_000)


def pools(draw: Draw) -> Estimators:
    """``annealed_pool``: tasks as many as the exponential of the information in a context."""
    dim, length, information = draw.one_of("sizes", [(3, 4, 2.0), (4, 4, 2.5), (4, 8, 3.5), (6, 3, 2.5)])
    tasks = math.ceil(math.exp(information) * draw.log("pool", 0.5, 8))
    noise = draw.log("noise_variance", 0.3, 2)
    return Estimators(dim=dim, context_length=length, noise_variance=noise, num_tasks=tasks, num_test=8000)


def edge(draw: Draw) -> Linear:
    """``edge_of_stability``: a step a little above what the end of gradient flow allows."""
    return Linear(
        problem="opposing", scaling="standard", simulator="weights", width=8, num_steps=800,
        init_scale=draw.log("init_scale", 0.03, 0.07),
        target_scale=draw.between("target_scale", 1.5, 2.5),
        learning_rate=draw.log("learning_rate", 0.045, 0.085),
    )  # fmt: skip


#: Points of each corner.
POINTS = 6
#: Corners of a setting, with the seeds of one round.
CORNERS: dict[str, tuple[tuple[Callable[[Draw], Any], int], ...]] = {
    "grokking": ((fresh_samples, 32), (residual_of_mean_zero, 128), (very_many_samples, 32)),
    "xor": ((late, 32), (samples_alone, 32)),
    "signal_propagation": ((dying, 24),),
    "estimators": ((two_tasks, 60), (pools, 20)),
    "linear_networks": ((edge, 100),),
}
