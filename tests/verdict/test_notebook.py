"""What a notebook shows: settings, configurations, rows, means; a figure once."""

from html.parser import HTMLParser

import numpy as np
import pytest
import toy

import theorylab as tl
from theorylab.contract.notebook import config_html
from theorylab.verdict.plotting import shown_once


class Page(HTMLParser):
    """Texts of the cells of a page whose tags all close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.cells = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("br",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.fixture(scope="module")
def swept():
    return tl.sweep(toy.SETTING, toy.Config(), {"mean": (1.0, 2.0)}, seeds=6)


@pytest.fixture(scope="module")
def rows(swept):
    return tl.compare(toy.SETTING, swept)


def test_a_setting_shows_its_observables_theories_and_parameters():
    cells = Page(toy.SETTING._repr_html_()).cells
    for name in (*(o.name for o in toy.SETTING.observables), *(t.name for t in toy.SETTING.theories), "num_samples"):
        assert name in cells
    assert all(Page(tl.get(name)._repr_html_()).cells for name in ("random_features", "xor"))


def test_a_configuration_shows_values_symbols_and_meanings():
    text = toy.Config(mean=3.25)._repr_html_()
    cells = Page(text).cells
    assert {"mean", r"$\mu$", "3.25"} <= set(cells)
    assert text == config_html(toy.Config(mean=3.25))


def test_rows_are_a_list_that_shows_a_table(rows):
    assert isinstance(rows, list)
    cells = Page(rows._repr_html_()).cells
    assert {"exact", "ensemble", "predicted", "tol.: declared"} <= set(cells)
    assert "<button" not in rows._repr_html_()


def test_summary_has_means_and_standard_errors(swept):
    found = tl.summary(swept)
    values = swept["path"].values
    np.testing.assert_allclose(found["path"].sel(statistic="mean"), values.mean(1))
    np.testing.assert_allclose(found["path"].sel(statistic="standard error"), values.std(1, ddof=1) / np.sqrt(6))
    assert (found["seeds"] == 6).all()
    # A run that diverged is left out, whatever its other observables say.
    broken = swept.copy(deep=True)
    broken["first_bad_step"][0, 2] = 1
    found = tl.summary(broken)
    assert found["seeds"].values.tolist() == [5, 6]
    kept = np.delete(swept["sample_mean"].values[0], 2)
    np.testing.assert_allclose(found["sample_mean"].sel(statistic="mean")[0], kept.mean())


def test_rows_are_a_table_of_pandas_and_of_latex(rows):
    frame = tl.table(rows)
    assert len(frame) == len(rows)
    assert list(frame.columns[:3]) == ["observable", "theory", "mean"]  # one case without a name: no column
    assert frame["predicted"].tolist() == pytest.approx([row.predicted for row in rows], nan_ok=True)
    text = tl.latex(rows)
    assert text.count(r" \\") == len(rows) + 1
    assert r"sample\_mean" in text
    assert r"\pm" in text
    assert not tl.table([]).size


def test_a_figure_is_shown_once_by_a_notebook(monkeypatch):
    import matplotlib.pyplot as plt

    for backend, left in (("module://matplotlib_inline.backend_inline", 0), ("agg", 1)):
        plt.close("all")
        figure = plt.figure()
        monkeypatch.setattr("matplotlib.get_backend", lambda backend=backend: backend)
        assert shown_once(figure) is figure
        assert len(plt.get_fignums()) == left
    plt.close("all")
