"""Interpolation, slopes and means along one axis of an array of equal cells, of fourth and sixth order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import comb, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernels import along as kernel
from .threads import in_planes

Array = NDArray[np.float64]

# By order 2k. Of 2k cells: interpolated to the face in their middle, and the slope there, in 1/h. Of the k cells ahead, minus
# those behind: the slope at a cell. Exact for polynomials of degree 2k − 1, slopes of degree 2k.
ACROSS = {4: (-1 / 16, 9 / 16, 9 / 16, -1 / 16), 6: (3 / 256, -25 / 256, 75 / 128, 75 / 128, -25 / 256, 3 / 256)}
SLOPE = {4: (1 / 24, -9 / 8, 9 / 8, -1 / 24), 6: (-3 / 640, 25 / 384, -75 / 64, 75 / 64, -25 / 384, 3 / 640)}
ALONG = {4: (2 / 3, -1 / 12), 6: (3 / 4, -3 / 20, 1 / 60)}
# Of the second, fourth … difference: what a mean over a cell is more than its centre value, and the other way round.
TO_MEAN = {4: (1 / 24,), 6: (1 / 24, -17 / 5760)}
TO_POINT = {4: (-1 / 24,), 6: (-1 / 24, 3 / 640)}

LONG = 48  # values along a line from which on only its middle grows: weights differ in at most ten places at either end


def averages(cells: Array, axis: int, periodic: bool) -> Array:
    """¼, ½, ¼ along an axis; beyond a wall there is the last cell again."""
    return _along(_averages, cells, axis, periodic, ())


def between(cells: Array, axis: int, *, out: Array | None = None) -> Array:
    """The mean of the cells beside every face; at both ends the nearest, whatever the boundary."""
    return _along(_between, cells, axis, False, (), out)


def to_faces(cells: Array, axis: int, periodic: bool, order: int = 4) -> Array:
    """Values at the faces normal to an axis, interpolated from cell centres; wall faces are extrapolated."""
    return _along(_to_faces, cells, axis, periodic, (order,))


def face_slopes(cells: Array, axis: int, periodic: bool, order: int = 4) -> Array:
    """Slopes by the index at the faces normal to an axis, from cell centres; wall faces are extrapolated."""
    return _along(_face_slopes, cells, axis, periodic, (order,))


def to_centers(faces: Array, axis: int, periodic: bool, order: int = 4, *, out: Array | None = None) -> Array:
    """Values at the cell centres, interpolated from the faces normal to an axis, of which a ring stores its first twice."""
    return _along(_to_centers, faces, axis, periodic, (order,), out)


def slopes(points: Array, axis: int = 0, periodic: bool = False, order: int = 6) -> Array:
    """Derivative by the index at the points themselves, of which a line has at least ``order``."""
    return _along(_slopes, points, axis, periodic, (order,))


def to_means(points: Array, axis: int, periodic: bool, order: int) -> Array:
    """Means over the cells along an axis, from the values at their centres."""
    return _along(_with_differences, points, axis, periodic, (TO_MEAN[order], order))


def to_points(means: Array, axis: int, periodic: bool, order: int, *, out: Array | None = None) -> Array:
    """Values at the centres of the cells along an axis, from the means over them."""
    return _along(_with_differences, means, axis, periodic, (TO_POINT[order], order), out)


def _along(
    rule: Callable[..., Array],
    values: Array,
    axis: int,
    periodic: bool,
    settings: tuple[Any, ...],
    out: Array | None = None,
) -> Array:
    """A rule for lines, done along an axis by a kernel with the weights that the rule has; into ``out`` if there is one."""
    n, before, after = values.shape[axis], values.shape[:axis], values.shape[axis + 1 :]
    more, shift, *weights = _weights(rule, LONG if periodic else min(n, LONG), periodic, settings)
    lines = (prod(before), n, prod(after))
    out = np.empty((*before, n + more, *after)) if out is None else out
    period = min(n, n + more) if periodic else 0
    contiguous = np.ascontiguousarray(values, dtype=float).reshape(lines)
    places = lines[0] * (n + more)
    in_planes(
        kernel.weigh, places, out.size, contiguous, *weights, shift, period, out.reshape(lines[0], n + more, lines[2])
    )
    return out


@lru_cache
def _weights(
    rule: Callable[..., Array], n: int, periodic: bool, settings: tuple[Any, ...]
) -> tuple[int, int, Array, Array, Array]:
    """How many more values a line has afterwards, and shift and first, middle and last weights of ``kernel.weigh``."""
    rows = rule(np.eye(n), periodic, *settings)
    count = rows.shape[0]
    if n < LONG:
        return count - n, 0, rows, np.ones(1), np.empty((0, n))
    half = n // 2
    taken = np.flatnonzero(rows[half])
    shift, middle = int(taken[0]) - half, rows[half, taken[0] : taken[-1] + 1].copy()
    usual = [
        0 <= i + shift <= n - middle.size and np.array_equal(row[i + shift : i + shift + middle.size], middle)
        for i, row in enumerate(rows)
    ]
    low, high = usual.index(True), count - usual[::-1].index(True)
    ends = np.concatenate([rows[:low], rows[high:, ::-1]])
    width = 1 + int(np.flatnonzero(ends.any(axis=0))[-1])
    return count - n, shift, rows[:low, :width].copy(), middle, rows[high:, -width:].copy()


def _padded(lines: Array, periodic: bool, count: int, order: int) -> Array:
    if periodic:
        return np.concatenate([lines[-count:], lines, lines[:count]])
    points = min(order, lines.shape[0])
    beyond = _beyond(count, points)
    return np.concatenate([(beyond @ lines[:points][::-1])[::-1], lines, beyond @ lines[-points:]])


def _beyond(count: int, points: int) -> Array:
    """Weights of ``points`` cells in the ``count`` that follow on the polynomial through them."""
    rows = list(np.eye(points))
    step = [(-1) ** (k + 1) * comb(points, k) for k in range(1, points + 1)]
    for _ in range(count):
        rows.append(sum(w * rows[-k] for k, w in enumerate(step, start=1)))
    return np.stack(rows[points:])


def _averages(cells: Array, periodic: bool) -> Array:
    ends = (cells[-1:], cells[:1]) if periodic else (cells[:1], cells[-1:])
    return _filtered(np.concatenate([ends[0], cells, ends[1]]), (0.25, 0.5, 0.25))


def _between(cells: Array, periodic: bool) -> Array:
    return np.concatenate([cells[:1], 0.5 * (cells[1:] + cells[:-1]), cells[-1:]])


def _to_faces(cells: Array, periodic: bool, order: int) -> Array:
    return _filtered(_padded(cells, periodic, order // 2, order), ACROSS[order])


def _face_slopes(cells: Array, periodic: bool, order: int) -> Array:
    return _filtered(_padded(cells, periodic, order // 2, order), SLOPE[order])


def _to_centers(faces: Array, periodic: bool, order: int) -> Array:
    count = order // 2 - 1
    values = _padded(faces[:-1] if periodic else faces, periodic, count, order)
    if periodic:
        values = np.concatenate([values, values[2 * count : 2 * count + 1]])
    return _filtered(values, ACROSS[order])


def _slopes(points: Array, periodic: bool, order: int) -> Array:
    ahead = ALONG[order]
    return _filtered(_padded(points, periodic, order // 2, order), [-w for w in reversed(ahead)] + [0.0, *ahead])


def _with_differences(values: Array, periodic: bool, weights: tuple[float, ...], order: int) -> Array:
    total = values
    for weight in weights:
        values = _filtered(_padded(values, periodic, 1, order), (1.0, -2.0, 1.0))
        total = total + weight * values
    return total


def _filtered(lines: Array, weights: Any) -> Array:
    n = lines.shape[0] - len(weights) + 1
    return np.asarray(sum(weight * lines[i : i + n] for i, weight in enumerate(weights)))
