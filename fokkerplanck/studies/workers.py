"""Processes that share the points of a study: a cluster of our own, or any there is; the only module that knows Dask."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidInput, NotConverged
from .forks import METHOD, environment, forks
from .outcome import Build, Measure, Outcome, outcome
from .points import Point

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
DASK = {
    # By default memory goes back to the system at once, and comes from it again page by page for every array: a solve on 128²
    # cells takes twice as long.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    # Looking at stacks 100 times a second, and at loops and memory nearly as often, takes a fifth of the processor from solves.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.worker.multiprocessing-method": METHOD,
}
ANSWER = 10.0  # seconds that a scheduler has to answer: one that runs does so within one
LOST = "study: expected a scheduler that stays until the end, got none any more. What had finished is in the store; call again"


@contextmanager
def connect(scheduler: Any = None, *, workers: int = 2) -> Iterator[Any]:
    """A client of a running Dask scheduler, or of workers of our own, which end with the block.

    Its ``get_executor()`` goes into :func:`fokkerplanck.sgd.simulate`, the client itself into :func:`study`, so that several
    share the start of the workers, a few seconds.

    Parameters
    ----------
    scheduler : str or Client, optional
        Address such as ``"tcp://host:8786"``, or a client, which is passed through. By default workers are started here.
    workers : int
        How many, with one thread each.

    Yields
    ------
    distributed.Client

    Raises
    ------
    InvalidInput
        If no scheduler answers at the address.

    Examples
    --------
    >>> with connect(workers=2) as client:  # doctest: +SKIP
    ...     run = sgd.simulate(chains=1000, steps=20_000, rng=7, executor=client.get_executor(pure=False))
    """
    if scheduler is None:
        if workers < 1:
            raise InvalidInput(f"workers: expected at least one, got {workers}")
        with _workers_of_our_own(workers) as client:
            yield client
        return
    from distributed import Client

    if isinstance(scheduler, Client):
        yield scheduler
        return
    try:
        client = Client(scheduler, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"scheduler: expected the address of a running Dask scheduler, tcp://host:8786, got {scheduler!r}: {error}"
        ) from error
    with client:
        yield client


@contextmanager
def _workers_of_our_own(workers: int) -> Iterator[Any]:
    threads = dict.fromkeys(THREADS, "1")
    # Dask sets in the environment what its workers are to inherit, threads among it, and does not take it back.
    with environment({}), _main_left_alone(), forks(threads):
        import dask  # while the process that the workers are copies of loads what they need
        from distributed import Client, LocalCluster

        with (
            dask.config.set(DASK),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                scheduler_kwargs={
                    "dashboard_address": "127.0.0.1:0"
                },  # or its status page takes port 8787 wherever it is free
                memory_limit=0,  # a worker is not stopped for the memory that a large solve needs
                silence_logs=logging.CRITICAL,
                env=threads | {name: os.environ.get(name, "") for name in ("PYTHONPATH", "PYTHONSAFEPATH")},
                preload=__name__,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


def dask_setup(worker: Any) -> None:
    """Called by Dask in every new worker: copies of one process would draw the same numbers, from NumPy's shared stream."""
    np.random.seed()  # noqa: NPY002, the stream of those who call the functions of numpy.random


def outcomes(
    client: Any, build: Build, measure: Measure, tasks: list[tuple[int, Point, int | None]]
) -> Iterator[Outcome]:
    """What became of every point, in the order in which they finish; a point whose worker died is done by another.

    Raises
    ------
    InvalidInput
        If the functions cannot be sent to another process.
    NotConverged
        If the scheduler is lost.
    """
    from distributed import as_completed

    shared = client.submit(bytes, _packed(build, measure), pure=False)
    rows = {}
    for row, point, rng in tasks:
        rows[client.submit(_on_worker, shared, row, point, rng, pure=False)] = row
    finished = as_completed(list(rows), loop=client.loop, with_results=True, raise_errors=False)
    try:
        for future, result in finished:
            row = rows.pop(future)
            if future.status == "finished":
                yield result
            elif future.status == "error":
                error = future.exception()
                yield Outcome(row, failure=f"{type(error).__name__}: {error}")
            else:
                raise NotConverged(LOST)
    finally:
        client.cancel([*rows, shared])


def _packed(build: Build, measure: Measure) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps((build, measure)))
    except Exception as error:  # whatever the objects that are enclosed raise
        raise InvalidInput(
            f"build, measure: expected functions that can be sent to another process, got {type(error).__name__}: {error}. "
            "Make inside them what cannot be sent, or pass workers=0 to stay in this process"
        ) from error


@lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> tuple[Build, Measure]:
    import cloudpickle

    functions: tuple[Build, Measure] = cloudpickle.loads(packed)
    return functions


def _on_worker(packed: bytes, row: int, point: Point, rng: int | None) -> Outcome:
    build, measure = _unpacked(packed)
    return outcome(build, measure, row, point, rng)


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """New processes run the script of their parent once more, unless its file is not known; ours get its functions sent."""
    main = sys.modules["__main__"]
    before: dict[str, Any] = {name: main.__dict__[name] for name in ("__file__", "__spec__") if name in main.__dict__}
    main.__dict__.pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(before)
