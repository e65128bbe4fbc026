"""Two-layer linear networks: gradient descent at any step, its sharpness and its edge.

f(x) = c aᵀWx is trained by gradient descent, one step size for both layers, on L = (1/2) rᵀΣr with r = cWᵀa - β*. Steps
are not small: the loss may rise, the catapult, and the sharpness may climb to 2/η and stay below it, the edge of
stability. ``simulator="gram"`` follows the (d + 1)² second moments of the weights, which is gradient descent itself and
costs the same at any width; ``"weights"`` trains every parameter by automatic differentiation.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.contract.papers import LEWKOWYCZ
from theorylab.settings.factorisation.linear_networks.config import Config, check_config, num_edges, recorded_steps
from theorylab.settings.factorisation.linear_networks.predictions import (
    catapult_map,
    conserved_imbalance,
    edge_of_stability,
    gram_map,
    hessian_reduction,
    outlier_sharpness,
    wide_sharpness,
)
from theorylab.settings.factorisation.linear_networks.presets import PRESETS, SWEEPS
from theorylab.settings.factorisation.linear_networks.train import simulate
from theorylab.settings.factorisation.papers import ROSENFELD, YANG_HU

SETTING = Setting(
    papers=(LEWKOWYCZ, ROSENFELD, YANG_HU),
    config=Config,
    simulate=simulate,
    theories=(
        gram_map,
        hessian_reduction,
        catapult_map,
        conserved_imbalance,
        wide_sharpness,
        outlier_sharpness,
        edge_of_stability,
    ),
    observables=(
        Observable("loss", "population loss, at least 1e-8 of the first", "L_t", dims=("step",)),
        Observable("sharpness", "largest Hessian eigenvalue times the step's scale", r"\lambda_t", dims=("step",)),
        Observable("initial_sharpness", "sharpness before training", r"\lambda_0"),
        Observable("final_sharpness", "sharpness after training", r"\lambda_T"),
        Observable("sharpness_fluctuation", "width times the squared relative deviation from its limit", "m V"),
        Observable("imbalance", "first layer's squared norm minus the last one's, per neuron, at the end", r"\Delta"),
        Observable(
            "hessian_edges",
            "largest and smallest initial Hessian eigenvalues, scaled",
            "h",
            dims=("rank",),
        ),
        Observable("hessian_norm", "squared Frobenius norm of the initial Hessian, scaled", r"|H|^2"),
    ),
    coords=lambda config: {
        "step": recorded_steps(config),
        "rank": range(2 * num_edges(config)),
    },
    presets=PRESETS,
    sweeps=SWEEPS,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "simulate"]
