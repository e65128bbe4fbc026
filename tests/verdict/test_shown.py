"""What a table shows: of all entries and cells the comparison that says most, and a line for what was not compared."""

import dataclasses
import io
import math

import numpy as np
import pytest
import toy
from rich.console import Console

from theorylab.verdict.judge import Runs, judge
from theorylab.verdict.rows import Row, Status, Verdict, honest, judged_nothing
from theorylab.verdict.table import counted, not_judged, summarise, terminal_table


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


def printed(rows, width=200, **options):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(toy.SETTING, rows, **options))
    return console.file.getvalue()


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
    for every_row in (False, True):
        text = printed(nothing + other, every_row=every_row)
        silent = "right: 501 not applicable: for the other trainer (500), 1 other reason"
        assert text.splitlines()[1:] == [silent, "0 of 0 judged comparisons agree, 501 not applicable."]
    # Beside what was compared it is counted, in the same line.
    (summary,) = summarise([row(2.0, 0.3, 5.0), *nothing])
    assert summary.verdict == "agrees, 500 not applicable"
    assert "other trainer" not in printed([row(2.0, 0.3, 5.0), *nothing])


def test_columns_without_an_entry_are_left_out():
    text = printed([row(2.0, math.nan, 5.0, Status.PREDICTED)], every_row=True)
    assert "predicted" in text
    assert not [name for name in ("empirical", "z", "rel. error", "tol.", "verdict") if name in text.split()]


def test_the_parts_of_a_tolerance_are_two_columns():
    wide = dataclasses.replace(row(2.0, 0.3, 5.0), declared_error=0.6)
    text = printed([wide])
    assert "0.4 │      0.6" in text
    assert wide.from_seeds == pytest.approx(0.4)


@pytest.mark.parametrize("width", [40, 80, 100, 110, 120, 200])
def test_no_word_is_broken_however_narrow_the_terminal_is(width):
    """A table where its words fit, else a paragraph for each line."""
    measured = dataclasses.replace(row(2.0, 0.3, 5.0), theory="conserved_imbalance", declared_error=0.6)
    text = printed([measured], width=width)
    assert ("│" in text) == (width > 105)
    assert {"path", "conserved_imbalance", "5.30", "0.10", "0.4", "0.6", "agrees"} <= {
        word.strip(",:") for word in text.replace("│", " ").split()
    }
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("tolerance", "status", "said"),
    [(1.4, Status.AGREES, "agrees"), (1.6, Status.AGREES, "agrees, weakly"), (5.5, Status.NOT_JUDGED, "not judged")],
)
def test_a_wide_tolerance_is_marked_and_one_above_the_prediction_is_not_judged(tolerance, status, said):
    found = honest(dataclasses.replace(row(2.0, 0.3, 5.0), tolerance=tolerance))
    assert found.status is status
    assert found.weak == ("weakly" in said)
    assert said in " ".join(printed([found], every_row=True).split())
    # What disagrees even so fails, whatever the tolerance.
    wrong = dataclasses.replace(row(2.0, 9.0, 5.0, Status.DISAGREES), tolerance=tolerance)
    assert honest(wrong) is wrong
    assert honest(wrong).failed


@pytest.mark.parametrize(("declared", "status"), [(1.4, Status.AGREES), (1.6, Status.NOT_JUDGED)])
def test_a_theory_that_declares_more_than_30_percent_is_not_judged(declared, status):
    """Of a prediction of 5: seeds cannot make it more; outside the tolerance it disagrees as ever."""
    found = honest(dataclasses.replace(row(2.0, 0.3, 5.0), tolerance=declared + 0.01, declared_error=declared))
    assert found.status is status
    assert not found.weak
    assert ("the declared error is 32% of the prediction" in str(found.verdict)) == (status is Status.NOT_JUDGED)
    wrong = dataclasses.replace(row(2.0, 9.0, 5.0, Status.DISAGREES), tolerance=1.7, declared_error=1.6)
    assert honest(wrong).failed


def test_what_was_not_judged_is_counted_apart():
    judged = [row(1.0, 0.3, 5.0), dataclasses.replace(row(2.0, 0.3, 5.0), tolerance=2.0)]
    wide = honest(dataclasses.replace(row(3.0, 0.3, 5.0), tolerance=6.0))
    silent = row(4.0, math.nan, math.nan, Status.NOT_APPLICABLE, "too few")
    (summary,) = summarise([*judged, wide, silent])
    assert summary.verdict == "agrees (2/2), 1 of them weakly, 1 not judged, 1 not applicable"
    assert counted([*judged, wide, silent]) == (
        "2 of 2 judged comparisons agree, 1 of them weakly (tolerance above 30% of the prediction), "
        "1 not judged (tolerance above the prediction itself, or declared error above 30% of it), 1 not applicable."
    )
    (summary,) = summarise([wide, silent])
    assert summary.verdict == "not judged: the tolerance is 1.2 times the prediction, 1 not applicable"
    # A check of which only this is left has judged nothing.
    assert judged_nothing([wide]) is not None


def test_a_prediction_of_nothing_has_no_size_to_judge_by():
    found = honest(dataclasses.replace(row(1.0, 0.3, 0.0), tolerance=2.0))
    assert found.status is Status.AGREES
    assert not found.weak
