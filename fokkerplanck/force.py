"""The thermodynamic force of a process, and its curl with an error: what decides detailed balance before anything is solved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from . import currents
from .errors import InvalidInput
from .grid import Array, Grid
from .operators import CELLS_PER_SCALE
from .process import DiffusionProcess
from .symbolic import numeric
from .tensors import smallest_correlation

if TYPE_CHECKING:
    import xarray as xr

# Steps of the differences of ω in cells, and the scale of those of D (a thousandth of it is their step), in shares of that of
# the solver. Everything of a point stays inside its cell: two steps of 1/16 and two of 1/10 are 0.33 cells.
COARSE, FINE = (1 / 16, 1.0), (1 / 32, 0.5)
# Points along every axis whose largest difference counts: at one point two differences may agree by accident
NEIGHBOURHOOD = 5
ULPS = 4  # roundings in a difference
SCATTER = 20240717  # seed of the points at random: any, but the same verdict every time
RANGE = 1e-9  # share of u outside the range of D that differences of D may leave there


class NoForce(InvalidInput):
    """u is not in the range of D somewhere: no force balances it.

    Attributes
    ----------
    share : float
        Largest |n·u|/|u| with n a direction without noise, in units of the scales of noise.
    """

    def __init__(self, message: str, share: float) -> None:
        super().__init__(message)
        self.share = share


@dataclass(frozen=True, repr=False)
class Force:
    r"""Thermodynamic force :math:`\omega = D^{-1}u` of a process on the cells of a grid, and its slopes.

    Detailed balance is possible exactly if ω is a gradient: then :math:`J = D(\omega - \nabla\ln p)\,p` vanishes for
    :math:`\nabla\ln p = \omega`. For Itô :math:`u = b - \nabla\cdot D`.

    Attributes
    ----------
    grid : Grid
    names : tuple of str
    points : ndarray, shape (d, *grid.shape)
        Where in each cell: its centre, unless the verdict on detailed balance asks elsewhere.
    omega : ndarray, shape (d, *grid.shape)
        1/state. Where D is singular, the shortest solution of Dω = u, lengths in units of the noise along the axes.
    slopes : ndarray, shape (d, d, *grid.shape)
        :math:`\partial_i\omega_j`.
    slope_errors : ndarray, shape (d, d, *grid.shape)
        Numerical error of the slopes: the difference of two evaluations with all steps halved, of fourth order, hence about 15
        times the error of the better one, and the largest within two cells, because two may agree by accident. Zero where the
        slopes are those of formulas.
    diffusion : ndarray, shape (d, d, *grid.shape)
    singular : bool
        Whether D is singular in some cell.

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> found = fp.force(swirl, fp.Grid(fp.Box([-3, -3], [3, 3]), (16, 16)))
    >>> round(float(found.curl.max()), 9)  # ω = 2b, everywhere
    -4.0
    """

    grid: Grid
    names: tuple[str, ...]
    points: Array
    omega: Array
    slopes: Array
    slope_errors: Array
    diffusion: Array
    singular: bool

    def __repr__(self) -> str:
        return f"<Force on {' × '.join(map(str, self.grid.shape))} cells: rotation {self.rotation.max():.3g}>"

    @cached_property
    def field(self) -> xr.DataArray:
        """ω at the cell centres; leading dimension ``component``."""
        return self._labelled(self.omega, "thermodynamic force", "1/state", list(self.names))

    @cached_property
    def curl(self) -> xr.DataArray:
        r""":math:`\partial_i\omega_j - \partial_j\omega_i`: a field in the plane, one for each ``plane`` i, j beyond."""
        return self._planes(self.slopes, -1.0, "curl of the thermodynamic force")

    @cached_property
    def curl_error(self) -> xr.DataArray:
        """Numerical error of :attr:`curl`."""
        return self._planes(self.slope_errors, 1.0, "error of the curl of the thermodynamic force")

    @cached_property
    def rotation(self) -> Array:
        r"""Size of the antisymmetric part A of the slopes, :math:`\sqrt{\operatorname{tr} D A D A^\top}`, per unit time."""
        return self._size(0.5 * (self.slopes - np.swapaxes(self.slopes, 0, 1)))

    @cached_property
    def rotation_error(self) -> Array:
        """A bound on the error of :attr:`rotation`, from those of the slopes."""
        error = 0.5 * (self.slope_errors + np.swapaxes(self.slope_errors, 0, 1))
        root = np.sqrt(np.einsum("ii...->i...", self.diffusion))
        return np.asarray(np.sqrt(np.sum((root[:, None] * root[None] * error) ** 2, axis=(0, 1))))

    @cached_property
    def steepness(self) -> Array:
        """The same size of all slopes together: what a rotation is compared with."""
        return self._size(self.slopes)

    def _size(self, slopes: Array) -> Array:
        square = np.einsum(
            "ij...,jk...,kl...,il...->...", slopes, self.diffusion, np.swapaxes(slopes, 0, 1), self.diffusion
        )
        return np.asarray(np.sqrt(np.maximum(square, 0.0)))  # a square, but for round-off

    def _planes(self, slopes: Array, sign: float, name: str) -> xr.DataArray:
        d = self.grid.dim
        pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
        if not pairs:
            raise InvalidInput("curl: expected two or three state variables, got one: there is nothing to turn in")
        values = np.stack([slopes[i, j] + sign * slopes[j, i] for i, j in pairs])
        if d == 2:
            return self._labelled(values[0], name, "1/state²", None)
        return self._labelled(values, name, "1/state²", [f"{self.names[i]} {self.names[j]}" for i, j in pairs], "plane")

    def _labelled(
        self, values: Array, name: str, units: str, leading: list[str] | None, dim: str = "component"
    ) -> xr.DataArray:
        import xarray as xr  # slow to import, and not needed to judge

        coordinates: dict[str, Any] = {n: self.grid.centers(a) for a, n in enumerate(self.names)}
        dims = self.names
        if leading is not None:
            dims, coordinates = (dim, *dims), {dim: leading, **coordinates}
        return xr.DataArray(values, dims=dims, coords=coordinates, attrs={"long_name": name, "units": units})


def force(process: DiffusionProcess, grid: Grid) -> Force:
    r"""Thermodynamic force ω = D⁻¹(b − ∇·D) at the cell centres, and its curl with an error bar.

    (For the isothermal and Stratonovich interpretations with their u in the place of b − ∇·D, see :class:`DiffusionProcess`.)
    Slopes are taken by fourth-order central differences inside every cell, twice, all steps of the second halved; those of a
    process made from formulas are exact.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
        Where to evaluate; nothing is solved.

    Returns
    -------
    Force

    Raises
    ------
    InvalidInput
        If u is not in the range of D in some cell: no force balances it, and J ≠ 0 where p > 0.

    References
    ----------
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, §6.4, doi:10.1007/978-3-642-61544-3 (potential conditions).

    Examples
    --------
    >>> from fokkerplanck import Box
    >>> swirl = DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> found = force(swirl, Grid(Box([-3, -3], [3, 3]), (16, 16)))
    >>> bool(np.allclose(found.curl, -4)), bool((found.curl_error < 1e-9).all())
    (True, True)
    """
    if process.dim != grid.dim:
        raise InvalidInput(
            f"expected a grid with as many axes as the process has variables ({process.dim}), got {grid.dim}"
        )
    return sampled(process, grid, grid.cell_points())


def scattered(grid: Grid) -> Array:
    """A point at random in the middle half of every cell, shape (d, *grid.shape); the same ones every time."""
    jitter = np.random.default_rng(SCATTER).uniform(-0.25, 0.25, (grid.dim, *grid.shape))
    return np.asarray(grid.cell_points() + jitter * _cell_sizes(grid, grid.cell_points()))


def sampled(process: DiffusionProcess, grid: Grid, points: Array) -> Force:
    """:func:`force` at one point of every cell, shape (d, *grid.shape)."""
    # At periodic seams and walls alike nothing is evaluated beyond the cell.
    cell = _cell_sizes(grid, points)
    scale = np.minimum(grid.box.widths.reshape(-1, *(1,) * grid.dim), CELLS_PER_SCALE * cell)
    diffusion = process.diffusion(points)
    omega = force_at(process, points, scale)
    singular = currents.thermodynamic_force(omega, diffusion) is None
    if process.formulas is not None and process.formulas.raw_force is not None:
        slopes = _formula_slopes(process, points)
        errors = np.zeros_like(slopes)
    else:
        from scipy.ndimage import maximum_filter

        fine, coarse = (_slopes(process, points, step * cell, share * scale) for step, share in (FINE, COARSE))
        slopes, errors = fine, np.abs(fine - coarse)
        size = (1, 1, *(NEIGHBOURHOOD,) * grid.dim)
        # What rounding leaves of ω itself: of its own size, and of differences of D, whose step is a twentieth of a cell.
        least = smallest_correlation(diffusion)  # by which D⁻¹ enlarges them
        noise = np.abs(omega) + 20.0 / (cell * np.where(least > currents.SINGULAR, least, 1.0))
        rounding = ULPS * np.finfo(float).eps * noise / (FINE[0] * cell[:, None])
        errors = maximum_filter(np.maximum(errors, rounding), size=size, mode="nearest")
    return Force(grid, process.names, points, omega, slopes, errors, diffusion, singular)


def force_at(process: DiffusionProcess, points: Array, scale: Array) -> Array:
    """ω at points, shape (d, ...); ``scale`` as for :meth:`DiffusionProcess.current_velocity`.

    Raises
    ------
    NoForce
        If u is not in the range of a singular D.
    """
    velocity, diffusion = process.current_velocity(points, scale), process.diffusion(points)
    regular = currents.thermodynamic_force(velocity, diffusion)
    return regular if regular is not None else _in_range(velocity, diffusion, points)


def _in_range(velocity: Array, diffusion: Array, points: Array) -> Array:
    """The shortest solution of Dω = u where u is in the range of D, in units of the noise along every axis."""
    root = np.sqrt(np.einsum("ii...->i...", diffusion))
    root = np.where(root > 0.0, root, 1.0)
    tensor = np.moveaxis(diffusion / (root[:, None] * root[None]), (0, 1), (-2, -1))
    u = np.moveaxis(velocity / root, 0, -1)
    values, vectors = np.linalg.eigh(tensor)
    parts = np.einsum("...ij,...i->...j", vectors, u)
    noiseless = values <= currents.SINGULAR
    size = np.linalg.norm(u, axis=-1)
    outside = np.linalg.norm(np.where(noiseless, parts, 0.0), axis=-1)
    share = np.divide(outside, size, out=np.zeros_like(size), where=outside > RANGE * size.max())
    if (share > RANGE).any():
        worst = np.unravel_index(int(np.argmax(share)), share.shape)
        place = ", ".join(f"{c[worst]:.4g}" for c in points)
        raise NoForce(
            f"expected b − ∇·D in the range of D, got a velocity with {share[worst]:.1%} of it along a direction n without "
            f"noise at x = ({place}). There n·J = (n·u)p is not zero whatever p is, and no force ω = D⁻¹u exists. Judge this "
            "process by its current, or add noise along n",
            float(share[worst]),
        )
    inverse = np.divide(parts, values, out=np.zeros_like(parts), where=~noiseless)
    return np.asarray(np.moveaxis(np.einsum("...ij,...j->...i", vectors, inverse), -1, 0) / root)


def _cell_sizes(grid: Grid, points: Array) -> Array:
    """Twice the distance from the point of each cell to the nearer edge along every axis, shape (d, *shape)."""
    sizes = []
    for axis in range(grid.dim):
        edges = grid.edges(axis)
        below, above = (grid.along(side, axis) for side in (edges[:-1], edges[1:]))
        sizes.append(2.0 * np.minimum(points[axis] - below, above - points[axis]))
    return np.stack(sizes)


def _slopes(process: DiffusionProcess, points: Array, steps: Array, scale: Array) -> Array:
    """∂_i ω_j by the fourth-order central stencil, shape (d, d, ...)."""
    out = []
    for axis in range(process.dim):
        total: Any = 0.0
        for reach, weight in ((1, 8 / 12), (2, -1 / 12)):
            ahead, behind = points.copy(), points.copy()
            ahead[axis] += reach * steps[axis]
            behind[axis] -= reach * steps[axis]
            total = total + weight * (force_at(process, ahead, scale) - force_at(process, behind, scale))
        out.append(total / steps[axis])
    return np.stack(out)


def _formula_slopes(process: DiffusionProcess, points: Array) -> Array:
    """∂_i ω_j from the formulas, with an antisymmetric part that is zero where algebra says so."""
    given = process.formulas
    assert given is not None
    d = process.dim
    jacobian = given.raw_force.jacobian(given.symbols).T
    slopes = numeric(jacobian, given.symbols)(points).reshape(d, d, *points.shape[1:])
    for (i, j), formula in given.curl.items():
        if formula == 0:
            slopes[i, j] = slopes[j, i] = 0.5 * (slopes[i, j] + slopes[j, i])
    return slopes


def period(process: DiffusionProcess, grid: Grid, axis: int) -> tuple[float, float, float]:
    r""":math:`\oint\omega_a\,dx_a` once round a periodic axis through the middle of the others, its error, and ∮|ω_a|.

    By the trapezoidal rule, whose error for smooth functions falls faster than any power, on twice as many points as cells; the
    error is the difference to half as many, with twice the steps for ∇·D.

    Returns
    -------
    value, error, total : float
    """
    n, box = grid.shape[axis], grid.box
    line = box.lower[axis] + np.arange(2 * n) * (box.widths[axis] / (2 * n))
    points = np.repeat([[0.5 * (a + b)] for a, b in zip(box.lower, box.upper, strict=True)], 2 * n, axis=1)
    points[axis] = line
    spacing = np.minimum(box.widths, 100.0 * grid.spacing)  # as the solver's differences of D
    fine = force_at(process, points, 0.5 * spacing)[axis]
    coarse = force_at(process, points[:, ::2], spacing)[axis]
    width = float(box.widths[axis])
    value, total = width * float(fine.mean()), width * float(np.abs(fine).mean())
    return value, abs(value - width * float(coarse.mean())) + currents.SINGULAR * total, total
