"""What a simulation counted, and the estimates made of it, with their errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..grid import Grid

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Run:
    r"""What was counted along the chains of a simulation, and the estimates made of it.

    Counts are kept per group of chains and sums per chain; both are independent, so their scatter gives the standard
    errors. The time of step k is t = kη.

    Parameters
    ----------
    grid : Grid
        Where was counted.
    names : tuple of str, length d
    learning_rate, batch_size, sampling, n
        The settings of the SGD and the number of its samples.
    steps, burn_in, seed : int
        Recorded steps per chain, steps before them, and the seed of the streams of all chains.
    minimum : ndarray, shape (d,)
        θ*, the start of every chain and the centre of its moments.
    group_samples : ndarray of int, shape (groups,)
        Recorded steps of each group.
    histogram : ndarray of int, shape (groups, *grid.shape)
        Samples in each cell.
    outside_samples : ndarray of int, shape (groups,)
        Samples outside the grid.
    crossings : tuple of ndarray of int, shape (groups, *grid.face_shape(axis))
        Net number of times (upward less downward) that the straight lines between successive points crossed each
        face, walls included. Their difference over a cell is exactly its first less its last occupation.
    chain_mean : ndarray, shape (chains, d)
    chain_second : ndarray, shape (chains, d, d)
        :math:`\langle(\theta-\theta^*)(\theta-\theta^*)^\top\rangle` of each chain.
    chain_circulation : ndarray, shape (chains, d, d)
        :math:`\langle\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i\rangle/2\eta` of each chain, about θ*,
        per unit of time.
    start, end : ndarray, shape (chains, d)
        First (not recorded) and last point of each chain.
    """

    grid: Grid
    names: tuple[str, ...]
    learning_rate: float
    batch_size: int
    sampling: str
    n: int
    steps: int
    burn_in: int
    seed: int
    minimum: Array
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
        return (
            f"Run(chains={len(self.start)}, steps={self.steps}, learning_rate={self.learning_rate:g}, "
            f"batch_size={self.batch_size}, sampling={self.sampling!r}, outside={self.outside:.3g}, seed={self.seed})"
        )

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
            for count, size in zip(self.crossings, self._face_sizes, strict=True)
        )

    @property
    def face_current_error(self) -> tuple[Array, ...]:
        """Standard error of ``face_current``, from the scatter between groups."""
        return tuple(self._spread(count) / size for count, size in zip(self.crossings, self._face_sizes, strict=True))

    @property
    def face_current_groups(self) -> tuple[Array, ...]:
        """``face_current`` of each group by itself, shape (groups, *grid.face_shape(axis))."""
        weights = self.group_samples.reshape(-1, *(1,) * self.grid.dim)
        return tuple(count / (weights * size) for count, size in zip(self.crossings, self._face_sizes, strict=True))

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
            for axis, (count, size) in enumerate(zip(self.crossings, self._face_sizes, strict=True))
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
        shift = self.mean - self.minimum
        return np.asarray(self.chain_second.mean(axis=0) - np.outer(shift, shift))

    @property
    def covariance_error(self) -> Array:
        """Standard error of ``covariance``, by the jackknife over chains."""
        chains = len(self.start)
        shift = self.chain_mean - self.minimum
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

    @cached_property
    def _face_sizes(self) -> Array:
        """η × area of the faces normal to each axis."""
        return self.learning_rate * self.grid.cell_volume / self.grid.spacing

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
