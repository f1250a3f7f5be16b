"""Points between the nodes of a grid, shared out among the nodes by cubic Lagrange polynomials.

Positions are in units of the spacing, node i at i. Along an axis of one node everything belongs to that node.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@njit(**OPTIONS)
def first_node(x: float, n: int) -> int:
    """The first of the four nodes about x; beside a wall the four nearest to it."""
    if n == 1:
        return 0
    return max(0, min(n - 4, int(math.floor(x)) - 1))


@njit(**OPTIONS)
def shares(x: float, n: int, out: Array) -> None:
    """Values at x of the four polynomials that are one at one of the nodes and zero at the other three."""
    if n == 1:
        out[0] = 1.0
        return
    t = x - first_node(x, n) - 1.0
    out[0] = -t * (t - 1.0) * (t - 2.0) / 6.0
    out[1] = (t + 1.0) * (t - 1.0) * (t - 2.0) / 2.0
    out[2] = -(t + 1.0) * t * (t - 2.0) / 2.0
    out[3] = (t + 1.0) * t * (t - 1.0) / 6.0


@njit(**OPTIONS)
def nodes_reached(images: Array, shape: Ints, first: Ints, size: Ints) -> None:
    """The block of nodes that the images (atoms, 2, rows) of every row are shared among; images lie inside the grid."""
    atoms, _, rows = images.shape
    for r in range(rows):
        for a in range(2):
            low, high = images[0, a, r], images[0, a, r]
            for k in range(1, atoms):
                low, high = min(low, images[k, a, r]), max(high, images[k, a, r])
            first[r, a] = first_node(low, shape[a])
            last = first_node(high, shape[a]) + min(shape[a], 4)
            size[r, a] = last - first[r, a]


@njit(**OPTIONS)
def share_rows(
    images: Array, weights: Array, shape: Ints, first: Ints, size: Ints, start: Ints, data: Array, column: Ints
) -> None:
    """Row r of a matrix: the weights (atoms, rows) of its images at the nodes of its block, from ``start[r]`` on."""
    atoms, _, rows = images.shape
    wx, wy = np.empty(4), np.empty(4)
    for r in range(rows):
        for i in range(size[r, 0]):
            for j in range(size[r, 1]):
                place = start[r] + i * size[r, 1] + j
                data[place] = 0.0
                column[place] = (first[r, 0] + i) * shape[1] + first[r, 1] + j
        for k in range(atoms):
            x, y = images[k, 0, r], images[k, 1, r]
            shares(x, shape[0], wx)
            shares(y, shape[1], wy)
            corner = start[r] + (first_node(x, shape[0]) - first[r, 0]) * size[r, 1]
            corner += first_node(y, shape[1]) - first[r, 1]
            for i in range(min(shape[0], 4)):
                for j in range(min(shape[1], 4)):
                    data[corner + i * size[r, 1] + j] += weights[k, r] * wx[i] * wy[j]


@njit(**OPTIONS)
def share_lines(
    origins: Array, images: Array, weights: Array, shape: Ints, along: Array, share: Array, out: Array
) -> None:
    """Add the displacements from ``origins`` (2, rows) to ``images``, shared out along the straight line between them.

    ``along`` and ``share`` are nodes and weights of a quadrature over (0, 1); ``out`` is (2, nodes).
    """
    atoms, _, rows = images.shape
    wx, wy = np.empty(4), np.empty(4)
    for r in range(rows):
        for k in range(atoms):
            dx, dy = images[k, 0, r] - origins[0, r], images[k, 1, r] - origins[1, r]
            for s in range(len(along)):
                x, y = origins[0, r] + along[s] * dx, origins[1, r] + along[s] * dy
                shares(x, shape[0], wx)
                shares(y, shape[1], wy)
                corner = first_node(x, shape[0]) * shape[1] + first_node(y, shape[1])
                weight = weights[k, r] * share[s]
                for i in range(min(shape[0], 4)):
                    for j in range(min(shape[1], 4)):
                        part = weight * wx[i] * wy[j]
                        out[0, corner + i * shape[1] + j] += part * dx
                        out[1, corner + i * shape[1] + j] += part * dy
