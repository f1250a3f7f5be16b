r"""Deferred correction: from the second-order answer of a grid to one of fourth order, and the error of that one.

The fluxes :math:`J^{(k)}` of order k = 4, 6 are those of the same log-density with longer differences. The balance of
:math:`J^{(4)}` at the second-order answer is what that answer lacks; one linear system with the Jacobian of the scheme
gives it. The balance of :math:`J^{(6)}` at the corrected answer measures, by one more, what is still missing: an error
estimate that needs no second grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..currents import total_current
from ..differences import averages, between, face_slopes, slopes, to_faces, to_means
from ..errors import FokkerPlanckError
from ..fields import FaceField
from ..grid import Array, Grid
from ..kernels import high_order as kernel
from ..maps import Uniform
from ..operators import FaceCoefficients, physical_coefficients, physical_flux, physical_log_density
from ..poisson import divergence_free
from ..threads import in_pieces, in_planes, shared, summed
from .correction import Jacobian
from .newton import distance, negligible, normalise
from .scheme import Scheme

# Reduction of the residual by the cycles for the correction, whose remainder the estimate sees, and for the estimate itself.
THOROUGH, ROUGH = 3e-3, 1e-1
REPEATS = 3  # of the correction where a factorisation makes them cheap …
TAIL = 20.0  # of Φ above its least, two billionths of the peak: beyond, frozen faces keep the scheme's own flux
CONVERGED = 0.03  # … unless one was this much smaller than the first
NOTICED = 0.1  # share of doubts in what drives the estimate, below which they are not solved for
# By which a correction may change a density; where it would change more, it is cut short.
SMALLEST_RATIO, LARGEST_RATIO = 0.3, 3.0


FAR = 0.25  # a correction that would move more of the probability, or
LIMITED = 3e-3  # would change cells by factors that hold more than this, starts too far from what it leads to


class TooFar(FokkerPlanckError):
    """The start of a correction is no approximation of what it leads to."""


@dataclass(frozen=True)
class Corrected:
    """Fourth-order values on one grid.

    Attributes
    ----------
    psi : ndarray, shape ``grid.shape``
        Reference log-density, normalised.
    flux : FaceField
        On the reference grid; divergence-free to the accuracy of the linear solve.
    check_psi, check_flux : ndarray, FaceField
        The same of sixth order.
    change : float
        ∫|p − p of the start|.
    density_error, current_error : float
        Estimates of ∫|p − p_exact| and ∫|J − J_exact| for smooth coefficients: the distance to values of sixth order.
    density_doubt, current_doubt : float
        What jumps and kinks of the coefficients may add, see :meth:`_Fluxes.doubts`; zero where they are resolved.
    drift : float
        Σ_a ∫|u_a|p, a scale for currents that does not vanish with them.
    limited : float
        Probability in cells where the correction was cut short.
    solves, cycles : int
        Linear systems, and the multigrid cycles in them.
    solver : str
    """

    psi: Array
    flux: FaceField
    check_psi: Array
    check_flux: FaceField
    change: float
    density_error: float
    current_error: float
    density_doubt: float
    current_doubt: float
    drift: float
    limited: float
    solves: int
    cycles: int
    solver: str


def correct(
    scheme: Scheme,
    coefficients: FaceCoefficients,
    grid: Grid,
    psi: Array,
    linear_solver: str,
    *,
    reduction: float = THOROUGH,
) -> Corrected:
    """Fourth-order values from second-order ones, or from those of a coarser grid.

    Parameters
    ----------
    scheme : Scheme
        With the forms of the faces that belong to ``psi``.
    coefficients : FaceCoefficients
        Those of ``scheme``.
    grid : Grid
        The physical one.
    psi : ndarray, shape ``grid.shape``
    linear_solver : str
    reduction : float
        Of the residual by the cycles for the correction.

    Raises
    ------
    SingularSystem
        If a linear system has no finite solution.
    TooFar
        If the first correction is large.
    """
    jacobian = Jacobian(scheme, psi, negligible(psi, scheme.grid), linear_solver)
    tails = _tails(scheme, psi)
    fluxes = _Fluxes(scheme, coefficients, grid, tails if any(tail.any() for tail in tails) else None)
    steps: list[_Step] = []
    sizes: list[float] = []
    while len(sizes) < REPEATS:
        before = steps[-1].psi if steps else psi
        steps.append(_step(jacobian, fluxes(before, 4), before, reduction))
        sizes.append(distance(steps[-1].psi, before, scheme.grid))
        if steps[-1].limited > LIMITED or sizes[0] > FAR:
            raise TooFar(f"by {sizes[-1]:.1e}, cut short where {steps[-1].limited:.1e} is")
        if len(sizes) > 1 and sizes[-1] > sizes[-2]:
            steps.pop()
            break
        if steps[-1].cycles or sizes[-1] < CONVERGED * sizes[0]:
            break
    better = steps[-1]
    fluxes.tails = None  # so that the estimate sees what they leave out: entropy production feels them
    flux = fluxes(better.psi, 6)
    best = check = _step(jacobian, flux, better.psi, ROUGH)
    doubts = fluxes.doubts(better.psi)
    if total_current(doubts) > NOTICED * total_current(flux - better.flux):
        check = _step(jacobian, flux + doubts, better.psi, ROUGH)
    density = shared(_decaying, better.psi)
    defect = abs(_mass(density, grid) - 1.0)
    current = total_current(physical_flux(better.flux, grid))
    return Corrected(
        psi=better.psi,
        flux=better.flux,
        check_psi=check.psi,
        check_flux=check.flux,
        change=distance(better.psi, psi, scheme.grid),
        density_error=distance(best.psi, better.psi, scheme.grid) + defect,
        current_error=total_current(physical_flux(best.flux - better.flux, grid)) + defect * current,
        density_doubt=0.0 if check is best else distance(check.psi, best.psi, scheme.grid),
        current_doubt=0.0 if check is best else total_current(physical_flux(check.flux - best.flux, grid)),
        drift=sum(_moved(u, density, a) for a, u in enumerate(coefficients.velocity)) * grid.reference.cell_volume,
        limited=better.limited,
        solves=len(sizes) + 1 + (check is not best),
        cycles=sum(s.cycles for s in steps) + best.cycles + (check.cycles if check is not best else 0),
        solver=best.solver,
    )


def _decaying(phi: Array, out: Array) -> None:
    """e^{−Φ}."""
    np.exp(np.negative(phi, out=out), out=out)


def _moved(velocity: Array, density: Array, axis: int) -> float:
    """Σ over the cells of |u| on the face behind each, times its density."""
    behind = np.moveaxis(np.moveaxis(velocity, axis, 0)[:-1], 0, axis)
    return summed(lambda rows: float(np.sum(np.abs(behind[rows]) * density[rows])), density.shape[0], density.size)


@dataclass(frozen=True)
class _Step:
    psi: Array
    flux: FaceField
    limited: float
    cycles: int
    solver: str


def _step(jacobian: Jacobian, flux: FaceField, psi: Array, reduction: float) -> _Step:
    """Ψ and the flux that balances, from ``psi`` and its flux."""
    scheme, base, probability = jacobian.scheme, jacobian.phi, jacobian.probability
    correction = jacobian.solve(jacobian.over_density(flux.divergence()), reduction=reduction)
    s, planes, size = correction.s, psi.shape[0], psi.size
    share = 1.0 / (1.0 + summed(lambda rows: float(np.sum(probability[rows] * s[rows])), planes, size))
    balanced = scheme.change(base, s)
    _add(balanced, flux, share)
    if correction.reduction > 0.0:
        balanced = divergence_free(balanced)  # the imbalance that the iterations left
    change, cut = np.empty(psi.shape), np.empty(psi.shape, dtype=np.bool_)

    def limit(rows: slice) -> float:
        """How far Ψ goes down, and the probability where that is cut short."""
        wanted = 1.0 + (s[rows] if psi is base else s[rows] * np.exp(psi[rows] - base[rows]))
        ratio = np.minimum(np.maximum(wanted, SMALLEST_RATIO), LARGEST_RATIO)
        np.not_equal(ratio, wanted, out=cut[rows])
        np.log(ratio, out=change[rows])
        return float(np.sum(probability[rows][cut[rows]]))

    limited = summed(limit, planes, size)
    change = _calm(change, cut, scheme.grid.periodic)
    np.subtract(psi, change, out=change)
    return _Step(normalise(change, scheme.grid), balanced, limited, correction.cycles, correction.solver)


def _add(field: FaceField, other: FaceField, share: float) -> None:
    """A share of the sum of two fields, in the arrays of the first."""
    for component, more in zip(field.components, other.components, strict=True):

        def piece(rows: slice, component: Array = component, more: Array = more) -> None:
            component[rows] += more[rows]
            component[rows] *= share

        in_pieces(piece, component.shape[0], component.size)


def _calm(change: Array, cut: NDArray[np.bool_], periodic: tuple[bool, ...]) -> Array:
    """Changes of −Ψ, averaged with their neighbours' within two cells of one that was cut short.

    In tails that a coarse grid left wrong, cells ask for more than they may have and the next ones for the opposite. Followed
    one by one they leave pits, which finer grids inherit: cross drift makes traps of them that no cycle empties.
    """
    if not cut.any():
        return change
    near, average = _widened(_widened(cut, periodic), periodic), change
    for axis, ring in enumerate(periodic):
        average = averages(average, axis, ring)
    return np.where(near, average, change)


def _widened(cells: NDArray[np.bool_], periodic: tuple[bool, ...]) -> NDArray[np.bool_]:
    """With all neighbours, those across edges and corners too."""
    for axis, ring in enumerate(periodic):
        lines = np.moveaxis(cells, axis, 0)
        wider = lines.copy(order="K")
        wider[1:] |= lines[:-1]
        wider[:-1] |= lines[1:]
        if ring:
            wider[0] |= lines[-1]
            wider[-1] |= lines[0]
        cells = np.moveaxis(wider, 0, axis)
    return cells


class _Fluxes:
    """Face currents of a log-density by differences of higher order, as fields on the reference grid.

    With Φ physical, X' = dx/dξ and all of it to the same order: J'_a = ∏_{b≠a} X'_b · q (u_a + Σ_m D_am/X'_m ∂_ξm Φ).
    Frozen faces far down the density ``tail`` keep the scheme's own flux: longer differences make nothing better of them, and
    nothing good for a finer grid to start from.
    """

    def __init__(
        self,
        scheme: Scheme,
        coefficients: FaceCoefficients,
        grid: Grid,
        tails: tuple[NDArray[np.bool_], ...] | None = None,
    ) -> None:
        self.grid, self.scheme, self.tails = grid, scheme, tails
        self.coefficients = coefficients
        carried = coefficients
        if not grid.uniform:
            self.coefficients = physical_coefficients(coefficients, grid)
            carried = _stretched(self.coefficients, grid)
        self.carried = carried.velocity, carried.diffusion

    def __call__(self, psi: Array, order: int) -> FaceField:
        grid, (velocity, diffusion) = self.grid, self.carried
        phi = physical_log_density(psi, grid)
        components = []
        for a in range(grid.dim):
            ring = grid.periodic[a]
            value, rises = to_faces(phi, a, ring, order), []
            for m, tensor in enumerate(diffusion[a]):
                if m == a:
                    rises.append((face_slopes(phi, a, ring, order), tensor, grid.spacing[m]))
                elif tensor.any():
                    rises.append((slopes(value, m, grid.periodic[m], order), tensor, grid.spacing[m]))
            values = _carried(value, velocity[a], rises)
            if not ring:
                ends = np.moveaxis(values, a, 0)
                ends[0] = ends[-1] = 0.0
            for other in range(grid.dim):
                if other != a:
                    values = to_means(values, other, grid.periodic[other], order)
            components.append(values)
        if self.tails is not None:
            own = self.scheme.flux(psi, np.zeros_like(psi)).components
            components = [np.where(tail, j, c) for tail, j, c in zip(self.tails, own, components, strict=True)]
        return FaceField(grid.reference, tuple(components))

    def doubts(self, psi: Array) -> FaceField:
        """How much of the current through every face may be missed by sampling u and D at its centre.

        Differences of any order take u and D for smooth, so where they jump or bend within a cell orders 4 and 6 agree on the
        same error. Here u + Σ_m D_am ∂_mΦ is taken along lines with the ∂Φ of the face, so that jumps which cancel count
        less, by a factor of order h.
        """
        grid = self.grid
        phi = physical_log_density(psi, grid)
        axes = range(grid.dim)
        steps = [grid.spacing[m] if isinstance(grid.maps[m], Uniform) else grid.centers(m) for m in axes]
        rows = [np.moveaxis(d, a + 1, 0)[1:-1] for a, d in enumerate(self.coefficients.diffusion)]  # walls hold zeros
        varying = any(np.ptp(row[:, m]) > 0.0 for row in rows for m in axes)
        rises = [_rises(phi, steps[m], m) for m in axes] if varying else []
        density, components = shared(_decaying, phi), []
        for a, u in enumerate(self.coefficients.velocity):
            terms = self.coefficients.diffusion[a][: len(rises)]
            weights = np.empty((len(rises), *u.shape))
            for weight, rise in zip(weights, rises, strict=True):
                between(rise, a, out=weight)
            out = np.zeros(u.shape)
            for m, n in enumerate(u.shape):
                lines = (prod(u.shape[:m]), n, prod(u.shape[m + 1 :]))
                ring = grid.periodic[m]
                first, last = (0, n) if m != a else (0, n - 1) if ring else (1, n - 1)  # rings repeat a face
                if last - first <= 6:
                    continue
                each, where = (len(terms), *lines), (first, last, ring, out.reshape(lines))
                arguments = (u.reshape(lines), terms.reshape(each), weights.reshape(each), *where)
                planes = lines[0] * (last - first)
                in_planes(kernel.doubts, planes, u.size, *arguments)
                if rises and self.coefficients.differenced:  # a jump of D by which its derivative may have missed
                    rate = np.ones_like(u) / grid.along(grid.distances(m) if m == a else grid.widths(m), m)
                    one = (1, *lines)
                    arguments = (np.zeros(lines), terms[m].reshape(one), rate.reshape(one), *where)
                    in_planes(kernel.doubts, planes, u.size, *arguments)
            means = between(density, a)
            if not grid.uniform:
                means *= _area(grid, a)
            out = shared(np.multiply, out, means, out=out)
            if grid.periodic[a]:
                ends = np.moveaxis(out, a, 0)
                ends[-1] = ends[0]
            components.append(out)
        return FaceField(grid.reference, tuple(components))


def _carried(phi: Array, velocity: Array, rises: list[tuple[Array, Array, float]]) -> Array:
    """e^{−Φ} (u + Σ_m ``rise_m`` D_m/h_m), in the array of Φ."""

    def piece(rows: slice) -> None:
        total = velocity[rows].copy()
        for rise, tensor, step in rises:
            part = rise[rows] * tensor[rows]
            part /= step
            total += part
        np.exp(np.negative(phi[rows], out=phi[rows]), out=phi[rows])
        phi[rows] *= total

    in_pieces(piece, phi.shape[0], phi.size)
    return phi


def _rises(phi: Array, steps: float | Array, axis: int) -> Array:
    """∂Φ along an axis at the cell centres, of second order."""
    if phi.ndim == 1:
        return np.asarray(np.gradient(phi, steps))
    out, across = np.empty(phi.shape), int(axis == 0)  # lines along the axis are not cut

    def piece(lines: slice) -> None:
        where = (slice(None),) * across + (lines,)
        out[where] = np.gradient(phi[where], steps, axis=axis)

    in_pieces(piece, phi.shape[across], phi.size)
    return out


def _tails(scheme: Scheme, psi: Array) -> tuple[NDArray[np.bool_], ...]:
    """Faces of the frozen form beyond ``TAIL``."""
    out, low = [], psi.reshape(scheme.shape) - psi.min() - TAIL > 0.0
    for a, axis in enumerate(scheme.axes):
        cells, forms = np.moveaxis(low, axis, 0), np.moveaxis(scheme.regular[axis], axis, 0)
        tail = np.zeros(scheme.regular[axis].shape, dtype=np.bool_)
        faces = np.moveaxis(tail, axis, 0)
        faces[1:-1] = (cells[1:] & cells[:-1]) & ~forms[1:-1]
        if scheme.periodic[axis]:
            faces[0] = faces[-1] = (cells[0] & cells[-1]) & ~forms[0]
        out.append(tail.reshape(scheme.grid.face_shape(a)))
    return tuple(out)


def _stretched(physical: FaceCoefficients, grid: Grid) -> FaceCoefficients:
    """u_a ∏_{b≠a} X'_b and D_am/X'_m ∏_{b≠a} X'_b on the faces, from u and D."""
    faces, cells = zip(*(grid.stretch(a) for a in range(grid.dim)), strict=True)
    velocity, diffusion = [], []
    for a in range(grid.dim):
        area = _area(grid, a)
        velocity.append(physical.velocity[a] * area)
        rows = [
            physical.diffusion[a][m] * area / grid.along(faces[m] if m == a else cells[m], m) for m in range(grid.dim)
        ]
        diffusion.append(np.stack(rows))
    return FaceCoefficients(grid.reference, tuple(velocity), tuple(diffusion))


def _area(grid: Grid, axis: int) -> Array:
    """∏ X' over the axes along the faces normal to one."""
    area = np.ones([1] * grid.dim)
    for b in range(grid.dim):
        if b != axis:
            area = area * grid.along(grid.stretch(b)[1], b)
    return area


def _mass(density: Array, grid: Grid) -> float:
    """∫p to fourth order, from the reference density at the cell centres; their plain sum is 1."""
    for axis in range(grid.dim):
        if not isinstance(grid.maps[axis], Uniform):
            density = density * grid.along(grid.stretch(axis)[1] / (grid.weights(axis) / grid.spacing[axis]), axis)
    total = density
    for axis in range(grid.dim):
        total = total + to_means(density, axis, grid.periodic[axis], 4) - density
    return float(np.sum(total)) * grid.reference.cell_volume
