"""XOR clusters: benign overfitting and grokking in a ReLU network.

Benign overfitting and grokking of a ReLU network on XOR clusters (Xu et al. 2023, arXiv 2310.02541).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.two_layer.xor.assumptions import check_assumptions
from theorylab.settings.two_layer.xor.config import Config, at_ratio, check_config
from theorylab.settings.two_layer.xor.data import sample
from theorylab.settings.two_layer.xor.papers import XU
from theorylab.settings.two_layer.xor.predictions import THEORIES
from theorylab.settings.two_layer.xor.presets import PRESETS, SWEEPS
from theorylab.settings.two_layer.xor.train import advance, recorded_steps, run, simulate

STEP = ("step",)
SETTING = Setting(
    papers=(XU,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=sample,
    run=run,
    advance=advance,
    theories=THEORIES,
    observables=(
        Observable("test_accuracy", "accuracy on fresh points with clean labels", dims=STEP),
        Observable("train_accuracy", "accuracy on the training set with its noisy labels", dims=STEP),
        Observable("flipped_accuracy", "the same on flipped labels; NaN if there are none", dims=STEP, allow_nan=True),
        Observable("train_margin", "mean y f on the training set, in units of α p/8n", r"\overline{yf}", dims=STEP),
        Observable("own_alignment", "mean |<w_j, μ_k>| / (α|μ|²/n√m) on the pair of a neuron's class", dims=STEP),
        Observable("other_alignment", "the same on the other pair", dims=STEP),
        Observable("linear_part", "odd part of f at the centres (root mean square), in units of α p/8n", dims=STEP),
        Observable("even_part", "even part of f at the centres (root mean square), in units of α p/8n", dims=STEP),
        Observable("first_cluster_accuracy", "test accuracy per cluster after one step", dims=("cluster",)),
        Observable("linear_cosine", "cosine of β(1) − β(0) and Xᵀy; NaN if no neuron is active", allow_nan=True),
        Observable("linear_ratio", "|β(1) − β(0)| / |(α/4n) Xᵀy|"),
        Observable(
            "alignment_drift",
            "mean over neurons of the first signed active count; NaN without neurons of a sign",
            dims=("group",),
            allow_nan=True,
        ),
        Observable(
            "alignment_variance",
            "variance over neurons of the first signed active count; NaN with fewer than two neurons of a sign",
            dims=("group",),
            allow_nan=True,
        ),
        Observable("final_test_error", "test error after the last step"),
        Observable("own_slope", "late growth of mean |v| per step and sample, own pair"),
        Observable("other_slope", "late growth of mean |v| per step and sample, other pair"),
    ),
    coords=lambda config: {
        "step": recorded_steps(config),
        "cluster": (0, 1, 2, 3),  # (1, +), (1, −), (2, +), (2, −)
        "group": (0, 1, 2, 3),  # a_j > 0 on pair 1, 2; a_j < 0 on pair 1, 2
    },
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "at_ratio", "check_assumptions", "simulate"]
