r"""One grid: Newton's method for the log-density finite-volume scheme.

The unknown is :math:`\Phi = -\ln p` in every cell, so the density is positive by construction. See docs/theory/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..errors import FokkerPlanckError
from ..fields import FaceField
from ..grid import Array, Grid
from ..kernels import flux as kernel
from ..operators import FaceCoefficients
from ..poisson import divergence_free
from ..threads import in_pieces, summed
from .chain import check_irreducible
from .correction import Jacobian
from .linear import SingularSystem
from .scheme import Scheme

FASTEST = 10.0  # cell Péclet number up to which the central form is stable enough to be preferred over upwinding
CROSS_LIMIT = 3.0  # bound on h ∂_m Φ in the frozen cross drift: beyond e³ per cell the slope is not resolved anyway
SMALLEST_RATIO, LARGEST_RATIO = 0.3, 3.0  # one Newton step changes a density by at most these factors
# Cells below e⁻⁴⁰ of the peak hold less than round-off of the mass; those with no other neighbours keep their interpolated Φ.
NEGLIGIBLE = 40.0
ISLAND = 1e-12  # probability beyond which cells that exchange none with the rest are not round-off but a second answer
REFRESHES = 6  # times the frozen cross drift is brought up to date on one grid …
REGULAR = 1e-3  # … unless this little of the probability is beside frozen faces, or moved by the last time
PATIENCE = 8  # Newton steps without a new smallest one after which there is no convergence to wait for
SETTLED = 1e-11  # Σ p|δp/p| below this is round-off of the balance, not progress
MAX_STEPS = 40
COARSE_SWEEPS = 6  # of the monotone start; its cross drift settles to a few per cent in that many, if not before:
COARSELY = 0.05  # probability moved by a sweep that is less than upwinding on so few cells misplaces


ENOUGH = 1e-4  # of the first step on a grid, which is the change from the grid before: the error of the equations, not the grid


class Stalled(FokkerPlanckError):
    """Newton's method did not settle on this grid."""


@dataclass(frozen=True)
class Level:
    """Converged state of one grid.

    Attributes
    ----------
    phi : ndarray, shape ``grid.shape``
        −ln p, with p integrating to 1.
    flux : FaceField
        The face currents of the last linearised balance: divergence-free to the round-off of one linear solve. Where the
        density is not negligible they equal the nonlinear flux up to the square of a step that moved less than 1e-7 of the
        probability.
    steps, cycles : int
        Newton steps taken, and multigrid cycles in them.
    regular_mass : float
        Share of the probability next to faces that carry the second-order flux; the rest is upwinded tail.
    solver : str
        What solved the linear systems.
    up_to_date : bool
        Whether the cross drift of the frozen faces is that of the result; False where bringing it up to date did not settle.
    thorough : bool
        False where it was left for a correction of higher order to finish.
    """

    grid: Grid
    phi: Array
    flux: FaceField
    steps: int
    cycles: int
    regular_mass: float
    solver: str
    up_to_date: bool
    thorough: bool = True


def normalise(phi: Array, grid: Grid) -> Array:
    """Shift Φ so that Σ e^{−Φ} × cell volume = 1."""
    low, out = float(phi.min()), np.empty(phi.shape)
    total = summed(lambda rows: float(np.sum(np.exp(low - phi[rows]))), phi.shape[0], phi.size)
    shift = float(np.log(total * grid.cell_volume))

    def piece(rows: slice) -> None:
        np.subtract(phi[rows], low, out=out[rows])
        out[rows] += shift

    in_pieces(piece, phi.shape[0], phi.size)
    return out


def distance(phi: Array, other: Array, grid: Grid) -> float:
    """∫|p − p'| of two densities by their −ln p."""
    volumes = grid.cell_volumes

    def piece(rows: slice) -> float:
        return float(np.sum(np.abs(np.exp(-phi[rows]) - np.exp(-other[rows])) * volumes[rows]))

    return summed(piece, phi.shape[0], phi.size)


def solve_level(
    coefficients: FaceCoefficients,
    start: Array,
    *,
    steepest: float,
    fastest: float = FASTEST,
    linear_solver: str = "auto",
    rough: bool = False,
) -> Level:
    """Newton's method from Φ = ``start``.

    Parameters
    ----------
    steepest, fastest : float
        Faces across which the starting Φ varies by more than ``steepest``, or whose cell Péclet number exceeds ``fastest``,
        use the monotone flux; see docs/theory/method.md.
    linear_solver : str
        See :class:`correction.Jacobian`.
    rough : bool
        Whether a correction of higher order follows: it takes what is left with it, and frozen faces stay as they are.

    Raises
    ------
    Stalled
        If the steps do not die out, or the linearised balance is singular.
    """
    scheme = Scheme(coefficients)
    phi = normalise(start, scheme.grid)
    check_connected(phi, scheme.grid)
    scheme.freeze(phi, steepest, fastest, CROSS_LIMIT)
    level = replace(_newton(scheme, phi, linear_solver, rough), thorough=not rough)
    if 1.0 - level.regular_mass < REGULAR:
        return replace(level, up_to_date=True)
    if rough:
        return level
    for _ in range(REFRESHES):
        scheme.freeze(level.phi, steepest, fastest, CROSS_LIMIT)
        try:
            refreshed = _newton(scheme, level.phi, linear_solver, rough)
        except Stalled:
            break  # what was frozen with the first reference stands: it is a solution, if a less accurate one
        moved = distance(refreshed.phi, level.phi, scheme.grid)
        level = replace(refreshed, steps=level.steps + refreshed.steps, cycles=level.cycles + refreshed.cycles)
        if moved < REGULAR:
            return replace(level, up_to_date=True)
    return level


def _newton(scheme: Scheme, phi: Array, linear_solver: str, rough: bool) -> Level:
    """Newton's method with the forms of the faces as they are."""
    grid = scheme.grid
    previous, smallest, since, first, cycles = np.inf, np.inf, 0, 0.0, 0
    for step in range(1, MAX_STEPS + 1):
        try:
            jacobian = Jacobian(scheme, phi, negligible(phi, grid), linear_solver)
            correction = jacobian.solve(jacobian.residual)
        except SingularSystem as error:
            raise Stalled(str(error)) from error
        s = correction.s
        cycles += correction.cycles
        probability = scheme.probability(phi)
        mean = float(np.sum(probability * s))
        size = float(np.sum(probability * np.abs(s - mean)))
        if not np.isfinite(size):
            raise Stalled("a Newton step is not finite")
        first = first or size
        # What is left after this step: what the linear solve left of it and its square, or its rate of convergence where
        # that is linear (next to walls, where the Jacobian is compact).
        left = size * max(correction.reduction + size, size / previous)
        share = ENOUGH if rough or correction.reduction > 0.0 else 0.0
        enough = max(SETTLED, share * first)
        # Below 1e-7 a step that does not shrink the last one much is round-off.
        settled = left < enough or (size < 1e-7 and size > 0.25 * previous)
        if settled:
            flux = scheme.flux(phi, s) * (1.0 / (1.0 + mean))
        ratio = np.minimum(np.maximum(1.0 + s, SMALLEST_RATIO), LARGEST_RATIO)
        phi = normalise(phi - np.log(ratio), grid)
        if settled:
            if correction.reduction > 0.0:
                flux = divergence_free(flux)  # the imbalance that the iterations left
            mass = scheme.regular_mass(scheme.probability(phi))
            return Level(grid, phi, flux, step, cycles, mass, correction.solver, up_to_date=False)
        smallest, since = (size, 0) if size < smallest else (smallest, since + 1)
        if since == PATIENCE:
            break
        previous = size
    raise Stalled(f"after {step} Newton steps the last one still moves {size:.1e} of the probability")


def negligible(phi: Array, grid: Grid) -> NDArray[np.bool_]:
    """Cells that are negligible with all their neighbours, so that what flows into them is negligible too."""
    near = ~(phi > phi.min() + NEGLIGIBLE)
    for axis in (a for a in range(grid.dim) if not near.all()):
        here = np.moveaxis(near, axis, 0)
        wide = here.copy(order="K")
        wide[1:] |= here[:-1]
        wide[:-1] |= here[1:]
        if grid.periodic[axis]:
            wide[0] |= here[-1]
            wide[-1] |= here[0]
        near = np.moveaxis(wide, 0, axis)
    return np.ascontiguousarray(~near)


def check_connected(phi: Array, grid: Grid) -> None:
    """Refuse a density whose parts only exchange probability through negligible cells: their weights would be arbitrary."""
    active = ~negligible(phi, grid)
    if active.all():
        return
    region, count = _regions(active, grid.periodic)
    if count == 1:
        return
    weight = np.bincount(region.ravel(), np.exp(phi.min() - phi).ravel(), minlength=count + 1)[1:]
    second = float(np.sort(weight)[-2] / weight.sum())
    if second > ISLAND:
        raise Stalled(
            f"the density falls apart into regions with less than e^-{NEGLIGIBLE:g} of its peak between them: they exchange no "
            f"probability in double precision, so the weight of one ({second:.1e}) cannot be told"
        )


def _regions(active: NDArray[np.bool_], periodic: tuple[bool, ...]) -> tuple[NDArray[np.intp], int]:
    """Number the sets of active cells that are connected through faces from 1; inactive cells are 0."""
    from scipy import ndimage  # slow to import, and only needed where there are negligible cells

    labels, count = ndimage.label(active)
    edges = [np.zeros((2, 0), dtype=np.intp)]
    for axis in (a for a, ring in enumerate(periodic) if ring):
        pairs = np.moveaxis(np.take(labels, [0, -1], axis), axis, 0).reshape(2, -1)
        edges.append(pairs[:, (pairs > 0).all(axis=0)])
    joined = np.concatenate(edges, axis=1)
    graph = sp.coo_array((np.ones(joined.shape[1]), tuple(joined)), shape=(count + 1, count + 1))
    _, merged = connected_components(graph, directed=False)
    # Label 0 has no edges and is met first, so it keeps the number 0.
    return np.asarray(merged[labels], dtype=np.intp), int(merged.max())


def monotone_start(coefficients: FaceCoefficients) -> Array:
    """Φ on a coarse grid by the upwinded scheme, solved without a subtraction; the cross drift is updated between sweeps.

    Raises
    ------
    InvalidInput
        If some cells cannot be reached from others, naming both.
    Stalled
        If they can, but exchange less than double precision holds.
    """
    scheme = Scheme(coefficients)
    n = coefficients.grid.size
    rates, place, log_p = np.empty((n, n)), np.empty(n, dtype=np.intp), np.empty(n)
    arguments = (scheme.shape, scheme.d, scheme.spacing, scheme.periodic, scheme.w, place, rates)
    phi, order = np.zeros(n), np.arange(n)
    for sweep in range(COARSE_SWEEPS):
        scheme.freeze(phi, 0.0, 0.0, CROSS_LIMIT if sweep else 0.0)
        place[order] = np.arange(n)
        kernel.upwind_rates(*arguments)
        chain = rates
        if not sweep:
            order = _downstream(rates)
            chain = np.ascontiguousarray(rates[np.ix_(order, order)])
        if not kernel.gth(chain, log_p):
            if not sweep:  # nothing but D_aa and u themselves can be to blame
                check_irreducible(sp.csc_array(rates.T), coefficients.grid)
            raise Stalled(
                "cells of the first grid exchange less probability with each other than double precision holds"
            )
        before, phi = phi, np.empty(n)
        phi[order] = -log_p
        phi = normalise(phi, coefficients.grid)
        moved = float(np.sum(np.abs(np.exp(-phi) - np.exp(-before)))) * coefficients.grid.cell_volume
        if sweep and moved < COARSELY:
            break
        order = np.argsort(phi, kind="stable")
    return phi.reshape(coefficients.grid.shape)


def _downstream(rates: Array) -> NDArray[np.intp]:
    """Cells ordered by how often the deterministic flow visits them: attractors first."""
    n = rates.shape[0]
    target = np.argmax(rates, axis=1)  # after a step, then after two, four …
    visits = np.bincount(target, minlength=n)  # during these
    for _ in range(n.bit_length()):
        visits = visits + np.bincount(target, visits, minlength=n)
        target = target[target]
    return np.argsort(-visits, kind="stable")
