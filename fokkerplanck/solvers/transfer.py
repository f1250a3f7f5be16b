"""Between a grid and the one with every cell halved."""

from __future__ import annotations

import numpy as np

from ..differences import to_faces
from ..fields import FaceField
from ..grid import Array, Grid


def prolong(cells: Array, grid: Grid) -> Array:
    """Cubic interpolation to cells half as wide, extrapolating half a cell at walls; ``grid`` says which axes are rings."""
    for axis in range(grid.dim):
        cells = np.moveaxis(_halve(np.moveaxis(cells, axis, 0), grid.periodic[axis]), 0, axis)
    return cells


def _halve(a: Array, periodic: bool) -> Array:
    """Values at −¼ and +¼ of a cell around every cell, from the cubic through four cells."""
    near = (-7, 105, 35, -5)  # /128: a quarter cell towards the third of four points, from the second
    out = np.empty((2 * a.shape[0], *a.shape[1:]))
    if periodic:
        before, after, after2, before2 = np.roll(a, 1, 0), np.roll(a, -1, 0), np.roll(a, -2, 0), np.roll(a, 2, 0)
        out[1::2] = (near[0] * before + near[1] * a + near[2] * after + near[3] * after2) / 128
        out[0::2] = (near[0] * after + near[1] * a + near[2] * before + near[3] * before2) / 128
        return out
    out[3:-3:2] = (near[0] * a[:-3] + near[1] * a[1:-2] + near[2] * a[2:-1] + near[3] * a[3:]) / 128
    out[4:-2:2] = (near[0] * a[3:] + near[1] * a[2:-1] + near[2] * a[1:-2] + near[3] * a[:-3]) / 128
    for end, side in ((out, a), (out[::-1], a[::-1])):
        quarter = _lagrange(side, -0.25), _lagrange(side, 0.25), _lagrange(side, 0.75)
        end[0], end[1], end[2] = quarter
    return out


def _lagrange(side: Array, position: float) -> Array:
    """The cubic through the first four cells (at 0, 1, 2, 3), evaluated at ``position``."""
    total = np.zeros(side.shape[1:])
    for j in range(4):
        weight = 1.0
        for k in range(4):
            if k != j:
                weight *= (position - k) / (j - k)
        total += weight * side[j]
    return total


def restrict_cells(cells: Array, grid: Grid) -> Array:
    """Cell values of ``grid`` interpolated to the centres of the grid with half as many cells along every axis, sixth order.

    Values of fourth order are compared with this, so that of fourth order would be seen as an error of theirs.
    """
    for axis in range(grid.dim):
        faces = np.moveaxis(to_faces(cells, axis, grid.periodic[axis], 6), axis, 0)
        cells = np.moveaxis(faces[1::2], 0, axis)
    return cells


def restrict_faces(field: FaceField, coarse: Grid) -> FaceField:
    """Mean over the fine faces that make up each face of ``coarse``; a field without divergence stays one."""
    components = []
    for axis, component in enumerate(field.components):
        values = np.moveaxis(np.moveaxis(component, axis, 0)[::2], 0, axis)
        for other in (a for a in range(coarse.dim) if a != axis):
            lines = np.moveaxis(values, other, 0)
            values = np.moveaxis(0.5 * (lines[::2] + lines[1::2]), 0, other)
        components.append(values)
    return FaceField(coarse, tuple(components))
