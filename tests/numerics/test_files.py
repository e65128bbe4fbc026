"""A file or a folder stands at its path whole, or not at all."""

import os

import pytest

from theorylab.numerics.files import written_whole


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    with written_whole(path) as scratch:
        scratch.write_text("first")
        assert not path.exists()

    def fail():
        with written_whole(path) as scratch:
            scratch.write_text("half of the sec")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "first"
    with written_whole(path) as scratch:
        scratch.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert os.listdir(path.parent) == ["a.txt"]


def test_of_two_folders_the_first_stays(tmp_path):
    path = tmp_path / "a"
    for number in range(2):
        try:
            with written_whole(path) as scratch:
                scratch.mkdir()
                (scratch / "number").write_text(str(number))
        except OSError:
            assert number == 1
    assert (path / "number").read_text() == "0"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with written_whole(tmp_path / "whole") as scratch:
        scratch.write_text("")
    assert (tmp_path / "whole").stat().st_mode == (tmp_path / "plain").stat().st_mode
