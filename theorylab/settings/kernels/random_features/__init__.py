"""Random-feature ridge regression: more is better.

Simon, Karkada, Ghosh and Belkin, arXiv 2311.14646.

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Paper, Setting
from theorylab.settings.kernels.random_features.config import PRESETS, Config, check_config
from theorylab.settings.kernels.random_features.predictions import THEORIES
from theorylab.settings.kernels.random_features.train import measured_modes, simulate


def _coords(config: Config) -> dict[str, tuple[int, ...]]:
    return {"mode": measured_modes(config)} if config.model == "gaussian" else {}


SETTING = Setting(
    papers=(
        Paper(
            title="More is Better: when Infinite Overparameterization is Optimal and Overfitting is Obligatory",
            authors="J. B. Simon, D. Karkada, N. Ghosh and M. Belkin",
            year=2024,
            venue="ICLR 2024",
            arxiv="2311.14646",
            bibtex="""@inproceedings{simon2024more,
  title = {More is Better: when Infinite Overparameterization is Optimal and Overfitting is Obligatory},
  author = {Simon, James B. and Karkada, Dhruva and Ghosh, Nikhil and Belkin, Mikhail},
  booktitle = {International Conference on Learning Representations},
  year = {2024},
}""",
        ),
    ),
    config=Config,
    presets=PRESETS,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("test_error", "mean squared test error on noisy labels", r"\mathcal{E}_\mathrm{test}"),
        Observable("train_error", "mean squared training error on noisy labels", r"\mathcal{E}_\mathrm{train}"),
        Observable("gcv", "generalised cross-validation estimate of the test error", r"\mathrm{GCV}", allow_nan=True),
        Observable(
            "learned_coefficients",
            "learned over true coefficient of an eigenmode (gaussian)",
            r"\hat v_i / v_i",
            dims=("mode",),
        ),
    ),
    coords=_coords,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
