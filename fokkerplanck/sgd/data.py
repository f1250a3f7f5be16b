"""Data only: a table of features and a target, read strictly from a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput

Array = NDArray[np.float64]

# A column whose standard deviation is below this fraction of its largest entry differs from a constant by round-off
# only: the mean of n numbers carries a relative error of a few 1e-16.
CONSTANT = 1e-14


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features X and target y, one sample a row.

    Parameters
    ----------
    X : ndarray of float, shape (n, d)
    y : ndarray of float or of str, shape (n,)
        Text stands for the two labels of a classification.
    feature_names : tuple of str, length d
    target_name : str

    Raises
    ------
    InvalidInput
        If the shapes do not fit each other, there are fewer than 2 samples, or a number is not finite.

    Examples
    --------
    >>> data = Dataset([[1.0], [3.0]], [0.0, 1.0], ("width",), "target")
    >>> data.standardised().X.ravel().tolist()
    [-1.0, 1.0]
    """

    X: Array
    y: NDArray[Any]
    feature_names: tuple[str, ...]
    target_name: str

    def __post_init__(self) -> None:
        X = np.array(self.X, dtype=float)
        y = np.array(self.y)
        y = y.astype(float) if y.dtype.kind in "biuf" else y
        names = tuple(self.feature_names)
        if X.ndim != 2 or y.shape != X.shape[:1] or len(names) != X.shape[1]:
            raise InvalidInput(
                f"expected X of shape (n, d), y of shape (n,) and d names, got {X.shape}, {y.shape} and {names}"
            )
        _check_count(len(X), "Dataset")
        if y.dtype.kind not in "fU":
            raise InvalidInput(f"y: expected numbers or text labels, got dtype {y.dtype}")
        finite = np.isfinite(X).all(axis=1) & (np.isfinite(y) if y.dtype.kind == "f" else True)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InvalidInput(f"expected finite numbers, got X = {X[row].tolist()}, y = {y[row]} in row {row}")
        X.setflags(write=False)
        y.setflags(write=False)
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "y", y)
        object.__setattr__(self, "feature_names", names)

    def __repr__(self) -> str:
        return f"Dataset(n={len(self.X)}, features={self.feature_names}, target={self.target_name!r})"

    def standardised(self, *, scales: ArrayLike | None = None, target: bool = False) -> Dataset:
        r"""Every feature shifted and scaled: :math:`x \leftarrow s\,(x - \bar x)/\mathrm{sd}(x)`.

        Mean and standard deviation are those of the population (division by n).

        Parameters
        ----------
        scales : array_like, shape (d,), optional
            The standard deviations s that the features are given; 1 by default, dimensionless.
        target : bool
            Also standardise a numerical target.

        Returns
        -------
        Dataset

        Raises
        ------
        InvalidInput
            For a constant column, for text as the target, or for scales that are not d positive numbers.
        """
        s = np.ones(self.X.shape[1]) if scales is None else np.asarray(scales, dtype=float)
        if s.shape != (self.X.shape[1],) or not (np.isfinite(s).all() and (s > 0).all()):
            raise InvalidInput(f"scales: expected {self.X.shape[1]} positive numbers, got {scales!r}")
        columns = [_standard(x, name) for x, name in zip(self.X.T, self.feature_names, strict=True)]
        y = self.y
        if target:
            if y.dtype.kind != "f":
                raise InvalidInput(
                    f"target=True: expected a numerical target, got the labels {sorted(set(y.tolist()))} "
                    f"in {self.target_name!r}. Classes are not standardised; leave target=False"
                )
            y = _standard(y, self.target_name)
        return replace(self, X=np.stack(columns, axis=1) * s, y=y)


def read_csv(path: str | PathLike[str], *, target: str, features: Sequence[str]) -> Dataset:
    """Read some columns of a CSV file whose first line names them.

    Parameters
    ----------
    path : path-like
        Comma-separated text in UTF-8.
    target : str
        The column to predict: numbers, or exactly two text labels.
    features : sequence of str
        The columns to predict from, all numerical, in the order of the parameters θ.

    Returns
    -------
    Dataset

    Raises
    ------
    InvalidInput
        For a file that is missing or no CSV, a column that is missing or named twice, text, an empty entry, NaN or
        infinity among the numbers (naming column, line of the file and value), or fewer than two rows.

    Examples
    --------
    >>> from importlib.resources import files
    >>> table = files("fokkerplanck.cases") / "data" / "breast_cancer.csv"
    >>> read_csv(str(table), target="target", features=["mean_radius", "mean_texture"])
    Dataset(n=569, features=('mean_radius', 'mean_texture'), target='target')
    """
    wanted = [features] if isinstance(features, str) else list(features)
    if not wanted or len(set(wanted)) != len(wanted) or target in wanted:
        raise InvalidInput(
            f"features: expected different columns, none of them the target {target!r}, got {wanted}. "
            "A column used twice makes the minimum of the loss a line instead of a point"
        )
    lines, rows = _read_rows(Path(path), [*wanted, target])
    _check_count(len(rows), str(path))
    X = np.array(
        [[_number(row[a], name, line) for a, name in enumerate(wanted)] for line, row in zip(lines, rows, strict=True)]
    )
    return Dataset(X, _target(lines, [row[-1] for row in rows], target), tuple(wanted), target)


def columns(path: Path) -> str:
    """The names in the first line of a CSV file, as a message has them.

    Raises
    ------
    InvalidInput
        For a file that is missing or no CSV.
    """
    with _opened(path) as (header, _):
        return f"The columns are {header}{_hint(header)}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Any]]:
    """The names in the first line of a file, and a reader of the lines after it."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            yield [name.strip() for name in next(reader, [])], reader
    except OSError as error:
        raise InvalidInput(f"{path}: expected a readable CSV file, got {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: expected comma-separated text in UTF-8, got {error}") from error


def _read_rows(path: Path, wanted: list[str]) -> tuple[list[int], list[list[str]]]:
    """The wanted entries of every row, and the line of the file on which each row ends."""
    lines, rows = [], []
    with _opened(path) as (header, reader):
        for name in wanted:
            if header.count(name) != 1:
                found = "no such column" if name not in header else f"{header.count(name)} columns of that name"
                raise InvalidInput(
                    f"{path}: expected one column {name!r}, got {found}. The columns are {header}{_hint(header)}"
                )
        places = [header.index(name) for name in wanted]
        for row in reader:
            if not row:  # a blank line, at the end of many files
                continue
            if len(row) != len(header):
                raise InvalidInput(f"{path}, line {reader.line_num}: expected {len(header)} entries, got {len(row)}")
            lines.append(reader.line_num)
            rows.append([row[place].strip() for place in places])
    return lines, rows


def _hint(header: list[str]) -> str:
    """What is the matter with a first line that does not look like names between commas."""
    for mark, said in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            return f". Their names are separated by {said}; write the table with commas, and with points in the numbers"
    if header and all(_parse(name) is not None for name in header):
        return ". The first line has numbers; put one with the names of the columns above it"
    return ""


def _number(text: str, name: str, line: int) -> float:
    value = _parse(text)
    if value is None:
        got = "an empty entry" if not text else f"{text!r}"
        raise InvalidInput(
            f"column {name!r}, line {line}: expected a number, got {got}. "
            "Leave the row or the column out, or encode it as numbers first"
        )
    if not math.isfinite(value):
        raise InvalidInput(f"column {name!r}, line {line}: expected a finite number, got {text!r}. Leave the row out")
    return value


def _parse(text: str) -> float | None:
    if "_" in text:  # Python reads 1_000 as a number, tables do not
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _target(lines: list[int], entries: list[str], name: str) -> NDArray[Any]:
    """Numbers, or two labels none of which could be read as a number."""
    labels = set(entries)
    if "" not in labels and len(labels) == 2 and all(_parse(label) is None for label in labels):
        return np.array(entries)
    if "" not in labels and all(_parse(label) is None for label in labels):
        shown = sorted(labels)[:5]
        raise InvalidInput(
            f"column {name!r}, line {lines[0]}: expected numbers or two different labels, got the text {entries[0]!r} "
            f"and {len(labels)} different labels in all, {shown}{' …' if len(labels) > 5 else ''}"
        )
    return np.array([_number(entry, name, line) for entry, line in zip(entries, lines, strict=True)])


def _standard(values: Array, name: str) -> Array:
    deviation = values.std()
    if not deviation > CONSTANT * np.abs(values).max():
        raise InvalidInput(
            f"column {name!r}: expected values that vary, got {values[0]:.6g} in every row. "
            "A constant cannot be scaled to unit variance; leave the column out"
        )
    return np.asarray((values - values.mean()) / deviation)


def _check_count(n: int, where: str) -> None:
    if n < 2:
        raise InvalidInput(f"{where}: expected at least 2 rows of data, got {n}. One sample has no minibatch noise")
