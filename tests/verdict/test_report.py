"""The report as text: whole, escaped, honest about what it did not judge."""

import dataclasses
import math
from html.parser import HTMLParser

from toy import SETTING

from theorylab.verdict.report import write_report
from theorylab.verdict.rows import Row, Status, Verdict

NASTY = """<b>"A & 'B'"</b> $name ${title} {lead} %s <script>alert(1)</script>"""
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Text of a page, by tag; complains of tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.attributes = [], {}, []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def row(status=Status.AGREES, reason="", **changes):
    base = Row(
        "sample_mean", "exact", 1.0, 0.0, 1.0, math.nan, 0.0, 1e-8, Verdict(status, reason), seeds=3, judged_seeds=3
    )
    return dataclasses.replace(base, **changes)


def page(tmp_path, *parts, **options):
    return Page(write_report(tmp_path / "reports" / "report.html", parts, **options).read_text(encoding="utf-8"))


def test_whatever_fills_the_page_is_escaped(tmp_path):
    paper = dataclasses.replace(SETTING.papers[0], title=NASTY, authors=NASTY, venue=NASTY, bibtex=NASTY, arxiv=NASTY)
    theory = dataclasses.replace(SETTING.theories[0], source=NASTY)
    setting = dataclasses.replace(SETTING, title=NASTY, papers=(paper,), theories=(theory,))
    rows = [row(Status.DIVERGED, NASTY, case=NASTY, theory=NASTY, observable=NASTY, cell={NASTY: NASTY})]
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    found = page(tmp_path, (setting, rows, tmp_path / "figure.png", {NASTY: NASTY}), (SETTING, [row()], None, {}))
    assert NASTY in found.text["h2"]
    assert found.text["td"].count(NASTY) == 3
    assert f"diverged: {NASTY}" in found.text["td"]
    assert f"{NASTY}: {NASTY}" in found.text["pre"]
    assert len(found.text["script"]) == 1  # the page's own
    assert "b" not in {tag for tag, *_ in found.attributes}
    assert ("a", "href", f"https://arxiv.org/abs/{NASTY}") in found.attributes
    assert any(tag == "img" and name == "alt" and value.startswith(NASTY) for tag, name, value in found.attributes)


def test_several_settings_have_a_table_of_contents(tmp_path):
    other = dataclasses.replace(SETTING, name="other", title="Another")
    rows = [row(), row(Status.DISAGREES, observable="path"), row(Status.NOT_APPLICABLE, "too few", theory="on_host")]
    found = page(tmp_path, (SETTING, rows, None, {}), (other, [row()], None, {}))
    assert "2 of 3 judged comparisons agree, 1 not applicable." in found.text["p"]
    assert [a for a in found.attributes if a[2].startswith("#")] == [("a", "href", "#toy"), ("a", "href", "#other")]
    first, second = "1 of 2 judged comparisons agree, 1 not applicable.", "1 of 1 judged comparisons agree."
    assert found.text["span"] == [first, second, first, second]  # in the contents, and each at its setting
    assert not [a for a in page(tmp_path, (SETTING, rows, None, {})).attributes if a[2].startswith("#")]


def test_a_report_that_judged_nothing_says_so(tmp_path):
    rows = [row(Status.NOT_APPLICABLE, "too few")]
    found = page(tmp_path, (SETTING, rows, None, {}))
    assert "nothing was judged: the only comparison says: too few" in found.text["p"]


def test_what_is_not_applicable_is_folded_to_one_line_a_theory(tmp_path):
    silent = [row(Status.NOT_APPLICABLE, "too few", cell={"mean": i}) for i in range(72)]
    other = row(Status.NOT_APPLICABLE, "too many", observable="path")
    found = page(tmp_path, (SETTING, [row(theory="ensemble"), *silent, other], None, {}))
    assert "exact: 73 not applicable: too few (72), 1 other reason" in found.text["summary"]
    assert [text for text in found.text["li"] if "too" in text] == ["sample_mean (72): too few", "path (1): too many"]
    assert found.text["td"].count("ensemble") == 1
    assert "exact" not in found.text["td"]


def test_the_head_says_what_made_the_report(tmp_path):
    about = {"command": "theorylab reproduce --preset tiny", "date": NASTY}
    found = page(tmp_path, (SETTING, [row()], None, {}), about=about)
    assert list(zip(found.text["dt"], found.text["dd"], strict=True)) == list(about.items())


def test_a_paper_without_a_preprint_has_no_link(tmp_path):
    paper = dataclasses.replace(SETTING.papers[0], arxiv="")
    found = page(tmp_path, (dataclasses.replace(SETTING, papers=(paper,)), [row()], None, {}))
    assert not [value for _, name, value in found.attributes if name == "href" and "arxiv" in value]
