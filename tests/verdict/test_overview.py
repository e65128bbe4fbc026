"""The overview draws what a case shows: along training, or against a swept field; theory as lines."""

import numpy as np
from toy import SETTING, Config

from theorylab.contract import Case
from theorylab.lab.sweep import sweep
from theorylab.verdict.overview import overview
from theorylab.verdict.plotting import style


def drawn(case):
    data = sweep(SETTING, case.config, case.grid, seeds=case.seeds)
    with style():
        return overview(SETTING, [(case, data)]).axes[0], data


def test_a_trajectory_is_drawn_along_its_steps_with_every_theory_of_it():
    case = Case("paths", Config(), {"mean": (1.0, 2.0)}, seeds=5, show="path")
    axes, data = drawn(case)
    assert axes.get_xlabel() == "step"
    assert axes.get_ylabel() == "path"
    # A line of the exact theory and one of the ensemble for each of the two means; the host's theory is silent.
    lines = [line for line in axes.lines if line.get_linestyle() in ("-", "--")]
    assert len(lines) == 4
    np.testing.assert_allclose(lines[2].get_ydata(), data["path"].isel(mean=1).mean("seed"), rtol=1e-12)
    np.testing.assert_allclose(lines[3].get_ydata(), 2.0 * np.arange(1, 5))


def test_a_sweep_is_drawn_against_its_field():
    axes, data = drawn(Case("means", Config(), {"mean": (1.0, 2.0, 4.0)}, seeds=5))
    assert "mean" in axes.get_xlabel()
    assert axes.get_ylabel().startswith("sample mean")
    curves = {len(line.get_xdata()): np.array(line.get_xydata(), float) for line in axes.lines}
    # The exact theory has the simulated points, the ensemble's is the smooth curve y = x.
    np.testing.assert_allclose(curves[3][:, 1], data["sample_mean"].mean("seed"))
    smooth = curves[max(curves)]
    assert len(smooth) >= 60
    np.testing.assert_allclose(smooth[:, 0], smooth[:, 1])


def test_a_case_with_nothing_to_draw_against_is_left_out():
    case = Case("one cell", Config(), {}, seeds=3)
    axes, _ = drawn(case)
    assert not axes.get_visible()
