"""Grokking: from lazy to rich training.

Grokking from lazy to rich training (Kumar, Bordelon, Gershman and Pehlevan, arXiv 2310.06110).

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.two_layer.grokking.config import Config, check_config
from theorylab.settings.two_layer.grokking.data import sample
from theorylab.settings.two_layer.grokking.predictions import THEORIES
from theorylab.settings.two_layer.grokking.presets import PRESETS, SWEEPS
from theorylab.settings.two_layer.grokking.train import advance, recorded_steps, run, simulate
from theorylab.settings.two_layer.papers import KUMAR

STEP = ("step",)

SETTING = Setting(
    papers=(KUMAR,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=sample,
    run=run,
    advance=advance,
    theories=THEORIES,
    observables=(
        Observable("test_loss", "mean squared error on all inputs, exact", r"L_\mathrm{test}", dims=STEP),
        Observable(
            "train_loss",
            "mean squared error on the training set",
            r"L_\mathrm{train}",
            dims=STEP,
        ),
        Observable("clean_train_loss", "the same on labels without noise", dims=STEP),
        Observable("noisy_test_loss", "the test loss on labels with noise: label_noise² more", dims=STEP),
        Observable("variance_error", "part A of the test loss: wrong mean of the output", "A", dims=STEP),
        Observable("misalignment_error", "part B: wrong quadratic form", "B", dims=STEP),
        Observable("linear_power", "part C: linear output", "C", dims=STEP),
        Observable("target_overlap", "βᵀMβ/D²", r"\rho", dims=STEP),
        Observable("weight_norm", "sqrt(tr M/D), root mean square of the weights", r"|w|/\sqrt{D}", dims=STEP),
        Observable("kernel_target_alignment", "yᵀKy/(|K|_F |y|²) on the training set", dims=STEP),
        Observable("kernel_trace", "tr K/P on the training set", dims=STEP),
        Observable("closed_kernel_alignment", "the same from the moments of the weights", dims=STEP),
        Observable("closed_kernel_trace", "the same from the moments of the weights", dims=STEP),
        Observable("spike_gain", "β·v/D for v the image of β under all steps", "G", dims=STEP),
        Observable("spike_spread", "|v|²/D − G²", "C_v", dims=STEP),
        Observable("sampled_test_loss", "mean squared error on num_test fresh samples", dims=STEP),
        Observable("relative_train_loss", "train loss over twice its start", dims=STEP),
        Observable("relative_linear_power", "C over twice the initial train loss", dims=STEP),
        Observable("train_time", "τ at which the train loss passes train_threshold", r"\tau_1", allow_nan=True),
        Observable("test_time", "τ at which the test loss passes test_threshold", r"\tau_2", allow_nan=True),
        Observable("grokking_gap", "log10(test_time/train_time)", allow_nan=True),
        Observable("train_reached", "whether train_threshold is passed (otherwise the time is censored)"),
        Observable("test_reached", "whether test_threshold is passed (otherwise the time is censored)"),
    ),
    coords=lambda config: {"step": recorded_steps(config)},
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
