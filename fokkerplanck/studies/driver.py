"""The driver of a study: which points there are, which are left, and what becomes of them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from ..errors import FailedPointsWarning, InvalidInput, NotConverged
from ..progress import points_bar
from .identity import identity as identity_of
from .outcome import Build, Measure, outcome
from .points import Parameters, Points, described_attributes, seed_of
from .store import DONE, FAILED, Store, locked

if TYPE_CHECKING:
    from distributed import Client


def study(
    build: Build,
    parameters: Parameters,
    measure: Measure,
    *,
    store: str | Path | None = None,
    workers: int = 2,
    scheduler: str | Client | None = None,
    seed: int | None = None,
    retry: bool = True,
    identity: str | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    progress: bool | None = None,
) -> xr.Dataset:
    r"""Measure :math:`m(b(x))` at every point x of a grid or list of parameters, on many processes, into one dataset on disk.

    Points are written as they finish. The same call, after Ctrl-C, a crash or a failure, goes on with the points that are left;
    with more points it computes the new ones. What has finished is never computed again.

    Parameters
    ----------
    build : callable
        ``build(**point)``: the problem at a point; a process with its box, a case, an SGD.
    parameters : mapping or sequence of mappings
        ``{"a": [1.0, 2.0], "b": [3, 4]}``, a grid of all combinations, or ``[{"a": 1.0, "b": 3}, …]``, a list of points.
        Values are numbers, words or truth values; labelled ones (DataArray) bring their units along.
    measure : callable
        ``measure(problem)``, or ``measure(problem, rng=number)`` with a ``seed``: a dict of numbers, words, `Measured` numbers
        (which give ``name`` and ``name_error``) and DataArrays, the same at every point in names, shapes and coordinates.
    store : path, optional
        Directory of a Zarr group, made if there is none. By default the points are kept in memory only.
    workers : int
        Processes that share the points, one thread in each, so that as many cores are busy. 0: this process, without Dask.
    scheduler : str or Client, optional
        Address of a running Dask scheduler (``"tcp://host:8786"``), or a client of it, whose workers are used instead.
    seed : int, optional
        From which every point gets a number for its random streams, by its parameters and not by its place.
    retry : bool
        Try points again that have failed in an earlier call.
    identity : str, optional
        A name for ``build`` and ``measure`` together. By default their own names and a hash of their texts and of what they
        enclose; functions that these call are not looked into.
    attributes : mapping, optional
        ``{"a": {"units": "1/time", "long_name": "rate"}}``, of parameters and of what is measured.
    progress : bool, optional
        Show a bar with points done, failed, and the expected end; by default if stderr is a terminal.

    Returns
    -------
    Dataset
        With a dimension for every parameter of a grid, or one named "point". Beside what was measured: ``status`` (0 open,
        1 done, 2 failed), ``failure``, ``remark`` (warnings) and ``seconds``. Failed points hold nan.

    Raises
    ------
    InvalidInput
        If arguments do not fit, or the store holds points of another study: another version of this package, other functions,
        another seed. It is left as it is.
    NotConverged
        If all points have failed; with the first error.
    KeyboardInterrupt
        On Ctrl-C. The points that had finished are in the store.

    Warns
    -----
    FailedPointsWarning
        If some have failed.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> def well(depth, temperature):
    ...     return fp.DiffusionProcess(lambda x: -depth * x, temperature, dim=1)
    >>> def variance(process):
    ...     return {"variance": fp.solve_stationary(process, fp.Box([-6], [6]), shape=(64,)).covariance.item()}
    >>> found = study(well, {"depth": [1.0, 2.0], "temperature": [0.5]}, variance, workers=0)
    >>> found.variance.values.round(3)
    array([[0.5 ],
           [0.25]])
    """
    points = Points.of(parameters)
    _check(build, measure, points, workers, seed)
    key = {
        "fokkerplanck": version("fokkerplanck"),
        "functions": identity if identity is not None else [identity_of(build), identity_of(measure)],
        "seed": seed,
    }
    with locked(store):
        table = Store(store, key, described_attributes(attributes, parameters))
        rows = table.enter(points)
        status = table.status(rows)
        wanted = (status != DONE) & ((status != FAILED) | retry)
        tasks = [
            (int(row), point, None if seed is None else seed_of(seed, point))
            for row, point, left in zip(rows, points, wanted, strict=True)
            if left
        ]
        if tasks:
            _compute(table, build, measure, tasks, workers=workers, scheduler=scheduler, progress=progress)
        found = table.dataset(points)
    _report(found)
    return found


def read(store: str | Path) -> xr.Dataset:
    """What a store holds by now, also while a study is writing to it: on a grid if the points fill one.

    Raises
    ------
    InvalidInput
        If there is no study.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     store = f"{folder}/inverses.zarr"
    ...     done = study(lambda x: 1 / x, {"x": [1.0, 2.0]}, lambda y: {"inverse": y}, store=store, workers=0)
    ...     read(store).inverse.values.tolist()
    [1.0, 0.5]
    """
    table = Store(store)
    return table.dataset(table.points())


def _compute(
    table: Store,
    build: Build,
    measure: Measure,
    tasks: list[tuple[int, dict[str, Any], int | None]],
    *,
    workers: int,
    scheduler: Any,
    progress: bool | None,
) -> None:
    """Work through the points; whatever stops it, what has finished is written."""
    with points_bar(len(tasks), show=progress) as finished:
        try:
            if workers == 0 and scheduler is None:
                for row, point, rng in tasks:
                    finished(bool(table.add(outcome(build, measure, row, point, rng)).failure))
                return
            from .workers import connect, outcomes  # Dask is slow to import

            with connect(scheduler, workers=min(workers, len(tasks))) as client:
                for each in outcomes(client, build, measure, tasks):
                    finished(bool(table.add(each).failure))
        except KeyboardInterrupt as error:
            error.add_note(
                f"The points that had finished are in the store, {table.path}; the same call goes on with the rest"
            )
            raise
        finally:
            table.flush()


def _check(build: Any, measure: Any, points: Points, workers: Any, seed: Any) -> None:
    for name, function in (("build", build), ("measure", measure)):
        if not callable(function):
            raise InvalidInput(f"{name}: expected a function, got {function!r}")
    for name, number, least in (("workers", workers, 0), ("seed", 0 if seed is None else seed, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise InvalidInput(f"{name}: expected a whole number of at least {least}, got {number!r}")
    calls: tuple[tuple[str, Any, tuple[Any, ...], dict[str, Any]], ...] = (
        ("build", build, (), next(iter(points))),
        ("measure", measure, (None,), {} if seed is None else {"rng": 0}),
    )
    for name, function, positional, named in calls:
        try:
            inspect.signature(function).bind(*positional, **named)
        except TypeError as error:
            given = ", ".join([*("problem" for _ in positional), *named])
            raise InvalidInput(f"{name}: expected a function that can be called with ({given}): {error}") from error
        except ValueError:  # a function without a signature, of another language
            continue


def _report(found: xr.Dataset) -> None:
    failed = found.status.values.ravel() == FAILED
    if not failed.any():
        return
    first = found.failure.values.ravel()[failed][0]
    if failed.all():
        raise NotConverged(
            f"study: expected points that can be measured, got {failed.size} that failed, the first with {first}"
        )
    warnings.warn(
        f"{failed.sum()} of {failed.size} points failed, the first with {first}. The others are there; see the variable "
        "'failure'",
        FailedPointsWarning,
        stacklevel=3,
    )
