"""Figure 1: the critical learning rate at every batch size, and what one batch's Hessian says of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import xarray

from paper_figures.step_size import critical_rates
from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.numerics.outliers import outlier
from theorylab.settings.step_size.sgd_stability.config import spectrum
from theorylab.verdict.plotting import COLOURS, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Critical rates measured and predicted, with their bounds; mean top eigenvalues of batch Hessians."""
    setting = get("sgd_stability")
    config = setting.case(preset, "batch sizes").config
    found = results(setting, "batch sizes", preset, folder)
    eigenvalues = spectrum(config)
    sizes, critical, lower, upper = critical_rates(eigenvalues, float(found.batch_size.max()))
    tops = np.asarray(jax.vmap(lambda size: outlier(config.spike, (config.dim - 1) / size))(jnp.asarray(sizes)))
    return xarray.Dataset(
        {
            "effective_sharpness": found.effective_sharpness,
            "batch_sharpness": found.batch_sharpness,
            "critical_theory": ("size", critical),
            "lower_theory": ("size", lower),
            "upper_theory": ("size", upper),
            "batch_theory": ("size", 2 / tops),
        },
        coords={"size": sizes},
        attrs={"trace": float(eigenvalues.sum()), "spike": config.spike, "dim": config.dim},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw critical rates (left), and the rule of the batch Hessian over them (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    sizes, measured = data["size"].values, data.batch_size.values
    trace, spike = data.attrs["trace"], data.attrs["spike"]
    left.fill_between(sizes, data.lower_theory, data.upper_theory, color="grey", alpha=0.2, label="two-sided bound")
    left.plot(sizes, data.critical_theory, color=COLOURS[0], label=r"critical rate $\eta^*$, exact")
    left.plot(
        sizes, data.batch_theory, "--", color=COLOURS[1], label=r"$2/\mathrm{E}\,\lambda_\max(H_B)$, spiked covariance"
    )
    left.axhline(2 / trace, color="grey", linewidth=0.8, linestyle=":")
    left.axhline(2 / spike, color="grey", linewidth=0.8, linestyle=":")
    left.text(sizes[-1], 2 / trace, r"$2/\mathrm{tr}\,H$", ha="right", va="bottom", color="grey")
    left.text(1.1, 2 / spike, r"$2/\lambda_\max$", ha="left", va="bottom", color="grey")
    points(left, measured, 2 / data.effective_sharpness, color=COLOURS[0], label="measured on steps of SGD")
    mean, deviation = data.batch_sharpness.mean("seed"), data.batch_sharpness.std("seed", ddof=1)
    error = deviation / np.sqrt(data.sizes["seed"]) / mean
    look = {"fmt": "o", "color": COLOURS[1], "markerfacecolor": "white", "linewidth": 1}
    left.errorbar(measured, 2 / mean, yerr=2 / mean * error, label="measured on batch Hessians", **look)
    left.set(xscale="log", yscale="log", xlabel="batch size $B$", ylabel=r"learning rate $\eta$")
    left.set_ylim(0.2 * 2 / trace, 1.6 * 2 / spike)
    left.set_title(rf"(a) $\lambda = ({spike:g}, 1, \dots, 1)$, $d = {data.attrs['dim']}$")
    left.legend(loc="lower right")

    right.plot(sizes, data.batch_theory / data.critical_theory, "--", color=COLOURS[1], label="both from theory")
    exact = np.exp(np.interp(np.log(measured), np.log(sizes), np.log(data.critical_theory.values)))
    right.errorbar(measured, 2 / mean / exact, yerr=2 / mean / exact * error, label="measured batch Hessians", **look)
    right.axhline(1, color=COLOURS[0], linewidth=1)
    right.plot([], [], color=COLOURS[0], linewidth=1, label=r"critical rate $\eta^*$")
    right.set(
        xscale="log", xlabel="batch size $B$", ylabel=r"$(2/\mathrm{E}\,\lambda_\max(H_B))/\eta^*$", ylim=(0.6, 1.15)
    )
    right.set_title("(b) the batch Hessian's rule is pessimistic in between")
    right.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
