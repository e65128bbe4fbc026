"""Figure 3: typical networks: the law of the kernel's logarithm, and how two inputs align."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import xarray

from theorylab.catalogue import Preset, get
from theorylab.gallery.results import results
from theorylab.settings.wide_networks.signal_propagation.config import Config
from theorylab.settings.wide_networks.signal_propagation.model import sample_kernels
from theorylab.settings.wide_networks.signal_propagation.theory import cosines, exact
from theorylab.verdict.plotting import COLOURS, gradient, points, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Width and random factors of the networks in (a), and how many of them.
WIDTH, FACTORS, DRAWN = 50, (10, 50), {"tiny": 1000, "default": 20_000, "paper": 200_000}
EDGES = np.linspace(-9, 3, 49)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Counts of logarithms of ReLU networks and their normal law; alignment and cosines along the depth."""
    count, centres = DRAWN[preset], (EDGES[1:] + EDGES[:-1]) / 2
    one = exact.log_factor_moments(WIDTH, 0.0, 2.0)
    counts, law = [], []
    for factors in FACTORS:
        config = Config(width=WIDTH, depth=factors + 1)
        drawn = np.asarray(jax.jit(sample_kernels, static_argnums=(1, 2))(jax.random.key(0), config, count))
        counts.append(np.histogram(drawn, EDGES)[0])
        mean, variance = factors * float(one.mean), factors * float(one.variance)
        law.append(np.exp(-((centres - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))
    variables: dict[str, Any] = {
        "histogram": (("factors", "bin"), np.array(counts)),
        "normal": (("factors", "bin"), np.array(law)),
        "typical": ("factors", [factors * float(one.mean) for factors in FACTORS]),
    }
    setting = get("signal_propagation")
    case = setting.case(preset, "alignment")
    depths = case.grid["depth"]
    layers = np.arange(1, max(depths) + 1)
    pairs = results(setting, case.name, preset, folder)
    variables["alignment"] = pairs.log_square_sine
    shift = [float(exact.alignment(case.config.width, int(layer) - 1)) for layer in layers]
    variables["alignment_theory"] = ("layer", shift)
    case = setting.case(preset, "cosines")
    found = results(setting, case.name, preset, folder)
    starts = case.grid["input_cosine"]
    theory = [cosines.cosine_vertex(0.0, int(layers[-1]), start) for start in starts]
    variables["cosine"], variables["cosine_spread"] = found.cosine, np.sqrt(found.cosine_variance)
    variables["cosine_theory"] = (("input_cosine", "layer"), np.array([one.cosine for one in theory]))
    spread = np.sqrt(np.array([one.variance for one in theory]) / case.config.width)
    variables["spread_theory"] = (("input_cosine", "layer"), spread)
    coords = {"factors": list(FACTORS), "bin": centres, "layer": layers}
    attrs = {"count": count, "linear_width": setting.case(preset, "alignment").config.width, "width": case.config.width}
    return xarray.Dataset(variables, coords=coords).drop_attrs().assign_attrs(attrs)


def draw(data: xarray.Dataset) -> Figure:
    """Draw the law of ln k (a), alignment of two inputs of linear networks (b), cosines of ReLU networks (c)."""
    import matplotlib.pyplot as plt

    figure, (logs, linear, relu) = plt.subplots(1, 3, figsize=(12, 3.9))
    width = float(data.bin[1] - data.bin[0])
    for factors, color in zip(data.factors.values, gradient(2), strict=True):
        here = data.sel(factors=factors)
        counts = here.histogram.values
        norm = data.attrs["count"] * width
        logs.errorbar(
            data.bin, counts / norm, yerr=np.sqrt(counts) / norm, fmt="o", markersize=3, linewidth=0.8, color=color,
            label=f"$L - 1 = {factors}$",
        )  # fmt: skip
        logs.plot(data.bin, here.normal, color=color)
        logs.axvline(float(here.typical), color=color, linestyle=":", linewidth=1)
    logs.axvline(0, color="black", linewidth=1, label=r"$\ln \mathrm{E}\,k_L$")
    logs.set(xlabel=r"$\ln k_L$", ylabel="density", title=f"(a) ReLU, $n = {WIDTH}$: typical kernels fall")
    logs.legend(loc="upper left")
    linear.plot(data.layer - 1, data.alignment_theory, color=COLOURS[0], label="exact")
    points(linear, data.depth.values - 1, data.alignment, color=COLOURS[0])
    leading = -(data.layer - 1) / data.attrs["linear_width"]
    linear.plot(data.layer - 1, leading, "k:", linewidth=1, label="$-(L-1)/n$")
    linear.axhline(0, color="grey", linewidth=0.8, label="infinite width")
    linear.set(xlabel="random factors $L - 1$", ylabel=r"$\mathrm{E}\,\ln(1 - \rho_L^2)$")
    linear.set_title(f"(b) two inputs of linear networks, $n = {data.attrs['linear_width']}$")
    linear.legend(loc="lower left")
    for start, color in zip(data.input_cosine.values, COLOURS[1:], strict=False):
        here = data.sel(input_cosine=start)
        relu.fill_between(
            data.layer - 1, here.cosine_theory - here.spread_theory, here.cosine_theory + here.spread_theory,
            color=color, alpha=0.2, linewidth=0,
        )  # fmt: skip
        relu.plot(data.layer - 1, here.cosine_theory, color=color, label=rf"$\rho_1 = {start:g}$")
        relu.errorbar(
            data.depth.values - 1, here.cosine.mean("seed"), yerr=here.cosine_spread.mean("seed"), fmt="o",
            color=color, linewidth=1, markersize=4,
        )  # fmt: skip
    relu.errorbar([], [], [], fmt="o", color="grey", linewidth=1, markersize=4, label="networks: mean and spread")
    relu.fill_between([], [], color="grey", alpha=0.2, linewidth=0, label="predicted spread")
    relu.set(xlabel="random factors $L - 1$", ylabel=r"cosine $\rho_L$")
    relu.set_title(f"(c) ReLU, $n = {data.attrs['width']}$: mean and spread")
    relu.legend(loc="lower right")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
