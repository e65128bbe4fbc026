"""Ridge regression on real data: a population of images, trained on in part and tested on the rest.

The kernel regression and random ReLU features of Simon, Karkada, Ghosh and Belkin (arXiv 2311.14646) on handwritten
digits and MNIST. The theory knows the eigensystem of all points; what is predicted is the error on those held out.

``SETTING`` is what the laboratory needs; ``Config`` and ``simulate`` serve notebooks. The digits come with the library,
MNIST needs the package of ``pip install "theorylab[data]"``, which is imported when the images are read.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.numerics import datasets
from theorylab.settings.kernels.finite_population.config import Config, check_config
from theorylab.settings.kernels.finite_population.data import sample
from theorylab.settings.kernels.finite_population.predictions import THEORIES
from theorylab.settings.kernels.finite_population.presets import PRESETS, SWEEPS
from theorylab.settings.kernels.finite_population.train import run, simulate
from theorylab.settings.kernels.papers import MORE_IS_BETTER

SETTING = Setting(
    papers=(MORE_IS_BETTER,),
    config=Config,
    presets=PRESETS,
    sweeps=SWEEPS,
    simulate=simulate,
    sample=sample,
    run=run,
    theories=THEORIES,
    observables=(
        Observable("test_error", "mean squared error on held-out points, noisy labels", r"\mathcal{E}_\mathrm{test}"),
        Observable("train_error", "mean squared training error on noisy labels", r"\mathcal{E}_\mathrm{train}"),
        Observable("gcv", "generalised cross-validation estimate of the test error", r"\mathrm{GCV}"),
        Observable("inverse_trace", "1 / tr(K̂ + δI)⁻¹, an estimate of κ", r"1/\mathrm{tr}\,\hat K^{-1}"),
    ),
    check_config=check_config,
    needs=lambda config: datasets.missing(config.data_set),
)

__all__ = ["SETTING", "Config", "simulate"]
