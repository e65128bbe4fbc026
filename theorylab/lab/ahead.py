"""Preparing the next item while this one is worked on: compiling needs another core than running does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

import jax
import numpy as np

from theorylab.jax_version import double_precision

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(prepare: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``prepare(item)`` for each, in order; a thread prepares the next one while the caller works on this one.

    At most one is ready in advance, so that no more memory is taken. An exception is raised where its item's turn
    comes. Whoever stops early waits for what is being prepared, as it would have without the thread.

    >>> list(ahead(lambda n: n * n, range(4)))
    [0, 1, 4, 9]
    """
    double = jax.dtypes.canonicalize_dtype(float) == np.float64
    products = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]

    def elsewhere(item: Item) -> Result:
        # What the caller set for its thread alone (``with jax.enable_x64(True)``) holds there too.
        with ExitStack() as settings:
            settings.enter_context(double_precision(double))
            settings.enter_context(jax.default_matmul_precision(products))
            return prepare(item)

    waiting = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="theorylab-ahead") as worker:

        def begin() -> Future[Result] | None:
            for item in waiting:
                return worker.submit(elsewhere, item)
            return None

        for item in waiting:
            following = begin()
            yield prepare(item)
            while following is not None:
                ready, following = [following.result()], begin()
                yield ready.pop()  # kept nowhere else, so that its memory is freed when the caller is done
