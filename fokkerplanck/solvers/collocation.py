"""Steps of a chain as a sparse matrix on nodes: cubic Lagrange collocation in whitened coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2

from ..errors import InvalidInput
from ..kernels import deposit

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Steps = Callable[[Array], tuple[Any, Any]]

NUMBERS = 2**18  # coordinates of images held at a time: 2 MiB, which stays in cache while it is shared out
ONE = 1e-12  # weights of a step may miss a sum of 1 by the round-off of some thousand terms
SLACK = 1e-9  # of a node: the outermost nodes themselves, placed with round-off, are on the grid
# The window of a sum of draws, in standard deviations either way, to begin with; it widens until its rim is below RIM.
WINDOW = 10.0
RIM = 1e-11
LEAST = 1e-13  # smaller entries of the law of a sum, down to 1e-17, the round-off of its transform, join the largest


@dataclass(frozen=True, eq=False)
class WhitenedGrid:
    r"""Nodes θ = centre + root z of one or two dimensions, z on a uniform grid in ± ``widths`` along every axis.

    Attributes
    ----------
    shape : tuple of int
        Nodes per axis.
    centre : ndarray, shape (d,)
    root : ndarray, shape (d, d)
        A root of the covariance that whitens: z has variances near 1 and hardly a correlation.
    widths : float
    """

    shape: tuple[int, ...]
    centre: Array
    root: Array
    widths: float

    @property
    def spacing(self) -> Array:
        """Distance of neighbouring nodes in z, shape (d,)."""
        return 2.0 * self.widths / (np.array(self.shape) - 1.0)

    @property
    def volume(self) -> float:
        """Volume of θ that belongs to one node."""
        return float(abs(np.linalg.det(self.root)) * np.prod(self.spacing))

    @property
    def padded(self) -> Ints:
        """The shape, with a second axis of one node in one dimension."""
        return np.array((*self.shape, 1)[:2], dtype=np.int64)

    @property
    def points(self) -> Array:
        """θ of all nodes, shape (d, N)."""
        axes = np.meshgrid(*[np.linspace(-self.widths, self.widths, n) for n in self.shape], indexing="ij")
        return np.asarray(self.centre[:, None] + self.root @ np.stack([axis.ravel() for axis in axes]))

    def place(self, theta: Array) -> Array:
        """Points (d, m) in units of nodes, shape (2, m): the second row is zero in one dimension."""
        z = np.linalg.solve(self.root, theta - self.centre[:, None])
        placed = (z + self.widths) / self.spacing[:, None]
        return np.concatenate([placed, np.zeros((2 - len(placed), placed.shape[1]))])


def assemble(steps: Steps, draws: int, grid: WhitenedGrid) -> tuple[Any, Array, Array]:
    """The matrix of a chain whose steps are sums of ``draws`` independent increments.

    Parameters
    ----------
    steps : callable
        θ (d, m) to increments (k, d, m) and their weights, (k,) or (k, m).
    draws : int
    grid : WhitenedGrid

    Returns
    -------
    matrix : csr_array, shape (N, N)
        From row to column; rows sum to 1.
    drift : ndarray, shape (d, N)
        The mean step.
    leaving : ndarray, shape (N,)
        Probability of a step beyond the grid; the step ends at the rim instead.

    Raises
    ------
    InvalidInput
        For steps of the wrong shape, that are not finite, or whose weights do not sum to 1.
    """
    size, d = math.prod(grid.shape), len(grid.shape)
    blocks, drift, leaving = [], np.empty((d, size)), np.empty(size)
    origins = grid.place(grid.points)
    for part, images, weights in _images(steps, grid):
        offsets = images - origins[:, part]
        moved = draws * np.einsum("km,kim->im", weights, offsets)[:d]
        drift[:, part] = grid.root @ (grid.spacing[:, None] * moved)
        if draws == 1:
            block, leaving[part] = _rows(images, weights, grid.padded)
        else:
            block, leaving[part] = _sums(offsets, weights, draws, np.arange(part.start, part.stop), grid.padded)
        blocks.append(block)
    return sp.vstack(blocks, format="csr"), drift, leaving


def _rows(images: Array, weights: Array, shape: Ints) -> tuple[Any, Array]:
    """Every image shared among the nodes about it; beyond the grid it is moved to the rim."""
    rows, last = images.shape[2], (shape - 1.0)[:, None]
    outside = ((images < -SLACK) | (images > last + SLACK)).any(axis=1)
    inside = np.clip(images, 0.0, last)
    first, extent = np.empty((rows, 2), np.int64), np.empty((rows, 2), np.int64)
    deposit.nodes_reached(inside, shape, first, extent)
    start = np.concatenate([[0], np.cumsum(extent.prod(axis=1))])
    data, column = np.empty(start[-1]), np.empty(start[-1], np.int64)
    deposit.share_rows(inside, weights, shape, first, extent, start, data, column)
    block = sp.csr_array((data, column, start), shape=(rows, int(np.prod(shape))))
    block.eliminate_zeros()
    return block, (np.abs(weights) * outside).sum(axis=0)


def _sums(offsets: Array, weights: Array, draws: int, nodes: Ints, shape: Ints) -> tuple[Any, Array]:
    """The law of a sum of independent increments: one of them on a lattice, and the power of its Fourier transform."""
    rows = offsets.shape[2]
    mean = np.einsum("km,kim->im", weights, offsets)
    deviation = np.sqrt(np.einsum("km,kim->im", weights, (offsets - mean) ** 2))
    reach = np.ptp(offsets, axis=0)
    window = np.minimum(draws * reach, 2.0 * WINDOW * math.sqrt(draws) * deviation + reach).max(axis=1) + 8.0
    while True:
        size = np.array(
            [next_fast_len(math.ceil(w), real=True) if n > 1 else 1 for w, n in zip(window, shape, strict=True)]
        )
        law = np.zeros((rows, *size))
        deposit.share_offsets(offsets, weights, size, law)
        law = irfft2(_power(rfft2(law), draws), s=size)
        corner = np.floor(draws * mean.T).astype(np.int64) - size // 2
        rim = [
            np.take_along_axis(law, (corner[:, a] % size[a]).reshape(-1, 1, 1), a + 1) for a in range(2) if size[a] > 1
        ]
        if max(np.abs(line).max() for line in rim) < RIM:
            break
        window = 1.25 * window
    start, leaving = np.zeros(rows + 1, np.int64), np.empty(rows)
    empty = (np.empty(0), np.empty(0, np.int64))
    deposit.lattice_rows(law, corner, nodes, shape, LEAST, start, *empty, leaving)
    data, column = np.empty(start[-1]), np.empty(start[-1], np.int64)
    deposit.lattice_rows(law, corner, nodes, shape, LEAST, start, data, column, leaving)
    block = sp.csr_array((data, column, start), shape=(rows, int(np.prod(shape))))
    block.sum_duplicates()
    return block, leaving


def _power(base: NDArray[np.complex128], exponent: int) -> NDArray[np.complex128]:
    """By squaring: `numpy.power` of complex numbers takes logarithms, and as long as both transforms."""
    if exponent == 1:
        return base
    square = _power(base, exponent // 2) ** 2
    return square * base if exponent % 2 else square


def _images(steps: Steps, grid: WhitenedGrid) -> Iterator[tuple[slice, Array, Array]]:
    """Rows at a time: where their steps lead, (k, 2, rows) in units of nodes, and the weights (k, rows)."""
    theta = grid.points
    start, count = 0, 1
    while start < theta.shape[1]:
        part = slice(start, min(start + count, theta.shape[1]))
        points = theta[:, part]
        increments, weights = (np.asarray(a, dtype=float) for a in steps(points))
        atoms = increments.shape[0] if increments.ndim == 3 else 0
        if increments.shape[1:] != points.shape or weights.shape not in ((atoms,), (atoms, points.shape[1])):
            raise InvalidInput(
                "steps(theta): expected increments of shape (k, d, m) for points of shape (d, m) = "
                f"{points.shape} and weights of shape (k,) or (k, m), got {increments.shape} and {weights.shape}"
            )
        weights = np.ascontiguousarray(np.broadcast_to(weights.reshape(atoms, -1), (atoms, points.shape[1])))
        total = np.abs(weights.sum(axis=0) - 1.0).max()
        if not (np.isfinite(increments).all() and total < ONE):
            raise InvalidInput(
                "steps(theta): expected finite increments with weights that sum to 1, got finite: "
                f"{np.isfinite(increments).all()}, sums off by up to {total:.3g}. The nodes lie up to {grid.widths:g} "
                "standard deviations from the mean: lower widths if the steps overflow there"
            )
        images = points + increments
        flat = np.moveaxis(images, 1, 0).reshape(len(points), -1)
        placed = grid.place(flat).reshape(2, atoms, -1)
        yield part, np.ascontiguousarray(np.moveaxis(placed, 0, 1)), weights
        start, count = part.stop, max(1, NUMBERS // (2 * atoms))
