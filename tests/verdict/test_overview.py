"""The overview draws what a case shows: along training, or against a swept field; theory as lines."""

import dataclasses

import numpy as np
from matplotlib.collections import FillBetweenPolyCollection
from toy import SETTING, Config

from theorylab import get
from theorylab.contract import Case
from theorylab.lab.sweep import sweep
from theorylab.verdict.compare import compare
from theorylab.verdict.overview import _allowed, _finer, overview
from theorylab.verdict.plotting import style


def drawn(case, setting=SETTING):
    data = sweep(setting, case.config, case.grid, seeds=case.seeds)
    with style():
        return overview(setting, [(case, data)]).axes[0], data


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


def test_what_a_comparison_has_compiled_is_not_compiled_again():
    """Nor for the smooth line, whose many values run in blocks of the sweep's."""
    import jax

    programs = []

    def listen(event, duration_secs, fun_name="", **_):
        if event.endswith("backend_compile_duration") and "mapped" in str(fun_name):
            programs.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    for show in ("sample_mean", "path"):
        case = Case("means", Config(num_samples=37), {"mean": (1.0, 2.0, 4.0)}, seeds=5, show=show)
        data = sweep(SETTING, case.config, case.grid, seeds=case.seeds)
        compare(SETTING, data)
        seen = len(programs)
        with style():
            overview(SETTING, [(case, data)])
        assert len(programs) == seen
    if jax.__version_info__ >= (0, 8):  # negative control; older ones do not name what they compile
        assert programs


def test_a_case_with_nothing_to_draw_against_is_left_out():
    case = Case("one cell", Config(), {}, seeds=3)
    axes, _ = drawn(case)
    assert not axes.get_visible()


def test_a_declared_error_is_a_band_about_the_line():
    theory = dataclasses.replace(SETTING.theory("ensemble"), error=0.2)
    case = Case("means", Config(), {"mean": (0.0, 1.0, 2.0)}, seeds=5)
    axes, _ = drawn(case, dataclasses.replace(SETTING, theories=(theory,)))
    (band,) = [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]
    corners = band.get_paths()[0].vertices
    np.testing.assert_allclose(corners[:, 1].max(), 2.4)
    # On an axis that is not logarithmic 0 is where it is, and the line is fine to there.
    (line,) = [line for line in axes.lines if len(line.get_xdata()) > 50]
    np.testing.assert_allclose(line.get_xdata(), line.get_ydata(), atol=1e-12)
    assert line.get_xdata()[0] == 0


def test_seeds_over_decades_are_medians_with_quantiles():
    config = Config(num_samples=1, mean=1.0, scale=30.0)
    case = Case("squares", config, {"scale": (1.0, 30.0, 900.0)}, seeds=40, show="second_moment")
    axes, data = drawn(case)
    assert axes.get_yscale() == "log"
    middle = data["second_moment"].median("seed").values
    (drawn_at,) = [line for line in axes.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(drawn_at.get_ydata(), middle)
    (means,) = [line for line in axes.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(means.get_ydata(), data["second_moment"].mean("seed"))
    labels = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert labels[:2] == ["simulation: median, 16 to 84% of seeds", "mean"]


def test_the_style_leaves_the_backend_as_it_was(monkeypatch):
    import matplotlib

    monkeypatch.delenv("DISPLAY", raising=False)
    before = matplotlib.get_backend()
    try:
        matplotlib.use("svg")
        with style():
            pass
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)


def test_a_theory_is_drawn_at_more_steps_than_are_recorded_where_their_number_is_a_field():
    setting = get("linear_networks")
    config = setting.config(simulator="weights", width=4, num_steps=60, num_records=3)
    axes, _ = drawn(Case("few records", config, {}, seeds=2), setting)
    exact = max((line for line in axes.lines if line.get_marker() == "None"), key=lambda line: len(line.get_xdata()))
    (points,) = [line for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(points.get_xdata(), [0, 20, 40, 60])
    np.testing.assert_array_equal(exact.get_xdata(), range(61))
    np.testing.assert_allclose(np.asarray(exact.get_ydata(), float)[::20], np.asarray(points.get_ydata(), float))
    assert axes.get_xscale() == "linear"  # as records at even distances are


def test_values_between_the_swept_ones_are_those_that_a_setting_allows():
    config = get("sgd_stability").config()
    assert _allowed(get("sgd_stability"), config, "batch_size", [1.0, 1.5, 2.0]) == (1.0, 2.0)


def test_a_field_says_how_many_records_a_line_needs():
    for name, field, count in (("xor", "records_per_decade", 40), ("linear_networks", "num_records", 200)):
        config = get(name).config()
        assert getattr(config, field) < getattr(_finer(config), field) == count
        more = dataclasses.replace(config, **{field: 900})
        assert _finer(more) == more
    assert _finer(Config()) == Config()
