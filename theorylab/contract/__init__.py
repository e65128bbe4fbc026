"""All that a setting imports, besides numerics, training and its family's shared rooms."""

from theorylab.contract.fields import (
    ConfigError,
    check_value,
    check_values,
    config,
    field_help,
    field_of,
    scalar,
    scalar_fields,
    size,
    static_fields,
    validate,
)
from theorylab.contract.papers import Paper, Source
from theorylab.contract.setting import PRESETS, Case, Observable, Setting, no_coords
from theorylab.contract.theory import (
    ROUNDING,
    ContractError,
    Control,
    Observables,
    Predictor,
    Theory,
    always,
    at_config,
    theory,
    times,
)
from theorylab.jax_version import require  # noqa: F401 - another JAX is refused here, in one sentence

__all__ = [
    "PRESETS",
    "ROUNDING",
    "Case",
    "ConfigError",
    "ContractError",
    "Control",
    "Observable",
    "Observables",
    "Paper",
    "Predictor",
    "Setting",
    "Source",
    "Theory",
    "always",
    "at_config",
    "check_value",
    "check_values",
    "config",
    "field_help",
    "field_of",
    "no_coords",
    "scalar",
    "scalar_fields",
    "size",
    "static_fields",
    "theory",
    "times",
    "validate",
]
