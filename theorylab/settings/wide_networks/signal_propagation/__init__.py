"""Signal propagation: kernels and gradients of random networks at finite width.

The size of signals and gradients in a deep random network fluctuates from network to network, by an amount that depth
over width controls (Roberts, Yaida and Hanin, arXiv 2106.10165). For piecewise linear activations the fluctuations are
known exactly, at any width and depth; for others in powers of 1/width.

``SETTING`` is what the laboratory needs; ``Config``, ``simulate`` and the functions of ``theory`` serve notebooks.
"""

from __future__ import annotations

from theorylab.contract import Observable, Setting
from theorylab.settings.wide_networks.papers import ROBERTS
from theorylab.settings.wide_networks.signal_propagation.config import Config, check_config
from theorylab.settings.wide_networks.signal_propagation.model import sample_kernels, simulate
from theorylab.settings.wide_networks.signal_propagation.predictions import THEORIES
from theorylab.settings.wide_networks.signal_propagation.presets import PRESETS, SWEEPS

SETTING = Setting(
    papers=(ROBERTS,),
    config=Config,
    simulate=simulate,
    theories=THEORIES,
    observables=(
        Observable("kernel", "mean over networks of the last layer's kernel, of the first input", "k_L"),
        Observable("kernel_variance", "its variance over networks", r"\mathrm{Var}\,k_L"),
        Observable("log_kernel", "mean of its logarithm, over networks without a dead layer", r"\ln k_L"),
        Observable("log_kernel_variance", "variance of its logarithm", r"\mathrm{Var} \ln k_L"),
        Observable("log_gradient", "mean of ln |b_1|², b_1 the output's gradient in the first layer", r"\ln |b_1|^2"),
        Observable("log_gradient_variance", "variance of ln |b_1|²", r"\mathrm{Var} \ln |b_1|^2"),
        Observable("dead_fraction", "networks with a layer of no active unit", "p_0"),
        Observable("ntk", "mean tangent kernel of a scalar output, summed over layers", r"\Theta_L"),
        Observable("ntk_variance", "its variance over networks", r"\mathrm{Var}\,\Theta_L"),
        Observable("cosine", "mean cosine of two inputs in the last layer's kernel", r"\rho_L"),
        Observable("cosine_variance", "its variance over networks", r"\mathrm{Var}\,\rho_L"),
        Observable("log_square_sine", "mean of ln(1 - ρ²) of the two inputs", r"\ln(1 - \rho_L^2)"),
    ),
    presets=PRESETS,
    sweeps=SWEEPS,
    check_config=check_config,
)

__all__ = ["PRESETS", "SETTING", "Config", "sample_kernels", "simulate"]
