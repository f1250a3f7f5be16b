r"""Maps of an axis: where the cells of a stretched grid are.

A map takes the reference coordinate :math:`s \in [0, 1]`, in which the cells are equal, to a position between the ends of the
axis. It is strictly increasing and its ends are those of the box, exactly. Schemes keep their order where it is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, fields
from math import isfinite
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput

Array = NDArray[np.float64]

FEWEST = 5  # edges: those of four cells, the fewest a grid has


@dataclass(frozen=True)
class Uniform:
    r"""Equal cells, :math:`x = \ell + s\,(u - \ell)`.

    Examples
    --------
    >>> Uniform().positions(np.linspace(0, 1, 5), -2.0, 2.0).tolist()
    [-2.0, -1.0, 0.0, 1.0, 2.0]
    """

    def positions(self, s: Array, lower: float, upper: float) -> Array:
        """x at the reference coordinates s in [0, 1], same shape, in the units of the axis."""
        return _with_ends(lower + s * (upper - lower), s, lower, upper)

    def slopes(self, s: Array, lower: float, upper: float) -> Array:
        """dx/ds at the reference coordinates s, same shape, in the units of the axis."""
        return np.full(np.shape(s), upper - lower)


@dataclass(frozen=True)
class Sinh:
    r"""Cells that widen in proportion to the distance from a centre, :math:`x = c + a\sinh t` with t linear in s.

    Equal cells within about the scale a of the centre, equal steps of :math:`\ln|x - c|` far from it: a box of :math:`10^4`
    scales costs about ten times the cells of a box of one. The map for densities that decay as a power.

    Parameters
    ----------
    center : float, optional
        c, in the units of the axis; by default the middle of the box. It may lie outside the box.
    scale : float, keyword only
        a > 0, in the units of the axis.

    Raises
    ------
    InvalidInput
        If the scale is not a positive number or the centre no finite one.

    Examples
    --------
    >>> x = Sinh(scale=0.1).positions(np.linspace(0, 1, 7), -100.0, 100.0)
    >>> x.round(2).tolist()
    [-100.0, -7.94, -0.63, 0.0, 0.63, 7.94, 100.0]
    """

    center: float | None = None
    _: KW_ONLY
    scale: float

    def __post_init__(self) -> None:
        _check(self)

    def positions(self, s: Array, lower: float, upper: float) -> Array:
        """x at the reference coordinates s in [0, 1], same shape, in the units of the axis."""
        c = _center(self.center, lower, upper)
        first, last = np.arcsinh((np.array([lower, upper]) - c) / self.scale)
        return _with_ends(c + self.scale * np.sinh(first + s * (last - first)), s, lower, upper)

    def slopes(self, s: Array, lower: float, upper: float) -> Array:
        """dx/ds at the reference coordinates s, same shape, in the units of the axis."""
        c = _center(self.center, lower, upper)
        first, last = np.arcsinh((np.array([lower, upper]) - c) / self.scale)
        return self.scale * (last - first) * np.cosh(first + s * (last - first))


@dataclass(frozen=True)
class Algebraic:
    r"""Cells that widen as the cube of the distance from a centre, :math:`x = c + a\,t/\sqrt{1 - t^2}` with t linear in s.

    Denser in the middle than :class:`Sinh` and coarser outside: with n cells, smooth enough for boxes that reach up to about
    :math:`a\sqrt{n}/2` from the centre, beyond which the outermost cell is most of the axis.

    Parameters
    ----------
    center : float, optional
        c, in the units of the axis; by default the middle of the box. It may lie outside the box.
    scale : float, keyword only
        a > 0, in the units of the axis.

    Raises
    ------
    InvalidInput
        If the scale is not a positive number or the centre no finite one.

    References
    ----------
    J. P. Boyd, J. Comput. Phys. 69, 112 (1987), doi:10.1016/0021-9991(87)90158-6 (algebraic map of an infinite interval).

    Examples
    --------
    >>> x = Algebraic(scale=1.0).positions(np.linspace(0, 1, 7), -3.0, 3.0)
    >>> x.round(2).tolist()
    [-3.0, -0.82, -0.33, 0.0, 0.33, 0.82, 3.0]
    """

    center: float | None = None
    _: KW_ONLY
    scale: float

    def __post_init__(self) -> None:
        _check(self)

    def positions(self, s: Array, lower: float, upper: float) -> Array:
        """x at the reference coordinates s in [0, 1], same shape, in the units of the axis."""
        c = _center(self.center, lower, upper)
        left, right = ((1.0 - s) * end[0] + s * end[1] for end in self._ends(lower, upper))
        return _with_ends(c + self.scale * 0.5 * (right - left) / np.sqrt(left * right), s, lower, upper)

    def slopes(self, s: Array, lower: float, upper: float) -> Array:
        """dx/ds at the reference coordinates s, same shape, in the units of the axis."""
        below, above = self._ends(lower, upper)
        left, right = ((1.0 - s) * end[0] + s * end[1] for end in (below, above))
        rise = below[0] - below[1] if above.min() > 1.0 else above[1] - above[0]  # of t, from the small ones
        return self.scale * rise * (left * right) ** -1.5

    def _ends(self, lower: float, upper: float) -> tuple[Array, Array]:
        """1 − t and 1 + t at both ends: each by itself, because far out t differs from ±1 by less than round-off."""
        y = (np.array([lower, upper]) - _center(self.center, lower, upper)) / self.scale
        root = np.hypot(1.0, y)
        near = 1.0 / (root * (root + np.abs(y)))
        return np.where(y > 0.0, near, 2.0 - near), np.where(y > 0.0, 2.0 - near, near)


@dataclass(frozen=True, init=False, repr=False)
class Edges:
    """Any edges: the grid with exactly as many cells has exactly these, others the monotone cubic through them.

    Parameters
    ----------
    edges : array_like, shape (n + 1,)
        At least 5, strictly increasing, in the units of the axis, from its lower to its upper end.

    Raises
    ------
    InvalidInput
        If they are not.

    References
    ----------
    F. N. Fritsch and J. Butland, SIAM J. Sci. Stat. Comput. 5, 300 (1984), doi:10.1137/0905021 (monotone cubic).

    Examples
    --------
    >>> edges = Edges([0, 1, 2, 4, 8])
    >>> edges.positions(np.linspace(0, 1, 5), 0.0, 8.0).tolist()
    [0.0, 1.0, 2.0, 4.0, 8.0]
    >>> edges.positions(np.linspace(0, 1, 9), 0.0, 8.0).round(2).tolist()
    [0.0, 0.5, 1.0, 1.46, 2.0, 2.83, 4.0, 5.71, 8.0]
    """

    edges: tuple[float, ...]

    def __init__(self, edges: Any) -> None:
        try:
            values = np.asarray(edges, dtype=float)
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"edges: expected numbers, got {edges!r:.60}") from error
        if values.ndim != 1 or values.size < FEWEST:
            raise InvalidInput(
                f"edges: expected a vector of at least {FEWEST} edges (of four cells), got shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise InvalidInput(f"edges: expected finite numbers, got {values[~np.isfinite(values)][0]}")
        if not (np.diff(values) > 0.0).all():
            k = int(np.argmax(np.diff(values) <= 0.0))
            raise InvalidInput(
                f"edges: expected strictly increasing numbers, got {values[k]:.17g} followed by {values[k + 1]:.17g}"
            )
        object.__setattr__(self, "edges", tuple(values.tolist()))

    def __repr__(self) -> str:
        return f"Edges(<{len(self.edges)} from {self.edges[0]:g} to {self.edges[-1]:g}>)"

    def positions(self, s: Array, lower: float, upper: float) -> Array:
        """x at the reference coordinates s in [0, 1], same shape, in the units of the axis."""
        edges = np.array(self.edges)
        if edges[0] != lower or edges[-1] != upper:
            raise InvalidInput(
                f"edges: expected to run from the lower to the upper end of the axis, {lower!r} to {upper!r}, got "
                f"{self.edges[0]!r} to {self.edges[-1]!r}. Take the first and the last edge as corners of the box"
            )
        from scipy.interpolate import PchipInterpolator  # slow to import, and rarely needed

        knots = np.arange(edges.size) / (edges.size - 1)
        nearest = np.rint(s * (edges.size - 1)).astype(int)
        # Equal fractions are equal doubles, so an edge that two grids share is found, and is not left to round-off.
        return np.where(s == knots[nearest], edges[nearest], PchipInterpolator(knots, edges)(s))


AxisMap = Uniform | Sinh | Algebraic | Edges


def axis_maps(maps: Any, dim: int) -> tuple[AxisMap, ...]:
    """One map per axis from one for all, one per axis, arrays of edges, or None for equal cells."""
    if maps is None or isinstance(maps, AxisMap):
        return (maps or Uniform(),) * dim
    if not isinstance(maps, (Sequence, np.ndarray)) or isinstance(maps, str):
        raise InvalidInput(f"maps: expected an axis map, one per axis or None, got {maps!r:.60}")
    if len(maps) and all(isinstance(entry, Real) for entry in maps):
        return (Edges(maps),) * dim
    if len(maps) != dim:
        raise InvalidInput(f"maps: expected one axis map or one per axis ({dim} here), got {len(maps)}: {maps!r:.60}")
    return tuple(
        entry if isinstance(entry, AxisMap) else Uniform() if entry is None else Edges(entry) for entry in maps
    )


def described(curve: AxisMap) -> dict[str, Any]:
    """A map as plain values, from which :func:`restored` makes it again."""
    return {"map": type(curve).__name__, **{f.name: getattr(curve, f.name) for f in fields(curve) if f.name != "_"}}


def restored(description: dict[str, Any]) -> AxisMap:
    """The map that :func:`described` described."""
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (Uniform, Sinh, Algebraic, Edges)}
    arguments = dict(description)
    kind = arguments.pop("map")
    return kinds[kind](**arguments)


def _check(curve: Sinh | Algebraic) -> None:
    name = type(curve).__name__
    if not (isinstance(curve.scale, Real) and 0.0 < curve.scale < float("inf")):
        raise InvalidInput(f"{name}: expected a positive scale, in the units of the axis, got {curve.scale!r}")
    if curve.center is not None and not (isinstance(curve.center, Real) and isfinite(curve.center)):
        raise InvalidInput(f"{name}: expected a finite center, or None for the middle of the box, got {curve.center!r}")


def _center(center: float | None, lower: float, upper: float) -> float:
    return 0.5 * (lower + upper) if center is None else center


def _with_ends(x: Array, s: Array, lower: float, upper: float) -> Array:
    return np.where(s == 0.0, lower, np.where(s == 1.0, upper, x))
