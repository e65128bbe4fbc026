"""The clauses of the contract that run the tiny preset of every setting: theories agree, controls are rejected."""

import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import theorylab as tl
from theorylab.contract.testing import CLAUSES

ROOT = Path(tl.__file__).parents[1]
# UserWarnings are on what some cases study, but for those on float64 constants in single precision.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "error:Explicitly requested dtype")

#: Settings whose observables are slopes and small errors, which need float64 (they warn of it): one leg is in float32.
FLOAT64 = ("matrix_sensing", "robust_recovery")


@pytest.mark.parametrize("clause", ["mapping", "agreement", "controls"])
@pytest.mark.parametrize("name", tl.SETTINGS)
def test_contract(name, clause):
    if name in FLOAT64 and not jax.config.jax_enable_x64:
        pytest.skip("its slopes and small errors need float64, of which it warns")
    assert list(CLAUSES[clause](tl.get(name))) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", tl.SETTINGS)
def test_tiny_takes_ten_seconds_on_two_cores(name, tmp_path):
    """In processor time, which other jobs on the machine do not stretch: twenty seconds are ten on two cores."""
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    command = [sys.executable, "-m", "theorylab", "check", name, "--preset", "tiny"]
    environment = {"PATH": "", "HOME": str(tmp_path), "THEORYLAB_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert min(used / 2, time.perf_counter() - start) <= 10
