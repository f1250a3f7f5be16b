"""What a simulation counted, and the estimates made of it, with their errors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import DivergedWarning, InvalidInput, NotConverged
from ..grid import Grid
from ..kernels.chain_state import Chains
from .ensemble import Counts

Array = NDArray[np.float64]
Ints = NDArray[np.int64]

FEWEST_GROUPS = 16  # a standard error from G groups is itself uncertain by 1/√(2G): 18 % here


@dataclass(frozen=True, eq=False)
class Run:
    r"""What was counted along the chains of a simulation, and the estimates made of it.

    Counts are kept per group of chains and sums per chain; both are independent, so their scatter gives the standard
    errors. Time is that of the diffusion, η per step.

    Parameters
    ----------
    counted_on : Grid or None
        Where was counted; ``grid`` is the same, and refuses where there is none.
    names : tuple of str, length d
    learning_rate, momentum, batch_size, sampling, n
        The settings of the SGD and the number of its samples.
    time_step : float
        Time between two points of a chain: η, with a schedule its mean, and η over the steps of a scheme for the diffusion.
    steps, burn_in, seed : int
        Recorded steps per chain, steps before them, and the seed of the streams of all chains.
    centre : ndarray, shape (d,)
        θ*, or the mean start of the chains: about which the moments are taken.
    origin : mapping
        All settings of the SGD, by which `compare` and the tests on chains tell whether a solution is of the same one: those
        above, what else acts on a step, and what sums up loss and data. Empty for chains recorded elsewhere.
    diverged : ndarray of int, shape (lost,)
        Steps, burn-in included, at which chains were lost; they are in none of the following.
    group_samples : ndarray of int, shape (groups,)
        Recorded steps of each group.
    histogram : ndarray of int, shape (groups, *grid.shape)
        Samples in each cell.
    outside_samples : ndarray of int, shape (groups,)
        Samples outside the grid.
    crossings : tuple of ndarray of int, shape (groups, *grid.face_shape(axis))
        Net number of times (upward less downward) that the straight lines between successive points crossed each
        face, walls included. Their difference over a cell is exactly its first less its last occupation. Empty if they
        were not counted.
    chain_mean : ndarray, shape (chains, d)
    chain_second : ndarray, shape (chains, d, d)
        :math:`\langle(\theta-c)(\theta-c)^\top\rangle` of each chain, c being the centre.
    chain_circulation : ndarray, shape (chains, d, d)
        :math:`\langle\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i\rangle/2\,\Delta t` of each chain, about the
        centre, per unit of time.
    start, end : ndarray, shape (chains, d)
        First (not recorded) and last point of each chain.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> run = sgd.simulate(grid=fp.Grid(sgd.box(), (40,)), chains=64, steps=500, rng=7)
    >>> run.samples, run.density.shape, bool(abs(run.mean - sgd.model.minimum)[0] < 4 * run.mean_error[0])
    (32000, (40,), True)
    """

    counted_on: Grid | None
    names: tuple[str, ...]
    learning_rate: float
    momentum: float
    time_step: float
    batch_size: int
    sampling: str
    n: int
    steps: int
    burn_in: int
    seed: int
    centre: Array
    origin: Mapping[str, Any]
    diverged: Ints
    group_samples: Ints
    histogram: Ints
    outside_samples: Ints
    crossings: tuple[Ints, ...]
    chain_mean: Array
    chain_second: Array
    chain_circulation: Array
    start: Array
    end: Array

    def __repr__(self) -> str:
        outside = "" if self.counted_on is None else f", outside={self.outside:.3g}"
        diverged = f", diverged={self.diverged.size}" if self.diverged.size else ""
        return (
            f"Run(chains={len(self.start)}{diverged}, steps={self.steps}, learning_rate={self.learning_rate:g}, "
            f"batch_size={self.batch_size}, sampling={self.sampling!r}{outside}, seed={self.seed})"
        )

    @property
    def dim(self) -> int:
        """Number of parameters."""
        return len(self.names)

    @property
    def grid(self) -> Grid:
        """Where was counted.

        Raises
        ------
        InvalidInput
            If the run has moments and circulation only.
        """
        if self.counted_on is None:
            raise InvalidInput(
                "run: expected one with a density, got one without a grid, of moments and circulation only. Simulate with "
                "grid=Grid(sgd.box(), shape), a Grid of up to 3 dimensions"
            )
        return self.counted_on

    @property
    def samples(self) -> int:
        """Recorded steps of all chains."""
        return int(self.group_samples.sum())

    @property
    def outside(self) -> float:
        """Fraction of the samples outside the grid."""
        return float(self.outside_samples.sum() / self.samples)

    @property
    def density(self) -> xr.DataArray:
        """Probability per volume of θ in each cell; its integral is 1 − ``outside``."""
        return self._on_cells(self.histogram.sum(axis=0) / (self.samples * self.grid.cell_volume), "density")

    @property
    def density_error(self) -> xr.DataArray:
        """Standard error of ``density``, from the scatter between groups."""
        return self._on_cells(self._spread(self.histogram) / self.grid.cell_volume, "density_error")

    @property
    def face_current(self) -> tuple[Array, ...]:
        """Probability current through the faces normal to each axis: per unit time and unit area of the face."""
        return tuple(
            count.sum(axis=0) / (self.samples * size)
            for count, size in zip(self._crossings, self._face_sizes, strict=True)
        )

    @property
    def face_current_error(self) -> tuple[Array, ...]:
        """Standard error of ``face_current``, from the scatter between groups."""
        return tuple(self._spread(count) / size for count, size in zip(self._crossings, self._face_sizes, strict=True))

    @property
    def face_current_groups(self) -> tuple[Array, ...]:
        """``face_current`` of each group by itself, shape (groups, *grid.face_shape(axis))."""
        weights = self.group_samples.reshape(-1, *(1,) * self.grid.dim)
        return tuple(count / (weights * size) for count, size in zip(self._crossings, self._face_sizes, strict=True))

    @property
    def current(self) -> xr.DataArray:
        """Probability current J, with a leading dimension "component": in each cell the mean of two opposite faces."""
        return self._on_cells(
            np.stack([_between(face, axis) for axis, face in enumerate(self.face_current)]), "current"
        )

    @property
    def current_error(self) -> xr.DataArray:
        """Standard error of ``current``, from the scatter between groups."""
        errors = [
            self._spread(_between(count, axis + 1)) / size
            for axis, (count, size) in enumerate(zip(self._crossings, self._face_sizes, strict=True))
        ]
        return self._on_cells(np.stack(errors), "current_error")

    @property
    def mean(self) -> Array:
        """⟨θ⟩, shape (d,)."""
        return np.asarray(self.chain_mean.mean(axis=0))

    @property
    def mean_error(self) -> Array:
        """Standard error of ``mean``, from the scatter between chains."""
        return _standard_error(self.chain_mean)

    @property
    def covariance(self) -> Array:
        """Covariance of θ over all chains and steps, shape (d, d)."""
        shift = self.mean - self.centre
        return np.asarray(self.chain_second.mean(axis=0) - np.outer(shift, shift))

    @property
    def covariance_error(self) -> Array:
        """Standard error of ``covariance``, by the jackknife over chains."""
        chains = len(self.start)
        shift = self.chain_mean - self.centre
        second = (self.chain_second.sum(axis=0) - self.chain_second) / (chains - 1)
        first = (shift.sum(axis=0) - shift) / (chains - 1)
        without = second - first[:, :, None] * first[:, None, :]
        return np.asarray(np.sqrt((chains - 1) * without.var(axis=0)))

    @property
    def circulation(self) -> Array:
        r"""The antisymmetric tensor :math:`A_{ij} = \tfrac12\langle\theta_i v_j - \theta_j v_i\rangle`, shape (d, d).

        In two dimensions :math:`\int (x_0 J_1 - x_1 J_0)\,dx = 2A_{01}`.
        """
        return np.asarray(self.chain_circulation.mean(axis=0))

    @property
    def circulation_error(self) -> Array:
        """Standard error of ``circulation``, from the scatter between chains."""
        return _standard_error(self.chain_circulation)

    @property
    def _crossings(self) -> tuple[Ints, ...]:
        if len(self.crossings) < self.grid.dim:
            raise InvalidInput("run: expected one with a current, got one simulated with current=False")
        return self.crossings

    @cached_property
    def _face_sizes(self) -> Array:
        """Time step × area of the faces normal to each axis."""
        return self.time_step * self.grid.cell_volume / self.grid.spacing

    def _spread(self, counts: Any) -> Array:
        """Standard error of Σ counts / Σ samples over groups that may differ in size by a chain."""
        weights = self.group_samples.reshape(-1, *(1,) * (counts.ndim - 1))
        residual = counts - weights * (counts.sum(axis=0) / self.samples)
        groups = len(self.group_samples)
        return np.asarray(np.sqrt((residual**2).sum(axis=0) * groups / (groups - 1)) / self.samples)

    def _on_cells(self, values: Array, name: str) -> xr.DataArray:
        coords: dict[str, Any] = {label: self.grid.centers(axis) for axis, label in enumerate(self.names)}
        dims = self.names
        if values.ndim > self.grid.dim:
            coords = {"component": list(self.names), **coords}
            dims = ("component", *dims)
        return xr.DataArray(values, dims=dims, coords=coords, name=name)


def _between(faces: Any, axis: int) -> Array:
    """Mean of the two opposite faces of every cell."""
    low = np.take(faces, range(faces.shape[axis] - 1), axis=axis)
    high = np.take(faces, range(1, faces.shape[axis]), axis=axis)
    return np.asarray(0.5 * (low + high))


def _standard_error(values: Array) -> Array:
    return np.asarray(values.std(axis=0, ddof=1) / math.sqrt(len(values)))


def check_grid(grid: Grid, names: tuple[str, ...]) -> None:
    """Refuse a grid on which points of these parameters cannot be counted.

    Raises
    ------
    InvalidInput
    """
    if grid.dim != len(names):
        raise InvalidInput(
            f"grid: expected {len(names)} dimensions, one per parameter {names}, got {grid.dim}. "
            "Densities are gridded in at most 3 dimensions; leave the grid out for moments and circulation alone"
        )
    if any(grid.periodic):
        raise InvalidInput(
            f"grid: expected no periodic axis, got boundary = {grid.box.boundary}. Parameters do not wrap round; "
            "a simulation ignores walls, so use reflecting ones"
        )
    if not grid.uniform:
        raise InvalidInput(
            f"grid: expected equal cells, got maps {grid.maps}. A point is counted in the cell that its coordinates divide "
            "into; leave the maps out"
        )


def run_of_sums(
    sums: Chains,
    counts: Counts,
    *,
    grid: Grid | None,
    names: tuple[str, ...],
    learning_rate: float,
    momentum: float,
    time_step: float,
    batch_size: int,
    sampling: str,
    n: int,
    steps: int,
    burn_in: int,
    seed: int,
    centre: Array,
    origin: Mapping[str, Any],
    bounds: Ints,
    start: Array,
) -> Run:
    """The run of the chains that were not lost.

    Raises
    ------
    NotConverged
        If fewer than 16 groups have chains left.
    """
    stayed = sums.lost == 0
    diverged = np.sort(sums.lost[~stayed])
    remaining = np.add.reduceat(stayed.astype(np.int64), bounds[:-1])
    if diverged.size:
        what = (
            f"{diverged.size} of {stayed.size} chains that ran away, the first at step {diverged[0]} (burn-in of {burn_in} "
            f"included). Minibatches may be steeper than the whole loss: lower learning_rate = {learning_rate:g} or raise "
            f"batch_size = {batch_size}"
        )
        if (remaining > 0).sum() < FEWEST_GROUPS:
            raise NotConverged(
                f"expected chains that stay in at least {FEWEST_GROUPS} groups, for standard errors, got {what}"
            )
        warnings.warn(f"simulate: {what}. The run is that of the others", DivergedWarning, stacklevel=4)
    kept = slice(None) if remaining.all() else remaining > 0  # a slice copies nothing
    samples = remaining[kept] * steps
    second = np.array(sums.second[stayed])
    upper, lower = np.triu(second), np.tril(second, -1)
    swept = lower.transpose(0, 2, 1) - lower
    histogram = counts.inside[kept] if grid is not None else np.zeros((len(samples), 0), np.int64)
    outside = (
        samples - histogram.sum(axis=tuple(range(1, histogram.ndim))) if grid is not None else np.zeros_like(samples)
    )
    return Run(
        counted_on=grid,
        names=names,
        learning_rate=learning_rate,
        momentum=momentum,
        time_step=time_step,
        batch_size=batch_size,
        sampling=sampling,
        n=n,
        steps=int(steps),
        burn_in=int(burn_in),
        seed=seed,
        centre=centre,
        origin=origin,
        diverged=diverged,
        group_samples=samples,
        histogram=histogram,
        outside_samples=outside,
        crossings=tuple(count[kept] for count in counts.crossings),
        chain_mean=centre + sums.first[stayed] / steps,
        chain_second=(upper + np.triu(second, 1).transpose(0, 2, 1)) / steps,
        chain_circulation=swept / (2.0 * time_step * steps),
        start=start[stayed],
        end=sums.theta[stayed],
    )
