"""The tiny presets' simulators compile for an H100, with no GPU present; everywhere else they are lowered alone.

Lowering for CUDA and TPU is a clause of the contract test, and needs nothing installed. Compiling needs the CUDA wheels
of JAX's own version, without a driver: ``pip install jax-cuda13-plugin jax-cuda13-pjrt nvidia-cuda-nvcc``.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy

import theorylab as tl

HERE = Path(__file__).parent
ROOT = Path(tl.__file__).parents[1]
sys.path.insert(0, str(HERE))

from compiled_text import plugin  # noqa: E402

pytestmark = pytest.mark.skipif(not plugin(), reason="the CUDA wheels of JAX are not installed")


def compile_for_h100(which, *names):
    done = subprocess.run(
        [sys.executable, HERE / "gpu_programs.py", which, *map(str, names)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    return done


@pytest.mark.parametrize("name", tl.SETTINGS)
def test_the_first_case_of_tiny_compiles(name):
    done = compile_for_h100("first", name)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "device NVIDIA H100" in done.stdout
    assert f"compiled {name}/" in done.stdout or f"left out {name}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", tl.SETTINGS)
def test_every_case_of_tiny_compiles(name):
    done = compile_for_h100("every", name)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("compiled") + done.stdout.count("left out") == len(tl.get(name).presets["tiny"])


def test_what_does_not_compile_is_noticed(tmp_path):
    """Negative control: Schur's decomposition is LAPACK's alone."""
    text = Path(toy.__file__).read_text(encoding="utf-8")
    line = 'return {"sample_mean": x.mean()'
    assert line in text
    file = tmp_path / "broken.py"
    schur = "jax.scipy.linalg.schur(jnp.outer(x, x))[0][0, 0]"
    file.write_text(text.replace(line, f'return {{"sample_mean": {schur}'), encoding="utf-8")
    assert compile_for_h100("first", toy.__file__).returncode == 0
    done = compile_for_h100("first", file)
    assert done.returncode != 0
    assert "schur" in done.stderr
