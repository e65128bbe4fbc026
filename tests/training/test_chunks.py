"""Chunked training: same bits as an unbroken run, after kills too; foreign checkpoints; early stop."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from theorylab.training import CheckpointError, Dynamics, descent_dynamics, iterate, train_in_chunks

ROOT = Path(__file__).parents[2]


def make_dynamics(run):
    """A small network with noisy inputs, fresh at every step, under gradient descent with momentum."""
    key, frequency = run
    x = jnp.sin(frequency * jnp.arange(36.0) ** 1.5).reshape(12, 3)
    return descent_dynamics(
        lambda w, noise: jnp.mean((jnp.tanh((x + noise) @ w) - x[:, 0]) ** 2),
        x[0],
        optax.sgd(0.1, momentum=0.9),
        record=lambda w: {"w": w, "num_positive": jnp.sum(w > 0)},
        key=key,
        sample_batch=lambda key: jax.random.uniform(key, (1, 3)),
    )


KEYS = jax.random.split(jax.random.key(0), 3)
RUNS = (KEYS, jnp.array([1.0, 1.1, 1.2]))
STEPS = 150


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def outcome(result):
    return result.state, result.steps, result.observables, result.first_bad_step


@pytest.fixture(scope="module")
def unbroken():
    return train_in_chunks(make_dynamics, RUNS, num_steps=STEPS, chunk_steps=STEPS)


@pytest.mark.parametrize("chunk_steps", [1, 64])
def test_chunks_leave_no_trace(unbroken, chunk_steps):
    chunked = train_in_chunks(make_dynamics, RUNS, num_steps=STEPS, chunk_steps=chunk_steps)
    assert_same_bits(outcome(chunked), outcome(unbroken))
    assert chunked.last_step == STEPS
    assert chunked.observables["w"].shape == (3, len(chunked.steps), 3)


def test_agrees_bitwise_with_the_pure_trainer(unbroken):
    def simulate(run):
        step, state, record, watch = make_dynamics(run)
        return iterate(step, state, num_steps=STEPS, record=record, watch=watch)

    orbit = jax.jit(jax.vmap(simulate))(RUNS)
    assert_same_bits(
        (orbit.state, orbit.observables, orbit.first_bad_step),
        (unbroken.state, unbroken.observables, unbroken.first_bad_step),
    )


def test_one_trace_serves_all_chunks():
    calls = []

    def counted(learning_rate):
        calls.append(1)
        return quadratic_runs(learning_rate)

    counts = []
    for chunk_steps in (150, 3):
        calls.clear()
        train_in_chunks(counted, jnp.array([0.1, 0.2]), num_steps=STEPS, chunk_steps=chunk_steps)
        counts.append(len(calls))
    assert counts[0] == counts[1] <= 3


class Interrupted(Exception):
    pass


def interrupt_after(step):
    def hook(report):
        if report.step >= step:
            raise Interrupted

    return hook


def test_resumes_with_other_chunks(tmp_path, unbroken):
    path = tmp_path / "new folder" / "run.npz"
    with pytest.raises(Interrupted):
        train_in_chunks(
            make_dynamics,
            RUNS,
            num_steps=STEPS,
            chunk_steps=40,
            checkpoint=path,
            progress=interrupt_after(80),
        )
    resumed = train_in_chunks(make_dynamics, RUNS, num_steps=STEPS, chunk_steps=7, checkpoint=path)
    assert resumed.resumed_at == 80
    assert_same_bits(outcome(resumed), outcome(unbroken))
    # A finished run is read, not trained.
    again = train_in_chunks(make_dynamics, RUNS, num_steps=STEPS, checkpoint=path)
    assert again.resumed_at == STEPS
    assert_same_bits(outcome(again), outcome(unbroken))
    assert os.listdir(path.parent) == ["run.npz"]


def test_resumes_with_the_same_bits_after_kill_9(tmp_path, unbroken):
    path, script = tmp_path / "run.npz", tmp_path / "long_run.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
        import jax
        jax.config.update("jax_enable_x64", True)
        import test_chunks
        test_chunks.train_in_chunks(
            test_chunks.make_dynamics, test_chunks.RUNS, num_steps=test_chunks.STEPS, chunk_steps=1,
            checkpoint={str(path)!r}, progress=lambda report: time.sleep(0.05),
        )
        """)
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()
    resumed = train_in_chunks(make_dynamics, RUNS, num_steps=STEPS, checkpoint=path)
    assert 0 < resumed.resumed_at < STEPS
    assert_same_bits(outcome(resumed), outcome(unbroken))


@pytest.mark.parametrize("content", [b"", b"notes, not arrays", b"PK\x03\x04 half a file"])
def test_refuses_a_file_that_is_no_checkpoint(tmp_path, content):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="left untouched"):
        train_in_chunks(quadratic_runs, jnp.array([0.1]), num_steps=STEPS, checkpoint=path)
    assert path.read_bytes() == content
    assert os.listdir(tmp_path) == ["run.npz"]


def test_refuses_other_arrays_and_a_truncated_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    np.savez(path, theirs=np.arange(3))
    with pytest.raises(CheckpointError, match="left untouched"):
        train_in_chunks(quadratic_runs, jnp.array([0.1]), num_steps=STEPS, checkpoint=path)
    path.unlink()
    train_in_chunks(quadratic_runs, jnp.array([0.1]), num_steps=STEPS, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(CheckpointError, match="not a readable checkpoint"):
        train_in_chunks(quadratic_runs, jnp.array([0.1]), num_steps=STEPS, checkpoint=path)


def test_refuses_the_checkpoint_of_another_run(tmp_path):
    path = tmp_path / "run.npz"
    data = jnp.linspace(0, 1, 200_000)

    def build(data, learning_rate):
        return lambda start: descent_dynamics(lambda w: jnp.mean((w * data - 1) ** 2), start, optax.sgd(learning_rate))

    def train(data=data, learning_rate=0.1, starts=(0.0, 0.0), num_steps=4):
        build_one = build(data, learning_rate)
        return train_in_chunks(build_one, jnp.array(starts), num_steps=num_steps, record_at=(0,), checkpoint=path)

    train()
    content, written = path.read_bytes(), path.stat().st_mtime_ns
    for change in (
        {"learning_rate": 0.2},
        {"starts": (0.0, 1.0)},
        {"starts": (0.0, 0.0, 0.0)},
        {"num_steps": 5},
        {"data": data.at[77_777].add(1e-9)},
    ):
        with pytest.raises(CheckpointError, match="checkpoint of another run"):
            train(**change)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, written)
    assert train().resumed_at == 4


def test_keys_and_small_dtypes_survive_a_checkpoint(tmp_path):
    # Not the default kind of key, which would survive by chance, and cheaper to compile.
    keys = jax.random.split(jax.random.key(0, impl="unsafe_rbg"), 3)

    def walk(key):
        def step(state, t):
            key, position = state
            key, draw = jax.random.split(key)
            return key, position + jax.random.uniform(draw, dtype=jnp.bfloat16)

        return Dynamics(step, (key, jnp.bfloat16(0)), lambda state: {"position": state[1]})

    whole = train_in_chunks(walk, keys, num_steps=20)
    with pytest.raises(Interrupted):
        train_in_chunks(walk, keys, num_steps=20, checkpoint=tmp_path / "walk.npz", progress=interrupt_after(10))
    resumed = train_in_chunks(walk, keys, num_steps=20, checkpoint=tmp_path / "walk.npz")
    assert resumed.resumed_at == 10
    assert resumed.state[1].dtype == jnp.bfloat16
    assert_same_bits(jax.random.key_data(resumed.state[0]), jax.random.key_data(whole.state[0]))
    assert_same_bits(resumed.observables, whole.observables)


def quadratic_runs(learning_rate):
    record = lambda w: {"w": w, "positive": w > 0}  # noqa: E731
    return descent_dynamics(lambda w: 0.5 * w**2, jnp.float64(1), optax.sgd(learning_rate), record=record)


RECORD_AT = (0, 100, 200, 300, 400)


def test_stops_once_all_runs_have_diverged(tmp_path):
    path, reports = tmp_path / "run.npz", []
    options = {"num_steps": 400, "record_at": RECORD_AT, "checkpoint": path}
    # |1 - lr|^t passes the largest float64 at step 309 for lr = 11 (10^308.25) and at 183 for lr = 50.
    result = train_in_chunks(
        quadratic_runs, jnp.array([11.0, 50.0]), chunk_steps=10, progress=reports.append, **options
    )
    assert result.last_step == 310
    assert result.first_bad_step.tolist() == [400, 200]
    assert np.isfinite(result.observables["w"]).tolist() == [[True] * 4 + [False], [True] * 2 + [False] * 3]
    assert [r.num_diverged for r in reports if r.step in (180, 190, 310)] == [0, 1, 2]
    assert reports[-1].seconds_left == 0
    again = train_in_chunks(quadratic_runs, jnp.array([11.0, 50.0]), **options)
    assert (again.resumed_at, again.last_step) == (310, 310)
    assert again.first_bad_step.tolist() == [400, 200]
    # An unbroken run finds the same steps.
    whole = train_in_chunks(
        quadratic_runs, jnp.array([11.0, 50.0]), num_steps=400, record_at=RECORD_AT, chunk_steps=400
    )
    assert whole.first_bad_step.tolist() == [400, 200]


def test_one_healthy_run_keeps_the_others_going():
    result = train_in_chunks(quadratic_runs, jnp.array([0.5, 50.0]), num_steps=400, record_at=RECORD_AT, chunk_steps=10)
    assert result.last_step == 400
    assert result.first_bad_step.tolist() == [-1, 200]
    np.testing.assert_allclose(result.observables["w"][0], 0.5 ** np.array(RECORD_AT))


def test_progress_reports_and_bar(capsys):
    reports = []
    train_in_chunks(quadratic_runs, jnp.array([0.1, 0.2]), num_steps=100, chunk_steps=40, progress=reports.append)
    assert [r.step for r in reports] == [40, 80, 100]
    assert [r.seconds for r in reports] == sorted(r.seconds for r in reports)
    assert reports[0].seconds_left == pytest.approx(1.5 * reports[0].seconds)
    assert reports[-1].seconds_left == 0
    train_in_chunks(quadratic_runs, jnp.array([0.1, 0.2]), num_steps=100, chunk_steps=40, progress=True)
    assert "100/100 steps" in capsys.readouterr().out


@pytest.mark.parametrize("runs", [(), jnp.float64(1), jnp.zeros(0), (jnp.zeros(2), jnp.zeros(3))])
def test_rejects_runs_without_a_common_axis(runs):
    with pytest.raises(ValueError, match="one leading axis"):
        train_in_chunks(quadratic_runs, runs, num_steps=10)


def test_rejects_an_empty_chunk():
    with pytest.raises(ValueError, match="chunk_steps = 0 is not allowed"):
        train_in_chunks(make_dynamics, RUNS, num_steps=10, chunk_steps=0)


def test_a_programs_identity_does_not_depend_on_what_was_traced_before():
    """Names of sub-programs do: the text of a lowered program differs after other programs were traced."""
    from theorylab.training.checkpoint import program_identity

    def traced(scale, constant):
        inner = jax.jit(lambda x: jnp.where(x > 0, scale * x, x))
        values = jnp.asarray(constant)
        return jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: inner(y) + values, x)).trace(jnp.ones(2)).jaxpr

    first = program_identity(traced(2.0, [1.0, 2.0]))
    jax.jit(lambda x: jnp.where(x > 1, x, 2 * jnp.where(x > 0, 2 * x, x))).trace(jnp.ones(2)).lower()
    assert program_identity(traced(2.0, [1.0, 2.0])) == first
    assert program_identity(traced(2.5, [1.0, 2.0])) != first
    assert program_identity(traced(2.0, [1.0, 2.0 + 1e-9])) != first


def test_a_programs_identity_holds_the_precision_of_its_products():
    """What an application sets for its process, such as full precision on a GPU, makes it another program."""
    from theorylab.training.checkpoint import program_identity

    def identity(precision):
        return program_identity(jax.jit(lambda x: jnp.matmul(x, x, precision=precision)).trace(jnp.eye(2)).jaxpr)

    assert len({identity(precision) for precision in (None, "high", "highest")}) == 3
