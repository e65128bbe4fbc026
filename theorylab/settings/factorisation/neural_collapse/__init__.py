"""Neural collapse with free features: deep linear layers on imbalanced classes.

Features H of all samples are trained like the M linear layers on them, by the square loss on one-hot targets with decay
on each. The minimum decouples into one scalar problem for each class, and small classes collapse to 0: continuously at
one layer, by a jump from two layers on, where each class has two branches and descent remembers where it started.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.factorisation.neural_collapse.config import Config, check_config, counts_of
from theorylab.settings.factorisation.neural_collapse.predictions import THEORIES
from theorylab.settings.factorisation.neural_collapse.presets import PRESETS, SWEEPS
from theorylab.settings.factorisation.neural_collapse.train import recorded_steps, simulate
from theorylab.settings.factorisation.papers import DANG, MIXON

SETTING = Setting(
    papers=(DANG, MIXON),
    config=Config,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("loss", "loss with its decays", "L_t", dims=("step",)),
        Observable("final_loss", "loss after training", "L_T"),
        Observable("class_logit", "mean logit of a class's own samples, at least 1e-4", "s_k", dims=("class",)),
        Observable("feature_norm", "norm of a class's mean feature, at least 1e-4", r"\|h_k\|", dims=("class",)),
        Observable("off_diagonal", "largest mean logit of another class, at least 1e-4", r"\max |s_{jk}|"),
        Observable("num_collapsed", "classes with a logit below 0.01", "N_c"),
        Observable("noise_rate", "rate at which the scatter within classes falls in the second half", r"\gamma"),
    ),
    coords=lambda config: {"step": recorded_steps(config), "class": range(len(counts_of(config)))},
    presets=PRESETS,
    sweeps=SWEEPS,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
