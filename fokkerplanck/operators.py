"""Process × grid: coefficients on faces in reference coordinates, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InvalidInput
from .fields import FaceField
from .grid import Array, Grid
from .maps import Uniform
from .process import DiffusionProcess

# Differences of D reach two steps of 1e-3 × this many cells past a face: 0.2 of a cell, so never outside the box.
CELLS_PER_SCALE = 100
SEAM = 1e-6  # relative mismatch round a ring: above the 1e-9 of the differences of D, below any real jump


@dataclass(frozen=True)
class FaceCoefficients:
    r"""u and row a of D on the faces normal to every axis a, so that :math:`J_a = u_a p - D_{am}\partial_m p`.

    Attributes
    ----------
    grid : Grid
        The uniform grid of the reference coordinates, in which all these quantities are meant.
    velocity : tuple of d arrays, shape ``grid.face_shape(a)``
    diffusion : tuple of d arrays, shape (d, *grid.face_shape(a))
    differenced : bool
        Whether u contains derivatives of D taken by differences, which do not see it jump.
    """

    grid: Grid
    velocity: tuple[Array, ...]
    diffusion: tuple[Array, ...]
    differenced: bool = False


def face_coefficients(process: DiffusionProcess, grid: Grid) -> FaceCoefficients:
    r"""Sample a process on every face that carries a current; faces on reflecting walls carry none and hold zeros.

    On a stretched grid the coefficients are those of the same process in the reference coordinates :math:`\xi`, in which cells
    are equal. The probability of a cell is the same in both, so the reference density is :math:`P = pV`, with V the volume that
    its centre stands for (``grid.cell_volumes``) over that of its reference cell. With :math:`X'_a = dx_a/d\xi_a`,

    .. math::

        J'_a = \frac{V}{X'_a} J_a = \frac{P}{X'_a}\Bigl(u_a - \sum_m \frac{D_{am}}{X'_m}\,\partial_{\xi_m}\ln\frac PV\Bigr)
             = u''_a P - \sum_m D'_{am}\,\partial_{\xi_m} P,
        \qquad D'_{am} = \frac{D_{am}}{X'_a X'_m},\quad
        u''_a = \frac{u_a}{X'_a} + \sum_m D'_{am}\,\partial_{\xi_m}\ln V .

    The rest is done with differences, not with derivatives of the map: :math:`X'_a` is the distance of the two cell centres
    beside the face over h, :math:`X'_m`, m ≠ a, the width of the cells along that face over h, and :math:`\partial\ln V` is the
    difference that a scheme takes of :math:`\ln P`. To round-off, then, V drops out of
    :math:`u''_a - D'_{am}\,\partial_m\ln P`, and :math:`\sum_a\partial_a J'_a = \nabla\cdot J\prod_a w_a/h_a` for the
    currents of :func:`physical_flux`, with the widths w of cells. On a uniform grid nothing is changed at all.

    Returns
    -------
    FaceCoefficients
        On ``grid.reference``.

    Raises
    ------
    InvalidInput
        If the process and the grid differ in dimension, or the process's functions misbehave at some face.

    Examples
    --------
    >>> from fokkerplanck import Box, Sinh
    >>> process = DiffusionProcess(lambda x: -x, 0.5, dim=1)
    >>> grid = Grid(Box([-4], [4]), (8,), maps=Sinh(scale=1))
    >>> c = face_coefficients(process, grid)
    >>> step = grid.distances(0)[1:-1] / grid.spacing[0]
    >>> bool(np.allclose(c.diffusion[0][0, 1:-1], 0.5 / step**2))
    True
    """
    if process.dim != grid.dim:
        raise InvalidInput(
            f"expected a box with as many axes as the process has variables ({process.dim}), got {grid.dim}"
        )
    velocity, diffusion = [], []
    for axis in range(grid.dim):
        inside = [slice(None)] * grid.dim
        if not grid.periodic[axis]:
            inside[axis] = slice(1, -1)
        u = np.zeros(grid.face_shape(axis))
        tensor = np.zeros((grid.dim, *grid.face_shape(axis)))
        own, rows = u[tuple(inside)], tensor[(slice(None), *inside)]
        scale = difference_scale(grid, axis)
        for planes, points in grid.slabs(axis):
            row = process.row(points, scale if scale.ndim == 1 else scale[:, planes], axis)
            own[planes], rows[:, planes] = row[0], row[1:]
        if grid.periodic[axis]:
            _check_seam(np.concatenate([u[None], tensor]), grid, axis, process.names[axis])
        if not grid.uniform:
            _to_reference(u, tensor, grid, axis)
        velocity.append(u)
        diffusion.append(tensor)
    return FaceCoefficients(grid.reference, tuple(velocity), tuple(diffusion), process.differenced)


def _to_reference(velocity: Array, tensor: Array, grid: Grid, axis: int) -> None:
    """Turn u and row ``axis`` of D on the faces normal to ``axis`` into u'' and D', in place."""
    own = grid.along(_face_stretch(grid, axis), axis)
    velocity /= own
    for m in range(grid.dim):
        if isinstance(grid.maps[m], Uniform):
            tensor[m] /= own
            continue
        tensor[m] /= own * (own if m == axis else grid.along(grid.widths(m) / grid.spacing[m], m))
        velocity += tensor[m] * grid.along(_volume_slope(grid, m, on_faces=m == axis), m)


def physical_coefficients(coefficients: FaceCoefficients, grid: Grid) -> FaceCoefficients:
    """u and D themselves from those of :func:`face_coefficients`, which are in reference coordinates; walls keep zeros."""
    velocities, tensors = [], []
    for axis in range(grid.dim):
        own = grid.along(_face_stretch(grid, axis), axis)
        u, tensor = coefficients.velocity[axis].copy(), coefficients.diffusion[axis].copy()
        for m in range(grid.dim):
            factor: Array = own
            if not isinstance(grid.maps[m], Uniform):
                u -= tensor[m] * grid.along(_volume_slope(grid, m, on_faces=m == axis), m)
                factor = own * (own if m == axis else grid.along(grid.widths(m) / grid.spacing[m], m))
            tensor[m] *= factor
        velocities.append(u * own)
        tensors.append(tensor)
    return FaceCoefficients(coefficients.grid, tuple(velocities), tuple(tensors), coefficients.differenced)


def _face_stretch(grid: Grid, axis: int) -> Array:
    """dx/dξ on the faces normal to one axis, by differences; 1 on walls, which carry no current."""
    out = np.ones(grid.shape[axis] + 1)
    if not isinstance(grid.maps[axis], Uniform):
        out[1:-1] = grid.distances(axis)[1:-1] / grid.spacing[axis]
    return out


def _volume_slope(grid: Grid, axis: int, *, on_faces: bool) -> Array:
    """∂ ln V along a stretched axis: across its faces (0 on walls), or in its cells, one-sided of second order at walls."""
    h, logs = grid.spacing[axis], np.log(grid.weights(axis))
    if on_faces:
        return np.concatenate([[0.0], np.diff(logs) / h, [0.0]])
    slope = np.empty_like(logs)
    slope[1:-1] = (logs[2:] - logs[:-2]) / (2.0 * h)
    slope[0] = (-3.0 * logs[0] + 4.0 * logs[1] - logs[2]) / (2.0 * h)
    slope[-1] = (3.0 * logs[-1] - 4.0 * logs[-2] + logs[-3]) / (2.0 * h)
    return slope


def log_volumes(grid: Grid) -> Array:
    """ln V of each cell: what it counts over what its reference cell does, shape ``grid.shape``; zeros on a uniform grid."""
    total = np.zeros(grid.shape)
    for axis in range(grid.dim):
        if not isinstance(grid.maps[axis], Uniform):
            total += grid.along(np.log(grid.weights(axis) / grid.spacing[axis]), axis)
    return total


def physical_log_density(psi: Array, grid: Grid) -> Array:
    r"""Φ = −ln p from :math:`\Psi = -\ln P`, the reference density :math:`P = pV`: :math:`\Phi = \Psi + \ln V`.

    Parameters
    ----------
    psi : ndarray, shape ``grid.shape``
        Normalised on ``grid.reference``; then p integrates to 1 on ``grid``.
    grid : Grid

    Returns
    -------
    ndarray, shape ``grid.shape``

    Examples
    --------
    >>> from fokkerplanck import Box
    >>> grid = Grid(Box([0], [8]), (4,), maps=[0, 1, 2, 4, 8])  # volumes ½, ½, 1, 2 of reference cells of 2
    >>> np.exp(-physical_log_density(np.full(4, np.log(8)), grid)).round(12).tolist()
    [0.25, 0.25, 0.125, 0.0625]
    """
    return psi if grid.uniform else psi + log_volumes(grid)


def reference_log_density(phi: Array, grid: Grid) -> Array:
    """Ψ = Φ − ln V, the inverse of :func:`physical_log_density`."""
    return phi if grid.uniform else phi - log_volumes(grid)


def physical_flux(field: FaceField, grid: Grid) -> FaceField:
    r"""J from the current J' on ``grid.reference``: :math:`J_a = J'_a\prod_{b\ne a} h_b/w_b`.

    A reference face and its image carry the same probability per time, and this is the ratio of their areas. The divergence
    of J is that of J' times :math:`\prod_b h_b/w_b`, to round-off. On a uniform grid J is J'.

    Raises
    ------
    InvalidInput
        If the field is not on ``grid.reference``.
    """
    if field.grid != grid.reference:
        raise InvalidInput(
            f"expected a field on the reference grid, {grid.shape} equal cells of {grid.box}, got one on {field.grid.shape} "
            f"cells of {field.grid.box} with maps {field.grid.maps}"
        )
    components = list(field.components)
    for b in range(grid.dim):
        if not isinstance(grid.maps[b], Uniform):
            ratio = grid.along(grid.spacing[b] / grid.widths(b), b)
            components = [c if a == b else c * ratio for a, c in enumerate(components)]
    return FaceField(grid, tuple(components))


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


def difference_scale(grid: Grid, axis: int | None = None) -> Array:
    """Lengths for :meth:`DiffusionProcess.current_velocity` such that its differences stay inside the box and the cells.

    Parameters
    ----------
    grid : Grid
    axis : int, optional
        At the faces normal to this axis, without those on reflecting walls; by default at the cell centres.

    Returns
    -------
    ndarray, shape (d,) on a uniform grid, else one vector per point, shape (d, ...)
    """
    if grid.uniform:
        return np.minimum(grid.box.widths, CELLS_PER_SCALE * grid.spacing)
    lines = []
    for m in range(grid.dim):
        edges, widths = grid.edges(m), grid.widths(m)
        if m != axis:  # centres may be off the middle of their cells
            width = 2.0 * np.minimum(grid.centers(m) - edges[:-1], edges[1:] - grid.centers(m))
        elif grid.periodic[m]:
            width = np.append(widths, widths[0])
        else:
            width = np.minimum(widths[1:], widths[:-1])
        lines.append(np.minimum(grid.box.widths[m], CELLS_PER_SCALE * width))
    return np.stack(np.meshgrid(*lines, indexing="ij"))
