"""Trajectories: thinned ones written to a file, and ones recorded elsewhere read as a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..grid import Grid
from ..kernels.chain_state import Chains
from ..kernels.counts import record_paths
from ..recorded import in_order
from ..replicates import blocks
from .ensemble import Counts, pieces_of, shared
from .run import FEWEST_GROUPS, Run, check_grid, run_of_sums

Array = NDArray[np.float64]

SEGMENTS = 32  # of a single trajectory: as many as a simulation has groups


class TrajectoryFile:
    """A NetCDF-4 file with ``theta`` (chain, point, parameter), which grows; it is closed between additions."""

    def __init__(self, path: str | Path, names: Sequence[str], chains: int, every: int, *, points: int) -> None:
        """Begin a file, or go on with one after its first ``points`` points of every chain."""
        self.path = Path(path)
        if self.path.suffix == ".zarr":
            raise InvalidInput(
                f"trajectories: expected the name of a NetCDF file, such as {self.path.stem}.nc, got {path}"
            )
        if points == 0:
            with h5netcdf.File(self.path, "w") as file:
                file.dimensions = {"chain": chains, "point": None, "parameter": len(names)}
                file.create_variable("theta", ("chain", "point", "parameter"), "f8", chunks=(chains, 64, len(names)))
                file.create_variable("parameter", ("parameter",), "S64", data=np.array(list(names), "S64"))
                file.attrs["every"] = every
            return
        if not self.path.exists():
            raise InvalidInput(f"trajectories: expected the file that the checkpoint goes with, got no file at {path}")
        with h5netcdf.File(self.path, "a") as file:
            there: tuple[int, ...] = file["theta"].shape if "theta" in file else (0, 0, 0)
            if there[:1] + there[2:] != (chains, len(names)) or there[1] < points or int(file.attrs["every"]) != every:
                raise InvalidInput(
                    f"trajectories: expected at least {points} points of {chains} chains in {path}, every {every} steps, got "
                    f"shape {there}"
                )
            file.resize_dimension("point", points)  # what was written after the checkpoint is written again

    def append(self, points: Array) -> None:
        """Add points of all chains, shape (chains, points, d)."""
        if points.shape[1]:
            with h5netcdf.File(self.path, "a") as file:
                before = file.dimensions["point"].size
                file.resize_dimension("point", before + points.shape[1])
                file["theta"][:, before:] = points


def from_trajectory(
    trajectory: ArrayLike | xr.DataArray,
    *,
    learning_rate: float,
    grid: Grid | None = None,
    names: Sequence[str] | None = None,
    groups: int | None = None,
    current: bool = True,
) -> Run:
    r"""The run of chains that were recorded elsewhere, by PyTorch say: every step, after the burn-in.

    A single trajectory is cut into 32 pieces of equal length, which stand for independent chains; errors are right if each
    is several relaxation times long. Steps left over at the end are not counted.

    Parameters
    ----------
    trajectory : array_like, shape (chains, points, d) or (points, d), or DataArray
        Successive points θ_0, θ_1, … of each chain; the first is the start and is not counted. The dimensions of a DataArray
        are "point", "parameter" and perhaps "chain", in any order, as in the files that `simulate` writes.
    learning_rate : float
        η, the time between two points.
    grid, current
        As of `simulate`.
    names : sequence of str, optional
        Of the parameters; by default the coordinate "parameter" of a DataArray, and without one theta0, theta1, …
    groups : int, optional
        Into how many parts, at least 16, the chains are split for errors of density and current; by default 32 or, if
        that is fewer, half the chains.

    Returns
    -------
    Run
        With ``sampling = "recorded"``, and without momentum, batch size, number of samples and seed, which are 0.

    Raises
    ------
    InvalidInput
        For a wrong shape or other dimensions, axes that seem to be exchanged, because neighbouring chains resemble each other
        as only successive points do, points that are not finite, or too few chains or points.

    Examples
    --------
    >>> rng = np.random.default_rng(31)
    >>> theta = np.zeros((64, 501, 2))
    >>> for k in range(500):
    ...     theta[:, k + 1] = 0.9 * theta[:, k] + 0.1 * rng.normal(size=(64, 2))
    >>> run = from_trajectory(theta[:, 100:], learning_rate=0.1)
    >>> run.covariance.shape
    (2, 2)
    """
    given, names = in_order(trajectory, names)
    if given.dtype.kind not in "biuf" or given.ndim not in (2, 3) or given.shape[-1] < 1:
        raise InvalidInput(
            f"trajectory: expected real numbers of shape (chains, points, d) or (points, d), got {given.shape} of dtype "
            f"{given.dtype}"
        )
    if not (np.isfinite(learning_rate) and learning_rate > 0.0):
        raise InvalidInput(f"learning_rate: expected a positive number, got {learning_rate!r}")
    points = np.asarray(given, dtype=float)
    if points.ndim == 2:
        if len(points) <= 2 * SEGMENTS:
            raise InvalidInput(
                f"trajectory: expected at least {2 * SEGMENTS + 1} points of a single chain, got {len(points)}: shape "
                f"{points.shape} is that of {len(points)} points of {points.shape[1]} parameters"
            )
        points = blocks(points, SEGMENTS)
        groups = min(SEGMENTS // 2, groups or SEGMENTS // 2)
    paths = np.ascontiguousarray(points)
    chains, count, d = paths.shape
    if not np.isfinite(paths).all():
        c, k = (int(i) for i in np.argwhere(~np.isfinite(paths).all(axis=2))[0])
        raise InvalidInput(f"trajectory: expected finite numbers, got {paths[c, k].tolist()} at point {k} of chain {c}")
    groups = min(32, chains // 2) if groups is None else groups
    if chains < 2 * groups or groups < FEWEST_GROUPS or count < 2:
        raise InvalidInput(
            f"trajectory: expected at least 2 chains in each of at least {FEWEST_GROUPS} groups and 2 points of each, got "
            f"{chains} chains, {groups} groups and {count} points of {d} parameters. Standard errors come from the scatter "
            "between chains; a single long trajectory may be given as (points, d); swept_areas, for the area test, takes fewer"
        )
    labels = tuple(f"theta{i}" for i in range(d)) if names is None else tuple(names)
    if len(labels) != d:
        raise InvalidInput(f"names: expected {d} names, got {labels}")
    if grid is not None:
        check_grid(grid, labels)
    bounds = np.arange(groups + 1) * chains // groups
    counts = Counts.on(grid, bounds, current)
    centre = paths[:, 1:].mean(axis=(0, 1))
    none: Any = np.zeros((chains, 0), np.uint64)
    sums = Chains(
        theta=paths[:, -1].copy(),
        velocity=np.zeros((chains, d)),
        batch_words=none,
        noise_words=none,
        order=np.zeros((chains, 0), np.int32),
        position=np.zeros(chains, np.int64),
        lost=np.zeros(chains, np.int64),
        first=np.zeros((chains, d)),
        second=np.zeros((chains, d, d)),
    )
    shared(lambda which: record_paths(which, paths, centre, sums, counts.cells), pieces_of(bounds))
    return run_of_sums(
        sums,
        counts,
        grid=grid,
        names=labels,
        learning_rate=float(learning_rate),
        momentum=0.0,
        time_step=float(learning_rate),
        batch_size=0,
        sampling="recorded",
        n=0,
        steps=count - 1,
        burn_in=0,
        seed=0,
        centre=centre,
        origin={},
        bounds=bounds,
        start=paths[:, 0].copy(),
    )
