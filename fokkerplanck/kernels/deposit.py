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
    return max(0, min(n - 4, math.floor(x) - 1))


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
def share_offsets(offsets: Array, weights: Array, size: Ints, out: Array) -> None:
    """The weights (atoms, rows) of offsets (atoms, 2, rows) on a lattice without an end: offset o is at o modulo ``size``.

    ``out`` is (rows, *size) and starts as zeros.
    """
    atoms, _, rows = offsets.shape
    wx, wy = np.zeros(4), np.zeros(4)
    four_x, four_y = min(size[0], 4), min(size[1], 4)
    for r in range(rows):
        for k in range(atoms):
            x, y = offsets[k, 0, r], offsets[k, 1, r]
            i0, j0 = math.floor(x) - 1, math.floor(y) - 1
            shares(x - i0, size[0], wx)
            shares(y - j0, size[1], wy)
            for i in range(four_x):
                for j in range(four_y):
                    out[r, (i0 + i) % size[0], (j0 + j) % size[1]] += weights[k, r] * wx[i] * wy[j]


@njit(**OPTIONS)
def lattice_rows(
    law: Array,
    corner: Ints,
    nodes: Ints,
    shape: Ints,
    least: float,
    start: Ints,
    data: Array,
    column: Ints,
    leaving: Array,
) -> None:
    """Laws of increments (rows, *size) as rows of a matrix: entries not below ``least``, the rest added to the largest.

    The window of row r begins at the offset ``corner[r]``; ``nodes[r]`` is where the row starts from. With ``data`` of size 0
    only ``start``, the running number of entries, is written. What would lie beyond the grid goes to its rim and into
    ``leaving``.
    """
    rows, m0, m1 = law.shape
    for r in range(rows):
        place = start[r]
        largest, top, rest = place, 0.0, 0.0
        x0, y0 = nodes[r] // shape[1], nodes[r] % shape[1]
        leaving[r] = 0.0
        for i in range(m0):
            for j in range(m1):
                value = law[r, i, j]
                if abs(value) < least:
                    rest += value
                    continue
                if data.size:
                    x = x0 + corner[r, 0] + (i - corner[r, 0]) % m0
                    y = y0 + corner[r, 1] + (j - corner[r, 1]) % m1
                    if x < 0 or x >= shape[0] or y < 0 or y >= shape[1]:
                        leaving[r] += abs(value)
                        x, y = max(0, min(shape[0] - 1, x)), max(0, min(shape[1] - 1, y))
                    data[place] = value
                    column[place] = x * shape[1] + y
                    if value > top:
                        largest, top = place, value
                place += 1
        if data.size:
            data[largest] += rest
        else:
            start[r + 1] = place


@njit(**OPTIONS)
def share_lines(
    start: Ints, column: Ints, data: Array, mass: Array, shape: Ints, along: Array, share: Array, out: Array
) -> None:
    """Add the displacements of a step, by entries of the matrix (CSR), shared out along the straight lines between nodes.

    ``along`` and ``share`` are nodes and weights of a quadrature over (0, 1), ``mass`` the probability of each row; ``out`` is
    (2, nodes).
    """
    wx, wy = np.empty(4), np.empty(4)
    for r in range(len(mass)):
        x0, y0 = r // shape[1], r % shape[1]
        for entry in range(start[r], start[r + 1]):
            dx, dy = column[entry] // shape[1] - x0, column[entry] % shape[1] - y0
            if dx == 0 and dy == 0:
                continue
            for s in range(len(along)):
                x, y = x0 + along[s] * dx, y0 + along[s] * dy
                shares(x, shape[0], wx)
                shares(y, shape[1], wy)
                corner = first_node(x, shape[0]) * shape[1] + first_node(y, shape[1])
                weight = mass[r] * data[entry] * share[s]
                for i in range(min(shape[0], 4)):
                    for j in range(min(shape[1], 4)):
                        part = weight * wx[i] * wy[j]
                        out[0, corner + i * shape[1] + j] += part * dx
                        out[1, corner + i * shape[1] + j] += part * dy
