"""What trainers make a GPU do, seen without one: no waiting for the host at each step, few launches, nothing twice.

The first tests read traced programs and need nothing. The others count launches in programs compiled for an H100 that
is not there, and need JAX's plugin for CUDA (tests/platform/test_h100.py): pip install jax-cuda12-plugin==VERSION
jax-cuda12-pjrt==VERSION nvidia-cuda-nvcc-cu12, with JAX's own version and --no-deps, is enough.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import theorylab as tl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from compiled_text import loops_of, plugin  # noqa: E402

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


# --- compiled for an H100 ---------------------------------------------------------------------------------------------

#: What the page of benchmarks shows.
TABLE = json.loads((Path(PATH[0]) / "experiments" / "benchmarks" / "launches.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def counts():
    if not plugin():
        pytest.skip("the CUDA wheels of JAX are not installed")
    return trainers("compile")


@pytest.mark.slow  # a minute of compiling
def test_launches_and_waits_are_those_of_the_page(counts):
    if jax.__version__ != TABLE["jax"]:
        pytest.skip(f"JAX {jax.__version__} fuses otherwise than {TABLE['jax']}, of which the counts are")
    for name, row in TABLE["trainers"].items():
        found = {what: counts[name][what] for what in row["now"]}
        assert all(found[what] <= row["now"][what] for what in found), (name, found)
        # Negative control: a step in a round of its own waits more often.
        assert found["waits"] < row["before"]["waits"]


@pytest.mark.slow
def test_no_large_array_is_moved_twice(counts):
    """No padding, copy or transpose in a loop of what is the same in each round."""
    moved = {name: [line for line in row["idle"] if MOVES.search(line)] for name, row in counts.items()}
    assert {name: lines for name, lines in moved.items() if lines} == {}


MOVES = re.compile(r"pad|copy|transpose")
TEXT = """HloModule padded

%body (state: (s32[], f64[8], f64[5,5])) -> (s32[], f64[8], f64[5,5]) {
  %state = (s32[], f64[8]{0}, f64[5,5]{1,0}) parameter(0)
  %step = s32[] get-tuple-element(%state), index=0
  %x = f64[8]{0} get-tuple-element(%state), index=1
  %operator = f64[5,5]{1,0} get-tuple-element(%state), index=2
  %pad_fusion = f64[8,8]{1,0} fusion(%operator), kind=kLoop, calls=%fused_pad
  %product = f64[8]{0} custom-call(%pad_fusion, %x), custom_call_target="gemv"
  %next = s32[] fusion(%step), kind=kLoop, calls=%fused_add
  ROOT %tuple = (s32[], f64[8]{0}, f64[5,5]{1,0}) tuple(%next, %product, %operator)
}

ENTRY %main (begin: (s32[], f64[8], f64[5,5])) -> (s32[], f64[8], f64[5,5]) {
  %begin = (s32[], f64[8]{0}, f64[5,5]{1,0}) parameter(0)
  ROOT %while = (s32[], f64[8]{0}, f64[5,5]{1,0}) while(%begin), condition=%less, body=%body
}
"""


def test_the_text_of_a_program_is_read():
    (loop,) = loops_of(TEXT)
    assert (loop.launches, loop.rounds, loop.conditions) == (3, None, 0)
    assert len(loop.idle) == 1
    assert MOVES.search(loop.idle[0])
    known = TEXT.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"7"}}')
    assert loops_of(known)[0].rounds == 7
    # Negative control: what changes from round to round is not idle.
    assert loops_of(TEXT.replace("fusion(%operator)", "fusion(%x)"))[0].idle == []
