"""Presets of the grokking model, and the sweeps behind its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from theorylab.contract import Case
from theorylab.settings.two_layer.grokking.config import Config

NETWORK = Config(
    trainer="network", input_dim=30, num_samples=90, width=50, quadratic_coeff=0.5, scaled_learning_rate=0.05
)  # fmt: skip
#: κ = α ε = 1: no mean error at the start, as the Marchenko–Pastur averages need.
MEMORISATION = Config(
    trainer="linearised", num_samples=160, output_scale=2.0, quadratic_coeff=0.5, num_steps=120,
    scaled_learning_rate=0.08,
)  # fmt: skip
MANY_SAMPLES = Config(
    input_dim=12, num_samples=20_000, quadratic_coeff=0.5, scaled_learning_rate=6e-5, num_steps=160,
    train_threshold=0.15,
)  # fmt: skip
#: The same time in half as many steps and fewer dimensions, a fiftieth of the work.
FEWER_SAMPLES = dataclasses.replace(
    MANY_SAMPLES, input_dim=6, num_samples=7200, scaled_learning_rate=0.2 / 1200, num_steps=80
)  # fmt: skip
#: Few steps, which is what the mean-field theory is solved for.
MEAN_FIELD = Config(
    input_dim=100, num_samples=400, quadratic_coeff=0.5, scaled_learning_rate=0.12, num_steps=20, planted=True
)  # fmt: skip
#: Where data noise and the mean weight make much of the overlap of an isotropic start (spike_overlap = 1/D), for which
#: few samples are good, and the spread of a planted spike makes much of the misalignment.
SMALL_MEAN_FIELD = dataclasses.replace(
    MEAN_FIELD, input_dim=60, num_samples=120, output_scale=0.2, quadratic_coeff=0.35, scaled_learning_rate=0.045,
    num_steps=16, test_threshold=0.3,
)  # fmt: skip
#: The published setting: D = 100, P = 550.
PUBLISHED = Config(input_dim=100, num_samples=550, num_steps=1500)
#: Enough fresh samples that the exact test loss is judged by them.
LONG = dataclasses.replace(PUBLISHED, num_test=4000)

PRESETS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        # One compiled simulation for the isotropic and the planted start: compiling is what costs.
        Case("mean field", SMALL_MEAN_FIELD, {"spike_overlap": (1 / 60, 5.0)}, seeds=150),
        Case("network", dataclasses.replace(NETWORK, num_steps=60, num_test=2000), seeds=10),
        Case(
            "memorisation",
            dataclasses.replace(MEMORISATION, num_samples=120, num_steps=80),
            {"weight_decay": (0.0, 0.1)},
            seeds=16,
        ),
        Case("many samples", FEWER_SAMPLES, seeds=12),
    ),
    "default": (
        Case(
            "grokking",
            dataclasses.replace(PUBLISHED, num_steps=600, num_test=4000),
            {"output_scale": (1.0, 4.0)},
            seeds=8,
        ),
        Case("network", NETWORK, {"output_scale": (0.5, 1.0, 2.0)}, seeds=4),
        Case(
            "network, centred and planted",
            dataclasses.replace(NETWORK, centred=True, planted=True, normalise_target=False, output_scale=4.0),
            {"spike_overlap": (0.0, 0.1)},
            seeds=3,
        ),
        Case(
            "network, with noise, decay, momentum and batches",
            dataclasses.replace(
                NETWORK,
                label_noise=0.4,
                heavy_ball=True,
                momentum=0.6,
                decay_form="decoupled",
                batch_size=30,
                scaled_learning_rate=0.02,
            ),
            {"weight_decay": (0.0, 0.3), "decay_towards": ("zero", "start")},
            seeds=3,
        ),
        Case(
            "linearised, with noise, decay and momentum",
            dataclasses.replace(
                MEMORISATION,
                num_samples=100,
                width=60,
                output_scale=1.0,
                label_noise=0.4,
                heavy_ball=True,
                momentum=0.6,
            ),
            {"weight_decay": (0.0, 0.3), "decay_form": ("coupled", "decoupled")},
            seeds=4,
        ),
        Case(
            "linearised, finite width",
            dataclasses.replace(MEMORISATION, num_samples=100, width=60, output_scale=1.0, centred=True),
            {"output_scale": (1.0, 4.0), "init_scale": (0.5, 1.0)},
            seeds=4,
        ),
        Case("memorisation", dataclasses.replace(MEMORISATION, input_dim=100, num_samples=400), seeds=32),
        Case(
            "memorisation, fewer samples",
            dataclasses.replace(
                MEMORISATION, input_dim=100, num_samples=200, quadratic_coeff=0.25, output_scale=4.0, num_steps=250
            ),
            seeds=48,
        ),
        Case("many samples", MANY_SAMPLES, {"quadratic_coeff": (0.25, 0.5)}, seeds=10),
        Case("many samples, decay", MANY_SAMPLES, {"weight_decay": (0.0, 250.0, 700.0)}, seeds=10),
        Case(
            "planted",
            dataclasses.replace(MEAN_FIELD, num_steps=40),
            {"spike_overlap": (0.05, 0.1), "output_scale": (1.0, 2.0)},
            seeds=72,
        ),
        Case("isotropic", dataclasses.replace(MEAN_FIELD, input_dim=150, num_samples=600, planted=False), seeds=120),
    ),
    "paper": (
        Case(
            "output scale",
            dataclasses.replace(LONG, num_steps=60_000, width=500),
            {"output_scale": tuple(2.0**k for k in range(-2, 6))},
            seeds=8,
            note="D = 100, P = 550, N = 500 and 60,000 steps as in the authors' code; our learning rate",
        ),
        Case(
            "activation",
            dataclasses.replace(LONG, num_steps=60_000, width=500, scaled_learning_rate=0.009),
            {"quadratic_coeff": (0.25, 0.5, 1.0, 2.0, 4.0)},
            seeds=8,
        ),
        Case(
            "dimension",
            dataclasses.replace(LONG, input_dim=1000, num_samples=5500, num_steps=6000),
            seeds=8,
        ),
        Case("every neuron", dataclasses.replace(LONG, trainer="network", width=500), seeds=4),
    ),
}


def _figures(
    dim: int,
    samples: int,
    seeds: int,
    steps: Callable[[int], int],
    pick: int | None,
    phenomenon: Config,
    lazy: Config,
) -> tuple[Case, ...]:
    """Sweeps of Figures 1 to 4; ``steps`` turns a number of steps into this preset's, ``pick`` is how many
    of the swept values are taken."""
    base = Config(input_dim=dim, num_samples=samples)
    fast, slow = (dataclasses.replace(base, scaled_learning_rate=rate) for rate in (0.06, 0.04))
    twice = dataclasses.replace(lazy, num_samples=2 * lazy.input_dim, quadratic_coeff=0.25, output_scale=4.0)
    return (
        Case("phenomenon", dataclasses.replace(phenomenon, num_steps=steps(3000)), seeds=seeds),
        Case(
            "output_scale",
            dataclasses.replace(fast, num_steps=steps(7000)),
            {"output_scale": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)[:pick]},
            seeds,
        ),
        Case(
            "quadratic_coeff",
            dataclasses.replace(base, scaled_learning_rate=0.02, num_steps=steps(5000)),
            {"quadratic_coeff": (0.25, 0.5, 1.0, 2.0)[:pick]},
            seeds,
        ),
        Case(
            "init_scale",
            dataclasses.replace(fast, num_steps=steps(3000), centred=True),
            {"init_scale": (0.125, 0.25, 0.5, 1.0, 2.0)[:pick]},
            seeds,
        ),
        Case("memorisation_4", dataclasses.replace(lazy, num_samples=4 * lazy.input_dim), seeds=2 * seeds),
        Case("memorisation_2", twice, seeds=2 * seeds),
        Case(
            "phase_diagram",
            dataclasses.replace(slow, num_steps=steps(5000), centred=True),
            {"output_scale": (1.0, 2.0, 4.0, 8.0, 16.0)[:pick], "quadratic_coeff": (0.125, 0.25, 0.5, 1.0, 2.0)[:pick]},
            seeds=2,
        ),
        Case(
            "samples",
            dataclasses.replace(fast, num_steps=steps(4000)),
            {"num_samples": tuple(int(dim * ratio) for ratio in (1.5, 2, 3, 4, 5.5, 8, 12))[:pick]},
            seeds,
        ),
    )


def _mean_field(dim: int, steps: int, seeds: int, scales: tuple[float, ...]) -> tuple[Case, ...]:
    """Sweeps of Figure 5: the output scale at one activation, at one ratio ε/α, and an isotropic start."""
    planted = Config(
        input_dim=dim, num_samples=4 * dim, num_steps=steps, planted=True, spike_overlap=0.1, quadratic_coeff=0.5,
        scaled_learning_rate=0.08,
    )  # fmt: skip
    isotropic = dataclasses.replace(planted, planted=False, scaled_learning_rate=0.12, num_steps=min(steps, 40))
    fixed = tuple(
        Case(
            f"rate_fixed_{scale:g}",
            dataclasses.replace(planted, output_scale=scale, quadratic_coeff=0.5 * scale),
            seeds=seeds,
        )
        for scale in scales
    )
    varied = Case("rate_varied", planted, {"output_scale": scales}, seeds=seeds)
    return varied, *fixed, Case("isotropic_start", isotropic, seeds=2 * seeds)


def _decay(
    base: Config, seeds: int, scales: tuple[float, ...], decays: tuple[float, ...], many: Config
) -> tuple[Case, ...]:
    """Sweeps of Figure 6: decay and output scale on few samples; decay of Λ = 0 to 1.6 on many."""
    unit = many.num_samples / many.input_dim * many.quadratic_coeff / many.output_scale  # the decay at which Λ = 1
    strengths = {"weight_decay": tuple(unit * strength for strength in (0.0, 0.3, 0.8, 1.6))}
    return (
        Case("decay", base, {"output_scale": scales, "weight_decay": decays}, seeds=seeds),
        Case("decay_many_samples", many, strengths, seeds=3),
    )


DECAYS = (0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SLOWER = dataclasses.replace(MANY_SAMPLES, num_steps=300)


#: The sweeps behind the figures. Those of ``paper`` have the published sizes and six times the steps.
SWEEPS: dict[str, tuple[Case, ...]] = {
    "tiny": (
        *_figures(
            16, 64, 2, lambda count: 60, 2, Config(input_dim=16, num_samples=64),
            dataclasses.replace(MEMORISATION, input_dim=16, num_steps=60),
        ),
        *_mean_field(40, 8, 3, (1.0,)),
        *_decay(Config(input_dim=16, num_samples=64, num_steps=60), 2, (1.0, 4.0), (0.0, 1e-2, 1e-1), FEWER_SAMPLES),
    ),
    "default": (
        *_figures(
            40, 220, 4, lambda count: count, None, PUBLISHED,
            dataclasses.replace(MEMORISATION, input_dim=100, num_steps=250),
        ),
        *_mean_field(200, 60, 5, (0.5, 1.0, 2.0)),
        *_decay(Config(num_steps=4000), 20, (1.0, 4.0, 16.0), DECAYS, SLOWER),
    ),
    "paper": (
        *_figures(
            100, 550, 8, lambda count: 6 * count, None, PUBLISHED,
            dataclasses.replace(MEMORISATION, input_dim=100, num_steps=250),
        ),
        *_mean_field(1000, 100, 20, (0.5, 1.0, 2.0)),
        *_decay(dataclasses.replace(PUBLISHED, num_steps=4000), 20, (1.0, 4.0, 16.0), DECAYS, SLOWER),
    ),
}  # fmt: skip
