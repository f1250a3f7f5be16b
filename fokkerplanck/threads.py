"""Work shared between threads: chains piece by piece; on large grids kernels plane by plane, NumPy's in pieces that stay in
the cache; and one thread for BLAS meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache, partial
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Array = NDArray[np.float64]

WORTH_SHARING = 2**16  # cells: a kernel takes about a millisecond there, handing half of it over 50 µs
PIECE = (
    2**16
)  # cells: with fewer the two threads wait for each other, with more the parts of an expression leave the cache


def workers(cells: int) -> int:
    """Threads for a transform of so many cells."""
    return 2 if cells >= WORTH_SHARING and _helpers() is not None else 1


@lru_cache(maxsize=1)
def _helpers() -> ThreadPoolExecutor | None:
    """Threads beside the caller's, for the life of the process: to start one takes as long as a tenth of a small simulation."""
    from numba import config  # all cores, unless NUMBA_NUM_THREADS is less, as where several processes share them

    more = config.NUMBA_NUM_THREADS - 1
    return ThreadPoolExecutor(more, "fokkerplanck") if more > 0 else None


if hasattr(os, "register_at_fork"):  # a child of fork has no threads but its own: it would wait for these for ever
    os.register_at_fork(after_in_child=_helpers.cache_clear)


def each(work: Callable[[T], object], pieces: Sequence[T], threads: int) -> None:
    """Call ``work`` on every piece, on at most so many threads, of which each takes the next piece that is left."""
    helpers = _helpers()
    left = iter(pieces)

    def some() -> None:
        for piece in left:
            work(piece)

    more = 0 if helpers is None else min(threads, len(pieces)) - 1
    others = [helpers.submit(some) for _ in range(more)] if helpers is not None else []
    try:
        some()
    finally:
        wait(others)
    for other in others:
        other.result()


def in_planes(kernel: Callable[..., None], planes: int, cells: int, *arguments: Any) -> None:
    """Call ``kernel(*arguments, start, stop)`` on ranges that cover ``planes``; the kernel may write to its own only."""
    helper = _helpers() if cells >= WORTH_SHARING else None
    if helper is None or planes < 2:
        kernel(*arguments, 0, planes)
        return
    middle = planes // 2
    inherited = partial(copy_context().run, kernel)  # NumPy's settings for errors among it
    other = helper.submit(inherited, *arguments, middle, planes)
    try:
        kernel(*arguments, 0, middle)
    finally:
        other.result()


def in_pieces(function: Callable[[slice], T], planes: int, cells: int) -> list[T]:
    """``function`` of slices that make up ``planes``, and what it returned for each, in order.

    For expressions of many operations, whose parts then never leave the cache. The pieces depend on the grid alone, so that
    neither do sums of them depend on the number of threads.
    """
    pieces = min(planes, -(-cells // PIECE))
    ends = [planes * i // pieces for i in range(pieces + 1)] if pieces else [0]
    done: list[Any] = [None] * pieces

    def some(start: int, stop: int) -> None:
        for i in range(start, stop):
            done[i] = function(slice(ends[i], ends[i + 1]))

    in_planes(some, pieces, cells)
    return done


def summed(function: Callable[[slice], float], planes: int, cells: int) -> float:
    """The sum of what ``function`` returns for all pieces."""
    return float(sum(in_pieces(function, planes, cells)))


def shared(function: Callable[..., Any], *arguments: Any, out: Array | None = None) -> Array:
    """A function of NumPy of arrays of one shape and of numbers, into ``out`` if there is one, which may be one of them."""
    shape = next(a.shape for a in arguments if isinstance(a, np.ndarray))
    target = np.empty(shape) if out is None else out

    def piece(rows: slice) -> None:
        function(*(a[rows] if isinstance(a, np.ndarray) else a for a in arguments), out=target[rows])

    in_pieces(piece, target.shape[0], target.size)
    return target


_blas = Lock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Around a computation, or as ``@one_blas_thread()`` on its function; the caller's number is put back.

    A product of 256² arrays is done before a second thread has woken up: with two, `nonequilibrium` takes twice as long
    (`make bench-blas`). The number belongs to the process: only the outermost call, or of several that overlap the first,
    sets it.
    """
    if not _blas.acquire(blocking=False):
        yield
        return
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        _blas.release()


@lru_cache(maxsize=1)
def _libraries() -> Any:
    """Those in memory, among them NumPy's and SciPy's; to look for them takes some milliseconds, so once."""
    import scipy.linalg  # noqa: F401  loads SciPy's
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
