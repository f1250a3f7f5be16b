"""Fields on the staggered places of a grid: normal components on faces, tangential ones on edges, and what leads between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .differences import to_centers, to_faces, to_means, to_points
from .errors import InvalidInput
from .grid import Array, Grid
from .maps import Uniform
from .threads import in_pieces, shared

SEAM = 1e-9  # relative mismatch of a function round a ring: round-off of x ± a period, a million times over


@dataclass(frozen=True)
class FaceField:
    r"""Normal components of a vector field on the staggered faces of a grid, each the mean over its face.

    Means and areas are the physical ones, on stretched grids too: :math:`F_a A_a` is what passes a face of area :math:`A_a`.
    Across every face runs the line between the two cell centres beside it, of length :math:`d_a`. That F along this line is its
    mean over the face is the one approximation made, the discrete Hodge star; it makes

    .. math::

        \langle F, G\rangle = \sum_a \sum_{\text{faces } \perp a} A_a d_a\,F_a G_a \approx \int F\cdot G\,dx

    the inner product in which gradient and divergence, and the curls of faces and of edges, are adjoint to each other.

    Attributes
    ----------
    grid : Grid
    components : tuple of d arrays
        ``components[a]`` has shape ``grid.face_shape(a)``; a periodic axis stores its first face again as its last.

    Raises
    ------
    InvalidInput
        If the shapes are others.

    Examples
    --------
    >>> from fokkerplanck import Box
    >>> grid = Grid(Box([-1, -1], [1, 1]), (4, 4))
    >>> turning = FaceField.from_function(grid, lambda x: [-x[1], x[0]])
    >>> float(abs(turning.divergence()).max()), turning.curl().components[0][1:-1, 1:-1].round(12).tolist()[0]
    (0.0, [2.0, 2.0, 2.0])
    """

    grid: Grid
    components: tuple[Array, ...]

    def __post_init__(self) -> None:
        shapes = tuple(c.shape for c in self.components)
        expected = tuple(self.grid.face_shape(a) for a in range(self.grid.dim))
        if shapes != expected:
            raise InvalidInput(f"face components: expected shapes {expected}, got {shapes}")

    @classmethod
    def from_function(cls, grid: Grid, function: Callable[[Array], Any], *, points: int = 3) -> FaceField:
        """Face means of a vector field given as a function of x.

        Parameters
        ----------
        grid : Grid
        function : callable
            Maps points, shape (d, ...), to vectors, shape (d, ...). It is called at points on the faces, walls included.
        points : int, keyword only
            Gauss–Legendre points along every axis of a face: means of polynomials up to degree 2 ``points`` − 1 are exact.

        Raises
        ------
        InvalidInput
            If the values have another shape or are not finite, or differ at the two ends of a periodic axis.
        """
        return cls(grid, tuple(_face_means(grid, function, axis, points) for axis in range(grid.dim)))

    @classmethod
    def from_centers(cls, grid: Grid, vectors: ArrayLike, *, closed: bool = False) -> FaceField:
        """Face means from vectors at the cell centres, sixth order where the field and the maps are smooth.

        Parameters
        ----------
        grid : Grid
        vectors : array_like, shape (d, *grid.shape)
            For example a DataArray with leading dimension ``component``.
        closed : bool, keyword only
            Nothing passes the reflecting walls: their faces are zero. By default they are extrapolated.

        Raises
        ------
        InvalidInput
            If the shape is another.
        """
        values = np.asarray(vectors, dtype=float)
        if values.shape != (grid.dim, *grid.shape):
            raise InvalidInput(
                f"vectors: expected shape {(grid.dim, *grid.shape)}, one vector at every cell centre with the components "
                f"first, got {values.shape}"
            )
        components = []
        for axis, component in enumerate(values):
            others = [a for a in range(grid.dim) if a != axis]
            areas = [not isinstance(grid.maps[a], Uniform) for a in others]
            for other, stretched in zip(
                others, areas, strict=True
            ):  # × area, which is smooth in the reference coordinates
                if stretched:
                    component = component * grid.along(grid.stretch(other)[1], other)
                component = to_means(component, other, grid.periodic[other], 6)
            faces = to_faces(component, axis, grid.periodic[axis], 6)
            for other, stretched in zip(others, areas, strict=True):
                if stretched:
                    faces = faces / grid.along(grid.widths(other) / grid.spacing[other], other)
            if closed and not grid.periodic[axis]:
                np.moveaxis(faces, axis, 0)[[0, -1]] = 0.0
            components.append(faces)
        return cls(grid, tuple(components))

    @classmethod
    def from_potential(cls, grid: Grid, chi: ArrayLike) -> FaceField:
        """∇χ of values at the cell centres, shape ``grid.shape``; zero on reflecting walls.

        Raises
        ------
        InvalidInput
            If the shape is another.
        """
        values = np.asarray(chi, dtype=float)
        if values.shape != grid.shape:
            raise InvalidInput(f"chi: expected shape {grid.shape}, one value at every cell centre, got {values.shape}")
        return cls(grid, tuple(across(values, axis, grid) for axis in range(grid.dim)))

    def divergence(self) -> Array:
        """∇·F of each cell: the sum of its outward fluxes per volume, shape ``grid.shape``."""
        grid, total = self.grid, np.empty(self.grid.shape)
        over = [grid.along(1.0 / grid.widths(a), a) for a in range(grid.dim)]

        def piece(rows: slice) -> None:
            for axis, component in enumerate(self.components):
                rise = np.diff(component[rows.start : rows.stop + (axis == 0)], axis=axis)
                rise *= over[axis][rows] if axis == 0 else over[axis]
                if axis == 0:
                    total[rows] = rise
                else:
                    total[rows] += rise

        in_pieces(piece, grid.shape[0], grid.size)
        return total

    def curl(self) -> EdgeField:
        """∇×F: the circulation along the lines between cell centres around every edge (node, in two dimensions) per area.

        Zero on reflecting walls, around which no such line closes.

        Raises
        ------
        InvalidInput
            In one dimension, where nothing can be encircled.
        """
        grid = self.grid
        _need_plane(grid)
        components = []
        for k, terms in enumerate(_CURL_OF_FACES[grid.dim]):
            (face, axis), (other, normal) = terms
            edge = across(self.components[face], axis, grid)
            edge -= across(self.components[other], normal, grid)
            _clear_walls(edge, k, grid)
            components.append(edge)
        return EdgeField(grid, tuple(components))

    def inner(self, other: FaceField) -> float:
        """⟨F, G⟩ ≈ ∫ F·G, every face standing for the volume between the cell centres beside it (at a wall, that up to it)."""
        pairs = zip(self.components, other.components, strict=True)
        return sum(_weighted(f, g, _lines(self.grid, {axis})) for axis, (f, g) in enumerate(pairs))

    def norm(self) -> float:
        """(∫|F|²)^½."""
        return float(np.sqrt(self.inner(self)))

    def largest(self) -> float:
        """Largest absolute face value."""
        return float(np.max([(c.max(), -c.min()) for c in self.components]))  # NaN if there is one

    def __sub__(self, other: FaceField) -> FaceField:
        pairs = zip(self.components, other.components, strict=True)
        return FaceField(self.grid, tuple(shared(np.subtract, f, g) for f, g in pairs))

    def __add__(self, other: FaceField) -> FaceField:
        pairs = zip(self.components, other.components, strict=True)
        return FaceField(self.grid, tuple(shared(np.add, f, g) for f, g in pairs))

    def __mul__(self, factor: float) -> FaceField:
        return FaceField(self.grid, tuple(shared(np.multiply, c, factor) for c in self.components))

    def centered(self) -> Array:
        """Vectors at the cell centres, sixth order, from components that are means over their faces; shape (d, *shape)."""
        grid, vectors = self.grid, np.empty((self.grid.dim, *self.grid.shape))
        for axis, component in enumerate(self.components):
            others = [a for a in range(grid.dim) if a != axis]
            values = component  # on a stretched grid: × area, which is smooth in the reference coordinates
            for other in others:
                if not isinstance(grid.maps[other], Uniform):
                    values = values * grid.along(grid.widths(other) / grid.spacing[other], other)
            values = to_centers(values, axis, grid.periodic[axis], 6, out=None if others else vectors[axis])
            for other in others:
                values = to_points(
                    values, other, grid.periodic[other], 6, out=vectors[axis] if other == others[-1] else None
                )
                if not isinstance(grid.maps[other], Uniform):
                    values /= grid.along(grid.stretch(other)[1], other)
        return vectors


@dataclass(frozen=True)
class EdgeField:
    r"""Tangential components of a vector field on the edges of the cells, each the mean along its edge.

    In three dimensions a component for every axis. In two dimensions one, normal to the plane: values at the nodes, such as a
    stream function ψ, whose curl is :math:`(\partial_y\psi, -\partial_x\psi)`.

    Attributes
    ----------
    grid : Grid
        Of two or three dimensions.
    components : tuple of 3 arrays, or in two dimensions of 1
        ``components[a]`` has shape ``grid.edge_shape(a)``, as many entries as cells along a and as nodes along the others; in
        two dimensions ``(n0 + 1, n1 + 1)``. A periodic axis stores its first node again as its last.

    Raises
    ------
    InvalidInput
        If the shapes are others, or the grid has one dimension.

    Examples
    --------
    >>> from fokkerplanck import Box
    >>> grid = Grid(Box([0, 0, 0], [1, 1, 1]), (4, 5, 6))
    >>> rng = np.random.default_rng(7)
    >>> A = EdgeField(grid, tuple(rng.normal(size=grid.edge_shape(a)) for a in range(3)))
    >>> bool(abs(A.curl().divergence()).max() < 1e-12)
    True
    """

    grid: Grid
    components: tuple[Array, ...]

    def __post_init__(self) -> None:
        _need_plane(self.grid)
        shapes = tuple(c.shape for c in self.components)
        axes = range(3) if self.grid.dim == 3 else (2,)
        expected = tuple(self.grid.edge_shape(a) for a in axes)
        if shapes != expected:
            raise InvalidInput(f"edge components: expected shapes {expected}, got {shapes}")

    def curl(self) -> FaceField:
        """∇×A: the circulation along the edges around every face per area. Its divergence is zero to the last bits."""
        grid, components = self.grid, []
        for terms in _CURL_OF_EDGES[grid.dim]:
            parts = [sign * inside(self.components[edge], axis, grid) for sign, edge, axis in terms]
            components.append(parts[0] if len(parts) == 1 else parts[0] + parts[1])
        return FaceField(grid, tuple(components))

    def divergence(self) -> Array:
        """∇·A at the nodes, shape n + 1 along every axis; zero on reflecting walls, and everywhere in two dimensions."""
        grid = self.grid
        total = np.zeros([n + 1 for n in grid.shape])
        if grid.dim == 3:
            for axis, component in enumerate(self.components):
                total += across(component, axis, grid)
            _clear_walls(total, None, grid)
        return total

    def inner(self, other: EdgeField) -> float:
        """⟨A, B⟩ ≈ ∫ A·B, every edge standing for the volume between the cell centres around it."""
        axes = range(self.grid.dim)
        nodes = [{b for b in axes if b != a} for a in axes] if self.grid.dim == 3 else [set(axes)]
        triples = zip(self.components, other.components, nodes, strict=True)
        return sum(_weighted(f, g, _lines(self.grid, places)) for f, g, places in triples)

    def largest(self) -> float:
        """Largest absolute value."""
        return float(np.max([(c.max(), -c.min()) for c in self.components]))  # NaN if there is one


# (∇×A)_face = Σ sign ∂_axis A_edge, and (∇×F)_edge = ∂_axis F_face − ∂_normal F_other; in two dimensions A = (0, 0, ψ).
_CURL_OF_EDGES = {
    2: (((1.0, 0, 1),), ((-1.0, 0, 0),)),
    3: tuple(((1.0, (a + 2) % 3, (a + 1) % 3), (-1.0, (a + 1) % 3, (a + 2) % 3)) for a in range(3)),
}
_CURL_OF_FACES = {
    2: (((1, 0), (0, 1)),),
    3: tuple((((a + 2) % 3, (a + 1) % 3), ((a + 1) % 3, (a + 2) % 3)) for a in range(3)),
}


def across(values: Array, axis: int, grid: Grid) -> Array:
    """∂ along an axis from the cell centres to the edges between them; zero on reflecting walls."""
    out = np.empty([n + (a == axis) for a, n in enumerate(values.shape)])
    source, target = np.moveaxis(values, axis, 0), np.moveaxis(out, axis, 0)
    np.subtract(source[1:], source[:-1], out=target[1:-1])
    target[0] = target[-1] = source[0] - source[-1] if grid.periodic[axis] else 0.0
    out *= grid.along(1.0 / grid.distances(axis), axis)
    return out


def inside(values: Array, axis: int, grid: Grid) -> Array:
    """∂ along an axis from the cells' edges to the cells."""
    source = np.moveaxis(values, axis, 0)
    out = np.moveaxis(np.empty([n - (a == axis) for a, n in enumerate(values.shape)]), axis, 0)
    np.subtract(source[1:], source[:-1], out=out)
    out = np.moveaxis(out, 0, axis)
    out *= grid.along(1.0 / grid.widths(axis), axis)
    return out


def _clear_walls(values: Array, along: int | None, grid: Grid) -> None:
    """Zero in the reflecting walls, of an array that has nodes along every axis but ``along``; in two dimensions along all."""
    for axis in range(grid.dim):
        if not grid.periodic[axis] and (grid.dim == 2 or axis != along):
            np.moveaxis(values, axis, 0)[[0, -1]] = 0.0


def _lines(grid: Grid, nodes: set[int]) -> list[Array]:
    """What every place stands for along each axis: between neighbouring centres along ``nodes``, a cell along the others."""
    lines = []
    for axis in range(grid.dim):
        line = grid.distances(axis) if axis in nodes else grid.widths(axis)
        if axis in nodes and grid.periodic[axis]:
            line[[0, -1]] *= 0.5  # the same place, stored twice
        lines.append(line)
    return lines


def _weighted(f: Array, g: Array, lines: list[Array]) -> float:
    """Σ f g times the product of the lines, without arrays of products or of weights."""
    total: Any = np.einsum("...k,...k,k->...", f, g, lines[-1])
    for line in reversed(lines[:-1]):
        total = total @ line
    return float(total)


def _need_plane(grid: Grid) -> None:
    if grid.dim == 1:
        raise InvalidInput(
            "curl: expected a grid of two or three dimensions, got one: on a line nothing can be encircled"
        )


def _face_means(grid: Grid, function: Callable[[Array], Any], axis: int, points: int) -> Array:
    nodes, weights = np.polynomial.legendre.leggauss(points)
    lines = []
    for a in range(grid.dim):
        edges = grid.edges(a)
        lines.append(edges if a == axis else (edges[:-1, None] + np.diff(edges)[:, None] * 0.5 * (nodes + 1.0)).ravel())
    x = np.stack(np.meshgrid(*lines, indexing="ij"))
    values = function(x)
    try:
        vectors = np.stack([np.broadcast_to(np.asarray(v, dtype=float), x.shape[1:]) for v in values])
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"function: expected vectors of shape {x.shape}, got {values!r:.60}") from error
    if vectors.shape != x.shape:
        raise InvalidInput(
            f"function: expected vectors of shape {x.shape} at points of that shape, got {vectors.shape}"
        )
    means = vectors[axis]
    if not np.isfinite(means).all():
        where = tuple(np.argwhere(~np.isfinite(means))[0])
        raise InvalidInput(
            f"function: expected finite values, got {means[where]} at {x[(slice(None), *where)].tolist()}"
        )
    for a in (a for a in range(grid.dim) if a != axis):
        split = [*means.shape[:a], grid.shape[a], points, *means.shape[a + 1 :]]
        means = np.tensordot(means.reshape(split), 0.5 * weights, axes=(a + 1, 0))
    means = np.ascontiguousarray(means)
    if grid.periodic[axis]:
        ends = np.moveaxis(means, axis, 0)
        gap, size = float(np.abs(ends[-1] - ends[0]).max()), float(np.abs(means).max())
        if gap > SEAM * size:
            raise InvalidInput(
                f"periodic axis {axis}: expected a function with the same values at {grid.box.lower[axis]:g} and "
                f"{grid.box.upper[axis]:g}, got a jump of {gap:.2g} (largest value {size:.2g})"
            )
        ends[-1] = ends[0]
    return means
