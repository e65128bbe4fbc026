"""Networks that grok: modular addition, images, and the edge of numerical stability.

The output scale moves an MLP and a transformer between lazy and rich training (Kumar, Bordelon, Gershman and Pehlevan,
arXiv 2310.06110, Section 5); cross-entropy without weight decay ends at the precision of a float (Prieto, Barsbey,
Mediano and Birdal, arXiv 2501.04697).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the networks of ``model`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.contract.papers import PRIETO
from theorylab.numerics import datasets
from theorylab.settings.two_layer.grokking_networks.config import Config, check_config
from theorylab.settings.two_layer.grokking_networks.papers import NANDA
from theorylab.settings.two_layer.grokking_networks.predictions import THEORIES
from theorylab.settings.two_layer.grokking_networks.presets import PRESETS, SWEEPS
from theorylab.settings.two_layer.grokking_networks.train import recorded_steps, simulate
from theorylab.settings.two_layer.papers import KUMAR

STEP = ("step",)

SETTING = Setting(
    papers=(KUMAR, PRIETO, NANDA),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("test_accuracy", "share of test samples classified correctly", dims=STEP),
        Observable("train_accuracy", "share of training samples classified correctly", dims=STEP),
        Observable("train_loss", "mean loss on the training set", r"L_\mathrm{train}", dims=STEP),
        Observable("test_loss", "mean loss on the test set", r"L_\mathrm{test}", dims=STEP),
        Observable("collapsed_fraction", "share of training samples whose softmax has collapsed in float32", dims=STEP),
        Observable("weight_norm", "root of the sum of all squared weights", "|w|", dims=STEP),
        Observable("distance", "the same of the change since the start", "|w - w_0|", dims=STEP),
        Observable("scaling_slope", "w·∇L over the degree of homogeneity (1 if none)", dims=STEP),
        Observable("logit_slope", "slope of the train loss in the logarithm of the output's scale", dims=STEP),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    check_config=check_config,
    needs=lambda config: datasets.missing("mnist") if config.task == "images" else None,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
