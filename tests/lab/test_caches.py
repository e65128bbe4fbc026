"""Caches are optional: a corrupt one is computed again with a warning, one of others is not used, none ever kills."""

import os
import random
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

from theorylab import runtime
from theorylab.settings.kernels.finite_population import eigensystem

KERNEL = np.diag([3.0, 2.0, 1.0]) + 0.1
TARGETS = np.arange(3.0)[:, None]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THEORYLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def spectrum():
    return eigensystem.eigensystem(KERNEL, TARGETS)


def test_a_corrupt_spectrum_is_computed_again_with_a_warning(cache):
    first = spectrum()
    (file,) = (cache / "spectra").glob("*.npz")
    whole, draw = file.read_bytes(), random.Random(0)
    damages = [b"", b"no zip", whole[:100], whole[:-30], os.urandom(len(whole))]
    for bit in draw.sample(range(8 * len(whole)), 200):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        damages.append(bytes(content))
    warned = 0
    for number, damage in enumerate(damages):
        file.write_bytes(damage)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            found = spectrum()
        for ours, theirs in zip(found, first, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        warned += any("is computed again" in str(each.message) for each in seen)
        assert warned == number + 1 or number >= 5  # a bit that nobody reads is harmless
    assert warned > len(damages) / 2


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_cache_of_programs_that_others_can_write_is_not_used(cache, monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    folder = runtime.cache_directory()
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match=f"are not kept in {folder}: everyone may write to {folder}; THEORYLAB_CACHE"):
        runtime.configure(devices=None)
    assert jax.config.jax_compilation_cache_dir == before
    folder.chmod(0o700)
    runtime.configure()
    assert jax.config.jax_compilation_cache_dir == str(folder)


@pytest.mark.parametrize("kind", ["file", "dangling"])
def test_a_cache_that_cannot_be_made_is_not_used(tmp_path, monkeypatch, kind):
    place = tmp_path / "cache"
    if kind == "file":
        place.write_text("")
    else:
        (tmp_path / "gone").write_text("")
        place.symlink_to(tmp_path / "gone" / "deeper")
    monkeypatch.setenv("THEORYLAB_CACHE", str(place))
    with pytest.warns(UserWarning, match="compiled programs are not kept in"):
        runtime.configure()


def test_a_new_cache_is_the_users_alone(cache):
    runtime.configure()
    assert runtime.cache_directory().stat().st_mode & 0o077 == 0


def test_a_corrupt_cache_of_programs_is_compiled_again(cache, tmp_path):
    script = (
        "import theorylab as tl, jax, jax.numpy as jnp; tl.configure(devices=1);"
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0);"
        "print(float(jax.jit(lambda x: jnp.sin(x).sum())(jnp.arange(1000.0))))"
    )

    def run():
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    first, _ = run()
    files = [file for file in (cache / "compiled").iterdir() if file.name.endswith("-cache")]
    assert files
    for file in files:
        file.write_bytes(b"no program")
    again, said = run()
    assert again == first
    assert "Traceback" not in said
