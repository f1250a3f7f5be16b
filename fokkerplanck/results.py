"""What a solve returns: the density, the current, their errors, labelled and ready for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import currents
from .errors import InvalidInput
from .fields import FaceField
from .grid import Array, Box, Grid
from .maps import restored

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, repr=False)
class Solution:
    r"""Stationary density p and current J of a Fokker–Planck equation on a grid.

    Invariants, checked by the solver: :math:`p > 0`, :math:`\sum p\,\Delta V = 1` to round-off, and the divergence of
    :attr:`flux` below 1e-8 of its largest face value per cell width.

    Attributes
    ----------
    grid : Grid
    names : tuple of str
        Names of the state variables.
    phi : ndarray, shape ``grid.shape``
        −ln p at the cell centres.
    flux : FaceField
        Normal current on every face, probability per (state^(d−1) · time).
    force : ndarray or None, shape (d, *grid.shape)
        Thermodynamic force D⁻¹u; None where the diffusion tensor is singular.
    error : float
        Estimated L1 error of the density, ∫|p − p_exact|.
    current_error : float
        Estimated L1 error of the current relative to ∫|J|; 1 or more means that no current has been resolved.
    diagnostics : dict
        Everything known about how the answer was reached: every grid, wall masses, settings.
    coarser : tuple of Solution
        The same on up to two coarser grids, the finer first: from them every number gets its error, see :func:`measure`.
        Errors of their own are not estimated and infinite.
    check : Solution or None
        The same of higher order on the same grid, where the method has it, by which the error is measured.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sol = fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-5], [5]), shape=(64,))
    >>> sol.density.dims, sol.mean.round(9).tolist(), sol.covariance.round(6).tolist()
    (('x',), [0.0], [[0.5]])
    >>> bool(sol.error < 1e-6), float((sol.density * sol.grid.cell_volume).sum().round(12))
    (True, 1.0)
    """

    grid: Grid
    names: tuple[str, ...]
    phi: Array
    flux: FaceField
    force: Array | None
    error: float
    current_error: float
    diagnostics: Mapping[str, Any]
    coarser: tuple[Solution, ...] = ()
    check: Solution | None = None

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.grid.shape))
        current = f"current error {self.current_error:.1e}" if self.current_error < 1.0 else "no current resolved"
        return f"<Solution on {size} cells: error {self.error:.1e}, {current}>"

    @cached_property
    def density(self) -> xr.DataArray:
        """p at cell centres; integrates to 1."""
        units = "1/(" + " ".join(self.names) + ")"
        return self.on_cells(np.exp(-self.phi), "probability density", units)

    @cached_property
    def log_density(self) -> xr.DataArray:
        """ln p at cell centres, finite where p itself would underflow."""
        return self.on_cells(-self.phi, "natural logarithm of the probability density", "dimensionless")

    @cached_property
    def current(self) -> xr.DataArray:
        """J at cell centres, interpolated from the faces by cubics; leading dimension ``component``."""
        return self.on_cells(self.flux.centered(), "probability current", "density × state / time")

    @cached_property
    def velocity(self) -> xr.DataArray:
        """J/p at cell centres, the mean velocity of what passes there; leading dimension ``component``.

        In the tails it is the ratio of two small numbers: :func:`current_fields` has its error.
        """
        return self.on_cells(self.flux.centered() * np.exp(self.phi), "probability velocity J/p", "state / time")

    @property
    def mean(self) -> Array:
        """∫ x p dx, shape (d,)."""
        return self.grid.cell_points().reshape(self.grid.dim, -1) @ self._probability

    @property
    def covariance(self) -> Array:
        """∫ (x − mean)(x − mean)ᵀ p dx, shape (d, d)."""
        offset = self.grid.cell_points().reshape(self.grid.dim, -1) - self.mean[:, None]
        return (offset * self._probability) @ offset.T

    @property
    def _probability(self) -> Array:
        return (np.exp(-self.phi) * self.grid.cell_volumes).ravel()

    @property
    def circulation(self) -> Array:
        """Area rate A_ij = ½∫(x_i J_j − x_j J_i), state² per time, shape (d, d)."""
        return currents.circulation(self.flux)

    def cut_walls(self, allowed: float) -> dict[str, float]:
        """Reflecting walls with more than ``allowed`` of the probability in the outer 1/32 of the cells, and how much."""
        return {wall: mass for wall, mass in self.diagnostics["wall_mass"].items() if mass > allowed}

    def on_cells(self, values: Array, long_name: str, units: str) -> xr.DataArray:
        """Label values on the cell centres; a leading axis beyond the grid's is ``component``."""
        import xarray as xr  # slow to import, and not needed to solve

        dims: tuple[str, ...] = self.names
        coordinates: dict[str, Any] = {name: self.grid.centers(a) for a, name in enumerate(self.names)}
        if values.ndim > self.grid.dim:
            dims = ("component", *dims)
            coordinates["component"] = list(self.names)
        return xr.DataArray(values, dims=dims, coords=coordinates, attrs={"long_name": long_name, "units": units})

    def to_dataset(self) -> xr.Dataset:
        """Everything as one labelled dataset, from which :meth:`from_dataset` makes the same solution again, bit by bit.

        The names of variables, dimensions and attributes are listed on the page on data. ``to_netcdf`` and ``to_zarr`` of the
        dataset keep everything.
        """
        from .io import solution_dataset

        return solution_dataset(self)

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> Solution:
        """The solution in a dataset made by :meth:`to_dataset`, or read from the file of a run or from a Zarr store.

        Parameters
        ----------
        dataset : xarray.Dataset
            Variables that do not belong to the solution are left alone.

        Returns
        -------
        Solution

        Raises
        ------
        InvalidInput
            If something of the solution is missing, has another shape than its grid, or was edited so that it is no density.

        Examples
        --------
        >>> import fokkerplanck as fp
        >>> process = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1)
        >>> sol = fp.solve_stationary(process, fp.Box([-4], [4]), shape=(32,))
        >>> bool((Solution.from_dataset(sol.to_dataset()).phi == sol.phi).all())
        True
        """
        import json

        try:
            meta = json.loads(dataset.attrs["solution"])
            box, names = Box(meta["lower"], meta["upper"], boundary=meta["boundary"]), tuple(meta["names"])
            maps, shape = [restored(each) for each in meta["maps"]], tuple(meta["shape"])
            coarser = []
            for k, coarse in enumerate(meta.get("coarser", ()), 1):
                before = Grid(box, tuple(coarse), maps=maps)
                phi, flux, force = _fields(dataset, before, f"_coarser_{k}")
                coarser.append(cls(before, names, phi, flux, force, np.inf, np.inf, {}))
            grid, check = Grid(box, shape, maps=maps), None
            if meta.get("check", False):
                phi, flux, force = _fields(dataset, grid, "_check")
                check = cls(grid, names, phi, flux, force, np.inf, np.inf, {})
            phi, flux, force = _fields(dataset, grid, "")
            errors = meta["error"], meta["current_error"]
            return cls(grid, names, phi, flux, force, *errors, meta["diagnostics"], tuple(coarser), check)
        except InvalidInput:
            raise
        except (KeyError, ValueError, TypeError) as error:
            raise InvalidInput(
                f"expected a file written by Solution.save or a run, or a dataset of Solution.to_dataset, got one without "
                f"{error}"
            ) from error

    def save(self, path: str | Path) -> None:
        """Write NetCDF-4 (through a temporary name, so that a half-written file never replaces a good one)."""
        from .io import write_dataset

        write_dataset(self.to_dataset(), path)


def load(path: str | Path) -> Solution:
    """Read a solution written by :meth:`Solution.save`, or the result file of a run.

    Raises
    ------
    InvalidInput
        If the file is missing, is no NetCDF, or does not hold a solution.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import fokkerplanck as fp
    >>> sol = fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-5], [5]), shape=(64,))
    >>> with TemporaryDirectory() as folder:
    ...     sol.save(f"{folder}/ou.nc")
    ...     again = load(f"{folder}/ou.nc")
    >>> bool((again.phi == sol.phi).all())
    True
    """
    from .io import read_solution

    return read_solution(path)


def _fields(dataset: xr.Dataset, grid: Grid, suffix: str) -> tuple[Array, FaceField, Array | None]:
    log_density = _values(dataset, f"log_density{suffix}", grid.shape)
    flux = [_values(dataset, f"flux_{a}{suffix}", grid.face_shape(a)) for a in range(grid.dim)]
    name = f"force{suffix}"
    force = _values(dataset, name, (grid.dim, *grid.shape)) if name in dataset else None
    total = float((np.exp(log_density) * grid.cell_volumes).sum())
    if not abs(total - 1.0) < 1e-4:  # also in single precision: 6e-8 of ln p, down to −700; nan is none either
        raise InvalidInput(
            f"expected a density whose integral is 1 in log_density{suffix}, got {total:.9g}. Restore it as it was made"
        )
    if not all(np.isfinite(values).all() for values in flux):
        raise InvalidInput(f"expected finite currents in flux_…{suffix}, got some that are not")
    return -log_density, FaceField(grid, tuple(flux)), force


def _values(dataset: xr.Dataset, name: str, shape: tuple[int, ...]) -> Array:
    values = np.asarray(dataset[name].values)
    if values.shape != shape:
        raise InvalidInput(
            f"expected the whole dataset of a solution, with {name} of shape {shape}, got {values.shape}. Select cells "
            "after restoring it, from Solution.density"
        )
    return values
