r"""What skew gradient noise does to density and current: the third Kramers–Moyal term, by one more linear solve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..differences import slopes, to_faces
from ..errors import InvalidInput
from ..fields import FaceField
from ..grid import Grid
from ..operators import face_coefficients
from ..poisson import without_gradient
from ..results import Solution
from ..solvers.correction import Jacobian
from ..solvers.newton import CROSS_LIMIT, FASTEST, negligible
from ..solvers.scheme import Scheme
from .second_order import SecondOrder

if TYPE_CHECKING:
    import xarray as xr

    from .descent import SGD

Array = NDArray[np.float64]

STEEPEST = 1.0  # Φ across a face up to which it carries the second-order flux, as in the solver
REDUCTION = 1e-6  # of the residual, where cycles solve the system: far below the error of the differences
# Share of Σ_a ∫|u_a|p by which the process's own second-order current of a density may differ from the current that came with
# it. Differences of longer reach move it by a few per cent on the coarsest grids; another process moves it by its drift.
OTHERS = 0.2


@dataclass(frozen=True, eq=False, repr=False)
class SkewCorrection:
    r"""A stationary density and current with the first effect of skew noise: p₀ + p₁ and its current.

    The density is perturbative: the sum of a positive one and of a correction linear in the skewness, which integrates to
    zero. Far out, where the correction exceeds what it corrects, it is negative; nothing is clipped.

    Attributes
    ----------
    solution : Solution
        p₀, as given.
    change : ndarray, shape ``grid.shape``
        p₁.
    flux : FaceField
        Normal current on every face, :math:`J_i = u_i(p_0 + p_1) - D_{ij}\partial_j(p_0 + p_1) +
        \tfrac16\partial_j\partial_k(c_{ijk}p_0)`, free of divergence. It is that of the continuous process.
    circulation : ndarray, shape (d, d)
        :math:`A_{ij} = \tfrac12\langle\theta_ib_j - \theta_jb_i\rangle`, b = −∇L: the area rate of the chain,
        :math:`\langle\theta_i\Delta\theta_j - \theta_j\Delta\theta_i\rangle/2\eta`.
    error : float
        Estimated L1 error of p₁, ∫|p₁ − p₁ exact|, from the next coarser grid; infinite without one. How far p₀ + p₁ is from
        the law of the chain is another matter: of the next order in the skewness and in η.
    """

    solution: Solution
    change: Array
    flux: FaceField
    circulation: Array
    error: float

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.grid.shape))
        return (
            f"<SkewCorrection on {size} cells: moves {self.moved:.3g}, error {self.error:.1e}, "
            f"negative {self.negative_mass:.1e}>"
        )

    @property
    def grid(self) -> Grid:
        """That of the solution."""
        return self.solution.grid

    @cached_property
    def _values(self) -> Array:
        return np.asarray(np.exp(-self.solution.phi) + self.change)

    @cached_property
    def density(self) -> xr.DataArray:
        """p₀ + p₁ at cell centres; integrates to 1."""
        return self.solution.on_cells(self._values, "perturbative probability density", "density")

    @cached_property
    def current(self) -> xr.DataArray:
        """J at cell centres, interpolated from the faces by cubics; leading dimension ``component``."""
        return self.solution.on_cells(self.flux.centered(), "probability current", "density × state / time")

    @property
    def moved(self) -> float:
        """½∫|p₁|, the total variation between p₀ and p₀ + p₁."""
        return 0.5 * float(np.sum(np.abs(self.change) * self.grid.cell_volumes))

    @property
    def negative_mass(self) -> float:
        """∫ max(0, −p) over the cells where p₀ + p₁ is negative."""
        return float(np.sum(np.maximum(0.0, -self._values) * self.grid.cell_volumes))

    @property
    def lowest(self) -> tuple[float, Array]:
        """The smallest value of p₀ + p₁ relative to its largest, and where it is."""
        cell = np.unravel_index(int(np.argmin(self._values)), self.grid.shape)
        return float(self._values[cell] / self._values.max()), self.grid.cell_points()[(slice(None), *cell)]

    @property
    def mean(self) -> Array:
        """∫ x p dx, shape (d,)."""
        return self._points @ self._probability

    @property
    def covariance(self) -> Array:
        """∫ (x − mean)(x − mean)ᵀ p dx, shape (d, d)."""
        offset = self._points - self.mean[:, None]
        return (offset * self._probability) @ offset.T

    @property
    def _points(self) -> Array:
        return self.grid.cell_points().reshape(self.grid.dim, -1)

    @property
    def _probability(self) -> Array:
        return (self._values * self.grid.cell_volumes).ravel()


def skew_correction(solution: Solution, sgd: SGD, *, order: int = 2) -> SkewCorrection:
    r"""Density and current with the skewness of the minibatch noise, to first order in it.

    .. math::

        \nabla\cdot(u\,p_1 - D\nabla p_1) = -\tfrac16\,\partial_i\partial_j\partial_k(c_{ijk}\,p_0), \qquad \int p_1 = 0,
        \qquad c = -\frac{\eta^2}{B^2}\,\langle(g - \bar g)^{\otimes3}\rangle,

    the third Kramers–Moyal term of the chain: one linear system with the matrix of the last Newton step. A diffusion knows
    nothing of c, so its third cumulants are wrong at leading order, and its density differs from that of the chain by about
    0.13 √(ηh/B) times the skewness of the gradient (total variation, one dimension) however small η is at a given η/B. With
    ``order=2`` c has the term that the expansion in η leaves, too.

    Parameters
    ----------
    solution : Solution
        Of ``sgd.process(order=order)``, on equal cells.
    sgd : SGD
    order : {2, 1}
        The order of the process that was solved.

    Returns
    -------
    SkewCorrection

    Raises
    ------
    InvalidInput
        If the solution is not one of this process, on a stretched or periodic grid, or for what `SGD.process` refuses.

    References
    ----------
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, doi:10.1007/978-3-642-61544-3, §4.1 (the expansion).

    Examples
    --------
    >>> from fokkerplanck import solve_stationary
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> model = linear_regression([[1.0], [1.0], [1.0], [1.0]], [0.0, 0.0, 0.0, 4.0])  # three small errors, one large
    >>> sgd = SGD(model, learning_rate=0.1, batch_size=2)
    >>> corrected = skew_correction(solve_stationary(sgd.process(order=2), sgd.box(), rtol=1e-3), sgd)
    >>> third = ((corrected.grid.centers(0) - corrected.mean) ** 3 * corrected.density.values).sum() * corrected.grid.cell_volume
    >>> exact = 0.1**3 / 2**2 * 6.0 / (1 - 0.9**3)  # of θ' = 0.9θ + 0.1ξ; a diffusion has 0
    >>> bool(abs(third / exact - 1) < 0.01)
    True
    """
    grid, process = solution.grid, sgd.process(order=order)
    if not grid.uniform or any(grid.periodic):
        raise InvalidInput(
            f"skew_correction: expected equal cells and no periodic axis, got maps {grid.maps} and boundary {grid.box.boundary}"
        )
    if process.dim != grid.dim:
        raise InvalidInput(f"solution: expected {process.dim} dimensions, one per parameter {process.names}, got {grid.dim}")
    change, flux = _solve(sgd, order, grid, solution.phi, solution.flux)
    error = np.inf
    if solution.coarser:
        coarse = solution.coarser[0]
        below = _means(change, coarse.grid) - _solve(sgd, order, coarse.grid, coarse.phi, coarse.flux)[0]
        error = float(np.sum(np.abs(below))) * coarse.grid.cell_volume / 3.0  # second order: a quarter of it is left
    points = grid.cell_points()
    probability = (np.exp(-solution.phi) + change) * grid.cell_volumes
    drift = -sgd.model.gradient(points)
    moment = (points * probability).reshape(grid.dim, -1) @ drift.reshape(grid.dim, -1).T
    return SkewCorrection(solution, change, flux, 0.5 * (moment - moment.T), error)


def _solve(sgd: SGD, order: int, grid: Grid, phi: Array, current: FaceField) -> tuple[Array, FaceField]:
    """p₁ and the corrected current on one grid."""
    scheme = Scheme(face_coefficients(sgd.process(order=order), grid))
    scheme.freeze(phi, STEEPEST, FASTEST, CROSS_LIMIT)
    plain = scheme.flux(phi, np.zeros_like(phi))
    density = np.exp(-phi)
    _check_current(scheme, plain - current, density)
    held = negligible(phi, grid)
    skew = _skew_flux(grid, _third_cumulant(sgd, order, grid.cell_points()) * density)
    jacobian = Jacobian(scheme, phi, held, "auto")
    outflow = np.where(held, 0.0, skew.divergence() * np.exp(np.where(held, 0.0, phi)))
    answer = jacobian.solve(outflow, reduction=REDUCTION)
    mean = float(np.sum(density * answer.s)) * grid.cell_volume
    flux = current * (1.0 - mean) + skew + scheme.flux(phi, answer.s) - plain
    return density * (answer.s - mean), without_gradient(flux)[0]  # what held cells and cycles left of a divergence


def _third_cumulant(sgd: SGD, order: int, points: Array) -> Array:
    """c of a step per unit of time, shape (d, d, d, ...)."""
    n, B, model = sgd.model.n, sgd.batch_size, sgd.model
    share = 1.0
    if sgd.sampling == "without_replacement":
        share = (n - B) * (n - 2 * B) / ((n - 1) * (n - 2)) if n > 2 else 0.0
    cumulant = -share * (sgd.learning_rate / B) ** 2 * model.noise_third_moment(points)
    if order == 2:
        cumulant = cumulant + SecondOrder(model, sgd.learning_rate, sgd.noise_scale).third_cumulant(points)
    return np.asarray(cumulant)


def _skew_flux(grid: Grid, third: Array) -> FaceField:
    """⅙∂_j∂_k of ``third``, shape (d, d, d, *grid.shape), on the faces; nothing passes the walls."""
    components = []
    for i in range(grid.dim):
        total = np.zeros(grid.shape)
        for j in range(grid.dim):
            for k in range(grid.dim):
                total += _along(_along(third[i, j, k], k, grid), j, grid) / 6.0
        faces = np.moveaxis(to_faces(total, i, False), i, 0)
        faces[0] = faces[-1] = 0.0
        components.append(np.moveaxis(faces, 0, i))
    return FaceField(grid, tuple(components))


def _along(values: Array, axis: int, grid: Grid) -> Array:
    return np.moveaxis(slopes(np.moveaxis(values, axis, 0)), 0, axis) / grid.spacing[axis]


def _means(values: Array, coarse: Grid) -> Array:
    """Means over the cells that make up one cell of the coarser grid."""
    split = [n for m, k in zip(coarse.shape, values.shape, strict=True) for n in (m, k // m)]
    return np.asarray(values.reshape(split).mean(axis=tuple(range(1, 2 * coarse.dim, 2))))


def _check_current(scheme: Scheme, difference: FaceField, density: Array) -> None:
    moved = sum(
        float(np.sum(np.abs(np.moveaxis(scheme.u[axis], axis, 0)[:-1]).ravel() * np.moveaxis(d, axis, 0).ravel()))
        for axis, d in ((axis, density.reshape(scheme.shape)) for axis in scheme.axes)
    )
    apart = sum(float(np.sum(np.abs(c))) for c in difference.components)
    if apart > OTHERS * moved:
        raise InvalidInput(
            f"solution: expected that of sgd.process(order=...) for this SGD, got one whose current differs from what the process "
            f"makes of its density by {apart / moved:.2g} of what the drift moves. Solve this process, with this order"
        )
