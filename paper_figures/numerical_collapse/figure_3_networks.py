"""Figure 3: the collapse in networks of many classes, sample by sample, where two classes say that it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray
from scipy.special import logsumexp

from theorylab.catalogue import Preset, get
from theorylab.settings.step_size.numerical_collapse import collapse_gap, gradients
from theorylab.settings.two_layer.grokking_networks.data import keys_of, task_of
from theorylab.settings.two_layer.grokking_networks.model import module_of
from theorylab.settings.two_layer.grokking_networks.stability import collapsed, softmax_cross_entropy
from theorylab.settings.two_layer.grokking_networks.train import problem_of, recorded_steps, train_classifier
from theorylab.verdict.plotting import COLOURS, run_script

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Steps of AdamW: large ones, which collapse most samples.
RATE = 0.05
#: Steps at the tiny preset, whose case ends before the collapse.
SHORT = 400
#: Gaps at which gradients are compared.
SHOWN = (8.0, 22.0)
#: Relative tolerance of the reference values: training in float32 amplifies rounding, as for the networks themselves.
REFERENCE_TOLERANCE = {"tiny": 0.35, "default": 0.35, "paper": 0.35}


def training(config: Any, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """Logits of all training samples, [steps, samples, classes], along a run, and their labels."""
    task, module = task_of(keys_of(key).split, config), module_of(config)
    parts = problem_of(key, config)
    run = train_classifier(
        parts._replace(record=lambda weights: {"logits": module.apply(weights, task.train_inputs)}),
        num_steps=config.num_steps, record_at=recorded_steps(config), learning_rate=config.learning_rate,
        second_moment_decay=config.second_moment_decay, epsilon=config.epsilon,
    )  # fmt: skip
    return np.asarray(run["logits"]), np.asarray(task.train_labels)


def data(preset: Preset = "default", folder: str | Path = "results") -> xarray.Dataset:
    """Gaps, collapses and gradients of every training sample of a network; gradients of two classes."""
    case = get("grokking_networks").case(preset, "stability_softmax")
    steps = SHORT if preset == "tiny" else case.config.num_steps
    config = dataclasses.replace(case.config, learning_rate=RATE, num_steps=steps)
    logits, labels = training(config, jax.random.key(0))
    correct = np.take_along_axis(logits, labels[None, :, None], 2)[..., 0].astype(float)
    others = np.where(np.arange(logits.shape[2]) == labels[:, None], -np.inf, logits.astype(float))
    gap = correct - logsumexp(others, axis=2)
    slopes = jax.jit(jax.vmap(jax.vmap(jax.grad(lambda z, label: softmax_cross_entropy(z[None], label[None])[0]))))
    labels_of_all = jnp.broadcast_to(jnp.asarray(labels), gap.shape)
    slope = np.asarray(slopes(jnp.asarray(logits), labels_of_all))
    slope = np.take_along_axis(slope, labels[None, :, None], 2)[..., 0]
    share = np.asarray(jax.vmap(collapsed, in_axes=(0, None))(jnp.asarray(logits), jnp.asarray(labels)))
    fine = np.linspace(*SHOWN, 400)
    toy = jax.vmap(lambda z: gradients(z, -z, "float32", "softmax")[0])(jnp.asarray(fine / 2))
    return xarray.Dataset(
        {
            "gap": (("step", "sample"), gap),
            "ratio": (("step", "sample"), -slope * (1 + np.exp(gap))),
            "collapsed": (("step", "sample"), share),
            "toy": ("fine", -np.asarray(toy) * (1 + np.exp(fine))),
        },
        coords={"step": list(recorded_steps(config)), "fine": fine},
        attrs={"collapse": collapse_gap("float32", "softmax"), "classes": logits.shape[2], "rate": RATE},
    )


def draw(data: xarray.Dataset) -> Figure:
    """Draw gradients over exact ones against the gap (left), and shares beyond the collapse along training (right)."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.8, 4.1))
    collapse, classes = data.attrs["collapse"], data.attrs["classes"]
    left.plot(data.fine, data.toy, color="black", linewidth=0.8, label="two classes")
    gap, ratio = data.gap.values.ravel(), data.ratio.values.ravel()
    order = np.argsort(gap)
    order = order[(gap[order] > SHOWN[0]) & (gap[order] < SHOWN[1])]
    left.plot(gap[order], ratio[order], ".", color=COLOURS[0], markersize=3, alpha=0.5, label="samples of a network")
    left.axvline(collapse, color=COLOURS[1], label=rf"$\log(2/\varepsilon) = {collapse:.2f}$")
    left.set(xlim=SHOWN, ylim=(-0.1, 2.4), xlabel="correct logit less the log-sum of the others")
    left.set(ylabel="computed gradient over the exact one")
    left.set_title(f"(a) by the correct logit, {classes} classes")
    left.legend(loc="upper left")
    later = data.isel(step=slice(1, None))
    earliest = collapse - np.log(classes - 1)
    share = [(later.gap > at).mean("sample") for at in (collapse, earliest)]
    right.fill_between(
        later.step, share[0], share[1], color="grey", alpha=0.3, linewidth=0,
        label=f"gaps beyond $\\log(2/\\varepsilon)$,\nor that less $\\log {classes - 1}$",
    )  # fmt: skip
    right.plot(later.step, share[0], color=COLOURS[1])
    right.plot([], [], color=COLOURS[1], label=r"gaps beyond $\log(2/\varepsilon)$ alone")
    right.plot(later.step, later.collapsed.mean("sample"), "o", color=COLOURS[0], label="collapsed")
    right.set(xscale="log", xlabel="step", ylabel="share of training samples", ylim=(-0.02, 1.02))
    right.set_title(f"(b) along training, learning rate {data.attrs['rate']:g}")
    right.legend(loc="upper left")
    return figure


if __name__ == "__main__":
    run_script(draw, __file__)
