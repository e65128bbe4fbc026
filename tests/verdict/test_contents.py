"""The report's table of contents."""

import types

from theorylab import get
from theorylab.verdict.report import contents
from theorylab.verdict.rows import Status


def row(status):
    return types.SimpleNamespace(status=status, failed=status.failed, weak=False)


def test_settings_stand_by_family_with_their_counts():
    good, bad, silent = row(Status.AGREES), row(Status.DISAGREES), row(Status.NOT_APPLICABLE)
    rows = {"random_features": [good, silent], "xor": [good, bad], "grokking": [silent]}
    parts = [(get(name), rows[name], None, {}) for name in rows]
    text = contents(parts)
    assert '<a href="#random_features">' in text
    assert '<span class="agrees">1 of 1 judged comparisons agree, 1 not applicable.</span>' in text
    assert '<span class="disagrees">1 of 2 judged comparisons agree.</span>' in text
    assert '<span class="not">0 of 0 judged comparisons agree, 1 not applicable.</span>' in text
    assert text.count("two-layer networks") == 1
    assert contents(parts[:1]) == ""
