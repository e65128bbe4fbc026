"""Where a theory of this family holds, said once: by values of the configuration, and by conditions of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Applies = Callable[[Any], str | None]


def requires(*more: Applies, extra_columns: bool | None = None, **choices: str | tuple[str, ...]) -> Applies:
    """Build a theory's range: the sentence for the first thing that does not fit, None where all does.

    Parameters
    ----------
    more
        Further conditions, asked in turn once the choices fit.
    extra_columns
        Whether the model has more columns than the target's rank; either if None.
    choices
        Values of the configuration's fields for which the theory is made.
    """

    def holds(config: Any) -> str | None:
        for name, allowed in choices.items():
            value, wanted = getattr(config, name), (allowed,) if isinstance(allowed, str) else allowed
            if value not in wanted:
                return f"for {name} = {' or '.join(wanted)}, not {value}"
        if extra_columns is not None and (config.model_rank > config.target_rank) != extra_columns:
            return "for model_rank > target_rank" if extra_columns else "for model_rank = target_rank"
        return next((reason for reason in (ask(config) for ask in more) if reason), None)

    return holds
