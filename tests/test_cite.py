"""``cite`` gives BibTeX of the library and of the papers."""

import pytest

import theorylab


def test_cite_gives_the_library_and_the_papers():
    for name in theorylab.SETTINGS:
        setting = theorylab.get(name)
        text = theorylab.cite(name)
        assert text.count("\n@") == len(setting.references)
        assert text.startswith("@software{theorylab,")
        assert f"version = {{{theorylab.__version__}}}" in text
        assert text == theorylab.cite(setting)


def test_cite_everything_once_and_well_formed():
    text = theorylab.cite()
    for name in theorylab.SETTINGS:
        for paper in theorylab.get(name).references:
            assert text.count(paper.bibtex) == 1
    assert text.count("{") == text.count("}")


def test_cite_unknown():
    with pytest.raises(KeyError, match="choose one of random_features"):
        theorylab.cite("nothing")
