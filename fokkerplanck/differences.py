"""Interpolation, slopes and means along one axis of an array of equal cells, of fourth and sixth order."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# By order 2k. Of 2k cells: interpolated to the face in their middle, and the slope there, in 1/h. Of the k cells ahead, minus
# those behind: the slope at a cell. Exact for polynomials of degree 2k − 1, slopes of degree 2k.
ACROSS = {4: (-1 / 16, 9 / 16, 9 / 16, -1 / 16), 6: (3 / 256, -25 / 256, 75 / 128, 75 / 128, -25 / 256, 3 / 256)}
SLOPE = {4: (1 / 24, -9 / 8, 9 / 8, -1 / 24), 6: (-3 / 640, 25 / 384, -75 / 64, 75 / 64, -25 / 384, 3 / 640)}
ALONG = {4: (2 / 3, -1 / 12), 6: (3 / 4, -3 / 20, 1 / 60)}
# Of the second, fourth … difference: what a mean over a cell is more than its centre value, and the other way round.
TO_MEAN = {4: (1 / 24,), 6: (1 / 24, -17 / 5760)}
TO_POINT = {4: (-1 / 24,), 6: (-1 / 24, 3 / 640)}


def padded(values: Array, axis: int, count: int, periodic: bool, order: int) -> Array:
    """``count`` more cells at both ends of an axis: the other end's, or on the polynomial through the nearest ``order``."""
    a = np.moveaxis(values, axis, 0)
    n = a.shape[0]
    out = np.empty((n + 2 * count, *a.shape[1:]))
    out[count:-count] = a
    if periodic:
        out[:count], out[-count:] = a[-count:], a[:count]
    else:
        points = min(order, n)
        beyond, flat = _beyond(count, points), a.reshape(n, -1)
        out[-count:] = (beyond @ flat[n - points :]).reshape(out[-count:].shape)
        out[:count] = (beyond @ flat[:points][::-1])[::-1].reshape(out[:count].shape)
    return np.moveaxis(out, 0, axis)


@lru_cache
def _beyond(count: int, points: int) -> Array:
    """Weights of ``points`` cells in the ``count`` that follow on the polynomial through them."""
    rows = list(np.eye(points))
    step = [(-1) ** (k + 1) * comb(points, k) for k in range(1, points + 1)]
    for _ in range(count):
        rows.append(sum(w * rows[-k] for k, w in enumerate(step, start=1)))
    return np.ascontiguousarray(rows[points:])


def to_faces(cells: Array, axis: int, periodic: bool, order: int = 4) -> Array:
    """Values at the faces normal to an axis, interpolated from cell centres; wall faces are extrapolated."""
    return _filtered(padded(cells, axis, order // 2, periodic, order), axis, ACROSS[order])


def face_slopes(cells: Array, axis: int, periodic: bool, order: int = 4) -> Array:
    """Slopes by the index at the faces normal to an axis, from cell centres; wall faces are extrapolated."""
    return _filtered(padded(cells, axis, order // 2, periodic, order), axis, SLOPE[order])


def to_centers(faces: Array, axis: int, periodic: bool, order: int = 4) -> Array:
    """Values at the cell centres, interpolated from the faces normal to an axis, of which a ring stores its first twice."""
    values, count = np.moveaxis(faces, axis, 0), order // 2 - 1
    values = padded(values[:-1] if periodic else values, 0, count, periodic, order)
    if periodic:
        values = np.concatenate([values, values[2 * count : 2 * count + 1]])
    return np.moveaxis(_filtered(values, 0, ACROSS[order]), 0, axis)


def slopes(points: Array) -> Array:
    """Derivative by the index along a line of at least six points, sixth order."""
    more = padded(points, 0, 3, False, 6)
    weights = [-w for w in reversed(ALONG[6])] + [0.0, *ALONG[6]]
    return _filtered(more, 0, weights)


def to_means(points: Array, axis: int, periodic: bool, order: int) -> Array:
    """Means over the cells along an axis, from the values at their centres."""
    return _with_differences(points, axis, periodic, TO_MEAN[order], order)


def to_points(means: Array, axis: int, periodic: bool, order: int) -> Array:
    """Values at the centres of the cells along an axis, from the means over them."""
    return _with_differences(means, axis, periodic, TO_POINT[order], order)


def _with_differences(values: Array, axis: int, periodic: bool, weights: tuple[float, ...], order: int) -> Array:
    total = values
    for weight in weights:
        values = _filtered(padded(values, axis, 1, periodic, order), axis, (1.0, -2.0, 1.0))
        total = total + weight * values
    return total


def _filtered(values: Array, axis: int, weights: Any) -> Array:
    a = np.moveaxis(values, axis, 0)
    n = a.shape[0] - len(weights) + 1
    out = weights[0] * a[:n]
    for i, weight in enumerate(weights[1:], start=1):
        if weight:
            out += weight * a[i : i + n]
    return np.moveaxis(out, 0, axis)
