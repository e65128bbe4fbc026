"""Where each theory applies, and how wrong it is there: both measured."""

from __future__ import annotations

import functools
import math

import numpy as np

from theorylab.settings.kernels.ntk import limit
from theorylab.settings.kernels.ntk.config import Config
from theorylab.settings.kernels.ntk.data import data_of


@functools.lru_cache(maxsize=256)
def _eigenvalues(activation: str, seed: int, dim: int, num_train: int, num_test: int) -> np.ndarray:
    config = Config(activation=activation, data_seed=seed, dim=dim, num_train=num_train, num_test=num_test)  # type: ignore[arg-type]
    theta = limit.moments(activation, data_of(config).x).kernel
    return np.linalg.eigvalsh(theta[:num_train, :num_train])


def eigenvalues(config: Config) -> np.ndarray:
    """Eigenvalues of the limit's kernel on the training points, ascending."""
    return _eigenvalues(config.activation, config.data_seed, config.dim, config.num_train, config.num_test)


def spread(config: Config) -> float:
    """Root mean square of |K_0 - Θ|/|Θ|; the top eigenvalue's relative standard deviation is up to .65 of it."""
    found = limit.moments(config.activation, data_of(config).x)
    return float(np.sqrt(limit.mean_square_deviation(found, config.width)))


def sharpness(config: Config) -> float:
    """Step times the top eigenvalue of the limit's kernel; 2 is the threshold."""
    return float(config.learning_rate * eigenvalues(config)[-1])


def well_conditioned(config: Config) -> str | None:
    """Say that points coincide, so that the kernel has no inverse in floating point."""
    values = eigenvalues(config)
    if values[0] < 1e-8 * values[-1]:
        return f"the kernel's smallest eigenvalue is {values[0] / values[-1]:.1g} of its largest: do inputs coincide?"
    return None


def below_threshold(config: Config) -> str | None:
    """Say that networks may be above 2/λ_1 of their own kernels."""
    if (why := well_conditioned(config)) is not None:
        return why
    largest = sharpness(config) * (1 + 3 * spread(config))
    if largest < 2:
        return None
    return f"learning_rate times a network's own top eigenvalue may be {largest:.2f}: not below 2"


def as_measured(config: Config) -> str | None:
    """Say that the errors declared for trained networks were not measured here."""
    if (why := below_threshold(config)) is not None:
        return why
    if config.width < 128:
        return f"width = {config.width} is below 128: the kernel's motion is not small"
    if config.dim < 5 or config.num_train > 2 * config.dim:
        return "measured for dim >= 5 and num_train <= 2 dim only"
    if not 0.05 <= config.label_scale <= 1:
        return f"label_scale = {float(config.label_scale):g}: measured from 0.05 to 1 only"
    if config.learning_rate * config.num_steps > 12:
        return f"learning_rate times num_steps is {float(config.learning_rate * config.num_steps):.3g}, above 12"
    return None


def lazy_error(config: Config, observable: str) -> float:
    """Relative error of the linearisation over all steps; the loss is worst at the end, where little is left of it.

    Smooth: s_y²/m times the larger of 66 t^2.2 and 15 t of the loss, t = ηT/10, and 26 of the test power. ReLU: s_y/√m
    times 20 t and 4 t. Measured at widths 128 to 2048, label scales .1 to 1, ηT = 1 to 10 and five data sets, in dim 6
    and 10: at most .3 below these bounds for ReLU, for tanh at the widest a twentieth below.
    """
    time = max(float(config.learning_rate) * config.num_steps / 10, 0.1)
    scale, width, loss = float(config.label_scale), config.width, observable == "loss"
    if config.activation == "relu":
        return scale / math.sqrt(width) * time * (20 if loss else 4)
    return scale**2 / width * (max(66 * time**2.2, 15 * time) if loss else 26)


def drift_error(config: Config, observable: str) -> float:
    """Relative error of the driven neurons: of the drift, and of its square.

    ReLU, of the square: .07, the error of the theory's own sample of neurons; 13/m; and 7 s_y²/√m times ηT/10, since
    residuals of finite width live longer. Of the drift half of that, and .45 s_y^-.6/√m: with few switched neurons the
    root of a mean square is above the mean. Smooth: .02 + 16/m, and .03 + 28/m; the constants are the sample's of the
    theory. Measured at widths 128 and 512 on 1600 to 6000 and 400 to 2000 networks, label scales .1 to 1, ηT = 3 to 10,
    three data sets. The worst of ReLU's square were .49 ± .02 at width 128, s_y = 1 and ηT = 10 (bound .79), .27 ± .02
    there at width 512 (.40), and .13 ± .01 at width 128 and small labels (.18); of smooth ones .15 ± .01 at width 128
    (.25). The root was .88 and .93 of the mean square's at s_y = .1 and widths 128 and 512.
    """
    width, scale, square = config.width, float(config.label_scale), observable == "kernel_drift_square"
    if config.activation == "relu":
        time = max(float(config.learning_rate) * config.num_steps / 10, 0.1)
        both = 0.07 + 13 / width + 7 * scale**2 * time / math.sqrt(width)
        return both if square else both / 2 + 0.45 * scale**-0.6 / math.sqrt(width)
    return (0.03 + 28 / width) if square else (0.02 + 16 / width)


def neurons_move_alone(config: Config) -> str | None:
    """Say that the residuals are too far from those of infinite width for the driven neurons to say much."""
    if (why := as_measured(config)) is not None:
        return why
    error = drift_error(config, "kernel_drift_square")
    return None if error <= 0.3 else f"the square of the drift may be {error:.0%} off here: large labels, long runs"


#: Steps times top eigenvalues of single networks that the mirror speaks of.
CATAPULT = (2.2, 2.8)


def catapult(config: Config) -> str | None:
    """Say that the step is not moderately above the threshold, or that the run ends during the catapult."""
    if (why := well_conditioned(config)) is not None:
        return why
    if not 2.2 <= (value := sharpness(config)) <= 2.6:
        return f"learning_rate times the kernel's top eigenvalue is {value:.2f}, not between 2.2 and 2.6"
    if config.width < 512:
        return f"width = {config.width} is below 512: networks differ too much"
    if config.dim < 5 or config.num_train > 2 * config.dim:
        return "measured for dim >= 5 and num_train <= 2 dim only"
    if not 0.05 <= config.label_scale <= 1:
        return f"label_scale = {float(config.label_scale):g}: measured from 0.05 to 1 only"
    needed = 2.5 * math.log(math.sqrt(config.width) / float(config.label_scale)) / math.log(CATAPULT[0] - 1)
    return None if config.num_steps >= needed else f"num_steps = {config.num_steps}: the catapult needs {needed:.0f}"


def catapult_error(config: Config, observable: str) -> float:
    """Relative error: .01 + .6 ε² + 45 s_y²/m, where ε = ηλ - 2.

    Measured at ε = .25 and .5, widths 512 to 8192, unit labels, and two data sets each of ReLU and tanh: at most .12
    at ε = .5 and .04 at .25 (ReLU, 8192), .09 at width 512 (tanh).
    """
    return 0.01 + 0.6 * (sharpness(config) - 2) ** 2 + 45 * float(config.label_scale) ** 2 / config.width
