"""What several figures on step sizes draw: critical rates by batch size, and shares of a weak feature."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from jaxtyping import Array, Float

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.second_moments import critical_learning_rate, learning_rate_bounds
from theorylab.settings.step_size.oscillation import flow_growth, slow_manifold_share


def critical_rates(eigenvalues: Float[Array, " dim"], largest_batch: float) -> tuple[np.ndarray, ...]:
    """A hundred batch sizes, the critical learning rate at each, and its lower and upper bound."""
    sizes = np.geomspace(1, largest_batch, 100)
    rates = jax.vmap(lambda size: (critical_learning_rate(eigenvalues, size), *learning_rate_bounds(eigenvalues, size)))
    return sizes, *(np.asarray(part) for part in rates(jnp.asarray(sizes)))


def weak_shares(preset: Preset, folder: str | Path) -> xarray.Dataset:
    """Shares of the weak feature at the end: simulated, by the slow manifold, and below the oscillation."""
    setting = get("benign_oscillation")
    config = setting.case(preset, "shares").config
    found = results(setting, "shares", preset, folder).isel(seed=0, drop=True)
    ratios = [float(scale / config.strong_scale) ** 2 for scale in found.weak_scale.values]
    above, below = np.linspace(0.5, 0.92, 100), np.linspace(0.28, 0.46, 20)
    first = (config.strong_scale * config.init_scale) ** 2
    slow = [np.asarray(slow_manifold_share(jnp.asarray(above), r)) for r in ratios]
    smooth = [[r * first * np.exp(2 * float(flow_growth(h, r, first))) for h in below.tolist()] for r in ratios]
    return xarray.Dataset(
        {
            "weak_share": found.weak_share,
            "share_theory": (("weak_scale", "above"), slow),
            "smooth_theory": (("weak_scale", "below"), smooth),
        },
        coords={"above": above, "below": below, "weak_scale": found.weak_scale.values, "ratio": ("weak_scale", ratios)},
        attrs={"init_scale": config.init_scale, "strong_scale": config.strong_scale},
    )
