"""Laplacians that are products of staggered differences, inverted: on cells for χ, on edges for the vector potential.

Along one axis a difference leads from nodes to cells and another back, and the Laplacian of any component at any staggered
place is a sum over axes of one of the two products of them:

- on cells: neighbours at ``grid.distances``, every cell standing for its width, nothing through walls (Neumann);
- on nodes: neighbours at ``grid.widths``, every node standing for its distance of cell centres, zero on walls (Dirichlet).

Both have the same eigenvalues, save that zero belongs to cells alone, and a difference carries the eigenvectors of one into
those of the other: that is why the solutions of separate equations for A_x, A_y and A_z have no divergence together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from scipy.linalg import eigh_tridiagonal, solveh_banded

from .fields import EdgeField, FaceField
from .grid import Array, Grid
from .maps import Uniform
from .threads import in_pieces, workers

# Longest side over shortest cell up to which one solve leaves round-off: of a smooth field 1e-13 at 256, 4e-13 at 1024.
FINE = 1024.0


def without_gradient(field: FaceField) -> tuple[FaceField, FaceField, Array]:
    """What is left without ∇χ, which has no divergence and passes no wall; ∇χ; and χ: ∇²χ = ∇·F, ∂χ/∂n = F·n on walls.

    Round-off is amplified where cells differ much, along an axis or between axes. There the gradient of what is left is taken
    off as well; gradients are summed then and not potentials, whose rounding would be amplified again.
    """
    grid, cells = field.grid, (False,) * field.grid.dim
    through, rest = _wall_part(field)
    chi = inverse_laplacian(rest.divergence(), grid, nodes=cells)
    gradient = FaceField.from_potential(grid, chi)
    rest = rest - gradient
    if _amplifies(grid):
        more = inverse_laplacian(rest.divergence(), grid, nodes=cells)
        step = FaceField.from_potential(grid, more)
        rest, gradient, chi = rest - step, gradient + step, chi + more
    return rest, gradient if through is None else gradient + through, chi


def divergence_free(field: FaceField) -> FaceField:
    """The first of :func:`without_gradient`, in the arrays of the field, which are overwritten."""
    grid, rest = field.grid, _wall_part(field)[1]
    for _ in range(1 + _amplifies(grid)):
        _take_gradient(rest, inverse_laplacian(rest.divergence(), grid, nodes=(False,) * grid.dim))
    return rest


def _amplifies(grid: Grid) -> bool:
    """Whether cells differ so much, along an axis or between axes, that round-off does not stay what it is."""
    return not grid.uniform or bool(grid.box.widths.max() > FINE * grid.spacing.min())


def _take_gradient(field: FaceField, chi: Array) -> None:
    """Subtract ∇χ in place."""
    grid = field.grid
    over = [grid.along(1.0 / grid.distances(a), a) for a in range(grid.dim)]

    def piece(rows: slice) -> None:
        for axis, component in enumerate(field.components):
            if axis == 0:
                first = max(rows.start, 1)
                component[first : rows.stop] -= (chi[first : rows.stop] - chi[first - 1 : rows.stop - 1]) * over[0][
                    first : rows.stop
                ]
                continue
            cells, faces = np.moveaxis(chi[rows], axis, 0), np.moveaxis(component[rows], axis, 0)
            faces[1:-1] -= (cells[1:] - cells[:-1]) * np.moveaxis(over[axis], axis, 0)[1:-1]

    in_pieces(piece, grid.shape[0], grid.size)
    for axis in (a for a in range(grid.dim) if grid.periodic[a]):
        cells, faces = np.moveaxis(chi, axis, 0), np.moveaxis(field.components[axis], axis, 0)
        faces[[0, -1]] -= (cells[0] - cells[-1]) * np.moveaxis(over[axis], axis, 0)[[0, -1]]


def vector_potential(field: FaceField) -> EdgeField:
    r"""A with ∇×A = F for a field that has no divergence, passes no wall and has no net flux round periodic axes.

    Of all such A the one with ∇·A = 0 at the nodes, tangential components zero on reflecting walls, and no constant: it solves
    :math:`-\nabla^2 A = \nabla\times F` component by component. In two dimensions it is the stream function.
    """
    potential = _edges_from_curl(field.curl())
    if not field.grid.uniform:  # once more: the eigenvectors are less exact than the transforms
        missing = _edges_from_curl((field - potential.curl()).curl())
        pairs = zip(potential.components, missing.components, strict=True)
        potential = EdgeField(field.grid, tuple(a + b for a, b in pairs))
    return potential


def _edges_from_curl(curl: EdgeField) -> EdgeField:
    """−∇⁻² of each component."""
    grid, components = curl.grid, []
    for k, values in enumerate(curl.components):
        nodes = tuple(grid.dim == 2 or a != k for a in range(grid.dim))
        unknown = tuple(
            slice(None) if not node else slice(None, -1) if ring else slice(1, -1)
            for node, ring in zip(nodes, grid.periodic, strict=True)
        )
        full = np.zeros_like(values)
        np.negative(inverse_laplacian(values[unknown], grid, nodes=nodes), out=full[unknown])
        for a in (a for a in range(grid.dim) if nodes[a] and grid.periodic[a]):
            ends = np.moveaxis(full, a, 0)
            ends[-1] = ends[0]
        components.append(full)
    return EdgeField(grid, tuple(components))


def _wall_part(field: FaceField) -> tuple[FaceField | None, FaceField]:
    """What passes the reflecting walls, on their faces alone, and the field without it."""
    grid = field.grid
    through, rest = [], []
    for axis, component in enumerate(field.components):
        if grid.periodic[axis] or not np.take(component, [0, -1], axis).any():
            through.append(np.broadcast_to(0.0, component.shape))
            rest.append(component)
            continue
        part, kept = np.zeros_like(component), component.copy()
        wall = np.moveaxis(part, axis, 0)
        wall[[0, -1]] = np.moveaxis(component, axis, 0)[[0, -1]]
        np.moveaxis(kept, axis, 0)[[0, -1]] = 0.0
        through.append(part)
        rest.append(kept)
    if all(kept is component for kept, component in zip(rest, field.components, strict=True)):
        return None, field
    return FaceField(grid, tuple(through)), FaceField(grid, tuple(rest))


def inverse_laplacian(rhs: Array, grid: Grid, *, nodes: tuple[bool, ...]) -> Array:
    """χ with ∇²χ = rhs at the unknown places: all cells along an axis, or its nodes without walls and without repetition.

    A constant, where it has no Laplacian, is left out: rhs is taken to have none, and χ has mean zero. rhs may be overwritten.
    """
    return _by_transforms(rhs, grid, nodes) if grid.uniform else _by_modes(rhs, grid, nodes)


def _by_transforms(rhs: Array, grid: Grid, nodes: tuple[bool, ...]) -> Array:
    """Cosine transforms of cells between walls, sine transforms of nodes between walls, Fourier round periodic axes."""
    axes = range(grid.dim)
    rings = [a for a in axes if grid.periodic[a]]
    cosines = [a for a in axes if not grid.periodic[a] and not nodes[a]]
    sines = [a for a in axes if not grid.periodic[a] and nodes[a]]
    spectrum: Any = rhs
    threads = workers(rhs.size)
    if cosines:
        spectrum = scipy.fft.dctn(spectrum, type=2, axes=cosines, overwrite_x=True, workers=threads)
    if sines:
        spectrum = scipy.fft.dstn(spectrum, type=1, axes=sines, overwrite_x=True, workers=threads)
    if rings:
        spectrum = scipy.fft.rfftn(spectrum, axes=rings, workers=threads)
    squares = []
    for axis, n in enumerate(grid.shape):
        waves = np.arange(spectrum.shape[axis]) + (axis in sines)
        line = 2.0 * np.sin(waves * np.pi / n * (1.0 if grid.periodic[axis] else 0.5)) / grid.spacing[axis]
        squares.append(grid.along(line**2, axis))

    def piece(rows: slice) -> None:
        inverse = 0.0 - squares[0][rows]
        for square in squares[1:]:
            inverse = inverse - square
        constant = rows.start == 0 and not sines
        if constant:
            inverse[(0,) * grid.dim] = 1.0
        np.reciprocal(inverse, out=inverse)
        if constant:
            inverse[(0,) * grid.dim] = 0.0
        spectrum[rows] *= inverse

    in_pieces(piece, spectrum.shape[0], spectrum.size)
    if rings:
        shape = [grid.shape[a] for a in rings]
        spectrum = scipy.fft.irfftn(spectrum, s=shape, axes=rings, overwrite_x=True, workers=threads)
    if sines:
        spectrum = scipy.fft.idstn(spectrum, type=1, axes=sines, overwrite_x=True, workers=threads)
    if cosines:
        spectrum = scipy.fft.idctn(spectrum, type=2, axes=cosines, overwrite_x=True, workers=threads)
    return np.asarray(spectrum)


@dataclass(frozen=True)
class _Line:
    """One axis: what every unknown stands for, and one over the distances between neighbours, ends included."""

    masses: Array
    links: Array
    ring: bool

    @property
    def band(self) -> Array:
        """Diagonal of K = −mass × second difference; its neighbours are −links[1:-1]."""
        return np.asarray(self.links[:-1] + self.links[1:])

    @property
    def constant(self) -> bool:
        """Whether a constant has no second difference."""
        return self.ring or not self.links[[0, -1]].any()

    def eigenvectors(self) -> tuple[Array, Array]:
        """λ, and the columns v with K v = λ M v and vᵀ M v = 1; a zero pair comes first and is known exactly."""
        root = np.sqrt(self.masses)
        if self.ring:  # equal cells: waves
            n = root.size
            k = (np.arange(n) + 1) // 2
            vectors = np.cos(2.0 * np.pi / n * np.outer(np.arange(n), k) - np.where(np.arange(n) % 2, 0.0, 0.5 * np.pi))
            vectors[:, 0] = 1.0
            vectors /= root[:, None] * np.sqrt((vectors**2).sum(axis=0))
            return 4.0 * self.links[0] / self.masses[0] * np.sin(np.pi * k / n) ** 2, vectors
        beside = -self.links[1:-1] / (root[1:] * root[:-1])
        values, vectors = eigh_tridiagonal(self.band / self.masses, beside, lapack_driver="stevd")
        vectors /= root[:, None]
        if self.constant:
            values[0], vectors[:, 0] = 0.0, 1.0 / np.sqrt(self.masses.sum())
        return values, vectors


def _line(grid: Grid, axis: int, nodes: bool) -> _Line:
    widths, distances, ring = grid.widths(axis), grid.distances(axis), grid.periodic[axis]
    if ring:  # equal cells
        return _Line(widths, 1.0 / distances, True)
    if nodes:
        return _Line(distances[1:-1], 1.0 / widths, False)
    links = 1.0 / distances
    links[[0, -1]] = 0.0
    return _Line(widths, links, False)


def _by_modes(rhs: Array, grid: Grid, nodes: tuple[bool, ...]) -> Array:
    r"""On a stretched grid, which has a reflecting axis: the eigenvectors of all axes but one, and elimination along that one.

    With the masses :math:`M_a` and the one-dimensional :math:`K_a` of every axis the equation is
    :math:`\sum_a K_a \prod_{b\ne a} M_b\,\chi = -M\,\mathrm{rhs}`. The eigenvectors :math:`K_a v = \lambda M_a v` of all axes
    but the longest stretched one leave a tridiagonal system along that one for every mode, and all of them are one long one.
    """
    long = max((a for a, curve in enumerate(grid.maps) if not isinstance(curve, Uniform)), key=lambda a: grid.shape[a])
    lines = [_line(grid, a, nodes[a]) for a in range(grid.dim)]
    modes, spectrum = -rhs, np.zeros((1,) * grid.dim)
    vectors = {}
    for a in (a for a in range(grid.dim) if a != long):
        values, vectors[a] = lines[a].eigenvectors()
        spectrum = spectrum + grid.along(values, a)
        modes = _along_axis(vectors[a].T * lines[a].masses, modes, a)
    stretched = np.moveaxis(np.broadcast_to(spectrum, modes.shape), long, -1)
    modes = np.moveaxis(modes, long, -1)
    line, shape = lines[long], modes.shape
    band = np.zeros((2, *shape))  # SciPy's upper form: the coupling to the entry before, and the diagonal
    band[0, ..., 1:] = -line.links[1:-1]
    band[1] = line.band + stretched * line.masses
    load = modes.reshape(-1, line.masses.size) * line.masses
    band = band.reshape(2, -1)
    if all(each.constant for each in lines):
        # The constant mode is the first: λ = 0 along every axis. With its first unknown pinned to zero the rest is definite.
        load[0, 0] = 0.0
        band[0, 1], band[1, 0] = 0.0, 1.0
    chi = np.moveaxis(solveh_banded(band, load.ravel()).reshape(shape), -1, long)
    for a, v in vectors.items():
        chi = _along_axis(v, chi, a)
    if all(each.constant for each in lines):
        mean: Any = chi
        for each in reversed(lines):
            mean = mean @ (each.masses / each.masses.sum())
        chi = chi - mean
    return np.asarray(chi)


def _along_axis(matrix: Array, values: Array, axis: int) -> Array:
    return np.moveaxis(np.tensordot(matrix, values, axes=(1, axis)), 0, axis)
