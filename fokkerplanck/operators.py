"""Process × grid: coefficients sampled on faces, fields of face fluxes and their divergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InvalidInput
from .grid import Array, Grid
from .process import DiffusionProcess

# Differences of D reach two steps of 1e-3 × this many cells past a face: 0.2 of a cell, so never outside the box.
CELLS_PER_SCALE = 100
SEAM = 1e-6  # relative mismatch round a ring: above the 1e-9 of the differences of D, below any real jump


@dataclass(frozen=True)
class FaceField:
    """Normal components of a vector field on the staggered faces of a grid.

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
            total += np.diff(component, axis=axis) / self.grid.spacing[axis]
        return total

    def inner(self, other: FaceField) -> float:
        """∫ F·G with every face standing for one cell volume (half of one at a wall)."""
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

    def centered(self) -> Array:
        """Components interpolated to cell centres by cubics along their own axis, shape (d, *shape)."""
        return np.stack([to_centers(c, axis, self.grid.periodic[axis]) for axis, c in enumerate(self.components)])


def _face_weights(grid: Grid, axis: int) -> Array:
    weights = np.full(grid.shape[axis] + 1, grid.cell_volume)
    weights[[0, -1]] *= 0.5  # a wall face bounds one cell only; a periodic one is stored twice
    return weights.reshape([-1 if a == axis else 1 for a in range(grid.dim)])


@dataclass(frozen=True)
class FaceCoefficients:
    r"""u and row a of D on the faces normal to every axis a, so that :math:`J_a = u_a p - D_{am}\partial_m p`.

    Attributes
    ----------
    velocity : tuple of d arrays, shape ``grid.face_shape(a)``
    diffusion : tuple of d arrays, shape (d, *grid.face_shape(a))
    """

    grid: Grid
    velocity: tuple[Array, ...]
    diffusion: tuple[Array, ...]


def face_coefficients(process: DiffusionProcess, grid: Grid) -> FaceCoefficients:
    """Sample a process on every face that carries a current; faces on reflecting walls carry none and hold zeros.

    Raises
    ------
    InvalidInput
        If the process and the grid differ in dimension, or the process's functions misbehave at some face.
    """
    if process.dim != grid.dim:
        raise InvalidInput(
            f"expected a box with as many axes as the process has variables ({process.dim}), got {grid.dim}"
        )
    scale = difference_scale(grid)
    velocity, diffusion = [], []
    for axis in range(grid.dim):
        inside = [slice(None)] * grid.dim
        if not grid.periodic[axis]:
            inside[axis] = slice(1, -1)
        where = tuple(inside)
        points = np.ascontiguousarray(grid.face_points(axis)[(slice(None), *where)])
        u = np.zeros(grid.face_shape(axis))
        tensor = np.zeros((grid.dim, *grid.face_shape(axis)))
        u[where] = process.current_velocity(points, scale)[axis]
        tensor[(slice(None), *where)] = process.diffusion(points)[axis]
        if grid.periodic[axis]:
            _check_seam(np.concatenate([u[None], tensor]), grid, axis, process.names[axis])
        velocity.append(u)
        diffusion.append(tensor)
    return FaceCoefficients(grid, tuple(velocity), tuple(diffusion))


def _check_seam(coefficients: Array, grid: Grid, axis: int, name: str) -> None:
    """Both ends of a periodic axis are the same place; there u and D have to be the same."""
    ends = np.take(coefficients, [0, -1], axis + 1)
    gap = np.abs(np.diff(ends, axis=axis + 1)).max(axis=tuple(range(1, ends.ndim)))
    size = np.abs(coefficients).max(axis=tuple(range(1, ends.ndim)))
    size[0] += size[1:].max() / grid.box.widths.min()  # a velocity that is all round-off counts as zero
    if (gap > SEAM * size).any():
        raise InvalidInput(
            f"periodic axis {name}: expected the same drift and diffusion at {name} = {grid.box.lower[axis]:g} and "
            f"{grid.box.upper[axis]:g}, got a jump of {float((gap / np.where(size > 0, size, 1)).max()):.2g} of their largest "
            "value. The box must hold a whole number of periods; a function with a jump there should take x modulo the period"
        )


def difference_scale(grid: Grid) -> Array:
    """Lengths for :meth:`DiffusionProcess.current_velocity` such that its differences stay inside the box, shape (d,)."""
    return np.minimum(grid.box.widths, CELLS_PER_SCALE * grid.spacing)


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
