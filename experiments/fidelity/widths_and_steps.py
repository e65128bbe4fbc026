"""The same for settings on widths, step sizes and sums of many terms."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from experiments.fidelity.draw import Draw
from theorylab.settings.factorisation.catapult import Config as Catapult
from theorylab.settings.factorisation.linear_networks import Config as Linear
from theorylab.settings.factorisation.neural_collapse import Config as Collapse
from theorylab.settings.kernels.ntk import Config as Tangent
from theorylab.settings.kernels.scaling_laws import Config as Scaling
from theorylab.settings.statistics import limits
from theorylab.settings.statistics.memorisation import Config as Memory
from theorylab.settings.statistics.memorisation import critical_snr
from theorylab.settings.statistics.random_energy import Config as Energies
from theorylab.settings.step_size.benign_oscillation import Config as Oscillation
from theorylab.settings.step_size.numerical_collapse import Config as Numbers
from theorylab.settings.step_size.sgd_stability import Config as Stability
from theorylab.settings.wide_networks.signal_propagation import Config as Networks

Sizes = Mapping[str, Any]


def signal_propagation(draw: Draw) -> Networks:
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"width": 10, "depth": 4, "activation": "leaky_relu"},
            {"width": 24, "depth": 9, "activation": "leaky_relu"},
            {"width": 100, "depth": 8, "activation": "relu", "num_networks": 2000},
            {"width": 8, "depth": 3, "activation": "linear"},
            {"width": 32, "depth": 6, "activation": "tanh", "num_networks": 5000},
            {"width": 100, "depth": 12, "activation": "tanh", "num_networks": 2000},
            {"width": 48, "depth": 8, "activation": "sin", "num_networks": 4000},
            {"width": 6, "depth": 3, "activation": "tanh", "sampler": "matrices", "num_networks": 2000},
        ],
    )
    smooth = sizes["activation"] in ("tanh", "sin")
    slope = draw.between("negative_slope", -1, 1)
    second = 1.0 if smooth else (1 + {"relu": 0.0, "linear": 1.0}.get(sizes["activation"], slope) ** 2) / 2
    biases = draw.between("bias_variance", -0.3, 0.3)
    kernel = draw.log("input_kernel", 0.3, 3)
    return Networks(
        negative_slope=slope,
        weight_variance=float(f"{draw.log('criticality', 0.6, 1.8) / second:.4g}"),
        bias_variance=max(0.0, min(biases, kernel / 3)) if smooth else 0.0,
        input_kernel=kernel,
        input_cosine=draw.between("input_cosine", -0.3, 0.9),
        bias_learning_rate=max(0.0, draw.between("bias_learning_rate", -1, 1)),
        **sizes,
    )


def linear_networks(draw: Draw) -> Linear:
    sizes: Sizes
    spread: Sizes = {"simulator": "weights", "target_scale": draw.log("spread_target", 0.1, 1)}
    sizes, rates = draw.one_of(
        "sizes",
        [
            ({**spread, "width": 12}, (0.02, 0.4)),
            ({**spread, "width": 4}, (0.02, 0.3)),
            ({**spread, "width": 32, "scaling": "standard"}, (0.005, 0.11)),
            ({**spread, "width": 12, "scaling": "mup"}, (0.02, 0.28)),
            (
                {
                    "problem": "opposing",
                    "scaling": "standard",
                    "simulator": "weights",
                    "width": 8,
                    "num_steps": 800,
                    "init_scale": draw.log("small_scale", 0.03, 0.08),
                    "target_scale": draw.between("opposing_target", 1.5, 2.5),
                },
                (0.025, 0.09),
            ),
            (
                {"problem": "scalar", "simulator": "weights", "width": 64, "num_steps": 60, "target_scale": 0.0},
                (0.3, 1.25),
            ),
            (
                {
                    "width": draw.one_of("wide", [1000, 10_000]),
                    "scaling": draw.one_of("wide_scaling", ["ntk", "standard", "mup"]),
                    "num_steps": 1,
                    "num_records": 1,
                    "target_scale": draw.log("wide_target", 0.1, 1),
                },
                (1e-4, 1e-3),
            ),
        ],
    )
    return Linear(learning_rate=draw.log("learning_rate", *rates), **sizes)


def catapult(draw: Draw) -> Catapult:
    sizes: Sizes
    sizes, targets = draw.one_of(
        "sizes",
        [
            ({"width": 256, "lowest_rate": 0.3, "highest_rate": 1.0}, (0.1, 1)),
            ({"width": 1024, "lowest_rate": 0.3, "highest_rate": 1.0}, (0.1, 1)),
            ({"width": 10**6, "num_steps": 500, "lowest_rate": 0.3, "highest_rate": 1.0}, (0.1, 1)),
            ({"width": 1024, "scaling": "standard", "lowest_rate": 0.004, "highest_rate": 0.01}, (0.1, 1)),
            ({"width": 1024, "scaling": "mup", "lowest_rate": 0.4, "highest_rate": 0.8}, (0.1, 0.5)),
        ],
    )
    return Catapult(num_rates=200, target_scale=draw.log("target_scale", *targets), **sizes)


def sgd_stability(draw: Draw) -> Stability:
    batches = [1, 2, 3, 4, 8, 16, 64]
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"dim": 20, "batch_size": draw.one_of("batch_size", batches), "num_replicas": 2000},
            {"dim": 5, "batch_size": draw.one_of("small_batch", batches), "num_replicas": 2000},
            {
                "dim": 60,
                "spectrum_exponent": 0.0,
                "batch_size": draw.one_of("spiked_batch", [4, 10, 30, 100, 600]),
                "spike": draw.log("spike", 1.1, 25),
                "num_replicas": 300,
            },
            {
                "dim": 200,
                "spectrum_exponent": 0.0,
                "batch_size": draw.one_of("large_batch", [10, 50, 200, 1000]),
                "spike": draw.log("large_spike", 1.1, 40),
                "num_replicas": 100,
            },
            {"dim": 5, "sampling": "replacement", "batch_size": draw.one_of("given_batch", [1, 2, 5, 8])},
            {"dim": 4, "sampling": "no_replacement", "batch_size": draw.one_of("other_batch", [1, 2, 5, 8])},
        ],
    )
    return Stability(
        **{
            "relative_rate": draw.between("relative_rate", 0.3, 1.2),
            "spectrum_exponent": draw.between("spectrum_exponent", 0.3, 2),
            "noise_scale": draw.log("noise_scale", 0.5, 12),
            "num_samples": 12,
            **sizes,
        }
    )


def scaling_laws(draw: Draw) -> Scaling:
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"width": 16, "num_features": 512},
            {"width": 40, "num_features": 512},
            {"width": 32, "num_features": 2048, "num_replicas": 4},
            {"regime": "offline", "num_features": 300, "num_samples": 25, "num_steps": 3000},
            {"regime": "offline", "num_features": 300, "num_samples": 80, "num_steps": 3000},
            {"regime": "offline", "num_features": 64, "num_samples": 150, "num_steps": 3000},
            {"regime": "offline", "num_features": 2048, "num_samples": 40},
        ],
    )
    return Scaling(
        **{
            "num_steps": 300,
            "batch_size": draw.one_of("batch_size", [1, 2, 4, 8]),
            "learning_rate": draw.log("learning_rate", 0.05, 0.35),
            "spectrum_exponent": draw.between("spectrum_exponent", 1.2, 2.5),
            "target_exponent": draw.between("target_exponent", 1.3, 4),
            "noise_variance": max(0.0, draw.between("noise_variance", -0.2, 0.4)),
            **sizes,
        }
    )


def ntk(draw: Draw) -> Tangent:
    sizes: Sizes
    sizes, rates = draw.one_of(
        "sizes",
        [
            ({"width": 128}, (0.02, 0.12)),
            ({"width": 512}, (0.02, 0.12)),
            ({"width": 512, "dim": 10, "num_train": 16}, (0.02, 0.12)),
            ({"width": 128, "activation": "tanh"}, (0.02, 0.12)),
            ({"width": 512, "activation": "tanh"}, (0.02, 0.12)),
            ({"width": 64, "num_steps": 24}, (0.02, 0.2)),
            ({"width": 1024, "activation": "tanh", "num_steps": 60}, (0.53, 0.61)),
        ],
    )
    return Tangent(
        data_seed=draw.one_of("data_seed", [0, 1, 2]),
        label_scale=draw.log("label_scale", 0.1, 1),
        learning_rate=draw.log("learning_rate", *rates),
        **sizes,
    )


def neural_collapse(draw: Draw) -> Collapse:
    counts = {"class_counts": draw.one_of("class_counts", ["40,20,10,4", "30,20,10,10", "25,20,8,3"])}
    deep: Sizes = {"class_counts": "40,20,12,8", "depth": 2, "num_steps": 6000}
    sizes: Sizes
    sizes, decays = draw.one_of(
        "sizes",
        [
            ({**counts, "simulator": "samples", "num_steps": 200, "width": 6}, (2e-3, 4e-2)),
            # Three layers that start at 1.4 times the usual scale are unstable at the default step of 0.2.
            ({**counts, "simulator": "samples", "num_steps": 200, "depth": 3, "learning_rate": 0.1}, (2e-3, 4e-2)),
            ({**counts, "num_steps": 6000}, (1e-2, 5e-2)),
            ({**counts, "num_steps": 6000, "width": 3}, (1e-2, 5e-2)),
            ({**counts, "num_steps": 6000, "width": 8}, (5e-3, 3e-2)),
            ({**deep, "start": "saddle", "start_factor": draw.log("start_factor", 0.6, 1.7)}, (1e-2, 2.5e-2)),
            ({**deep, "start": "minimum", "perturbation": draw.between("perturbation", 0.0, 0.2)}, (1e-2, 2.5e-2)),
        ],
    )
    return Collapse(
        weight_decay=draw.log("weight_decay", *decays),
        feature_decay=draw.log("feature_decay", 3e-4, 2e-2 if "depth" not in sizes else 1.5e-3),
        init_scale=draw.between("init_scale", 0.5, 1.5),
        **sizes,
    )


def random_energy(draw: Draw) -> Energies:
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"dim": 20, "num_samples": 2981},
            {"dim": 12, "num_samples": 500, "sampler": "vectors"},
            {"dim": 30, "num_samples": 8103, "num_draws": 50},
            {"dim": 16, "num_samples": 300, "query": "gaussian"},
            {"dim": 50, "num_samples": math.exp(15), "sampler": "nearest"},
            {"dim": 200, "num_samples": math.exp(60), "sampler": "nearest"},
        ],
    )
    critical = limits.condensation_bandwidth(math.log(sizes["num_samples"]) / sizes["dim"])
    return Energies(bandwidth=float(f"{critical * draw.log('ratio', 0.35, 3):.4g}"), **sizes)


def memorisation(draw: Draw) -> Memory:
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"dim": 16, "num_samples": 256},
            {"dim": 64, "num_samples": 2000, "num_draws": 50},
            {"dim": 24, "num_samples": 5000, "num_draws": 50},
            {"dim": 200, "num_samples": 150},
            {"dim": 6, "num_samples": 60, "sampler": "vectors"},
        ],
    )
    critical = critical_snr(sizes["num_samples"], sizes["dim"])
    return Memory(snr=float(f"{critical * draw.log('ratio', 0.2, 3):.4g}"), **sizes)


def benign_oscillation(draw: Draw) -> Oscillation:
    sizes: Sizes = draw.one_of(
        "sizes",
        [
            {"init_scale": draw.log("init_scale", 1e-3, 0.1)},
            {"init_scale": 1e-12, "num_steps": 1000, "window_start": 200, "window_steps": 400},
        ],
    )
    strong, ratio = draw.log("strong_scale", 0.6, 1.6), draw.between("ratio", 0.1, 0.7)
    return Oscillation(
        learning_rate=float(f"{draw.between('relative_rate', 0.05, 0.95) / strong**2:.5g}"),
        strong_scale=strong,
        weak_scale=float(f"{ratio * strong:.4g}"),
        **sizes,
    )


def numerical_collapse(draw: Draw) -> Numbers:
    dtype = draw.one_of("dtype", ["float64", "float32", "bfloat16", "float16"])
    loss = draw.one_of("loss", ["softmax", "stablemax"])
    if loss == "softmax" and dtype in ("float32", "float64"):
        gap = draw.between("init_gap", 4, 18)
        rate = 0.025 * draw.log("first_step", 0.01, 1) * math.exp(gap)
    else:
        gap, rate = draw.between("small_gap", 0, 3), draw.log("learning_rate", 0.003, 0.05)
    return Numbers(dtype=dtype, loss=loss, init_gap=gap, learning_rate=float(f"{rate:.4g}"))


def networks_that_scatter(config: Tangent) -> int:
    """Seeds of a tangent kernel: its motion scatters by its own size between narrow networks of a kinked activation."""
    return {64: 1000, 128: 2000, 512: 1000}.get(config.width, 64)


#: As ``ranges.RANGES``.
MORE: dict[str, tuple[Callable[[Draw], Any], int | Callable[[Any], int]]] = {
    "signal_propagation": (signal_propagation, 24),
    "linear_networks": (linear_networks, 100),
    "catapult": (catapult, 20),
    "sgd_stability": (sgd_stability, 40),
    "scaling_laws": (scaling_laws, 400),
    "ntk": (ntk, networks_that_scatter),
    "neural_collapse": (neural_collapse, 8),
    "random_energy": (random_energy, 24),
    "memorisation": (memorisation, 40),
    "benign_oscillation": (benign_oscillation, 1),
    "numerical_collapse": (numerical_collapse, 1),
}
