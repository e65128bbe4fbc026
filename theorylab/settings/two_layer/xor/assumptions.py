"""The assumptions of the theorem, with numbers."""

from __future__ import annotations

from typing import NamedTuple

from theorylab.settings.two_layer.xor.config import Config


class Assumption(NamedTuple):
    """One assumption: it holds where ``value >= bound`` (with the constant C that was asked for)."""

    name: str
    statement: str
    value: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the configuration satisfies it."""
        return bool(self.value >= self.bound)

    def __str__(self) -> str:
        verdict = "holds" if self.holds else "violated"
        return f"{self.name} {self.statement}: {self.value:.3g} against {self.bound:.3g}, {verdict}"


def check_assumptions(config: Config, *, constant: float = 1) -> tuple[Assumption, ...]:
    """Assumptions A1 to A6 of Xu et al. 2023 (arXiv 2310.02541, section 3), each as "value >= bound".

    Reports, never raises: the paper's own experiment violates A1 (by a factor 2.4), A2 and A5. ``constant`` is the
    theorem's "sufficiently large" C; with 1, whatever is violated here is violated for all larger ones.
    """
    n, p, m = float(config.num_train), float(config.input_dim), float(config.width)
    size, noise = float(config.mean_norm) ** 2, float(config.label_noise)
    rate, scale, c = float(config.learning_rate), float(config.init_scale), constant
    return (
        Assumption("A1", "|μ|² >= C n^0.51 √p", size, c * n**0.51 * p**0.5),
        Assumption("A2", "p >= C n² |μ|²", p, c * n**2 * size),
        Assumption("A3", "1/C >= η", 1 / c, noise),
        Assumption("A4", "1/(C n p) >= α", 1 / (c * n * p), rate),
        Assumption("A5", "α |μ|² >= ω n m^1.5 p", rate * size, scale * n * m**1.5 * p),
        Assumption("A6", "m >= C n^0.02", m, c * n**0.02),
    )
