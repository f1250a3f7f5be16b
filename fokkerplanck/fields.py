"""Fields on the staggered places of a grid: normal components on faces, tangential ones on edges, and what leads between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from .errors import InvalidInput
from .grid import Array, Grid


@dataclass(frozen=True)
class FaceField:
    """Normal components of a vector field on the staggered faces of a grid, each the mean over its face.

    Attributes
    ----------
    grid : Grid
    components : tuple of d arrays
        ``components[a]`` has shape ``grid.face_shape(a)``; a periodic axis stores its first face again as its last.
    """

    grid: Grid
    components: tuple[Array, ...]

    def __post_init__(self) -> None:
        shapes = tuple(c.shape for c in self.components)
        expected = tuple(self.grid.face_shape(a) for a in range(self.grid.dim))
        if shapes != expected:
            raise InvalidInput(f"face components: expected shapes {expected}, got {shapes}")

    def divergence(self) -> Array:
        """∇·F of each cell: the sum of its outward fluxes per volume, shape ``grid.shape``."""
        total = np.zeros(self.grid.shape)
        for axis, component in enumerate(self.components):
            total += np.diff(component, axis=axis) / self.grid.along(self.grid.widths(axis), axis)
        return total

    def inner(self, other: FaceField) -> float:
        """∫ F·G with every face standing for the volume between the cell centres beside it (at a wall, that up to the wall)."""
        return sum(
            float(np.sum(_face_weights(self.grid, axis) * f * g))
            for axis, (f, g) in enumerate(zip(self.components, other.components, strict=True))
        )

    def norm(self) -> float:
        """(∫|F|²)^½."""
        return float(np.sqrt(self.inner(self)))

    def largest(self) -> float:
        """Largest absolute face value."""
        return max(float(np.abs(c).max()) for c in self.components)

    def __sub__(self, other: FaceField) -> FaceField:
        return FaceField(self.grid, tuple(f - g for f, g in zip(self.components, other.components, strict=True)))

    def __add__(self, other: FaceField) -> FaceField:
        return FaceField(self.grid, tuple(f + g for f, g in zip(self.components, other.components, strict=True)))

    def __mul__(self, factor: float) -> FaceField:
        return FaceField(self.grid, tuple(factor * c for c in self.components))

    def centered(self) -> Array:
        """Vectors at the cell centres, fourth order, from components that are means over their faces; shape (d, *shape)."""
        vectors = []
        for axis, component in enumerate(self.components):
            values = to_centers(component, axis, self.grid.periodic[axis])
            for other in (a for a in range(self.grid.dim) if a != axis):
                values = values - _bend(values, other, self.grid.periodic[other]) / 24.0
            vectors.append(values)
        return np.stack(vectors)


def _bend(cells: Array, axis: int, periodic: bool) -> Array:
    """Second difference along one axis: 24 times the difference of a cell's mean and its centre value."""
    a = np.moveaxis(cells, axis, 0)
    if periodic:
        out = np.roll(a, 1, 0) + np.roll(a, -1, 0) - 2.0 * a
    else:
        out = np.empty_like(a)
        out[1:-1] = a[2:] + a[:-2] - 2.0 * a[1:-1]
        out[0], out[-1] = out[1], out[-2]
    return np.moveaxis(out, 0, axis)


def _face_weights(grid: Grid, axis: int) -> Array:
    """Area × distance of the neighbouring cell centres."""
    lines = [grid.widths(a) if a != axis else grid.distances(a) for a in range(grid.dim)]
    if grid.periodic[axis]:
        lines[axis][[0, -1]] *= 0.5  # the same face, stored twice
    return reduce(np.multiply, (grid.along(line, a) for a, line in enumerate(lines)))


def to_faces(cells: Array, axis: int, periodic: bool) -> Array:
    """Cubic interpolation of cell values to the faces normal to one axis; wall faces are extrapolated."""
    a = np.moveaxis(cells, axis, 0)
    out = np.empty((a.shape[0] + 1, *a.shape[1:]))
    if periodic:
        out[:-1] = (9 * (np.roll(a, 1, 0) + a) - np.roll(a, 2, 0) - np.roll(a, -1, 0)) / 16
        out[-1] = out[0]
    else:
        out[2:-2] = (9 * (a[1:-2] + a[2:-1]) - a[:-3] - a[3:]) / 16
        for end, side in ((0, a), (-1, a[::-1])):
            out[end] = (35 * side[0] - 35 * side[1] + 21 * side[2] - 5 * side[3]) / 16
            out[1 if end == 0 else -2] = (5 * side[0] + 15 * side[1] - 5 * side[2] + side[3]) / 16
    return np.moveaxis(out, 0, axis)


def to_centers(faces: Array, axis: int, periodic: bool) -> Array:
    """Cubic interpolation of values on the faces normal to one axis to the cell centres between them."""
    a = np.moveaxis(faces, axis, 0)
    if periodic:
        ring = a[:-1]
        out = (9 * (ring + np.roll(ring, -1, 0)) - np.roll(ring, 1, 0) - np.roll(ring, -2, 0)) / 16
    else:
        out = np.empty((a.shape[0] - 1, *a.shape[1:]))
        out[1:-1] = (9 * (a[1:-2] + a[2:-1]) - a[:-3] - a[3:]) / 16
        out[0] = (5 * a[0] + 15 * a[1] - 5 * a[2] + a[3]) / 16
        out[-1] = (5 * a[-1] + 15 * a[-2] - 5 * a[-3] + a[-4]) / 16
    return np.moveaxis(out, 0, axis)
