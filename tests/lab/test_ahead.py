"""The next item is prepared in a thread while the caller works on this one."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theorylab.jax_version import double_precision
from theorylab.lab.ahead import ahead


def test_the_next_one_is_prepared_and_no_more():
    prepared = [threading.Event() for _ in range(4)]

    def prepare(number):
        prepared[number].set()
        return number

    for number in ahead(prepare, range(4)):
        if number < 3:
            assert prepared[number + 1].wait(10)  # while this loop's body runs
        assert not any(each.is_set() for each in prepared[number + 2 :])


def test_an_error_comes_at_its_item_s_turn():
    def prepare(number):
        if number == 2:
            raise ValueError("the third")
        return number

    results = ahead(prepare, range(4))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)


def test_what_is_yielded_is_kept_nowhere():
    class Large:
        alive = 0

        def __init__(self):
            Large.alive += 1

        def __del__(self):
            Large.alive -= 1

    for large in ahead(lambda _: Large(), range(5)):
        assert Large.alive <= 3  # this one, the one before until its name is bound anew, and the next
        del large


@pytest.mark.parametrize("double", [True, False])
def test_a_precision_set_for_the_caller_s_thread_holds(double):
    with double_precision(double), jax.default_matmul_precision("highest"):
        found = list(ahead(lambda _: (jnp.ones(1).dtype, jax.config.jax_default_matmul_precision), range(3)))
    assert found == [(np.dtype("float64" if double else "float32"), "highest")] * 3
