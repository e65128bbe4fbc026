"""What a table shows: of all entries and cells the comparison that says most, and a line for what was not compared."""

import math

import numpy as np
import pytest
import toy

from theorylab.verdict.judge import Runs, judge
from theorylab.verdict.rows import Row, Status, Verdict
from theorylab.verdict.table import not_judged, summarise, terminal_table


@pytest.mark.parametrize("kind", ["exact", "instance", "ensemble"])
def test_an_entry_whose_prediction_is_next_to_nothing_is_shown_only_where_it_fails(kind):
    """At step 0 the prediction is 1e-6 of what it is later, and half its tolerance off; later a tenth is."""
    seeds = 20
    path = np.array([1e-6, 1.0, 2.0]) * np.ones((seeds, 1))
    predicted = path[0] if kind == "ensemble" else path
    off = np.array([0.5, 0.1, 0.05]) * 0.1
    for first, position in ((off[0], (1,)), (0.2, (0,))):
        factor = 1 + np.array([first, *off[1:]])
        runs = Runs(path * factor, np.arange(seeds), np.full(seeds, -1), False)
        row = judge(runs, predicted, kind=kind, declared=0.1, z_max=4.0)
        assert row["position"] == position
        assert row["verdict"].status is (Status.AGREES if position == (1,) else Status.DISAGREES)
        assert math.isnan(row["relative_error"]) == (position == (0,))


def row(cell, gap, predicted, status=Status.AGREES, reason=""):
    """A comparison of ``gap`` tolerances."""
    return Row(
        "path", "right", predicted + gap, 0.1, predicted, math.nan, math.nan, 1.0, Verdict(status, reason), "a case",
        {"mean": cell}, seeds=8, judged_seeds=8, scale=abs(predicted),
    )  # fmt: skip


def test_of_several_cells_that_of_a_negligible_prediction_is_not_shown():
    (summary,) = summarise([row(1.0, 0.9, 1e-4), row(2.0, 0.3, 5.0), row(3.0, 0.1, 7.0)])
    assert summary.worst.cell == {"mean": 2.0}
    (summary,) = summarise([row(1.0, 1.5, 1e-4, Status.DISAGREES), row(2.0, 0.3, 5.0)])
    assert summary.worst.cell == {"mean": 1.0}
    assert summary.status is Status.DISAGREES


def test_what_was_not_compared_is_one_line_for_each_theory():
    nothing = [row(float(i), math.nan, math.nan, Status.NOT_APPLICABLE, "for the other trainer") for i in range(500)]
    other = [row(-1.0, math.nan, math.nan, Status.NOT_APPLICABLE, "too few samples")]
    assert not_judged(nothing) == [("right", 500, "for the other trainer")]
    assert not_judged(nothing + other) == [("right", 501, "for the other trainer (500), 1 other reason")]
    assert terminal_table(toy.SETTING, nothing + other).row_count == 1
    # Beside what was compared it is counted, in the same line.
    (summary,) = summarise([row(2.0, 0.3, 5.0), *nothing])
    assert summary.verdict == "agrees, 500 not applicable"
    assert terminal_table(toy.SETTING, [row(2.0, 0.3, 5.0), *nothing]).row_count == 1
