"""One point: built, measured, and what became of it in a form that can be stored."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InvalidInput
from ..measured import Measured
from .points import RESERVED, Point

Build = Callable[..., Any]
Measure = Callable[..., Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a point.

    Attributes
    ----------
    row : int
        Of the point in the store.
    values : dict of str to DataArray
        Of numbers or words; empty if it failed.
    failure : str
        Type and text of the error, or nothing.
    remark : str
        The warnings there were, one a line.
    seconds : float
        It took.
    """

    row: int
    values: dict[str, xr.DataArray] = field(default_factory=dict)
    failure: str = ""
    remark: str = ""
    seconds: float = 0.0


def outcome(build: Build, measure: Measure, row: int, point: Point, rng: int | None) -> Outcome:
    """Build and measure; an error becomes part of the outcome, Ctrl-C does not."""
    started = time.perf_counter()
    values: dict[str, xr.DataArray] = {}
    failure = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            problem = build(**point)
            found = measure(problem) if rng is None else measure(problem, rng=rng)
            values = _labelled(found, tuple(point))
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
    texts = dict.fromkeys(f"{warning.category.__name__}: {warning.message}" for warning in caught)
    return Outcome(row, values, failure, "\n".join(texts), time.perf_counter() - started)


def _labelled(found: Any, parameters: tuple[str, ...]) -> dict[str, xr.DataArray]:
    """Numbers, words and fields as labelled arrays; whole numbers as floating-point ones, which can be missing."""
    if not isinstance(found, Mapping) or not found:
        raise InvalidInput(f"measure: expected a dict of numbers, words and DataArrays by name, got {found!r}")
    values: dict[str, xr.DataArray] = {}
    for name, value in found.items():
        if isinstance(value, Measured):
            values[name], values[f"{name}_error"] = _array(name, value.value), _array(name, value.error)
        else:
            values[name] = _array(name, value)
    for name, array in values.items():
        taken = {name, *map(str, array.dims)} & {*RESERVED, *parameters}
        if taken:
            raise InvalidInput(
                f"measure: expected other names than {sorted(taken)}, which the study uses itself; rename them"
            )
        _check_storable(name, array)
    try:
        xr.align(*values.values(), join="exact")
    except ValueError as error:
        raise InvalidInput(f"measure: expected arrays that fit into one dataset, got {error}") from error
    mixed = sorted({str(dim) for array in values.values() for dim in array.dims} & set(values))
    if mixed:
        raise InvalidInput(
            f"measure: expected other names for dimensions than for what is measured, got {mixed} for both"
        )
    return values


def _check_storable(name: Any, array: xr.DataArray) -> None:
    """Refuse names that are no names of a file, and attributes that JSON cannot write."""
    for each in (name, *array.dims):
        if not isinstance(each, str) or not each or each.startswith((".", "__")) or set(each) & set("/\\\0"):
            raise InvalidInput(
                f"measure: expected names without slashes that begin with neither '.' nor '__', as each gets a directory; got "
                f"{each!r}"
            )
    for labelled in (array, *array.coords.values()):
        try:
            json.dumps(dict(labelled.attrs))
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"measure: expected attributes of {name!r} that are words and numbers, got {labelled.attrs}: {error}"
            ) from error


def _array(name: str, value: Any) -> xr.DataArray:
    if isinstance(value, xr.DataArray):
        along = {str(dim): value.coords[dim].variable for dim in value.dims if dim in value.coords}
        array = xr.DataArray(value.variable, coords=along)
    elif isinstance(value, (Number, str, np.generic)) or (isinstance(value, np.ndarray) and value.ndim == 0):
        array = xr.DataArray(value)
    else:
        raise InvalidInput(
            f"measure: expected a number, a word, a Measured number or a DataArray for {name!r}, got {type(value).__name__}. "
            "Label an array by xarray.DataArray(values, dims=(…))"
        )
    if array.dtype.kind in "biuf":
        return array.copy(data=array.values.astype(np.float64))
    if array.dtype.kind not in "cU":
        raise InvalidInput(f"measure: expected numbers or words for {name!r}, got {array.dtype}")
    return array
