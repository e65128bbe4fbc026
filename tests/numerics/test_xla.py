"""Tricks about XLA's and LAPACK's habits: each does what it says, and the habit that it is for is still there.

Where a test of a habit fails, XLA has changed: the trick's docstring says whether it can go.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl

from theorylab.numerics import random, xla

A, V = jnp.arange(12.0).reshape(4, 3), jnp.ones((4, 2))


def program(function, *arguments):
    """Text of the optimised program, without the names of the source."""
    text = jax.jit(function).lower(*arguments).compile().as_text()
    return re.sub(r"(metadata|frontend_attributes)={[^}]*}", "", text[text.index("\n") :])


def copies(function, *arguments):
    """Number of arrays that the program writes anew in another order."""
    return len(re.findall(r" (copy|transpose)\(", program(function, *arguments)))


def test_a_stored_transpose_is_a_copy():
    np.testing.assert_array_equal(xla.stored_transpose(A), A.T)
    assert copies(lambda a, v: xla.stored_transpose(a) @ v, A, V) > 0
    assert copies(lambda a, v: a.T @ v, A, V) == 0  # the habit: a product over the rows of A
    assert "lhs_contracting_dims={0}" in program(lambda a, v: a.T @ v, A, V)


def test_what_is_stored_is_not_folded_into_a_product():
    def columns(keep):
        """One map of many states, which become the columns of a matrix."""
        return lambda g, states: g @ keep(jax.vmap(lambda state: 2 * state, out_axes=1)(states))

    arguments = jnp.ones((3, 3)), A
    np.testing.assert_array_equal(columns(xla.stored)(*arguments), columns(lambda x: x)(*arguments))
    assert copies(columns(xla.stored), *arguments) > 0
    assert copies(columns(lambda x: x), *arguments) == 0  # the habit: a product with the columns as rows


def test_off_the_processor_nothing_is_stored(monkeypatch):
    monkeypatch.setattr(xla, "on_processor", lambda: False)
    assert xla.stored(A) is A
    assert copies(lambda a, v: xla.stored_transpose(a) @ v, A, V) == 0


def test_inner_products_store_no_transpose():
    runs = A[None], 2 * A[None]
    np.testing.assert_allclose(xla.inner_products(A, V.T @ A), A @ (V.T @ A).T)
    assert copies(jax.vmap(xla.inner_products), *runs) == 0
    assert copies(jax.vmap(lambda a, b: a @ b.T), *runs) > 0  # the habit, with an axis of length one
    assert copies(lambda a, b: a @ b.T, A, A) == 0


def test_a_single_run_is_mapped_without_the_axis():
    def simulate(key, scale):
        return {"shape": jnp.zeros(jax.random.key_data(key).ndim), "value": scale * jax.random.key_data(key).sum()}

    one, two = (xla.map_first(simulate)(jax.random.split(jax.random.key(0), 2)[:count], 2.0) for count in (1, 2))
    assert jax.tree.map(jnp.shape, one) == {"shape": (1, 1), "value": (1,)}
    assert one["value"][0] == two["value"][0]
    (sine,) = (e for e in jax.make_jaxpr(xla.map_first(jnp.sin))(jnp.ones((1, 3))).eqns if e.primitive.name == "sin")
    assert sine.outvars[0].aval.shape == (3,)

    def run(pair):
        return pair[0] @ pair[1].T

    assert copies(xla.map_first(run), (A[None], A[None])) == 0
    assert copies(jax.vmap(run), (A[None], A[None])) > 0  # the habit


def test_calls_of_host_libraries_are_found_at_any_depth():
    """That they stay on one device is tested with several (tests/lab/test_sweep.py)."""

    def inside(use):
        def step(i, x):
            return jax.jit(lambda x: jax.lax.cond(i > 0, use, jnp.sin, x))(x)

        return jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 2, step, x))(jnp.eye(3))

    assert xla.calls_host(inside(lambda x: jnp.linalg.eigh(x)[1]))
    assert xla.calls_host(inside(lambda x: jnp.linalg.solve(x, x)))
    assert xla.calls_host(inside(lambda x: jnp.fft.fft(x).real))
    assert xla.calls_host(inside(lambda x: jax.pure_callback(np.sin, x, x)))
    assert not xla.calls_host(inside(lambda x: x @ x))


def test_a_routine_apart_is_called():
    def double(x, count):
        return jnp.arange(count) * x

    apart = xla.apart(double, (1,))
    np.testing.assert_array_equal(apart(2.0, 3), double(2.0, 3))
    np.testing.assert_array_equal(jax.vmap(lambda x: apart(x, 3))(jnp.arange(2.0)), [[0, 0, 0], [0, 1, 2]])
    assert " call(" in program(lambda x: apart(x, 3) + 1, 2.0)
    assert " call(" not in program(lambda x: double(x, 3) + 1, 2.0)  # the habit
    assert " call(" in program(lambda key: jnp.sin(random.normal(key, 5)), jax.random.key(0))


def test_an_option_that_this_version_does_not_know_is_left_out(monkeypatch):
    options = {"xla_cpu_multi_thread_eigen": False, "xla_of_another_version": True}
    monkeypatch.setattr(xla, "_PROCESSOR_OPTIONS", options)
    assert xla.processor_options.__wrapped__() == {"xla_cpu_multi_thread_eigen": False}


def test_blas_has_fewer_threads_for_a_while():
    def threads():
        libraries = threadpoolctl.threadpool_info()
        return {library["filepath"]: library["num_threads"] for library in libraries if library["user_api"] == "blas"}

    with xla.blas_threads(1):
        assert set(threads().values()) <= {1}  # those of SciPy too, which was not loaded before
    before = threads()
    with xla.blas_threads(1000):
        assert all(now <= before[library] for library, now in threads().items())  # never more than there were
    with xla.blas_threads(0):
        assert set(threads().values()) <= {1}
    assert threads() == before


def test_programs_of_the_host_keep_static_arguments():
    calls = []

    def power(x, exponent):
        calls.append(exponent)
        return x**exponent

    compiled = xla.host_program(power, static=(1,))
    assert compiled(jnp.arange(3.0), 2).tolist() == [0.0, 1.0, 4.0]
    assert compiled(jnp.arange(3.0), 3).tolist() == [0.0, 1.0, 8.0]
    compiled(jnp.ones(3), 2)
    assert calls == [2, 3]  # traced once for each
    assert jax.vmap(lambda x: compiled(x, 2))(jnp.arange(3.0)).tolist() == [0.0, 1.0, 4.0]
    assert jax.grad(lambda x: compiled(x, 2))(3.0) == 6.0
    assert jax.jit(lambda x: compiled(x, 2))(3.0) == 9.0
    assert jax.jit(lambda: compiled(jnp.asarray(3.0), 2))() == 9.0
    assert compiled.__name__ == "power"
