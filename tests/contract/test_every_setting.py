"""The contract, tried on every setting of the catalogue: a new one is tested by its line there.

A class for each setting, since classes are what several processes of pytest share out: the clauses that run ``tiny``
run it once in theirs.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest

import theorylab as tl
from theorylab.catalogue import family_of, module_of
from theorylab.contract.testing import CLAUSES, RUN, TRACED, _holding, _product, agreement, statistics

ROOT = Path(tl.__file__).parents[1]
PAGES = ROOT / "theorylab" / "docs" / "pages" / "settings"
# UserWarnings are on what some cases study, but for those on float64 constants in single precision.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "error:Explicitly requested dtype")

#: Clauses that take long: they run something, or lower every program for two kinds of device.
RUNNING = ("lowering", "mapping", *(name for name, clause in CLAUSES.items() if clause in RUN))
TRACING = tuple(name for name in CLAUSES if name not in RUNNING)
#: Settings whose observables are slopes and small errors, which need float64 (they warn of it): one leg is in float32.
FLOAT64 = ("linear_networks", "matrix_sensing", "robust_recovery")


class OneSetting:
    """What a setting must pass. The clauses run by ``pytest -m tiny``, and so in ``.ci/run``: the suite stays short."""

    name: str

    @pytest.mark.slow
    @pytest.mark.tiny
    @pytest.mark.parametrize("clause", TRACING)
    def test_contract(self, clause):
        presets = {"presets": ("tiny",)} if CLAUSES[clause] in TRACED else {}
        assert list(CLAUSES[clause](tl.get(self.name), **presets)) == []

    @pytest.mark.slow
    @pytest.mark.tiny
    @pytest.mark.parametrize("clause", RUNNING)
    def test_tiny(self, clause):
        if self.name in FLOAT64 and clause != "lowering" and not jax.config.jax_enable_x64:
            pytest.skip("its slopes and small errors need float64, of which it warns")
        assert list(CLAUSES[clause](tl.get(self.name))) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("clause", [agreement, statistics])
    def test_default_agrees_and_not_for_want_of_seeds(self, clause):
        if self.name in FLOAT64 and not jax.config.jax_enable_x64:
            pytest.skip("its slopes and small errors need float64, of which it warns")
        assert list(clause(tl.get(self.name), preset="default")) == []

    @pytest.mark.slow
    @pytest.mark.parametrize("clause", TRACED)
    def test_contract_at_larger_sizes(self, clause):
        assert list(clause(tl.get(self.name), presets=("default", "paper"))) == []

    @pytest.mark.slow
    def test_each_case_of_each_preset_is_judged(self):
        """What no theory judges anywhere is a sweep of a figure, no case of a check."""
        setting = tl.get(self.name)
        for preset, cases in setting.presets.items():
            for case in cases:
                judged = (_holding(setting, cell) for _, cell in _product(case, case.grid))
                assert any(judged), (preset, case.name)

    @pytest.mark.slow
    def test_tiny_takes_ten_seconds_on_two_cores(self, tmp_path):
        """In processor time, which other jobs on the machine do not stretch: twenty seconds are ten on two cores."""
        import resource

        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        command = [sys.executable, "-m", "theorylab", "check", self.name, "--preset", "tiny"]
        environment = {"PATH": "", "HOME": str(tmp_path), "THEORYLAB_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert min(used / 2, time.perf_counter() - start) <= 10

    def test_it_stands_where_its_name_says(self):
        name = self.name
        setting = tl.get(name)
        assert setting.name == name
        assert setting.config.__module__.startswith(f"theorylab.settings.{family_of(name)}.{name}")
        assert sys.modules[module_of(name)].SETTING is setting
        for folder in (PAGES, ROOT / "paper_figures" / name):
            assert folder.exists()
        assert (PAGES / f"{name}.md").exists(), "a page of the documentation"
        scripts = list((ROOT / "paper_figures" / name).glob("figure_*.py"))
        assert scripts, "a figure in its folder of the gallery"
        for script in scripts:
            assert re.fullmatch(r"figure_\d+_\w+", script.stem)
            assert script.with_suffix(".png").exists(), f"the committed picture of {script.stem}"


for _name in tl.SETTINGS:
    _class = "Test" + _name.title().replace("_", "")
    globals()[_class] = type(_class, (OneSetting,), {"name": _name})
