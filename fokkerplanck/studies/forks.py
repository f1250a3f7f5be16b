"""Workers as copies of one process that has loaded everything; otherwise each of them takes seconds for the same imports."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# Copying a process is safe where no library of the system minds, and as long as it has a single thread.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
LOADED = (  # what every point of a study of solutions needs; what cannot be imported is left out
    "distributed.nanny",
    "distributed.worker",
    "dask.array",  # xarray loads it for the first array that it labels, where there is Dask
    "fokkerplanck.studies.workers",
    "fokkerplanck.solvers.stationary",
    "fokkerplanck.nonequilibrium",
)
NAMES = ("connect_to_new_process", "ensure_running", "set_forkserver_preload")


@contextmanager
def forks(threads: Mapping[str, str]) -> Iterator[None]:
    """Within the block, processes of multiprocessing's method "forkserver" are copies of a process of our own.

    That begins to load in the background at once, and ends with the block. One that the user may have, with other environment
    and other modules, is left as it is.

    Parameters
    ----------
    threads : dict
        Variables of the environment that libraries read when they are loaded.
    """
    if METHOD != "forkserver":
        yield
        return
    from multiprocessing import forkserver  # not on Windows

    server = forkserver.ForkServer()
    server.set_forkserver_preload(list(LOADED))
    # A new interpreter would look into the working directory first, whatever this one does.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    with environment({**threads, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}):
        server.ensure_running()
    before = {name: getattr(forkserver, name) for name in NAMES}
    try:
        for name in NAMES:
            setattr(forkserver, name, getattr(server, name))
        yield
    finally:
        for name, function in before.items():
            setattr(forkserver, name, function)
        server._stop()  # type: ignore[attr-defined]


@contextmanager
def environment(changes: Mapping[str, str]) -> Iterator[None]:
    """With these variables; afterwards all are as they were, those that others have changed in the block among them."""
    before = dict(os.environ)
    try:
        os.environ.update(changes)
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
