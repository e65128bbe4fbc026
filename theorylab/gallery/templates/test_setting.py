"""The contract test of this setting; put tests of its mathematics beside it."""

from pathlib import Path

from theorylab import get
from theorylab.contract.testing import check_setting

SETTING = get(Path(__file__).with_name("setting.py"))


def test_contract() -> None:
    """Every theory agrees at the tiny preset, and each of its controls is rejected there."""
    check_setting(SETTING)
