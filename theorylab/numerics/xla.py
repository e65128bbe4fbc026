"""All that is known about the habits of XLA and LAPACK, and what is done about each.

Each function here is a trick: it changes how something is computed, never what. Its docstring has the symptom or the
upstream thread, the gain when it was introduced (two cores of an x86 server, JAX 0.10, float64), and the condition
under which it is deleted. ``tests/numerics/test_xla.py`` has a test of each, among them that the habit is still
there.

Three habits are met where there is no function to call:

- LAPACK's own threads get into the way of XLA's on batches of small matrices: the command line sets
  ``OPENBLAS_NUM_THREADS=1`` before SciPy is loaded (:mod:`theorylab.cli.process`).
- A GPU multiplies float32 matrices in TF32, with three digits: :func:`theorylab.runtime.configure` asks for full
  precision.
- XLA deletes a training loop of which nothing but the start is used: trainers return their last state.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.extend.core as core
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array
from threadpoolctl import ThreadpoolController

# --- where programs run -----------------------------------------------------------------------------------------------


def on_processor() -> bool:
    """Whether what is traced now will run on a processor, JAX's default backend.

    The one place that decides: the tricks for processors are off elsewhere, and the loops of training there are those
    that a GPU runs without waiting for its host (:mod:`theorylab.training.iterate`). Asked while tracing, since a
    choice at lowering would trace, and on a processor compile, both.
    """
    return jax.default_backend() == "cpu"


# --- transposes -------------------------------------------------------------------------------------------------------


def stored(array: Array) -> Array:
    """Make an array be written to memory as it stands here, before anything uses it.

    Symptom: XLA folds a transposition or a change of layout into the products around it, and multiplies strided
    columns. On a CPU, A*A of many runs as columns of one matrix then takes three times as long. Upstream: jax-ml/jax
    issues 4466 and 20303 (XLA moves transposes into and out of products as its cost model sees fit). Off the processor
    nothing is done: a GPU's products read either layout, and a copy is one more array to read in each step.

    Delete when both tests of the habit fail: XLA then multiplies as fast from the folded layout.
    """
    return jax.lax.optimization_barrier(array) if on_processor() else array


def stored_transpose(matrix: Array) -> Array:
    """Transpose of a matrix as a copy, for products with it in a loop; keep it outside of the loop.

    Symptom: XLA on a CPU folds ``A.T @ v`` into a product over the rows of A, which it reads at a tenth of the
    memory's speed; from the copy, Aᵀ V is 1.5 times faster and a sum over rows 3 times. Costs the memory of A once
    more.

    Delete with :func:`stored`.
    """
    return stored(matrix.T)


def inner_products(rows: Array, others: Array) -> Array:
    """Inner products of all pairs of rows, A Bᵀ of shape (rows, others).

    Symptom, the converse: written ``A @ B.T``, XLA stores the transpose first where an axis of length one stands
    before (a device with one run), which takes half of the time of the product.

    Delete when ``A @ B.T`` compiles to no transpose under :func:`jax.vmap` over one run.
    """
    return jax.lax.dot_general(rows, others, (((1,), (1,)), ((), ())))


# --- axes of length one -----------------------------------------------------------------------------------------------


def map_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map a function over the first axis of its first argument; the other arguments are the same for all.

    An axis of length one is taken off. Symptom: with it, XLA on a CPU takes other routes for products (batched ones,
    with transposes of their own), and programs can be several times slower. It also saves compiling a batched program
    for a single run.

    Delete when the benchmarks of one run are as fast with ``vmap``.
    """

    def mapped(runs: Any, *others: Any) -> Any:
        if jax.tree.leaves(runs)[0].shape[0] > 1:
            return jax.vmap(function, in_axes=(0, *(None for _ in others)))(runs, *others)
        result = function(jax.tree.map(lambda leaf: leaf[0], runs), *others)
        return jax.tree.map(lambda leaf: jnp.expand_dims(leaf, 0), result)

    return mapped


# --- host libraries and their threads ---------------------------------------------------------------------------------

#: Primitives of host libraries. On a processor they split their batch over XLA's threads, and wait on one for the rest.
_HOST_CALLS = {"fft", "geqrf", "geqp3", "ffi_call", "io_callback", "pure_callback"} | {
    primitive.name for primitive in vars(jax.lax.linalg).values() if isinstance(primitive, core.Primitive)
}


@contextlib.contextmanager
def blas_threads(most: int) -> Iterator[None]:
    """Limit the threads of the libraries behind NumPy and SciPy, where they have more; at least one is left.

    Symptom: each of them (they are two, as installed by pip) has a thread for every core, which waits for the others by
    turning. When two threads of Python call them at once, all cores turn: a learning curve of 5,000 points took 27 s,
    and 10 s with one thread for each.

    Delete when the threads of OpenBLAS sleep while they wait (OpenMathLib/OpenBLAS).
    """
    import scipy.linalg  # noqa: F401 - only libraries that are loaded have threads to limit

    libraries = ThreadpoolController().select(user_api="blas")
    with libraries.limit(limits=max(1, min([most, *(library["num_threads"] for library in libraries.info())]))):
        yield


def calls_host(program: Any) -> bool:
    """Whether a traced program (or one of several, or any parameter of an operation) calls LAPACK, an FFT or Python.

    Symptom: on a processor that is presented as several devices, a program with such calls may never return. The
    devices share XLA's threads; each call splits its batch over them and waits on one for the rest, and when all of
    them wait, none is left to work. The same was seen of two decompositions of different sizes that one program could
    run side by side: bring them to one batch, or map them one after the other. Reports of the same kind:
    PyAutoLabs/PyAutoFit issues 1528 and 1530 (``vmap`` on XLA's Eigen threads hangs in ``block_until_ready``). A
    sweep therefore keeps such a program on one device.

    Delete when XLA runs host calls of several devices of one processor without blocking their threads.
    """
    return any(equation.primitive.name in _HOST_CALLS for equation in equations(program))


def equations(program: Any) -> Iterator[Any]:
    """Yield the operations of a traced program (or of several), and those of the programs in their parameters."""
    if isinstance(program, core.ClosedJaxpr):
        program = program.jaxpr
    if isinstance(program, core.Jaxpr):
        for equation in program.eqns:
            yield equation
            yield from equations(tuple(equation.params.values()))
    elif isinstance(program, (tuple, list)):
        for part in program:
            yield from equations(part)


def largest_array(program: Any) -> float:
    """Bytes of the largest array in a traced program, or in any part of it; the compiler may fuse it away."""
    return max((size_of(v.aval) for equation in equations(program) for v in equation.outvars), default=0.0)


#: What XLA is told about programs of the processor, each where its version knows it.
#:
#: Its plain loops compile in two thirds of the time and run as fast: matrix sensing's eight programs, tiny preset, took
#: 17.1 CPU s, then 11.2 (JAX 0.10.2). XLA gives them up (openxla/xla, pull request 48001), and JAX 0.12 does not know
#: the option. Delete it when the oldest JAX that is supported is such a one.
#:
#: Small matrix products become part of the loop around them, not calls of a routine that may share them out among
#: threads: 3.4 times as fast for one seed of neural collapse, 1.2 to 2.5 for gradient flow, matrix sensing and linear
#: attention, 8.4 for the last but one on JAX 0.6.1; large products use their threads as before (grokking .99 to 1.01).
#: Delete it when XLA does so by itself.
_PROCESSOR_OPTIONS = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_multi_thread_eigen": False}


@functools.cache
def processor_options() -> dict[str, bool | str]:
    """Options with which programs of the processor are compiled."""

    def known(name: str, value: bool) -> bool:
        try:
            jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
        except RuntimeError:
            return False
        return True

    return {name: value for name, value in _PROCESSOR_OPTIONS.items() if known(name, value)}


def host_program(function: Callable[..., Any], static: Sequence[int] = ()) -> Callable[..., Any]:
    """Compile a function with the options above where it is called by the host, and make it part of a trace elsewhere.

    ``static`` are the positions of arguments that are no arrays. A mean-field march of grokking compiles in 3.4 s of a
    core instead of 5.4, best ridges in 1.8 instead of 2.8.
    """
    inside = jax.jit(function, static_argnums=tuple(static))

    @functools.cache
    def program() -> Callable[..., Any]:
        # Asked for at the first call: JAX is not set up when a module is imported.
        options = processor_options() if on_processor() else {}
        return jax.jit(function, static_argnums=tuple(static), compiler_options=dict(options) or None)

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        # In a program even a constant is traced; in a bare vmap or grad the arguments are.
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((jnp.zeros(()), arguments)))
        return (inside if traced else program())(*arguments)

    return call


def size_of(value: Any) -> float:
    """Size of an array from its type, as a float, since whole numbers of the machine may overflow."""
    try:
        return math.prod(map(float, value.shape)) * value.dtype.itemsize
    except (AttributeError, TypeError):  # no array
        return 0.0


# --- routines that stay apart -----------------------------------------------------------------------------------------


def apart(function: Callable[..., Array], static: Sequence[int]) -> Callable[..., Array]:
    """Make a function be a routine of its own in the compiled program on a CPU, not fused with what uses its result.

    Symptom: fused into a loop over the entries of an array of short rows, a random generator is not vectorised and
    takes eight times as long; and each use compiles a copy of it. ``static`` are the positions of arguments that are
    no arrays.

    Delete when XLA on a CPU no longer duplicates costly producers into every loop that reads them.
    """
    routine = jax.jit(function, static_argnums=tuple(static))

    @functools.wraps(function)
    def call(*arguments: Any) -> Array:
        if not on_processor():
            return function(*arguments)
        with set_xla_metadata(inlineable="false"):
            return routine(*arguments)

    return call
