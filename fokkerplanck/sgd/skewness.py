r"""What skew gradient noise does to density and current: the third Kramers–Moyal term, by one more linear solve."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..differences import face_slopes, slopes, to_faces, to_means, to_points
from ..errors import InvalidInput
from ..fields import FaceField
from ..grid import Grid
from ..operators import FaceCoefficients, face_coefficients
from ..poisson import without_gradient
from ..results import Solution
from ..solvers.correction import Jacobian
from ..solvers.newton import CROSS_LIMIT, FASTEST, negligible
from ..solvers.scheme import Scheme

if TYPE_CHECKING:
    import xarray as xr

    from .descent import SGD

Array = NDArray[np.float64]

STEEPEST = 1.0  # Φ across a face up to which it carries the second-order flux, as in the solver
REPEATS = 4  # of the linear system, whose matrix is of second order, for a flux of fourth …
TAIL = 14.0  # … where Φ is less than this above its least: the millionths beyond are left as the matrix has them
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
        \tfrac16\partial_j\partial_k(c_{ijk}p_0)`, free of divergence. After ``order=2`` it is the current that straight steps
        of the chain carry through the faces, as a simulation counts them; that of the continuous process differs from it by a
        divergence-free part of relative size ηh, which is added.
    circulation : ndarray, shape (d, d)
        :math:`A_{ij} = \tfrac12\langle\theta_ib_j - \theta_jb_i\rangle`, b = −∇L: the area rate of the chain,
        :math:`\langle\theta_i\Delta\theta_j - \theta_j\Delta\theta_i\rangle/2\eta`.
    error : float
        Estimated L1 error of p₁, ∫|p₁ − p₁ exact|, from the next coarser grid; infinite without one. How far p₀ + p₁ is from
        the law of the chain is another matter: of the next order in the skewness and in η.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> corrected = fp.sgd.skew_correction(fp.solve_stationary(sgd.process(), sgd.box(), rtol=1e-3), sgd)
    >>> corrected.density.shape == corrected.change.shape, abs(float(corrected.change.sum())) < 1e-9, 0 < corrected.moved < 1
    (True, True, True)
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
        cell = int(np.argmin(self._values))
        return float(self._values.flat[cell] / self._values.max()), self._points[:, cell]

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
        If the solution is not one of this process, on a stretched or periodic grid, for noise other than that of minibatches,
        or for what `SGD.process` refuses.

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
    >>> x, probability = corrected.grid.centers(0), corrected.density.values * corrected.grid.cell_volume
    >>> third = ((x - corrected.mean) ** 3 * probability).sum()
    >>> exact = 0.1**3 / 2**2 * 6.0 / (1 - 0.9**3)  # of the chain θ' = 0.9θ + 0.1ξ; a diffusion has 0
    >>> bool(abs(third / exact - 1) < 0.02)
    True
    """
    grid, process = solution.grid, sgd.process(order=order)
    if not grid.uniform or any(grid.periodic):
        raise InvalidInput(
            f"skew_correction: expected equal cells and no periodic axis, got maps {grid.maps} and boundary {grid.box.boundary}"
        )
    if process.dim != grid.dim:
        raise InvalidInput(
            f"solution: expected {process.dim} dimensions, one per parameter {process.names}, got {grid.dim}"
        )
    change, flux = _solve(sgd, order, grid, solution.phi, solution.flux)
    error = np.inf
    if solution.coarser:
        coarse = solution.coarser[0]
        below = _at_centers(change, coarse.grid) - _solve(sgd, order, coarse.grid, coarse.phi, coarse.flux)[0]
        error = float(np.sum(np.abs(below))) * coarse.grid.cell_volume / 15.0  # fourth order: a sixteenth is left
    points = grid.cell_points()
    probability = (np.exp(-solution.phi) + change) * grid.cell_volumes
    drift, flat = -sgd.model.gradient(points).reshape(grid.dim, -1), points.reshape(grid.dim, -1)
    # ⟨b⟩ = 0: from the mean, an error of ⟨b⟩ does not count
    moment = ((flat - (flat @ probability.ravel())[:, None]) * probability.ravel()) @ drift.T
    return SkewCorrection(solution, change, flux, 0.5 * (moment - moment.T), error)


def _solve(sgd: SGD, order: int, grid: Grid, phi: Array, current: FaceField) -> tuple[Array, FaceField]:
    """p₁ and the corrected current on one grid."""
    coefficients = face_coefficients(sgd.process(order=order), grid)
    scheme = Scheme(coefficients)
    scheme.freeze(phi, STEEPEST, FASTEST, CROSS_LIMIT)
    density = np.exp(-phi)
    _check_current(scheme, scheme.flux(phi, np.zeros_like(phi)) - current, density)
    skewness, x = sgd.skewness_scale, grid.cell_points()
    third = sgd.second_order(skewness).third_cumulant(x) if order == 2 else skewness * sgd.model.noise_third_moment(x)
    slope = np.stack([_along(phi, a, grid) for a in range(grid.dim)])
    skew = _on_faces(_divergence(_divergence(third, slope, grid), slope, grid) / 6.0, phi, grid)
    held = negligible(phi, grid)
    jacobian = Jacobian(scheme, phi, held, "auto")
    s, flux, previous = np.zeros_like(phi), skew, np.inf
    for _ in range(REPEATS):
        outflow = np.where(held, 0.0, flux.divergence() * np.exp(np.where(held, 0.0, phi)))
        step = jacobian.solve(outflow, reduction=REDUCTION).s
        size = float(np.sum(density * np.abs(step)))
        if not size < previous:
            break
        s, previous, held = s + step, size, phi - phi.min() > TAIL
        s = s - float(np.sum(density * s)) * grid.cell_volume
        flux = skew + _relative_flux(coefficients, phi, current, s)
    flux = flux + current
    if order == 2:
        flux = flux + _straight(sgd, skewness, grid, phi, slope, s)
    return density * s, without_gradient(flux)[0]  # what held cells, cycles and the next order left


def _relative_flux(coefficients: FaceCoefficients, phi: Array, current: FaceField, s: Array) -> FaceField:
    """The current of p₀s to fourth order, from that of p₀: u p₀s − D∇(p₀s) = sJ₀ − p₀D∇s, where s is smooth."""
    grid, components = current.grid, []
    for a in range(grid.dim):
        total = np.zeros(grid.face_shape(a))
        for m in range(grid.dim):
            across = m != a
            rise = to_faces(_along(s, m, grid), a, False) if across else face_slopes(s, a, False) / grid.spacing[a]
            total -= coefficients.diffusion[a][m] * rise
        total *= np.exp(-to_faces(phi, a, False))
        here, others = current.components[a], [m for m in range(grid.dim) if m != a]
        for m in others:  # the current is a mean over the face, what it is multiplied with a value at its centre
            here = to_points(here, m, False, 4)
        total += here * to_faces(s, a, False)
        for m in others:
            total = to_means(total, m, False, 4)
        ends = np.moveaxis(total, a, 0)
        ends[0] = ends[-1] = 0.0
        components.append(total)
    return FaceField(grid, tuple(components))


def _straight(sgd: SGD, skewness: float, grid: Grid, phi: Array, slope: Array, s: Array) -> FaceField:
    r"""By how much the current of straight steps differs from that of the continuous process of second order, to O(η).

    A step Δ from θ, taken at constant speed, crosses x at a mean rate of :math:`\tfrac1\eta[\langle\Delta\rangle p -
    \tfrac12\nabla\cdot(\langle\Delta\Delta\rangle p) + \tfrac16\nabla\nabla:(\langle\Delta\Delta\Delta\rangle p) - \dots]`.
    Of its terms of one order in η more than those of b, D and c, what the process has by itself is taken away.
    """
    x, eta = grid.cell_points(), sgd.learning_rate
    better, weight = sgd.second_order(skewness), 1.0 + s
    b, D = -sgd.model.gradient(x), sgd.noise_scale * sgd.model.noise_covariance(x)
    c = skewness * sgd.model.noise_third_moment(x)
    bend = sgd.second_order().third_cumulant(x)
    second = (better.diffusion(x) - D - 0.5 * eta * b[:, None] * b) * weight
    third = (eta / 3.0 * _symmetric(b, D, 1, 2) - bend / 6.0) * weight - (better.third_cumulant(x) - bend - c) / 6.0
    fourth = eta / 6.0 * (_symmetric(D, D, 2, 2) * weight + 0.25 * _symmetric(b, c, 1, 3))
    inner = fourth - _divergence(eta / 60.0 * _symmetric(D, c, 2, 3), slope, grid)
    inner = second + _divergence(third - _divergence(inner, slope, grid), slope, grid)
    return _on_faces((b - better.drift(x)) * weight + _divergence(inner, slope, grid), phi, grid)


def _symmetric(first: Array, second: Array, rank: int, other: int) -> Array:
    """The sum over the different ways to share rank + other indices among two symmetric tensors."""
    letters, total = "ijklm"[: rank + other], 0.0
    ways = list(combinations(letters, rank))
    for way in ways:
        rest = "".join(letter for letter in letters if letter not in way)
        total = total + np.einsum(f"{''.join(way)}...,{rest}...->{letters}...", first, second)
    return np.asarray(total if first is not second else 0.5 * total)


def _divergence(values: Array, slope: Array, grid: Grid) -> Array:
    """∂_j(p v_j)/p = ∂_jv_j − v_j∂_jΦ over the last tensor index, at the cell centres: tails are as exact as the peak."""
    parts = np.moveaxis(values, values.ndim - grid.dim - 1, 0)
    return np.asarray(sum(_along(parts[j], j, grid) - parts[j] * slope[j] for j in range(grid.dim)))


def _on_faces(velocity: Array, phi: Array, grid: Grid) -> FaceField:
    """Density times a velocity at the cell centres, as means over the faces; nothing passes the walls."""
    components = []
    for i in range(grid.dim):
        faces = to_faces(velocity[i], i, False) * np.exp(-to_faces(phi, i, False))
        for m in range(grid.dim):
            if m != i:
                faces = to_means(faces, m, False, 4)
        ends = np.moveaxis(faces, i, 0)
        ends[0] = ends[-1] = 0.0
        components.append(faces)
    return FaceField(grid, tuple(components))


def _along(values: Array, axis: int, grid: Grid) -> Array:
    """∂ along an axis of the grid, which is among the last of the array."""
    place = values.ndim - grid.dim + axis
    return slopes(values, place) / grid.spacing[axis]


def _at_centers(values: Array, coarse: Grid) -> Array:
    """Values on the grid with every cell halved, interpolated to the cell centres of this one, which are faces there."""
    for axis in range(coarse.dim):
        values = np.moveaxis(np.moveaxis(to_faces(values, axis, False), axis, 0)[1::2], 0, axis)
    return values


def _check_current(scheme: Scheme, difference: FaceField, density: Array) -> None:
    moved = sum(
        float(np.sum(np.abs(np.moveaxis(scheme.u[axis], axis, 0)[:-1]).ravel() * np.moveaxis(d, axis, 0).ravel()))
        for axis, d in ((axis, density.reshape(scheme.shape)) for axis in scheme.axes)
    )
    apart = sum(float(np.sum(np.abs(c))) for c in difference.components)
    if apart > OTHERS * moved:
        raise InvalidInput(
            f"solution: expected that of sgd.process(order=...) for this SGD, got one whose current differs from what the "
            f"process makes of its density by {apart / moved:.2g} of what the drift moves. Solve this process, with this order"
        )
