"""Trajectories recorded elsewhere: which axis is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput

AXES = ("chain", "point", "parameter")  # as in the files that a simulation writes
# Mean squares of differences. Independent chains differ from their neighbours by as much as from any other, and successive
# points of a stationary one by at most twice that. Of 16 chains or more, a quarter of both is met by chance in less than one
# array out of 10⁵; of successive points it is whenever a step forgets less than a quarter.
QUARTER, FEWEST = 0.25, 16
SAMPLE = 512  # chains, points and parameters that are looked at, at most


def in_order(trajectory: Any, names: Sequence[str] | None) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """An array with the axes chain, if there is one, point and parameter, and the names of the parameters, if there are any.

    The axes of a DataArray are told by their names; those of an array are taken as given unless that is surely wrong.

    Raises
    ------
    InvalidInput
        For a DataArray of other dimensions, and for an array whose axes seem to be exchanged.

    Examples
    --------
    >>> import xarray as xr
    >>> array, names = in_order(xr.DataArray(np.zeros((2, 100)), {"parameter": ["a", "b"]}, ("parameter", "point")), None)
    >>> array.shape, names
    ((100, 2), ('a', 'b'))
    """
    labels = None if names is None else tuple(names)
    if not hasattr(trajectory, "dims"):
        array = np.asarray(trajectory)
        if array.ndim == 3 and array.dtype.kind in "biuf":
            _check_axes(array)
        return array, labels
    wanted = AXES if "chain" in trajectory.dims else AXES[1:]
    if set(trajectory.dims) != set(wanted):
        raise InvalidInput(
            f"trajectory: expected dimensions 'point', 'parameter' and perhaps 'chain', in any order, got {trajectory.dims} of "
            f"shape {trajectory.shape}. Rename them, or pass .values of shape (chains, points, d)"
        )
    if labels is None and "parameter" in trajectory.coords and trajectory["parameter"].dtype.kind in "SUO":
        labels = tuple(str(name) for name in trajectory["parameter"].values.astype(str))
    return np.asarray(trajectory.transpose(*wanted).values), labels


def _check_axes(array: NDArray[Any]) -> None:
    """Refuse an array whose neighbours along the first or last axis resemble each other as only successive points do."""
    chains, points, d = array.shape
    some = np.asarray(array[:SAMPLE, :SAMPLE, :SAMPLE], dtype=float)
    if chains < FEWEST or points < 2 or not np.isfinite(some).all():
        return
    across, along = ((np.diff(some, axis=axis) ** 2).mean(axis=(0, 1)) for axis in (0, 1))
    apart = 2.0 * some.var(axis=0, ddof=1).mean(axis=0)
    if ((across < QUARTER * along) & (across < QUARTER * apart)).any():
        what = "neighbours along the first differ by less than successive points do"
    elif d > points and (np.diff(some, axis=2) ** 2).mean() < QUARTER * min(along.mean(), apart.mean()):
        what = "neighbours along the last differ by less than successive points do, and are more"
    else:
        return
    raise InvalidInput(
        f"trajectory: expected axes (chains, points, d), got shape {array.shape}, as of {chains} independent chains of "
        f"{points} successive points of {d} parameters, but {what}. Exchange the axes; if they are right, say so by "
        f"xarray.DataArray(trajectory, dims={AXES})"
    )
