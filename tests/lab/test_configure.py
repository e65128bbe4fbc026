"""``configure`` sets precision, cache and devices, and nothing else of the user's process."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from theorylab.runtime import application_settings, cache_directory, configure

ROOT = Path(__file__).parents[2]

NOTHING_ELSE = """
import atexit, gc, os, signal, sys, threading, warnings
import jax
import theorylab

def state():
    settings = {name: getattr(jax.config, name) for name in jax.config.values if hasattr(jax.config, name)}
    process = (gc.get_threshold(), gc.get_freeze_count(), gc.isenabled(), atexit._ncallbacks(), dict(os.environ),
               signal.getsignal(signal.SIGINT), list(warnings.filters), sys.excepthook, threading.active_count())
    return settings, process

before, process = state()
theorylab.configure(devices=3)
after, same = state()
assert process == same, (process, same)
changed = {name for name in after if after[name] != before.get(name)}
assert changed == {"jax_enable_x64", "jax_default_matmul_precision", "jax_compilation_cache_dir",
                   "jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes",
                   "jax_num_cpu_devices"}, changed
assert jax.config.jax_enable_x64 and jax.config.jax_compilation_cache_dir.startswith(sys.argv[1])
assert len(jax.devices()) == 3
theorylab.configure(float64=False)
assert not jax.config.jax_enable_x64 and len(jax.devices()) == 3
"""


def test_nothing_else_of_the_process_changes(tmp_path):
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "THEORYLAB_CACHE": str(tmp_path),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", NOTHING_ELSE, str(tmp_path)], check=True, env=environment, timeout=120)


def test_the_cache_is_the_users_to_place(monkeypatch):
    monkeypatch.setenv("THEORYLAB_CACHE", "/a/b")
    assert cache_directory() == Path("/a/b/compiled")
    monkeypatch.delenv("THEORYLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert cache_directory() == Path("/c/theorylab/compiled")


def test_without_a_cache_jaxs_own_setting_stays():
    before = jax.config.jax_compilation_cache_dir
    configure(cache=False, float64=False)
    assert jax.config.jax_compilation_cache_dir == before
    assert not jax.config.jax_enable_x64
    assert "jax_compilation_cache_dir" not in application_settings(cache=False)
    configure(cache=False)
    assert jax.config.jax_enable_x64


@pytest.mark.parametrize("devices", [0, -1, 1.5, "2", True])
def test_a_number_of_devices_that_cannot_be(devices):
    with pytest.raises(ValueError, match=f"devices = {devices!r} is not allowed"):
        configure(devices=devices, cache=False)
