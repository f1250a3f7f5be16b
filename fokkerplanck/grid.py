"""Geometry only: the box, the tensor-product grid in it, and its staggered locations.

Cells carry densities, faces the normal component of the current, nodes the stream function (in space, edges the vector
potential)::

        axis 1
          ^       node ---- face[1] ---- node
          |        |                      |
          |     face[0]     cell      face[0]      indices run [axis 0, axis 1, axis 2]
          |        |                      |
                  node ---- face[1] ---- node --> axis 0

A grid of ``n`` cells along an axis has ``n + 1`` faces there, both ends included; along a periodic axis
the first and the last face are the same face, stored twice.

Cells are equal in a reference coordinate that fills the same box. Where an axis has a map (:mod:`fokkerplanck.maps`), its
edges are the images of the reference cells' edges and its cell centres the images of their centres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .differences import slopes
from .errors import InvalidInput
from .maps import AxisMap, Edges, Uniform, axis_maps
from .tensors import BLOCK

Array = NDArray[np.float64]

BOUNDARIES = ("reflecting", "periodic")
SMALLEST = 4  # cubic interpolation between nested grids needs four cells along every axis


@dataclass(frozen=True, init=False)
class Box:
    r"""The domain :math:`\prod_a [\ell_a, u_a]`.

    Parameters
    ----------
    lower, upper : array_like, shape (d,)
        The corners, in the units of the state; ``lower < upper`` on every axis, d = 1, 2 or 3.
    boundary : {"reflecting", "periodic"} or one of them per axis
        Reflecting: no probability crosses the wall, :math:`J\cdot n = 0`. Periodic: the two ends are one.

    Raises
    ------
    InvalidInput
        If the corners do not fit each other or are not finite, or the boundary is unknown.

    Examples
    --------
    >>> Box([-5, 0], [5, 6.28], boundary=["reflecting", "periodic"]).periodic
    (False, True)
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    boundary: tuple[str, ...]

    def __init__(self, lower: ArrayLike, upper: ArrayLike, *, boundary: str | Sequence[str] = "reflecting") -> None:
        try:
            low = np.atleast_1d(np.asarray(lower, dtype=float))
            high = np.atleast_1d(np.asarray(upper, dtype=float))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"lower and upper: expected d numbers each, got {lower!r} and {upper!r}") from error
        if low.ndim != 1 or low.shape != high.shape or not 1 <= low.size <= 3:
            raise InvalidInput(
                "lower and upper: expected two vectors of the same length d = 1, 2 or 3 "
                f"(densities are gridded in at most three dimensions), got shapes {low.shape} and {high.shape}"
            )
        if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
            raise InvalidInput(
                f"expected finite lower < upper on every axis, got lower = {low.tolist()}, upper = {high.tolist()}"
            )
        kinds = (boundary,) * low.size if isinstance(boundary, str) else tuple(boundary)
        if len(kinds) != low.size or any(kind not in BOUNDARIES for kind in kinds):
            raise InvalidInput(
                f"boundary: expected one of {BOUNDARIES}, or one per axis ({low.size} here), got {boundary!r}"
            )
        object.__setattr__(self, "lower", tuple(low.tolist()))
        object.__setattr__(self, "upper", tuple(high.tolist()))
        object.__setattr__(self, "boundary", kinds)

    @property
    def dim(self) -> int:
        return len(self.lower)

    @property
    def widths(self) -> Array:
        return np.subtract(self.upper, self.lower)

    @property
    def periodic(self) -> tuple[bool, ...]:
        return tuple(kind == "periodic" for kind in self.boundary)


@dataclass(frozen=True, init=False)
class Grid:
    r"""Cells of a box, at least 4 along every axis: equal ones, or the images of equal ones under a map of the axis.

    With the reference coordinate :math:`\xi = \ell + s\,(u - \ell)`, in which n cells have the width ``spacing``, the edges
    are at map(k/n) and the cell centres at map((k + ½)/n); a centre need not be in the middle of its cell.

    Parameters
    ----------
    box : Box
    shape : tuple of int, length d
        Number of cells along each axis.
    maps : axis map or one per axis, keyword only
        :class:`Uniform` (by default, also as None), :class:`Sinh`, :class:`Algebraic` or :class:`Edges`; an array counts as
        Edges. Periodic axes have equal cells.

    Raises
    ------
    InvalidInput
        If shape or maps do not fit the box, a periodic axis is stretched, or cells are too narrow for double precision.

    Examples
    --------
    >>> grid = Grid(Box([0, 0], [1, 2]), (4, 8))
    >>> grid.spacing.tolist(), grid.cell_volume
    ([0.25, 0.25], 0.0625)
    >>> Grid(Box([0, 0], [8, 2]), (4, 4), maps=([0, 1, 2, 4, 8], None)).widths(0).tolist()
    [1.0, 1.0, 2.0, 4.0]
    """

    box: Box
    shape: tuple[int, ...]
    maps: tuple[AxisMap, ...]

    def __init__(self, box: Box, shape: tuple[int, ...], *, maps: Any = None) -> None:
        cells = np.atleast_1d(np.asarray(shape))
        counts = tuple(cells.tolist())
        if cells.ndim != 1 or cells.dtype.kind not in "iu" or len(counts) != box.dim or min(counts) < SMALLEST:
            raise InvalidInput(f"shape: expected {box.dim} whole numbers of at least {SMALLEST} cells, got {shape!r}")
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "shape", counts)
        object.__setattr__(self, "maps", axis_maps(maps, box.dim))
        for axis, curve in enumerate(self.maps):
            if not isinstance(curve, Uniform):
                self._check_axis(axis, curve)

    def _check_axis(self, axis: int, curve: AxisMap) -> None:
        if self.periodic[axis]:
            raise InvalidInput(
                f"maps: expected equal cells along the periodic axis {axis}, got {curve!r}. Pass None for that axis"
            )
        n = self.shape[axis]
        halves = curve.positions(np.arange(2 * n + 1) / (2 * n), self.box.lower[axis], self.box.upper[axis])
        narrow = ~(np.diff(halves) > 0.0)
        if narrow.any():
            raise InvalidInput(
                f"maps: expected increasing edges and cell centres along axis {axis}, got two at "
                f"{halves[int(np.argmax(narrow))]:.17g} with {curve!r} and {n} cells: they are too narrow for double "
                "precision. Take a larger scale"
            )

    @property
    def dim(self) -> int:
        return self.box.dim

    @property
    def periodic(self) -> tuple[bool, ...]:
        return self.box.periodic

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def uniform(self) -> bool:
        """Whether the cells are equal along every axis."""
        return all(isinstance(curve, Uniform) for curve in self.maps)

    @property
    def reference(self) -> Grid:
        """The equal cells of which these are the images: same box, same shape, no maps."""
        return self if self.uniform else Grid(self.box, self.shape)

    @cached_property
    def spacing(self) -> Array:
        """Width of a cell along each axis in the reference coordinate, shape (d,)."""
        return self.box.widths / self.shape

    @cached_property
    def cell_volume(self) -> float:
        """Volume of every cell of a uniform grid.

        Raises
        ------
        InvalidInput
            On a stretched grid, where cells differ: see ``cell_volumes``.
        """
        if not self.uniform:
            raise InvalidInput(
                f"cell_volume: expected a uniform grid, got maps {self.maps}. Use cell_volumes, one number per cell"
            )
        return float(np.prod(self.spacing))

    @cached_property
    def cell_volumes(self) -> Array:
        """What the value at each cell centre counts in an integral: the product of :meth:`weights`, shape ``shape``."""
        if self.uniform:
            return np.broadcast_to(self.cell_volume, self.shape)
        return reduce(np.multiply, (self.along(self.weights(a), a) for a in range(self.dim)))

    def edges(self, axis: int) -> Array:
        """Positions of the faces along one axis, shape (n + 1,)."""
        n, lower, upper = self.shape[axis], self.box.lower[axis], self.box.upper[axis]
        if isinstance(self.maps[axis], Uniform):
            return np.linspace(lower, upper, n + 1)
        return self.maps[axis].positions(np.arange(n + 1) / n, lower, upper)

    def centers(self, axis: int) -> Array:
        """Positions of the cell centres along one axis, shape (n,)."""
        if isinstance(self.maps[axis], Uniform):
            edges = self.edges(axis)
            return 0.5 * (edges[1:] + edges[:-1])
        n = self.shape[axis]
        return self.maps[axis].positions(np.arange(1, 2 * n, 2) / (2 * n), self.box.lower[axis], self.box.upper[axis])

    def widths(self, axis: int) -> Array:
        """Widths of the cells along one axis, shape (n,)."""
        if isinstance(self.maps[axis], Uniform):
            return np.full(self.shape[axis], self.spacing[axis])
        return np.diff(self.edges(axis))

    def weights(self, axis: int) -> Array:
        r"""What the value at each cell centre counts in an integral along one axis, shape (n,).

        :math:`h\,dx/d\xi` there, the midpoint rule in the reference coordinate: for smooth functions that vanish before the
        walls its error falls faster than any power of h. The widths differ from it by second order, and so would integrals. Of
        given :class:`Edges`, whose derivative is rough, the widths.
        """
        curve, n = self.maps[axis], self.shape[axis]
        if isinstance(curve, Edges):
            return self.widths(axis)
        return curve.slopes(np.arange(1, 2 * n, 2) / (2 * n), self.box.lower[axis], self.box.upper[axis]) / n

    def distances(self, axis: int) -> Array:
        """Distances of neighbouring cell centres along one axis, at a wall that from the centre to it, shape (n + 1,)."""
        if isinstance(self.maps[axis], Uniform):
            gaps = np.full(self.shape[axis] + 1, self.spacing[axis])
            if not self.periodic[axis]:
                gaps[[0, -1]] *= 0.5
            return gaps
        edges = self.edges(axis)
        return np.diff(np.concatenate([edges[:1], self.centers(axis), edges[-1:]]))

    def stretch(self, axis: int) -> tuple[Array, Array]:
        """dx/dξ at the faces along one axis, shape (n + 1,), and at the cell centres, shape (n,); of Edges to sixth order."""
        curve, n = self.maps[axis], self.shape[axis]
        if isinstance(curve, Edges):
            positions = np.empty(2 * n + 1)
            positions[::2], positions[1::2] = self.edges(axis), self.centers(axis)
            slope = slopes(positions) / (0.5 * self.spacing[axis])
        else:
            ends = self.box.lower[axis], self.box.upper[axis]
            slope = curve.slopes(np.arange(2 * n + 1) / (2 * n), *ends) / (ends[1] - ends[0])
        return slope[::2], slope[1::2]

    def along(self, line: Array, axis: int) -> Array:
        """A vector along one axis, shaped so that it broadcasts over arrays of cells or faces."""
        return line.reshape([-1 if a == axis else 1 for a in range(self.dim)])

    def cell_points(self) -> Array:
        """Coordinates of every cell centre, shape (d, *shape)."""
        return self._lattice([self.centers(a) for a in range(self.dim)])

    def normalised(self, log_density: Callable[[Array], ArrayLike]) -> Array:
        r"""A density known up to a factor, at the cell centres: :math:`q = e^f/\sum e^f\Delta V`, shape ``shape``.

        Parameters
        ----------
        log_density : callable
            f, from points (d, ...) to (...). Minus infinity where there is no probability.

        Raises
        ------
        InvalidInput
            For values of another shape, NaN, plus infinity, and no probability anywhere.

        Examples
        --------
        >>> grid = Grid(Box([-8.0], [8.0]), (128,))
        >>> float(grid.normalised(lambda x: -0.5 * x[0] ** 2).max().round(3))  # 1/√2π
        0.398
        """
        values = np.asarray(log_density(self.cell_points()), dtype=float)
        if values.shape != self.shape:
            raise InvalidInput(
                f"log_density: expected values of shape {self.shape} at points of shape {(self.dim, *self.shape)}, got "
                f"{values.shape}"
            )
        largest = float(values.max())
        if not math.isfinite(largest):
            raise InvalidInput(
                f"log_density: expected a finite largest value, got {largest}: the logarithm of a density is a number, or "
                "minus infinity where there is no probability"
            )
        weights = np.exp(values - largest)
        return np.asarray(weights / (weights * self.cell_volumes).sum())

    def face_shape(self, axis: int) -> tuple[int, ...]:
        """Shape of an array on the faces normal to one axis."""
        return tuple(n + (a == axis) for a, n in enumerate(self.shape))

    def face_points(self, axis: int) -> Array:
        """Coordinates of the centres of the faces normal to one axis, shape (d, *face_shape(axis))."""
        return self._lattice([self.edges(a) if a == axis else self.centers(a) for a in range(self.dim)])

    def _lattice(self, lines: list[Array]) -> Array:
        """Every combination of positions along the axes, written once: meshgrid and stack would write them twice."""
        points = np.empty((self.dim, *(line.size for line in lines)))
        for a, line in enumerate(lines):
            points[a] = self.along(line, a)
        return points

    def slabs(self, axis: int | None = None) -> Iterator[tuple[slice, Array]]:
        """The points where functions of x are sampled, as many planes of them at a time as stay in the cache.

        Parameters
        ----------
        axis : int, optional
            The centres of the faces normal to this axis, without those on reflecting walls; by default the cell centres.

        Yields
        ------
        planes : slice
            Of the first axis.
        points : ndarray, shape (d, planes, ...)
            The next ones are written over them.

        Examples
        --------
        >>> grid = Grid(Box([0, 0], [4, 4]), (4, 4))
        >>> total = np.empty(grid.shape)
        >>> for planes, x in grid.slabs():
        ...     total[planes] = x[0] + x[1]
        >>> total[0].tolist()
        [1.0, 2.0, 3.0, 4.0]
        """
        lines = [self.centers(a) for a in range(self.dim)]
        if axis is not None:
            lines[axis] = self.edges(axis) if self.periodic[axis] else self.edges(axis)[1:-1]
        step = max(1, round(BLOCK / math.prod(line.size for line in lines[1:])))
        room = self._lattice([lines[0][:step], *lines[1:]])
        for start in range(0, lines[0].size, step):
            planes = slice(start, min(start + step, lines[0].size))
            points = room[:, : planes.stop - start]
            points[0] = self.along(lines[0][planes], 0)
            yield planes, points

    def edge_shape(self, axis: int) -> tuple[int, ...]:
        """Shape of an array on the edges along one axis: cells along it, nodes along the others; along none, on the nodes."""
        return tuple(n + (a != axis) for a, n in enumerate(self.shape))

    def refine(self) -> Grid:
        """Every cell halved along every axis, in the reference coordinate; the maps stay."""
        return Grid(self.box, tuple(2 * n for n in self.shape), maps=self.maps)
