"""Off a processor training goes in blocks of steps: the same steps, with fewer looks at the host."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.numerics import random, xla
from theorylab.settings.kernels.width_sweep import shifted_solves
from theorylab.training import iterate, log_spaced_steps
from theorylab.training.iterate import block_length, num_waits


def both(monkeypatch, function, *arguments):
    """Results of a function as it is on a processor, and as it is elsewhere."""
    results = []
    for on_processor in (True, False):
        monkeypatch.setattr(xla, "on_processor", lambda value=on_processor: value)
        results.append(jax.jit(lambda *arguments: function(*arguments))(*arguments))
    return results


@pytest.mark.parametrize("record_at", [(), (0,), (9,), (57,), tuple(range(58)), (19, 38, 57), (0, 20, 40), None])
def test_blocks_make_the_same_steps(monkeypatch, record_at):
    def run(starts):
        def one(start):
            return iterate(
                lambda state, t: ((state[0] * 3 + t) % 10007, state[0] * 0.5),
                (start, 0.0),
                num_steps=57,
                record=None if record_at == () else lambda state: {"hash": state[0], "half": state[1]},
                record_at=record_at,
            )

        return jax.vmap(one)(starts)

    ours, theirs = both(monkeypatch, run, jnp.arange(3, dtype=jnp.int32))
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert ours.state[0].dtype == jnp.int32
    hashes = [1]
    for t in range(57):
        hashes.append((hashes[-1] * 3 + t) % 10007)
    assert theirs.state[0][1] == hashes[57]
    if record_at:
        assert theirs.observables["hash"][1].tolist() == [hashes[step] for step in record_at]


def test_blocks_can_be_differentiated_and_report_divergence(monkeypatch):
    def run(rate):
        orbit = iterate(lambda w, t: w - rate * w, 1.0, num_steps=400, record_at=(0, 30, 390))
        return orbit.state, orbit.first_bad_step

    def derivative(rate):
        return jax.jvp(lambda rate: run(rate)[0], (rate,), (jnp.ones(()),))[1], run(30 * rate + 1e6 * (rate > 0.2))[1]

    for rate in (0.1, 0.3):
        ours, theirs = both(monkeypatch, derivative, rate)
        np.testing.assert_allclose(theirs[0], -400 * (1 - rate) ** 399, rtol=1e-12)
        assert ours[1] == theirs[1] == (390 if rate > 0.2 else -1)


@pytest.mark.parametrize(
    ("num_steps", "per_decade", "most"), [(100, 20, 1.2), (3000, 6, 0.12), (60_000, 20, 0.05), (100_000, 240, 0.13)]
)
def test_few_waits(num_steps, per_decade, most):
    """Looks at whether a loop goes on, for each of which a GPU's host waits: of a step, against one and the end's."""
    steps = log_spaced_steps(num_steps, per_decade)
    lengths = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert num_waits(lengths, block_length(lengths)) <= most * num_steps
    assert num_waits(lengths, 1) == num_steps + len(lengths)


def test_chi_square_numbers_are_the_same(monkeypatch):
    def draw(key):
        return random.chi_square(key, jnp.array([1.0, 2.0, 7.5, 300.0]), 500)

    ours, theirs = both(monkeypatch, draw, jax.random.key(3))
    np.testing.assert_allclose(theirs, ours, rtol=1e-13)
    # Negative control: with a single round one number in twenty is another.
    monkeypatch.setattr(random, "ROUNDS", 1)
    assert 0.01 < np.mean(np.abs(both(monkeypatch, draw, jax.random.key(3))[1] / ours - 1) > 1e-9) < 0.1


def test_ridges_of_a_width_are_solved_alike(monkeypatch):
    a, right = (np.random.default_rng(0).normal(size=shape) for shape in ((7, 5), (7, 2)))
    shifts = np.array([1e-3, 0.1, 2.0])
    for solutions in both(monkeypatch, shifted_solves, jnp.asarray(a @ a.T), jnp.asarray(right), jnp.asarray(shifts)):
        for index, shift in enumerate(shifts):
            expected = np.linalg.solve(a @ a.T + shift * np.eye(7), right)
            np.testing.assert_allclose(solutions[:, index], expected, rtol=1e-9)
