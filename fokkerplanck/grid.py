"""Geometry only: the box, the uniform tensor-product grid in it, and its staggered locations.

Cells carry densities, faces carry the normal component of the current, nodes carry the stream function::

        axis 1
          ^       node ---- face[1] ---- node
          |        |                      |
          |     face[0]     cell      face[0]      indices run [axis 0, axis 1, axis 2]
          |        |                      |
                  node ---- face[1] ---- node --> axis 0

A grid of ``n`` cells along an axis has ``n + 1`` faces there, both ends included; along a periodic axis
the first and the last face are the same face, stored twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInput

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


@dataclass(frozen=True)
class Grid:
    """Uniform cells of a box, at least 4 along every axis.

    Parameters
    ----------
    box : Box
    shape : tuple of int, length d
        Number of cells along each axis.

    Examples
    --------
    >>> grid = Grid(Box([0, 0], [1, 2]), (4, 8))
    >>> grid.spacing.tolist(), grid.cell_volume
    ([0.25, 0.25], 0.0625)
    """

    box: Box
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        cells = np.atleast_1d(np.asarray(self.shape))
        whole = cells.ndim == 1 and cells.dtype.kind in "iu"
        shape = tuple(cells.tolist())
        if not whole or len(shape) != self.box.dim or min(shape) < SMALLEST:
            raise InvalidInput(
                f"shape: expected {self.box.dim} whole numbers of at least {SMALLEST} cells, got {self.shape!r}"
            )
        object.__setattr__(self, "shape", shape)

    @property
    def dim(self) -> int:
        return self.box.dim

    @property
    def periodic(self) -> tuple[bool, ...]:
        return self.box.periodic

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def spacing(self) -> Array:
        return self.box.widths / self.shape

    @property
    def cell_volume(self) -> float:
        return float(np.prod(self.spacing))

    def edges(self, axis: int) -> Array:
        """Positions of the faces along one axis, shape (n + 1,)."""
        return np.linspace(self.box.lower[axis], self.box.upper[axis], self.shape[axis] + 1)

    def centers(self, axis: int) -> Array:
        """Positions of the cell centres along one axis, shape (n,)."""
        edges = self.edges(axis)
        return 0.5 * (edges[1:] + edges[:-1])

    def cell_points(self) -> Array:
        """Coordinates of every cell centre, shape (d, *shape)."""
        return np.stack(np.meshgrid(*map(self.centers, range(self.dim)), indexing="ij"))

    def face_shape(self, axis: int) -> tuple[int, ...]:
        """Shape of an array on the faces normal to one axis."""
        return tuple(n + (a == axis) for a, n in enumerate(self.shape))

    def face_points(self, axis: int) -> Array:
        """Coordinates of the centres of the faces normal to one axis, shape (d, *face_shape(axis))."""
        lines = [self.edges(a) if a == axis else self.centers(a) for a in range(self.dim)]
        return np.stack(np.meshgrid(*lines, indexing="ij"))

    def refine(self) -> Grid:
        """Every cell halved along every axis."""
        return Grid(self.box, tuple(2 * n for n in self.shape))
