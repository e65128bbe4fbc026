"""What trainers make a GPU do, seen without one: no waiting for the host at each step, few launches, nothing twice.

The first tests read traced programs and need nothing. The others count launches in programs compiled for an H100 that
is not there, and need JAX's plugin for CUDA (tests/platform/test_h100.py): the table is of JAX 0.10.2.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import theorylab as tl

HERE = Path(__file__).parent
PATH = [str(Path(tl.__file__).parents[1]), str(HERE.parent)]


def trainers(*arguments):
    done = subprocess.run(
        [sys.executable, HERE / "trainers.py", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(PATH)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def faults():
    return trainers("trace")


CONTROLS = {
    "asks the host": "callback",
    "pads what stays": "pad",
    "stores a transpose": "trick for processors",
    "waits until": "until slice",
    "asks whether": "told the branch",
    "counts at run time": "counts at run time",
    "one after another": "one matrix after another",
}


def test_no_trainer_waits_for_its_host_or_moves_what_stays(faults):
    assert len(faults) > 2 * len(CONTROLS)
    assert {name: words for name, words in faults.items() if words and name not in CONTROLS} == {}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_does_is_noticed(faults, name):
    """Negative controls."""
    assert any(CONTROLS[name] in words for words in faults[name])
