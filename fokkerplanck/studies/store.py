"""Points on disk: a Zarr group with a row for each, which says what became of it; the only module that knows Zarr."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..io import provenance
from .outcome import Outcome
from .points import KINDS, Points

OPEN, DONE, FAILED = 0, 1, 2
ROWS = 1024  # in one file of numbers, 8 kB, which a write replaces as a whole
PAUSE = 1.0  # seconds between two writes of 2 ms for each quantity: points that come faster are written together
DIM = "point"
ABOUT = "study"  # the attribute that says what the points belong to
BOOKS: dict[str, tuple[Any, Any, dict[str, Any]]] = {  # dtype, what stands where nothing is known, attributes
    "status": (
        "int8",
        OPEN,
        {
            "long_name": "what became of the point",
            "flag_values": [OPEN, DONE, FAILED],
            "flag_meanings": "open done failed",
        },
    ),
    "seconds": ("float64", np.nan, {"long_name": "time it took", "units": "s"}),
    "failure": (str, "", {"long_name": "type and text of the error"}),
    "remark": (str, "", {"long_name": "warnings"}),
}
FILE = "zarr.json"  # by which Zarr describes an array or a group
DAMAGED = "The store is damaged, or of something else. Bring that file back from a copy, or use another store"
AGAIN = "Use another store, or delete this one to begin anew"


class Store:
    """The table of a study. A point whose status is "done" has all its numbers: the status is written after them.

    Parameters
    ----------
    path : path or None
        Of the Zarr group; None keeps it in memory.
    key : dict, optional
        What all points of it have in common: version, build, measure and seed. By default that of the store.
    attributes : mapping
        Of parameters and quantities, by name.

    Raises
    ------
    InvalidInput
        If there is something else at the path, or a study with another key, of which points are done; what differs is named.
    """

    def __init__(
        self,
        path: str | Path | None,
        key: Mapping[str, Any] | None = None,
        attributes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.path = "memory" if path is None else str(path)
        self.attributes = {} if attributes is None else attributes
        self.group = _group(path, new=key is not None)
        self.columns: dict[str, Any] = {} if path is None else _columns(self.group, Path(path))
        if ABOUT in self.group.attrs:
            stored = json.loads(self.group.attrs[ABOUT])
            if key is not None and key != stored and not self._any_done():
                for name in sorted(self.columns, key="status".__ne__):  # of another study: there is nothing to lose
                    del self.group[name], self.columns[name]
                self.group.update_attributes({**provenance(), ABOUT: json.dumps(dict(key)), "coordinates": ""})
            _check_key(json.loads(self.group.attrs[ABOUT]), key, self.path)
            for name in set(self.parameters) - set(self.columns):
                raise InvalidInput(f"store: expected {Path(self.path) / name / FILE}, got none. {DAMAGED}")
        else:
            if key is None or len(self.group):
                raise InvalidInput(f"store: expected a study in {self.path}, got a Zarr group of something else")
            self.group.update_attributes({**provenance(), ABOUT: json.dumps(dict(key))})
        if key is None and not set(BOOKS) <= set(self.columns):
            raise InvalidInput(f"store: expected points in {self.path}, got none yet")
        for name, (dtype, blank, own) in BOOKS.items():
            self._column(name, dtype, blank, attributes=own)
        if key is not None and not self._any_done():
            self._begin_anew()
        self.pending: list[Outcome] = []
        self.written = time.monotonic()

    @property
    def parameters(self) -> list[str]:
        """Their names; none before there are points."""
        return str(self.group.attrs.get("coordinates", "")).split() if "status" in self.columns else []

    def __len__(self) -> int:
        return int(self.columns["status"].shape[0])

    def enter(self, points: Points) -> NDArray[np.int64]:
        """Rows of the points, new ones for those that have none yet.

        Raises
        ------
        InvalidInput
            If the parameters are not those of the store.
        """
        known, before = self._known(points), len(self)
        rows = np.empty(len(points), np.int64)
        size = before
        for k, key in enumerate(points.values()):
            if key not in known:
                known[key] = size
                size += 1
            rows[k] = known[key]
        if size > before:
            for name, column in points.columns.items():
                words = column.dtype.kind == "U"
                stored = self._column(name, str if words else column.dtype, _blank(column))
                stored.resize((size,))
                stored[before:] = column[rows >= before].astype(object if words else column.dtype)
            self.group.update_attributes({"coordinates": " ".join(points.names)})
            self._resize(size)
        return rows

    def status(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """OPEN, DONE or FAILED of every point."""
        return np.asarray(self.columns["status"][:])[rows]

    def add(self, outcome: Outcome) -> Outcome:
        """Append what became of a point; returned as a failure if it does not fit the others."""
        misfit = "" if outcome.failure else self._misfit(outcome.values)
        if misfit:
            outcome = Outcome(outcome.row, {}, misfit, outcome.remark, outcome.seconds)
        self.pending.append(outcome)
        if time.monotonic() > self.written + PAUSE:
            self.flush()
        return outcome

    def flush(self) -> None:
        """Write what has not been written yet, the status of the points last."""
        pending, rows = self.pending, [outcome.row for outcome in self.pending]
        if not pending:
            return
        done = [outcome for outcome in pending if not outcome.failure]
        for name in done[0].values if done else ():
            column = self.columns[name]
            if column.ndim == 1:
                _put(column, [outcome.row for outcome in done], [outcome.values[name].item() for outcome in done])
                continue
            for outcome in done:
                column[outcome.row] = outcome.values[name].values
        _put(self.columns["seconds"], rows, [outcome.seconds for outcome in pending])
        for name in ("failure", "remark"):
            _put(self.columns[name], rows, [getattr(outcome, name) for outcome in pending])
        _put(self.columns["status"], rows, [FAILED if outcome.failure else DONE for outcome in pending])
        self.pending = []
        self.written = time.monotonic()

    def points(self) -> Points:
        """All there are, as a grid if they fill one."""
        columns = {name: self._values(name)[: len(self)] for name in self.parameters}
        if not columns:
            raise InvalidInput(f"store: expected points in {self.path}, got none yet")
        axes = {name: np.array(list(dict.fromkeys(column.tolist()))) for name, column in columns.items()}
        full = np.prod([len(values) for values in axes.values()]) == len(self)
        return Points.of(axes) if full else Points(columns, None)

    def dataset(self, points: Points) -> xr.Dataset:
        """The points asked for, on their grid or along the dimension "point"."""
        known = self._known(points)
        rows = np.array([known[key] for key in points.values()])
        dims = (DIM,) if points.axes is None else points.names
        coordinates: dict[str, Any] = {}
        for name, values in (points.columns if points.axes is None else points.axes).items():
            coordinates[name] = xr.Variable(DIM if points.axes is None else name, values, self._attributes(name))
        variables: dict[str, Any] = {}
        for name, column in self.columns.items():
            own = column.metadata.dimension_names
            if own[0] != DIM:
                coordinates[name] = xr.Variable(own, self._values(name), self._attributes(name))
            elif name not in self.parameters:
                values = self._values(name, rows).reshape(points.shape + column.shape[1:])
                variables[name] = xr.Variable((*dims, *own[1:]), values, self._attributes(name))
        ordered = sorted(
            variables, key=lambda name: (name in BOOKS, name)
        )  # quantities, then what became of the points
        about = {name: value for name, value in self.group.attrs.items() if name != "coordinates"}
        return xr.Dataset({name: variables[name] for name in ordered}, coordinates, about)

    def _known(self, points: Points) -> dict[tuple[Any, ...], int]:
        """Rows by the values of the parameters."""
        if not self.parameters:
            return {}
        if sorted(self.parameters) != sorted(points.names):
            raise InvalidInput(
                f"parameters: expected those of the points in {self.path}, {sorted(self.parameters)}, got "
                f"{sorted(points.names)}. {AGAIN}"
            )
        columns = []
        for name, column in points.columns.items():
            stored = self._values(name)[: len(self)]
            if stored.dtype.kind != column.dtype.kind:
                raise InvalidInput(
                    f"parameters: expected {KINDS[stored.dtype.kind]} for {name}, as in {self.path}, got {column.tolist()}. "
                    + AGAIN
                )
            columns.append(stored.tolist())
        return {key: row for row, key in enumerate(zip(*columns, strict=True))}

    def _misfit(self, values: Mapping[str, xr.DataArray]) -> str:
        """Why these values cannot stand beside those of the others, if they cannot; the first point makes the columns."""
        taken = {*BOOKS, *self.parameters}
        before = {n: c for n, c in self.columns.items() if n not in taken and c.metadata.dimension_names[0] == DIM}
        if not before:
            for name, array in values.items():
                self._new(name, array)
            return ""
        text = "InvalidInput: measure: expected the same {} at every point, {} as before, got {}. {}"
        if set(before) != set(values):
            return text.format("names", sorted(before), sorted(values), "Give what is missing as nan")
        for name, array in values.items():
            column = before[name]
            sizes = dict(zip(column.metadata.dimension_names[1:], column.shape[1:], strict=True))
            if sizes != dict(array.sizes) or column.metadata.dimension_names[1:] != array.dims:
                return text.format(f"shape of {name}", sizes, dict(array.sizes), "Interpolate, or solve with shape=")
            if not np.can_cast(array.dtype, column.dtype, "same_kind"):
                return text.format(f"kind of {name}", column.dtype, array.dtype, "Rename one of them")
            for dim in array.coords:
                known = self._values(str(dim)) if dim in self.columns else np.array([])
                if not np.array_equal(known, array.coords[dim].values):
                    return text.format(
                        f"coordinate {dim}",
                        known.tolist(),
                        array.coords[dim].values.tolist(),
                        "Solve in the same box, or leave the coordinate out and give it as a field of its own",
                    )
        return ""

    def _any_done(self) -> bool:
        return "status" in self.columns and bool((self.columns["status"][:] == DONE).any())

    def _begin_anew(self) -> None:
        """Delete the columns of quantities: without a point that has any, they may be some of those it would have had."""
        for name in set(self.columns) - {*BOOKS, *self.parameters}:
            del self.group[name], self.columns[name]

    def _new(self, name: str, array: xr.DataArray) -> None:
        """Make the column of a quantity, and the coordinates of its dimensions."""
        for dim, along in array.coords.items():
            if dim not in self.columns:
                words = along.dtype.kind == "U"
                column = self._create(
                    str(dim), str if words else along.dtype, "" if words else 0, along.shape, (str(dim),)
                )
                column.update_attributes(dict(along.attrs))
                column[:] = along.values.astype(object if words else along.dtype)
        dtype = str if array.dtype.kind == "U" else array.dtype
        dims = tuple(map(str, array.dims))
        self._column(name, dtype, _blank(array), array.shape, dims, array.attrs)

    def _column(
        self,
        name: str,
        dtype: Any,
        blank: Any,
        shape: tuple[int, ...] = (),
        dims: tuple[str, ...] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> Any:
        """The column of this name with a row for every point, made if there is none."""
        if name not in self.columns:
            rows = len(self) if "status" in self.columns else 0
            column = self._create(name, dtype, blank, (rows, *shape), (DIM, *dims))
            column.update_attributes({**(attributes or {}), **self.attributes.get(name, {})})
        return self.columns[name]

    def _create(self, name: str, dtype: Any, blank: Any, shape: tuple[int, ...], dims: tuple[str, ...]) -> Any:
        chunks = shape if dims[0] != DIM else (ROWS,) if len(shape) == 1 else (1, *shape[1:])
        self.columns[name] = self.group.create_array(
            name, shape=shape, chunks=chunks, dtype=dtype, fill_value=blank, dimension_names=dims
        )
        return self.columns[name]

    def _resize(self, size: int) -> None:
        """A row for every point in every column; that of the status, whose length counts, last."""
        others = [column for column in self.columns.values() if column.metadata.dimension_names[0] == DIM]
        for column in (*others, self.columns["status"]):
            column.resize((size, *column.shape[1:]))

    def _values(self, name: str, rows: Any = None) -> NDArray[Any]:
        column = self.columns[name]
        values = np.asarray(column[:] if rows is None else column.oindex[rows])
        if values.dtype.kind == "T":
            return np.array(values.tolist(), dtype=str).reshape(values.shape)
        return values

    def _attributes(self, name: str) -> dict[str, Any]:
        return {**self.columns[name].attrs, **self.attributes.get(name, {})}


def _blank(values: Any) -> Any:
    """What stands where nothing is known; of whole numbers and truth values, which only parameters are, nothing does."""
    return {"U": "", "f": np.nan, "c": complex(np.nan, np.nan)}.get(values.dtype.kind, 0)


def _put(column: Any, rows: list[int], values: list[Any]) -> None:
    column.oindex[rows] = np.array(values, dtype=object if isinstance(values[0], str) else column.dtype)


def _group(path: str | Path | None, *, new: bool) -> Any:
    import zarr  # slow to import

    if path is None:
        return zarr.open_group(zarr.storage.MemoryStore(), mode="a", zarr_format=3)
    if not new and not Path(path).is_dir():
        raise InvalidInput(f"store: expected a directory with a study, got none at {path}")
    here = Path(path)
    if new and here.is_dir() and not (here / FILE).exists() and any(here.iterdir()):
        raise InvalidInput(f"store: expected a new directory or one with a study, got {here}, which has other files")
    if (here / FILE).is_file():
        _check_described(here / FILE, "group")
    try:
        return zarr.open_group(path, mode="a" if new else "r", zarr_format=3)
    except (FileNotFoundError, FileExistsError, NotADirectoryError, zarr.errors.ContainsArrayError) as error:
        raise InvalidInput(f"store: expected a path for a Zarr group, got {path}: {error}") from error


def _columns(group: Any, here: Path) -> dict[str, Any]:
    """All arrays there are; what is described by no file was being deleted."""
    columns = {}
    for file in sorted(here.glob(f"*/{FILE}")):
        _check_described(file, "array")
        try:
            columns[file.parent.name] = group[file.parent.name]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"store: expected a Zarr array in {file}, got {error!r}. {DAMAGED}") from error
    return columns


def _check_described(file: Path, kind: str) -> None:
    """Refuse a description of an array or group that is cut short or of something else."""
    try:
        said: Any = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InvalidInput(f"store: expected JSON in {file}, got {error}. {DAMAGED}") from error
    wanted = {"zarr_format": 3, "node_type": kind}
    own = said.get("attributes", {}) if isinstance(said, dict) else None
    if not isinstance(own, dict) or not wanted.items() <= said.items():
        raise InvalidInput(f"store: expected {wanted} in {file}, got {json.dumps(said):.60}. {DAMAGED}")
    try:
        json.loads(own.get(ABOUT, "{}")).items()
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"store: expected what a study is about in {file}, got {own[ABOUT]!r}. {DAMAGED}") from error


def _check_key(stored: dict[str, Any], key: Mapping[str, Any] | None, path: str) -> None:
    if key is None:
        return
    differences = [
        f"{name} = {stored.get(name)!r} there and {key.get(name)!r} here"
        for name in sorted({*stored, *key})
        if stored.get(name) != key.get(name)
    ]
    if differences:
        raise InvalidInput(
            f"store: expected the points of this study in {path}, got those of another: {', '.join(differences)}. Its points "
            f"are not mixed with these. {AGAIN}"
        )


@contextmanager
def locked(path: str | Path | None) -> Iterator[None]:
    """Refuse a second study that writes to the same store, as far as the system has locks that end with their process.

    Raises
    ------
    InvalidInput
    """
    try:
        import fcntl
    except ImportError:  # Windows
        fcntl = None  # type: ignore[assignment]
    if path is None or fcntl is None:
        yield
        return
    beside = Path(path).parent / f".{Path(path).name}.lock"
    if not beside.parent.is_dir():
        raise InvalidInput(f"store: expected an existing directory to put {Path(path).name} into, got {beside.parent}")
    with beside.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(
                f"store: expected one study at a time to write to {path}, got a second. Wait for the other"
            ) from None
        yield
