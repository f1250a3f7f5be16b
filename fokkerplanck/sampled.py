"""Coefficients given as samples on a tensor-product grid: cubic splines through them, and the exact derivatives of those."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InvalidInput

Array = NDArray[np.float64]

DEGREE = 3
FEWEST = DEGREE + 1  # samples along an axis, which one cubic takes
ROUND_OFF = (
    1e-12  # of an axis, by which points computed in another way lie outside of it; of the values, by which ends differ
)


class Samples:
    """A function of points (d, ...) with values (*lead, ...) through samples: cubic along every axis, twice differentiable.

    Where the sampled function is smooth its error falls with the fourth power of the distance of the samples, that of its
    slopes with the third. Axes end as their outer cubics do (not-a-knot), periodic ones join smoothly.

    Parameters
    ----------
    axes : sequence of d ndarray
    values : ndarray, shape (*lead, n_0, ..., n_{d-1})
    periodic : sequence of d bool
    """

    def __init__(self, axes: Sequence[Array], values: Array, periodic: Sequence[bool]) -> None:
        self.axes, self.periodic = tuple(axes), tuple(periodic)
        self._values = values
        self._lead = values.shape[: values.ndim - len(self.axes)]

    def __repr__(self) -> str:
        return f"cubic splines through {' × '.join(str(line.size) for line in self.axes)} samples"

    @cached_property
    def _spline(self) -> Any:
        from scipy.interpolate import NdBSpline, make_interp_spline  # slow to import, and not needed to solve

        knots, coefficients = [], np.moveaxis(self._values, range(len(self._lead)), range(-len(self._lead), 0))
        for a, (line, closed) in enumerate(zip(self.axes, self.periodic, strict=True)):
            along = np.moveaxis(coefficients, a, 0)
            if closed:
                along = np.concatenate([along[:-1], along[:1]])  # equal to round-off, and to be equal
            one = make_interp_spline(line, along, k=DEGREE, bc_type="periodic" if closed else None)
            knots.append(one.t)
            coefficients = np.moveaxis(one.c, 0, a)
        return NdBSpline(tuple(knots), np.ascontiguousarray(coefficients), k=DEGREE)

    def __call__(self, x: Array) -> Array:
        return self._at(x, None)

    def divergence(self, x: Array) -> Array:
        """∂_j F_ij of a matrix F, shape (lead[0], ...)."""
        return np.asarray(sum(self._at(x, axis)[:, axis] for axis in range(len(self.axes))))

    def _at(self, x: Array, slope: int | None) -> Array:
        """Values, or slopes along an axis."""
        points = np.moveaxis(self._inside(np.asarray(x, dtype=float)), 0, -1)
        nu = [int(a == slope) for a in range(len(self.axes))]
        return np.moveaxis(
            self._spline(points, nu=nu),
            range(points.ndim - 1, points.ndim - 1 + len(self._lead)),
            range(len(self._lead)),
        )

    def _inside(self, x: Array) -> Array:
        """Points wrapped round periodic axes; those outside of the others are refused."""
        out = np.empty_like(x)
        for a, (line, closed) in enumerate(zip(self.axes, self.periodic, strict=True)):
            low, high = line[0], line[-1]
            if closed:
                out[a] = low + np.mod(x[a] - low, high - low)
                continue
            out[a] = np.clip(x[a], low, high)
            away = np.abs(out[a] - x[a])
            if away.size and away.max() > ROUND_OFF * (high - low):
                raise InvalidInput(
                    f"samples: expected points from {low:g} to {high:g} along axis {a}, got "
                    f"{float(x[a].flat[int(away.argmax())]):g}: samples are not extrapolated. Take a smaller box, or samples "
                    "that reach to its walls"
                )
        return out


def sample_axes(points: Any, periodic: bool | Sequence[bool]) -> tuple[tuple[Array, ...], tuple[bool, ...]]:
    """The axes of the samples, checked, and which of them are periodic.

    Raises
    ------
    InvalidInput
    """
    lines = [points] if isinstance(points, np.ndarray) and points.ndim == 1 else points
    try:
        axes = tuple(np.array(line, dtype=float) for line in lines)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"points: expected one increasing array per axis, got {points!r:.80}") from error
    if not axes or any(line.ndim != 1 for line in axes):
        raise InvalidInput(
            "points: expected one increasing array per axis, as numpy.meshgrid takes them, got shapes "
            f"{[line.shape for line in axes]}"
        )
    for a, line in enumerate(axes):
        if line.size < FEWEST or not np.isfinite(line).all() or not (np.diff(line) > 0.0).all():
            raise InvalidInput(
                f"points: expected at least {FEWEST} finite, increasing numbers along axis {a}, got {line.tolist()!r:.80}"
            )
        line.setflags(write=False)
    closed = (bool(periodic),) * len(axes) if isinstance(periodic, (bool, np.bool_)) else tuple(map(bool, periodic))
    if len(closed) != len(axes):
        raise InvalidInput(
            f"periodic: expected True or False, or one of them per axis ({len(axes)} here), got {periodic!r}"
        )
    return axes, closed


def sampled(
    axes: Sequence[Array], periodic: Sequence[bool], values: ArrayLike, lead: tuple[int, ...], name: str
) -> Samples | Array:
    """Samples of shape (*lead, n_0, ...), or the constant (*lead) or number that was given instead.

    Raises
    ------
    InvalidInput
    """
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers")
        given = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: expected an array of real numbers, got {values!r:.80}") from error
    if given.shape in ((), lead):
        return given
    shape = (*lead, *(line.size for line in axes))
    if given.shape != shape:
        raise InvalidInput(
            f"{name}: expected samples of shape {shape}, components first and then the points along each axis (or a "
            f"constant of shape {lead}), got {given.shape}"
        )
    if not np.isfinite(given).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(given))[0])
        raise InvalidInput(f"{name}: expected finite samples, got {given[where]} at index {where}")
    for a, closed in enumerate(periodic):
        ends = (given.take(end, axis=len(lead) + a) for end in (0, -1))
        apart = float(np.abs(np.subtract(*ends)).max())
        if closed and apart > ROUND_OFF * float(np.abs(given).max()):
            raise InvalidInput(
                f"{name}: expected the same samples at both ends of the periodic axis {a}, which are one point, got values "
                f"that differ by {apart:.3g}. Repeat the first sample after the last, at the end of the period"
            )
    return Samples(axes, given, periodic)
