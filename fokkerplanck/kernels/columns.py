"""Rows of coefficients on a grid stencil as the columns of a sparse matrix, in an elimination order, without the held cells.

Cells are counted [z, y, x]; ``rows[z, y, s, x]`` is the coefficient of the cell at ``offsets[s]``, round the ends of the axes
where it lies beyond them.
"""

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def compress(rows, held, order, offsets, place, largest, pointers, indices, data):
    """Write the columns (CSC, ascending, no zeros) of the free cells in ``order``, every row divided by its largest entry.

    ``place`` becomes the number of a cell among the free ones, −1 for those held; ``largest``, ``pointers``, ``indices`` and
    ``data`` have room for every cell. Returns how many are free, or −1 if a row is not finite, −2 if one is zero.
    """
    nz, ny, count, nx = rows.shape
    lines, still = rows.reshape(-1, count, nx), held.reshape(-1)
    free = 0
    for cell in order:
        place[cell] = -1
        if still[cell]:
            continue
        top = 0.0
        for s in range(count):
            value = abs(lines[cell // nx, s, cell % nx])
            if not np.isfinite(value):
                return -1
            top = max(top, value)
        if top == 0.0:
            return -2
        largest[free] = top
        place[cell] = free
        free += 1
    total = 0
    pointers[0] = 0
    for cell in order:
        if still[cell]:
            continue
        first = total
        z, y, x = cell // (ny * nx), (cell // nx) % ny, cell % nx
        for s in range(count):
            # the row in which this cell is the neighbour at offsets[s]
            k, j, i = z - offsets[s, 0], y - offsets[s, 1], x - offsets[s, 2]
            k += nz * ((k < 0) - (k >= nz))
            j += ny * ((j < 0) - (j >= ny))
            i += nx * ((i < 0) - (i >= nx))
            source = (k * ny + j) * nx + i
            value, row = lines[k * ny + j, s, i], place[source]
            if row < 0 or value == 0.0:
                continue
            value /= largest[row]
            k = total
            while k > first and indices[k - 1] > row:
                k -= 1
            if k > first and indices[k - 1] == row:  # the same neighbour on both sides of a ring of two cells
                data[k - 1] += value
                continue
            for j in range(total, k, -1):
                indices[j], data[j] = indices[j - 1], data[j - 1]
            indices[k], data[k] = row, value
            total += 1
        pointers[place[cell] + 1] = total
    return free
