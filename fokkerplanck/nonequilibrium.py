"""How far from equilibrium: the numbers of a stationary current, each with its numerical error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import spsolve

from . import currents
from .errors import InvalidInput
from .grid import Array, Grid
from .helmholtz import helmholtz
from .measured import Measured, measure
from .results import Solution
from .threads import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr

PATCH = 3  # nodes to every side of an extremum: a polynomial of degree five through seven has an error of sixth order
NEARBY = 2  # nodes of a coarser grid within which its extremum is the same one
AROUND = 8  # cells beside a loop: what a cubic spline sees of those beyond is below 1e-4 of its own error
ROUND_OFF = 1e-14  # of the scale: a current that is zero, with one-way fluxes a hundred times the drift's
# Of an error that is a sum without signs, in which nothing cancels: of the random problems of `make bench-calibration` 1.25
# times it holds 99 % of the errors, and twice all.
UNSIGNED = 2.0
GAUSS = 3  # points per step of a loop: of sixth order, above that of the interpolation


@dataclass(frozen=True, repr=False)
class NonEquilibrium:
    r"""Numbers of a stationary current, from :func:`nonequilibrium`.

    Attributes
    ----------
    entropy_production : Measured or None
        :math:`\int J^\top D^{-1}J/p` per unit time, in units of k_B. None where D is singular.
    entropy_production_map : DataArray or None
        :math:`J\cdot(\omega - \nabla\ln p) = J^\top D^{-1}J/p` in every cell, per volume and time.
    circulation : Measured or None
        Area rate :math:`A_{ij} = \tfrac12\int(x_iJ_j - x_jJ_i)`, state² per time: A₀₁ in two dimensions, where
        :math:`\int x\wedge J = 2A_{01}`, and the (3, 3) tensor in three. None in one dimension and with periodic axes.
    total_current : Measured
        ∫|J|, state per time.
    stream_function : Measured or None
        The extremum of ψ of largest size, with its sign, per unit time; two dimensions only. Between an extremum and the wall
        (ψ = 0) that much probability passes per unit time.
    vortex : Measured or None
        Where that extremum is, shape (2,); None where ψ is zero within its error.
    harmonic : dict of str to Measured
        Probability per unit time that goes round each periodic axis.
    follows_density : Measured or None
        :math:`\int p\,|v\cdot n|\,/\int p\,|v|` with v = J/p and n = ∇p/\|∇p\|: the mean of \|cos(J, ∇p)\|, weighted with p and
        the speed. 0 where the current follows level sets of p, 2/π ≈ 0.64 for directions at random in the plane. None in one
        dimension.
    follows_loss : Measured or None
        The same for level sets of the loss, where one was given. Both None where no current is resolved.
    names : tuple of str

    Examples
    --------
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> for label, value in fp.nonequilibrium(sol).rows()[:1]:
    ...     print(label, value)  # doctest: +ELLIPSIS
    entropy production 2...
    """

    entropy_production: Measured | None
    entropy_production_map: xr.DataArray | None
    circulation: Measured | None
    total_current: Measured
    stream_function: Measured | None
    vortex: Measured | None
    harmonic: dict[str, Measured]
    follows_density: Measured | None
    follows_loss: Measured | None
    names: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Label and value of every number there is."""
        rows: list[tuple[str, Measured | None]] = [
            ("entropy production", self.entropy_production),
            ("∫|J|", self.total_current),
        ]
        rows += [*self._areas(), ("stream function", self.stream_function), ("  at", self.vortex)]
        rows += [(f"flux round {name}", flux) for name, flux in self.harmonic.items()]
        rows += [("|cos(J, ∇p)|", self.follows_density), ("|cos(J, ∇L)|", self.follows_loss)]
        return [(label, str(number)) for label, number in rows if number is not None]

    def _areas(self) -> list[tuple[str, Measured | None]]:
        if self.circulation is None or np.ndim(self.circulation.value) == 0:
            return [("area rate", self.circulation)]
        value, error, names = self.circulation.value, self.circulation.error, self.names
        return [
            (f"area rate {names[i]}, {names[j]}", Measured(float(value[i, j]), float(error[i, j])))
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]

    def __repr__(self) -> str:
        rows = self.rows()
        width = max(18, *(len(label) for label, _ in rows)) + 2
        return "\n".join(f"{label:{width}}{value}" for label, value in rows)


@one_blas_thread()
def nonequilibrium(solution: Solution, *, loss: Callable[[Array], Any] | None = None) -> NonEquilibrium:
    r"""Entropy production, circulation, ∫|J|, the largest vortex, fluxes round periodic axes, and what J follows.

    Everything is a number of the face current of the scheme, evaluated on the grids behind the solution; their differences give
    the error (:func:`measure`), which does not include what a wall cut off.

    Parameters
    ----------
    solution : Solution
    loss : callable, optional
        L(x) from points (d, ...) to (...): asks whether the current follows its level sets.

    Returns
    -------
    NonEquilibrium
        Printed as a table.

    Raises
    ------
    InvalidInput
        If the loss returns values of another shape, or no finite ones.

    References
    ----------
    U. Seifert, Rep. Prog. Phys. 75, 126001 (2012), doi:10.1088/0034-4885/75/12/126001 (entropy production);
    J. P. Gonzalez, J. C. Neu, S. W. Teitsworth, Phys. Rev. E 99, 022143 (2019), doi:10.1103/PhysRevE.99.022143 (area).

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> numbers = nonequilibrium(fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64)))
    >>> round(numbers.circulation.value, 6)  # exactly −½⟨r²⟩ = −0.5
    -0.5
    """
    grid = solution.grid
    floor = ROUND_OFF * float(solution.diagnostics.get("drift_scale") or 0.0)
    flat = not any(grid.periodic)
    circulation = stream = vortex = None
    if flat and grid.dim == 2:
        circulation = measure(solution, lambda s: s.circulation[0, 1], floor=floor * grid.box.widths.max())
    elif flat and grid.dim == 3:
        circulation = measure(solution, lambda s: s.circulation, floor=floor * grid.box.widths.max())
    if grid.dim == 2:
        stream, vortex = _vortex(solution, floor / grid.box.widths.min())
    production = field = None
    if solution.force is not None:
        production = entropy_production(solution)
        field = production_map(solution)
    rings = [a for a in range(grid.dim) if grid.periodic[a]]
    directed = grid.dim > 1 and solution.current_error < 1.0  # of noise the direction means nothing
    return NonEquilibrium(
        entropy_production=production,
        entropy_production_map=field,
        circulation=circulation,
        total_current=measure(solution, lambda s: currents.total_current(s.flux), floor=floor, smooth=False),
        stream_function=stream,
        vortex=vortex,
        harmonic={
            solution.names[a]: measure(solution, partial(_harmonic, axis=a), floor=floor / grid.box.widths[a])
            for a in rings
        },
        follows_density=measure(solution, lambda s: _mean_cosine(s, -s.phi), smooth=False) if directed else None,
        follows_loss=measure(solution, lambda s: _mean_cosine(s, _sampled(loss, s.grid)), smooth=False)
        if loss is not None and directed
        else None,
        names=solution.names,
    )


def _harmonic(solution: Solution, *, axis: int) -> float:
    return currents.harmonic_flux(solution.flux, axis)


@one_blas_thread()
def entropy_production(solution: Solution) -> Measured:
    """∫ J·ω per unit time, in units of k_B, with its error.

    Raises
    ------
    InvalidInput
        If the diffusion tensor is singular, where it is not defined by this formula.
    """
    if solution.force is None:
        raise InvalidInput(
            "expected an invertible diffusion tensor in every cell, got one with a zero eigenvalue: ∫JᵀD⁻¹J/p is not "
            "defined there. Judge this process by its current, or add noise to the noiseless direction"
        )
    floor = ROUND_OFF * float(solution.diagnostics.get("drift_entropy") or 0.0)
    found = measure(solution, _entropy_production, floor=floor)
    if solution.check is None:
        return found
    # Cell by cell what the values of higher order have more: a sum of one sign does not vanish by accident.
    missing = currents.entropy_production_density(solution.check.flux - solution.flux, solution.force)
    error = UNSIGNED * float(np.sum(np.abs(missing) * solution.grid.cell_volumes))
    return Measured(found.value, max(error, floor))


def _entropy_production(solution: Solution) -> float:
    assert solution.force is not None
    return currents.entropy_production(solution.flux, solution.force)


def production_map(solution: Solution) -> xr.DataArray:
    """J·(ω − ∇ln p) of every cell, where ω is defined; see :attr:`NonEquilibrium.entropy_production_map`."""
    assert solution.force is not None
    irreversible = solution.force + cell_gradient(solution.phi, solution.grid)
    values = np.einsum("i...,i...->...", solution.flux.centered(), irreversible)
    units = f"1/({' '.join(solution.names)} time)"
    return solution.on_cells(values, "entropy production", units)


def cell_gradient(values: Array, grid: Grid) -> Array:
    """∇ of cell values at the cell centres, by cubic interpolation to the faces and their differences; shape (d, *shape).

    Differences are taken in the reference coordinate and divided by its stretch: of fourth order where the map is smooth.
    """
    slopes = []
    for axis in range(grid.dim):
        v = np.moveaxis(values, axis, 0)
        position = grid.centers(axis)
        if grid.periodic[axis]:
            rise = (8.0 * (np.roll(v, -1, 0) - np.roll(v, 1, 0)) - (np.roll(v, -2, 0) - np.roll(v, 2, 0))) / 12.0
            slope = rise / grid.spacing[axis]
        else:
            slope = _rise(v) / _rise(position).reshape(-1, *(1,) * (grid.dim - 1))
        slopes.append(np.moveaxis(slope, 0, axis))
    return np.stack(slopes)


def _rise(v: Array) -> Array:
    """The derivative by index, from the quartic through five entries; of four from the cubic."""
    out = np.empty_like(v)
    if len(v) == 4:
        for side, slopes, sign in ((v, out, 1.0), (v[::-1], out[::-1], -1.0)):
            slopes[0] = sign * (-11 * side[0] + 18 * side[1] - 9 * side[2] + 2 * side[3]) / 6.0
            slopes[1] = sign * (-2 * side[0] - 3 * side[1] + 6 * side[2] - side[3]) / 6.0
        return out
    out[2:-2] = (8.0 * (v[3:-1] - v[1:-3]) - (v[4:] - v[:-4])) / 12.0
    for end, side, sign in ((0, v, 1.0), (-1, v[::-1], -1.0)):
        out[end] = sign * (-25 * side[0] + 48 * side[1] - 36 * side[2] + 16 * side[3] - 3 * side[4]) / 12.0
        out[1 if end == 0 else -2] = sign * (-3 * side[0] - 10 * side[1] + 18 * side[2] - 6 * side[3] + side[4]) / 12.0
    return out


def cosine(solution: Solution, values: Array) -> xr.DataArray:
    r"""cos(J, ∇f) in every cell, for values f at the cell centres: 0 where the current follows a level set of f.

    Zero, too, where one of the two vectors vanishes.

    Parameters
    ----------
    solution : Solution
    values : ndarray, shape ``solution.grid.shape``
        For p itself pass ``−solution.phi``, whose gradient has the same direction.
    """
    slope, current = cell_gradient(values, solution.grid), solution.flux.centered()
    size = np.sqrt(np.sum(slope**2, axis=0) * np.sum(current**2, axis=0))
    product = np.einsum("i...,i...->...", slope, current)
    out = np.divide(product, size, out=np.zeros_like(size), where=size > 0.0)
    return solution.on_cells(out, "cosine of the angle between the current and the gradient", "dimensionless")


def _mean_cosine(solution: Solution, values: Array) -> float:
    weight = np.sqrt(np.sum(solution.flux.centered() ** 2, axis=0)) * solution.grid.cell_volumes
    total = float(weight.sum())
    return float(np.sum(weight * np.abs(cosine(solution, values).values))) / total if total > 0.0 else 0.0


def _sampled(loss: Callable[[Array], Any], grid: Grid) -> Array:
    points = grid.cell_points()
    values = np.asarray(loss(points), dtype=float)
    if values.shape != grid.shape or not np.isfinite(values).all():
        raise InvalidInput(
            f"loss(x): expected finite values of shape {grid.shape} for x of shape {points.shape}, got shape {values.shape}"
            f"{'' if np.isfinite(values).all() else ' with values that are not finite'}"
        )
    return values


def _vortex(solution: Solution, floor: float) -> tuple[Measured, Measured | None]:
    """The extremum of ψ of largest size and where, on the coarser grids the one nearest to it."""
    nodes = _stream(solution)
    start = np.unravel_index(int(np.argmax(np.abs(nodes))), nodes.shape)
    value, *where = _extremum(solution.grid, nodes, (int(start[0]), int(start[1])), 0)

    def same(s: Solution) -> Array:
        if s is solution:
            return np.array([value, *where])
        near = [int(np.argmin(np.abs(s.grid.edges(a) - where[a]))) for a in range(2)]
        sign = np.sign(value)
        size, *place = _extremum(s.grid, sign * _stream(s), (near[0], near[1]), NEARBY)
        return np.array([sign * size, *place])

    found = measure(solution, same)
    stream = Measured(float(found.value[0]), max(float(found.error[0]), floor))
    return stream, None if stream.zero else Measured(found.value[1:], found.error[1:])


def _stream(solution: Solution) -> Array:
    psi = helmholtz(solution).psi
    assert psi is not None
    return psi


def _extremum(grid: Grid, psi: Array, node: tuple[int, int], reach: int) -> tuple[float, float, float]:
    """Value and place of the extremum at a node, or the largest within ``reach`` of it, from a quintic through nodes there."""
    if reach:
        rows, columns = (slice(max(0, k - reach), min(n, k + reach + 1)) for k, n in zip(node, psi.shape, strict=True))
        best = np.unravel_index(int(np.argmax(psi[rows, columns])), psi[rows, columns].shape)
        node = (rows.start + int(best[0]), columns.start + int(best[1]))
    windows = []
    for k, n in zip(node, psi.shape, strict=True):
        low = min(max(0, k - PATCH), max(0, n - 2 * PATCH - 1))
        windows.append(slice(low, min(n, low + 2 * PATCH + 1)))
    x, y = (grid.edges(a)[window] for a, window in enumerate(windows))
    patch = psi[windows[0], windows[1]]
    top = psi[node]
    if top == 0.0:
        return 0.0, float(grid.edges(0)[node[0]]), float(grid.edges(1)[node[1]])
    from scipy.interpolate import RectBivariateSpline  # slow to import, and not needed to solve
    from scipy.optimize import minimize

    degree = tuple(min(5, n - 1) for n in patch.shape)
    surface = RectBivariateSpline(x, y, patch / top, kx=degree[0], ky=degree[1])
    lengths = np.array([np.ptp(x), np.ptp(y)])
    bounds = []
    for a, k in enumerate(node):
        edges = grid.edges(a)
        bounds.append((edges[max(0, k - 1)] / lengths[a], edges[min(edges.size - 1, k + 1)] / lengths[a]))
    start = [grid.edges(a)[k] / lengths[a] for a, k in enumerate(node)]
    best_fit = minimize(
        lambda z: -float(surface(z[0] * lengths[0], z[1] * lengths[1])[0, 0]),
        start,
        jac=lambda z: (
            -np.array(
                [
                    float(surface(z[0] * lengths[0], z[1] * lengths[1], dx=1)[0, 0]) * lengths[0],
                    float(surface(z[0] * lengths[0], z[1] * lengths[1], dy=1)[0, 0]) * lengths[1],
                ]
            )
        ),
        bounds=bounds,
        method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-12},
    )
    at = best_fit.x * lengths
    return float(-best_fit.fun * top), float(at[0]), float(at[1])


@one_blas_thread()
def cycle_affinity(solution: Solution, loop: ArrayLike | Sequence[Sequence[float]]) -> Measured:
    r"""Affinity of a cycle, :math:`\oint\omega\cdot dx`: the entropy that going once round a closed polygon produces.

    It is the logarithm of the ratio of the rates of going round one way and the other, and vanishes on every loop exactly in
    detailed balance. ω is given at the cell centres and interpolated by cubics; each side is integrated by Gauss's rule on
    pieces no longer than a cell. Its error comes from the nested grids.

    Parameters
    ----------
    solution : Solution
    loop : array_like, shape (m, d)
        The corners in order. The polygon is closed from the last corner to the first, unless a corner differs from the first
        by periods: then it ends there, and goes round the periodic axes.

    Returns
    -------
    Measured
        Dimensionless, in units of k_B.

    Raises
    ------
    InvalidInput
        If the loop leaves the box across a reflecting wall, has the wrong shape, or D is singular.

    References
    ----------
    J. Schnakenberg, Rev. Mod. Phys. 48, 571 (1976), doi:10.1103/RevModPhys.48.571.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> swirl = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    >>> sol = fp.solve_stationary(swirl, fp.Box([-5, -5], [5, 5]), shape=(64, 64))
    >>> round(cycle_affinity(sol, [[0, 0], [1, 0], [1, 1], [0, 1]]).value, 9)  # ω = 2b, curl ω = −4
    -4.0
    """
    if solution.force is None:
        raise InvalidInput("expected an invertible diffusion tensor, got a singular one: ω = D⁻¹u is not defined")
    corners = np.asarray(loop, dtype=float)
    grid, d = solution.grid, solution.grid.dim
    if corners.ndim != 2 or corners.shape[1] != d or len(corners) < 2 or not np.isfinite(corners).all():
        raise InvalidInput(f"loop: expected the corners of a closed polygon, shape (m, {d}), got shape {corners.shape}")
    turns = (corners[-1] - corners[0]) / grid.box.widths
    closed = np.allclose(turns, np.where(grid.periodic, np.round(turns), 0.0), atol=1e-9)
    if not closed:
        corners = np.concatenate([corners, corners[:1]])
    for axis in (a for a in range(d) if not grid.periodic[a]):
        low, high = grid.box.lower[axis], grid.box.upper[axis]
        if corners[:, axis].min() < low or corners[:, axis].max() > high:
            raise InvalidInput(
                f"loop: expected corners between the walls of {solution.names[axis]}, {low:g} and {high:g}, got "
                f"{corners[:, axis].min():g} to {corners[:, axis].max():g}"
            )
    assert solution.force is not None
    length = float(np.sum(np.abs(np.diff(corners, axis=0))))
    rounding = ROUND_OFF * length * float(np.abs(solution.force).max())  # of a sum whose terms cancel
    return measure(solution, lambda s: _affinity(s, corners), floor=rounding)


def _affinity(solution: Solution, corners: Array) -> float:
    grid, force = solution.grid, solution.force
    assert force is not None
    from scipy.interpolate import RegularGridInterpolator  # slow to import, and not needed to solve

    axes = []
    for axis in range(grid.dim):
        if grid.periodic[axis]:  # enough turns of the ring that cubics see no end
            force = np.concatenate(
                [np.take(force, range(-4, 0), axis + 1), force, np.take(force, range(4), axis + 1)], axis + 1
            )
            line = grid.centers(axis)
            period = grid.box.widths[axis]
            axes.append(np.concatenate([line[-4:] - period, line, line[:4] + period]))
        else:
            axes.append(grid.centers(axis))
    lower, widths = np.array(grid.box.lower), grid.box.widths
    nodes, weights = np.polynomial.legendre.leggauss(GAUSS)
    samples, measures = [], []
    for start, end in pairwise(corners):
        pieces = max(1, int(np.ceil(float(np.max(np.abs(end - start) / grid.spacing)))))
        s = ((np.arange(pieces)[:, None] + 0.5 * (nodes + 1.0)) / pieces).ravel()
        points = start + s[:, None] * (end - start)
        points = np.where(grid.periodic, lower + np.mod(points - lower, widths), points)
        samples.append(points)
        measures.append(np.tile(0.5 * weights / pieces, pieces)[:, None] * (end - start))
    points = np.concatenate(samples)
    for axis, line in enumerate(axes):  # the cells about the loop
        first, last = np.searchsorted(line, [points[:, axis].min(), points[:, axis].max()])
        low = max(0, min(int(first) - AROUND, line.size - 2 * AROUND))
        kept = slice(low, max(int(last) + AROUND, low + 2 * AROUND))
        axes[axis], force = line[kept], np.moveaxis(np.moveaxis(force, axis + 1, 0)[kept], 0, axis + 1)
    field = RegularGridInterpolator(
        axes, np.moveaxis(force, 0, -1), method="cubic", bounds_error=False, fill_value=None, solver=spsolve
    )  # its own solver is iterative, and leaves 1e-5
    return float(np.sum(field(points) * np.concatenate(measures)))
