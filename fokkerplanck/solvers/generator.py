r"""The monotone generator: a diffusion as a Markov chain on the cells of a grid, at any anisotropy.

Selling's decomposition writes the diffusion tensor as a sum of squares of whole-numbered offsets with weights that are never
negative, and every offset carries an exponentially fitted flux. See docs/theory/dynamics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..fields import FaceField
from ..grid import Array, Grid
from ..kernels import offsets as kernel
from ..operators import difference_scale, face_coefficients, physical_flux
from ..process import DiffusionProcess
from .chain import log_stationary

# Powers of the largest number of cells along an axis. Measured on a turned tensor of rank one, 64² and 128² cells: L1 errors of
# 0.79 and 0.49 when raised to −3, 0.22 and 0.09 to −2, 0.14 and 0.06 to −1.5.
DRIVEN, RAISED = -3.0, -1.5
OFFSETS = {1: 1, 2: 3, 3: 6}  # of Selling's decomposition, by dimension


@dataclass(frozen=True)
class Edges:
    """Pairs of cells that exchange probability, with the rates of the exchange.

    Attributes
    ----------
    tail, head : ndarray of int, shape (m,)
        Flat cell numbers.
    steps : ndarray of int, shape (m, 3)
        head − tail, in cells along each axis, not wrapped round periodic axes.
    forward, backward : ndarray, shape (m,)
        Rates tail → head and head → tail, 1/time. Never negative.
    """

    grid: Grid
    tail: NDArray[np.int64]
    head: NDArray[np.int64]
    steps: NDArray[np.int64]
    forward: Array
    backward: Array

    def matrix(self) -> Any:
        """dP/dt = G P; the diagonal is minus the sum of its column."""
        rows, columns = np.concatenate([self.head, self.tail]), np.concatenate([self.tail, self.head])
        size = self.grid.size
        triplets = (np.concatenate([self.forward, self.backward]), (rows.astype(np.int32), columns.astype(np.int32)))
        rates = sp.coo_array(triplets, shape=(size, size)).tocsc()
        rates.eliminate_zeros()
        return (rates - sp.diags_array(rates.sum(axis=0), format="csc")).tocsc()

    def flux(self, probability: Array) -> FaceField:
        """The net flux of every edge, carried to the faces on the straight line between its cells; on ``grid.reference``.

        ∇·J = −G P / volume of the cell.
        """
        grid = self.grid.reference
        shape, periodic = _padded(grid)
        faces = tuple(np.zeros([n + (a == axis and axis < grid.dim) for a, n in enumerate(shape)]) for axis in range(3))
        p = probability.ravel()
        net = self.forward * p[self.tail] - self.backward * p[self.head]
        kernel.carry_to_faces(self.tail, self.steps, net, shape, periodic, faces)
        components = []
        for axis in range(grid.dim):
            component = faces[axis].reshape(grid.face_shape(axis)) * (grid.spacing[axis] / grid.cell_volume)
            if grid.periodic[axis]:
                ends = [slice(None)] * grid.dim
                ends[axis] = slice(-1, None)
                component[tuple(ends)] = np.take(component, [0], axis)
            components.append(component)
        return FaceField(grid, tuple(components))


def generator(process: DiffusionProcess, grid: Grid) -> Any:
    r"""The generator of a Markov chain on the cells of a grid that approximates the diffusion: :math:`\dot P = G P`.

    P are the probabilities of the cells, ``density × grid.cell_volumes`` raveled in C order. G has no negative entry off its
    diagonal whatever the diffusion tensor and the drift, its columns sum to zero to round-off, and no probability leaves the
    box: P stays positive and sums to one.

    Lengths counted in cells, the tensor is written as :math:`A = \sum_e w_e\,e e^\top` with offsets e of whole numbers and
    :math:`w_e \ge 0` (Selling), and the offset e carries

    .. math::

        F_{i\to i+e} = w_e\,[B(-\delta)P_i - B(\delta)P_{i+e}],\qquad \delta = \tfrac12\,e\cdot(\omega_i + \omega_{i+e}),
        \qquad B(x) = \frac{x}{e^x - 1},

    with the thermodynamic force :math:`\omega = D^{-1}u`, :math:`J = u p - D\nabla p`. Second order where :math:`|\delta|` is
    small; where ω is also the gradient of a quadratic function, the stationary law is exact at the cell centres. What a
    singular D cannot drive of u, and what drops by :math:`|\delta| > 4` along an offset of several cells, is upwinded along
    the axes, first order.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid

    Returns
    -------
    scipy.sparse.csc_array, shape (grid.size, grid.size)
        1/time.

    Raises
    ------
    InvalidInput
        If process and grid differ in dimension, or the process returns unusable values (see :class:`DiffusionProcess`).

    References
    ----------
    E. Selling, J. reine angew. Math. 77, 143 (1874); J. Fehrenbach and J.-M. Mirebeau, J. Math. Imaging Vis. 49, 123 (2014)
    (its use for anisotropic diffusion); D. L. Scharfetter and H. K. Gummel, IEEE Trans. Electron
    Devices 16, 64 (1969), doi:10.1109/T-ED.1969.16566.

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid
    >>> process = DiffusionProcess(lambda x: -x, [[0.505, 0.495], [0.495, 0.505]], dim=2)
    >>> G = generator(process, Grid(Box([-3, -3], [3, 3]), (16, 16)))
    >>> G.shape, bool(abs(G.sum(axis=0)).max() < 1e-12), bool((G - sp.diags_array(G.diagonal())).min() >= 0)
    ((256, 256), True, True)
    """
    return chain_edges(process, grid).matrix()


def current(process: DiffusionProcess, grid: Grid, density: ArrayLike) -> FaceField:
    r"""The probability current of any density, stationary or not: :math:`J = u p - D\nabla p` as the generator moves it.

    The flux of every offset of :func:`generator`, carried to the faces, so that :math:`\nabla\cdot J = -GP/\prod_a w_a` to
    round-off, with the widths w of the cells: it is the current that :func:`fokkerplanck.evolve` integrates. Linear in p.

    Parameters
    ----------
    process : DiffusionProcess
    grid : Grid
    density : array_like, shape ``grid.shape``
        At the cell centres, for example ``evolve(...).density[-1]``.

    Returns
    -------
    FaceField
        Probability per (state^(d−1) · time), zero on reflecting walls; :func:`fokkerplanck.helmholtz` takes it apart.

    Raises
    ------
    InvalidInput
        If the density has another shape or is not finite, or for what :func:`generator` refuses.

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid
    >>> process, grid = DiffusionProcess(lambda x: -x, 1.0, dim=1), Grid(Box([-6], [6]), (96,))
    >>> p = np.exp(-((grid.centers(0) - 1) ** 2) / 2) / np.sqrt(2 * np.pi)  # right of where it settles
    >>> round(float(current(process, grid, p).components[0].sum() * 0.125), 3)  # ∫J = ⟨b⟩ = −1
    -0.997
    """
    values = np.asarray(density, dtype=float)
    if values.shape != grid.shape or not np.isfinite(values).all():
        raise InvalidInput(
            f"density: expected finite values at the cell centres, shape {grid.shape}, got shape {values.shape} with "
            f"{np.count_nonzero(~np.isfinite(values))} values that are not finite"
        )
    return physical_flux(chain_edges(process, grid).flux(values * grid.cell_volumes), grid)


def solve_monotone(process: DiffusionProcess, grid: Grid) -> tuple[Array, FaceField]:
    """Stationary state of the chain: Φ = −ln p, shape ``grid.shape``, and its divergence-free current on ``grid.reference``.

    Raises
    ------
    InvalidInput
        As for :func:`generator`, and where the chain falls apart (see :func:`fokkerplanck.stationary_distribution`).
    NotConverged
        If double precision cannot resolve how the parts of the state space exchange probability.
    """
    edges = chain_edges(process, grid)
    log_p = log_stationary(edges.matrix(), grid)
    phi = np.log(grid.cell_volumes) - log_p.reshape(grid.shape)
    return phi, edges.flux(np.exp(log_p))


def chain_edges(process: DiffusionProcess, grid: Grid) -> Edges:
    """All edges of the chain; see :func:`generator`."""
    velocity, tensor = index_coefficients(process, grid)
    tensor, modes, rest = _split(velocity, tensor, max(grid.shape))
    shape, periodic = _padded(grid)
    offset = np.zeros((grid.size, OFFSETS[grid.dim], 3), dtype=np.int64)
    weight = np.zeros((grid.size, OFFSETS[grid.dim]))
    failed = kernel.selling(_wide(tensor, 2), grid.dim, offset, weight)
    if failed >= 0:
        point = grid.cell_points().reshape(grid.dim, -1)[:, failed]
        raise InvalidInput(
            f"diffusion(x): expected a tensor that Selling's reduction can decompose, got one of condition beyond double "
            f"precision at x = {point.tolist()}. Rescale the variables so that cells are less elongated in units of √D"
        )
    force, rest = np.zeros((grid.size, 3)), _wide(rest, 1)
    kernel.share_out(offset, weight, _wide(modes, 2), force, rest)
    coefficients = (offset, weight, force, rest, shape, periodic)
    empty = np.zeros(0, dtype=np.int64)
    count = kernel.edges(*coefficients, empty, empty, np.zeros((0, 3), dtype=np.int64), np.zeros(0), np.zeros(0))
    tail, head = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    steps = np.empty((count, 3), dtype=np.int64)
    forward, backward = np.empty(count), np.empty(count)
    kernel.edges(*coefficients, tail, head, steps, forward, backward)
    return Edges(grid, tail, head, steps, forward, backward)


def index_coefficients(process: DiffusionProcess, grid: Grid) -> tuple[Array, Array]:
    """u_a/h_a and D_ab/(h_a h_b) at the cell centres, shapes (d, *shape) and (d, d, *shape): everything in cells per time.

    The only place that knows the sizes of the cells.
    """
    if process.dim != grid.dim:
        raise InvalidInput(
            f"expected a box with as many axes as the process has variables ({process.dim}), got {grid.dim}"
        )
    if any(grid.periodic):
        face_coefficients(process, grid)  # checks that both ends of a periodic axis are the same place
    points = grid.cell_points()
    velocity, tensor = process.current_velocity(points, difference_scale(grid)), process.diffusion(points)
    if grid.uniform:
        h = grid.spacing.reshape(-1, *(1,) * grid.dim)
        return velocity / h, tensor / (h[:, None] * h)
    w = np.stack(np.broadcast_arrays(*(grid.along(grid.weights(a), a) for a in range(grid.dim))))
    tensor = tensor / (w[:, None] * w)
    # p = P/volume: the gradient of ln volume is carried like a force, see ``operators.face_coefficients``
    slopes = [np.broadcast_to(grid.along(np.gradient(np.log(grid.weights(a))), a), grid.shape) for a in range(grid.dim)]
    return velocity / w + np.einsum("ab...,b...->a...", tensor, np.stack(slopes)), tensor


def _split(velocity: Array, tensor: Array, cells: int) -> tuple[Array, Array, Array]:
    r"""The tensor to decompose, the force ω with :math:`A\omega = v` in the range of A by eigenvectors, and the rest of v.

    Directions are judged in units of √A_aa, so that the units of the variables do not matter. Those with an eigenvalue below
    DRIVEN drive no v: offsets that fit it would outreach the grid. Where they are not along the axes they are raised to RAISED,
    which keeps the offsets short and vanishes faster with the cell than the diffusion of the upwinding that carries v there.
    """
    smallest, raised_to = float(cells) ** DRIVEN, float(cells) ** RAISED
    a = np.moveaxis(tensor, (0, 1), (-2, -1))
    v = np.moveaxis(velocity, 0, -1)
    root = np.sqrt(np.einsum("...ii->...i", a))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0.0)
    unit = a * inverse[..., :, None] * inverse[..., None, :]
    values, vectors = np.linalg.eigh(unit)
    driven = values > smallest
    along = np.einsum("...ik,...i->...k", vectors, v * inverse) * driven
    modes = np.einsum("...ik,...k,...i->...ki", vectors, along / np.where(driven, values, 1.0), inverse)
    rest = v - np.einsum("...ik,...k->...i", vectors, along) * root
    # Where every direction drives, the rest is round-off of the product.
    rest[driven.all(axis=-1)] = 0.0
    lacking = np.where(driven, 0.0, raised_to - values)
    raised = (
        a + np.einsum("...ik,...k,...jk->...ij", vectors, lacking, vectors) * root[..., :, None] * root[..., None, :]
    )
    return raised, modes, rest


def _padded(grid: Grid) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    more = 3 - grid.dim
    return (*grid.shape, *(1,) * more), (*grid.periodic, *(False,) * more)


def _wide(field: Array, rank: int) -> Array:
    """(*shape, d) or (*shape, d, d) to (cells, 3) or (cells, 3, 3)."""
    d = field.shape[-1]
    out = np.zeros((int(np.prod(field.shape[:-rank])), *(3,) * rank))
    out[(slice(None), *(slice(d),) * rank)] = field.reshape(-1, *(d,) * rank)
    return out
