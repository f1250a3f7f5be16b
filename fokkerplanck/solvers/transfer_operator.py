r"""The transfer operator of a Markov chain of small steps, in one and two dimensions: what the chain does at finite step.

.. math::

    T_{rc} = \mathrm{E}\bigl[\ell_c(\theta') \mid \theta = x_r\bigr], \qquad \pi T = \pi, \qquad \sum_c \pi_c = 1,

with nodes :math:`x_r` of a uniform grid in whitened coordinates and :math:`\ell_c` the piecewise cubic Lagrange polynomial
that is one at node c and zero at the others. Rows sum to one, and for every cubic polynomial f the mean
:math:`\mathrm{E}[f(\theta')]` after one step is exact: moments that close, such as those of least squares up to the third,
come out at round-off. Sharing out a point between two nodes or among cells, Ulam's way, widens the law by :math:`h^2/6` in
every step instead. The price is that entries, and densities far out in the tails, may be negative; they are left as they
are, and ``negative`` says how much there is.

References: S. M. Ulam, *A Collection of Mathematical Problems*, Interscience 1960 (cells); J. Ding, A. Zhou, *Statistical
Properties of Deterministic Systems*, Springer 2009, doi:10.1007/978-3-540-85367-1 (projections of higher order); R. B. Lehoucq,
D. C. Sorensen, C. Yang, *ARPACK Users' Guide*, SIAM 1998, doi:10.1137/1.9780898719628 (eigenvalues).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse.linalg as spla
from numpy.polynomial.hermite_e import hermegauss
from numpy.polynomial.legendre import leggauss
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigvalsh
from scipy.ndimage import map_coordinates

from ..errors import InvalidInput, NotConverged
from ..grid import Grid
from ..kernels import deposit
from ..process import DiffusionProcess
from .collocation import Steps, WhitenedGrid, assemble
from .hermite import Moments

Array = NDArray[np.float64]

NODES = {1: 401, 2: 97}  # a seventh of a standard deviation in two dimensions: covariances to a few 1e-6 of themselves
FEWEST = 33  # half a standard deviation, and one on the coarser grid behind the error estimate
# Gauss–Hermite points per dimension of the noise. Nine have its moments up to the 17th, but large steps show the gaps between
# them: total variation from a normal law 5e-3 with 9, 1e-3 with 13, no less with 17.
QUADRATURE = 13
ALONG = 4  # Gauss–Legendre points on the line of a step, exact for cubic polynomials times a cubic one
# Coordinates are whitened by the covariance last computed until its deviations move by less than this: the grid has to hold
# the law, not to fit it.
SETTLED = 0.1
SWEEPS = 4
# Of the probability may step off the grid per relaxation time; what it moves of the moments is of that size
LEAVING = 1e-5
RESIDUAL = 1e-7  # ‖πT − π‖₁ over the spectral gap: how far π may be from the left eigenvector, in probability
MODES = 6  # eigenvalues computed; those beyond the second serve Arnoldi's method as a buffer
KRYLOV = 40
RESTARTS = 2000


@dataclass(frozen=True, eq=False)
class TransferOperator:
    r"""A discretised Markov chain with its stationary law.

    Attributes
    ----------
    matrix : csr_array, shape (N, N)
        :math:`T_{rc}`, from node r to node c, N the number of nodes; rows sum to 1.
    grid : WhitenedGrid
        The nodes: ``shape``, and θ = ``centre`` + ``root`` z with z in ± ``widths`` per axis.
    time_step : float
        Time per step of the chain.
    probability : ndarray, shape ``grid.shape``
        π, the weights of the nodes; they sum to 1 and may be slightly negative in the tails.
    moments : Moments
        Of π; ``error`` is a third of the change from an operator with half the nodes per axis: the error if it fell with the
        square of the spacing. It falls with the fourth power where the law is resolved, and is smaller still. What ``lost``
        would add to the moments if it were at the rim is added.
    eigenvalues : ndarray of complex
        The largest by modulus, the first of them 1.
    leaving : float
        Probability per step of going beyond the grid, where it is put back to its rim.
    residual : float
        :math:`\sum_c|(\pi T - \pi)_c|`.
    """

    matrix: Any = field(repr=False)
    grid: WhitenedGrid
    time_step: float
    probability: Array = field(repr=False)
    moments: Moments = field(repr=False)
    eigenvalues: NDArray[np.complex128]
    leaving: float
    residual: float

    @property
    def points(self) -> Array:
        """θ of the nodes, shape (d, *grid.shape)."""
        return self.grid.points.reshape(-1, *self.grid.shape)

    @property
    def density(self) -> Array:
        """π per volume of θ, shape ``grid.shape``.

        Means over a few nodes are sharper than values at single ones, which ripple by up to a per cent where a step has few
        different increments.
        """
        return self.probability / self.grid.volume

    @property
    def negative(self) -> float:
        """The negative part of π, as a positive number."""
        return float(np.abs(self.probability[self.probability < 0.0]).sum())

    @property
    def relaxation_times(self) -> Array:
        r""":math:`-\Delta t/\ln|\lambda_k|` of the eigenvalues below 1, in units of time, the slowest first."""
        return np.asarray(-self.time_step / np.log(np.abs(self.eigenvalues[1:])))

    @property
    def lost(self) -> float:
        """Probability that leaves the grid per relaxation time: about what the law has beyond it."""
        return float(self.leaving / -np.log(np.abs(self.eigenvalues[1])))

    @cached_property
    def current(self) -> Array:
        r"""Probability current at the nodes, shape (d, *grid.shape), per unit time.

        .. math:: J(x) = \frac{1}{\Delta t}\int_0^1
            \mathrm{E}\bigl[\Delta\theta\;\delta(\theta + s\,\Delta\theta - x)\bigr]\,ds,

        each step drawn as a straight line. Counts of the faces that these lines cross estimate the same current: it is the one
        that is exactly conserved by a chain in steps. :math:`\frac12\int(x_iJ_j - x_jJ_i)` is the circulation of ``moments``.
        """
        node, share = leggauss(ALONG)
        out = np.zeros((2, self.probability.size))
        pointers, columns = self.matrix.indptr.astype(np.int64), self.matrix.indices.astype(np.int64)
        mass, grid = self.probability.ravel(), self.grid
        deposit.share_lines(pointers, columns, self.matrix.data, mass, grid.padded, 0.5 * (node + 1), 0.5 * share, out)
        flow = grid.root @ (grid.spacing[:, None] * out[: len(grid.shape)])
        return np.asarray(flow.reshape(-1, *grid.shape) / (grid.volume * self.time_step))

    def density_at(self, theta: ArrayLike) -> Array:
        """The density at points θ of shape (d, ...), by cubic splines through the nodes; zero beyond the grid.

        Raises
        ------
        InvalidInput
            For points of another dimension.
        """
        points = np.asarray(theta, dtype=float)
        d = len(self.grid.shape)
        if points.ndim == 0 or points.shape[0] != d:
            raise InvalidInput(f"theta: expected shape ({d}, ...), one row per coordinate, got {points.shape}")
        z = self.grid.place(points.reshape(d, -1))[:d]
        return np.asarray(map_coordinates(self.density, z, order=3, mode="constant").reshape(points.shape[1:]))

    def probabilities(self, grid: Grid) -> Array:
        """Probability of every cell of ``grid``, by three Gauss points per axis; to compare with counts of a simulation.

        Raises
        ------
        InvalidInput
            For a grid of another dimension, or with stretched axes.
        """
        if grid.dim != len(self.grid.shape) or not grid.uniform:
            raise InvalidInput(
                f"grid: expected {len(self.grid.shape)} uniform axes, as many as the chain has coordinates, got {grid.dim}, "
                f"uniform: {grid.uniform}"
            )
        node, weight = leggauss(3)
        centres = grid.cell_points()
        total = np.zeros(grid.shape)
        for k in np.ndindex(*(3,) * grid.dim):
            shift = 0.5 * grid.spacing * node[list(k)]
            total += np.prod(0.5 * weight[list(k)]) * self.density_at(centres + shift.reshape(-1, *(1,) * grid.dim))
        return total * grid.cell_volume


def gaussian_steps(process: DiffusionProcess, time_step: float) -> Steps:
    r"""Steps :math:`\Delta\theta = b\,\Delta t + \sqrt{2D\,\Delta t}\,\xi` of an Itô process, for `transfer_operator`.

    ξ is standard normal. The integral over ξ is a product of 13-point Gauss–Hermite rules along the axes of D, which may
    be singular.

    Parameters
    ----------
    process : DiffusionProcess
    time_step : float
        Δt > 0. As Δt → 0 the stationary law is that of the process.

    Returns
    -------
    callable
        θ of shape (d, m) to increments (k, d, m) and their weights (k,).

    Raises
    ------
    InvalidInput
        For another interpretation than Itô's, or a time step that is not positive.

    Examples
    --------
    >>> steps = gaussian_steps(DiffusionProcess(lambda x: -x, 0.5, dim=1), 0.1)
    >>> chain = transfer_operator(steps, mean=[0.0], covariance=[[0.5]], time_step=0.1)
    >>> float(chain.moments.covariance[0, 0].round(9))  # 1/(2 - Δt)
    0.526315789
    """
    if process.interpretation != "ito":
        raise InvalidInput(
            f"process: expected interpretation='ito', noise taken before the step, got {process.interpretation!r}"
        )
    if not (math.isfinite(time_step) and time_step > 0.0):
        raise InvalidInput(f"time_step: expected a positive number, got {time_step!r}")
    node, weight = normal_rule(process.dim)

    def steps(theta: Array) -> tuple[Array, Array]:
        noise = covariance_root(2.0 * time_step * process.diffusion(theta))
        return time_step * process.drift(theta) + np.einsum("ij...,jk->ki...", noise, node), weight

    return steps


def normal_rule(dim: int) -> tuple[Array, Array]:
    """Nodes (d, k) and weights (k,) of the product Gauss–Hermite rule for the standard normal law."""
    line, mass = hermegauss(QUADRATURE)
    node = np.stack([axis.ravel() for axis in np.meshgrid(*[line] * dim, indexing="ij")])
    weight = np.prod(np.meshgrid(*[mass / mass.sum()] * dim, indexing="ij"), axis=0)
    return node, np.asarray(weight.ravel())


def covariance_root(covariance: Array) -> Array:
    """V Λ^½ of covariances (d, d, m), which may be singular: columns along the principal axes.

    They are tensors that a process has checked, or means of outer products, so no eigenvalue is negative but by round-off.
    """
    values, vectors = np.linalg.eigh(np.moveaxis(covariance, -1, 0))
    root = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]  # a zero eigenvalue comes out as ±1e-17
    return np.moveaxis(root, 0, -1)


def transfer_operator(
    steps: Steps,
    *,
    draws: int = 1,
    mean: ArrayLike,
    covariance: ArrayLike,
    time_step: float = 1.0,
    nodes: int | None = None,
    widths: float = 7.0,
) -> TransferOperator:
    r"""Discretise a Markov chain :math:`\theta' = \theta + \Delta\theta` and find its stationary law.

    Parameters
    ----------
    steps : callable
        ``steps(theta)`` maps points (d, m) to increments (k, d, m) and their probabilities, (k,) or (k, m), which sum to 1
        over k. Weights may be negative, as those of a quadrature.
    draws : int
        How many independent increments add up to one step, all taken at its beginning: the B samples of a minibatch.
    mean, covariance : array_like, shapes (d,) and (d, d)
        A first guess, such as that of the linearised chain. The final grid is whitened by the computed ones.
    time_step : float
        Time per step, for rates, currents and relaxation times.
    nodes : int, optional
        Per axis; by default 401 in one dimension and 97 in two.
    widths : float
        The grid reaches so many standard deviations from the mean along every whitened axis.

    Returns
    -------
    TransferOperator

    Raises
    ------
    InvalidInput
        For arguments that do not fit each other, or steps that are not finite or of the wrong shape.
    NotConverged
        If the stationary law is not found to round-off, more than 1e-5 of the probability leaves the grid per relaxation time,
        or parts of the grid do not exchange probability.

    Notes
    -----
    The law is found by a direct solve in one dimension and by Arnoldi's method in two.

    Examples
    --------
    >>> coin = lambda theta: (np.stack([-0.1 * theta - 0.3, -0.1 * theta + 0.3]), np.array([0.5, 0.5]))
    >>> chain = transfer_operator(coin, mean=[0.0], covariance=[[0.5]])
    >>> float((chain.moments.covariance[0, 0] * (1 - 0.9**2)).round(9))
    0.09
    """
    centre, spread, number = _check(draws, mean, covariance, time_step, nodes, widths)
    for _ in range(SWEEPS):
        root = np.asarray(np.linalg.cholesky(spread), dtype=float)
        grid = WhitenedGrid((number // 2 + 1,) * centre.size, centre, root, float(widths))
        coarse = _law(steps, draws, grid, time_step)
        shift = np.linalg.solve(root, coarse.moments.mean - centre)
        ratios = eigvalsh(coarse.moments.covariance, spread)
        if not (np.isfinite(ratios).all() and ratios[0] > 0.0):
            raise NotConverged(
                f"transfer operator: expected a positive definite covariance, got {coarse.moments.covariance.tolist()} on "
                f"{grid.shape} nodes. They do not resolve the law or hold only part of it: try another mean and covariance, "
                "or more nodes",
                best=coarse,
            )
        if max(np.abs(shift).max(), np.abs(np.sqrt(ratios) - 1.0).max()) < SETTLED:
            break
        centre, spread = coarse.moments.mean, coarse.moments.covariance
    else:
        raise NotConverged(
            f"transfer operator: expected a mean and covariance that settle, got deviations that still change by the factors "
            f"{np.sqrt(ratios).round(3).tolist()} after {SWEEPS} grids: the law is too wide for any, or lies in several places",
            best=coarse,
        )
    fine = _law(steps, draws, replace(grid, shape=(number,) * centre.size), time_step)
    return _judged(fine, coarse)


def _judged(fine: TransferOperator, coarse: TransferOperator) -> TransferOperator:
    """The finer law with the errors of its moments, refused if it is none."""
    _verify(fine)
    deviation = np.sqrt(np.diag(fine.moments.covariance))
    area = np.outer(deviation, deviation)
    units = {"mean": deviation, "covariance": area, "skewness": np.ones_like(deviation)}
    units |= {"excess_kurtosis": units["skewness"], "circulation": area * (1.0 - np.eye(len(deviation)))}
    # what left would be as far out as the rim, and its drift that far within the fastest relaxation time
    beyond = {name: fine.lost * fine.grid.widths ** (k + 1) for k, name in enumerate(list(units)[:4])}
    beyond["circulation"] = beyond["covariance"] / fine.relaxation_times[-1]
    error = {}
    for name, unit in units.items():
        change = np.abs(getattr(fine.moments, name) - getattr(coarse.moments, name))
        worst = np.max(change[unit > 0.0] / unit[unit > 0.0], initial=0.0)  # a single entry may agree by accident
        error[name] = unit * (worst / 3.0 + beyond[name])
    return replace(fine, moments=replace(fine.moments, error=Moments(**error)))


def _law(steps: Steps, draws: int, grid: WhitenedGrid, time_step: float) -> TransferOperator:
    """The operator on one grid, and whatever stationary law it has."""
    matrix, drift, leaving = assemble(steps, draws, grid)
    transposed = matrix.T.tocsr()
    theta = grid.points
    start = np.exp(-0.5 * (np.linalg.solve(grid.root, theta - grid.centre[:, None]) ** 2).sum(axis=0))
    try:
        values, vectors = spla.eigs(transposed, k=MODES, v0=start, ncv=KRYLOV, maxiter=RESTARTS, tol=1e-13)
    except spla.ArpackNoConvergence as error:
        raise NotConverged(
            f"transfer operator: expected the {MODES} largest eigenvalues of {transposed.shape[0]} nodes within {RESTARTS} "
            "restarts of Arnoldi's method. Steps are tiny against the relaxation time: raise the time step, or solve the "
            "diffusion process instead"
        ) from error
    order = np.argsort(-np.abs(values))
    values = values[order]
    if len(grid.shape) == 1:
        pi = _fixed_point(transposed)
    else:
        pi = vectors[:, order[0]].real
        pi = pi / pi.sum()
    drift /= time_step
    return TransferOperator(
        matrix=matrix,
        grid=grid,
        time_step=time_step,
        probability=pi.reshape(grid.shape),
        moments=_moments(theta, pi, drift),
        eigenvalues=values,
        leaving=float(np.abs(pi) @ leaving),
        residual=float(np.abs(transposed @ pi - pi).sum()),
    )


def _fixed_point(transposed: Any) -> Array:
    """π of unit sum with Tᵀπ = π: one balance, which follows from the others, gives way to the sum."""
    system = transposed.toarray() - np.eye(transposed.shape[0])
    system[-1] = 1.0
    return np.asarray(np.linalg.solve(system, np.append(np.zeros(len(system) - 1), 1.0)))


def _moments(theta: Array, pi: Array, drift: Array) -> Moments:
    mean = theta @ pi
    x = theta - mean[:, None]
    covariance = (x * pi) @ x.T
    flow = (x * pi) @ drift.T
    width = np.sqrt(np.abs(np.diag(covariance)))  # a negative variance is refused by the caller
    return Moments(mean, covariance, 0.5 * (flow - flow.T), x**3 @ pi / width**3, x**4 @ pi / width**4 - 3.0)


def _verify(law: TransferOperator) -> None:
    """Refuse a law that is none."""
    first, second = np.abs(law.eigenvalues[:2])
    gap = 1.0 - second
    if abs(first - 1.0) > RESIDUAL * max(gap, 0.0) or not gap > 0.0 or law.residual > RESIDUAL * gap:
        raise NotConverged(
            f"transfer operator: expected one eigenvalue 1 with πT = π to {RESIDUAL:g} of the spectral gap, got "
            f"eigenvalues {law.eigenvalues[:3].tolist()} and ‖πT − π‖₁ = {law.residual:.3g}. Parts of the grid hardly "
            "exchange probability, or steps far from the mean diverge: lower widths, or start with the mean and covariance "
            "of one part",
            best=law,
        )
    if law.lost > LEAVING:
        raise NotConverged(
            f"transfer operator: expected at most {LEAVING:g} of the probability to leave the grid per relaxation time, got "
            f"{law.lost:.3g} at widths={law.grid.widths:g}. Raise widths, and nodes with them; tails that fall like a power "
            "leave any grid",
            best=law,
        )


def _check(
    draws: int, mean: ArrayLike, covariance: ArrayLike, time_step: float, nodes: int | None, widths: float
) -> tuple[Array, Array, int]:
    centre, spread = np.asarray(mean, dtype=float), np.asarray(covariance, dtype=float)
    d = centre.size
    if d not in NODES:
        raise InvalidInput(
            f"mean: expected 1 or 2 coordinates, got shape {centre.shape}; a matrix on nodes in three dimensions is too large. "
            "Moments without a grid reach further: fokkerplanck.solvers.hermite"
        )
    if centre.shape != (d,) or spread.shape != (d, d) or not np.isfinite(centre).all():
        raise InvalidInput(
            f"mean and covariance: expected finite arrays of shapes ({d},) and ({d}, {d}), got {centre.shape} and "
            f"{spread.shape}"
        )
    if not np.isfinite(spread).all() or not np.allclose(spread, spread.T) or np.linalg.eigvalsh(spread)[0] <= 0.0:
        raise InvalidInput(f"covariance: expected a symmetric positive definite matrix, got {spread.tolist()}")
    number = NODES[d] if nodes is None else nodes
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < FEWEST:
        raise InvalidInput(f"nodes: expected a whole number of at least {FEWEST} per axis, got {nodes!r}")
    if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 1:
        raise InvalidInput(f"draws: expected a positive whole number, got {draws!r}")
    for name, value in (("time_step", time_step), ("widths", widths)):
        if not (math.isfinite(value) and value > 0.0):
            raise InvalidInput(f"{name}: expected a positive number, got {value!r}")
    return centre, spread, int(number)
