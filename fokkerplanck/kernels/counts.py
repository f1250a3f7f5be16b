"""What is counted along the paths of chains side by side: moments, cells, and faces that are crossed.

A path is a short piece of what a chain walks. The lane comes last: paths have the shape (d, POINTS, LANES).
"""

import math
from typing import Any

import numpy as np
from numba import njit

from .chain_state import Array, Cells, Chains, Indices, Ints
from .lanes import LANES, fill, load, store

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

BLOCK = 64  # steps of a path: those of two parameters fit into the nearest cache
POINTS = BLOCK + 1
ROW = POINTS * LANES  # of one parameter along all paths


@njit(**OPTIONS)
def add_along(p: Array, row: int, points: int, centre: float, sums: Array, first: int, second: int) -> None:
    """Add Σ v_k and Σ v_k² for k ≥ 1 to rows of ``sums``, with v = x − centre along a row of paths."""
    c, total, square = fill(centre), fill(0.0), fill(0.0)
    for k in range(row + LANES, row + points * LANES, LANES):
        v = load(p, k) - c
        total, square = total + v, square + v * v
    store(sums, first * LANES, load(sums, first * LANES) + total)
    store(sums, second * LANES, load(sums, second * LANES) + square)


@njit(**OPTIONS)
def add_across(
    p: Array,
    row: int,
    other: int,
    points: int,
    centre: float,
    centre_of_other: float,
    sums: Array,
    first: int,
    second: int,
) -> None:
    """Add Σ v_k w_k and Σ (v_{k−1} w_k − w_{k−1} v_k) for k ≥ 1, along two rows of paths."""
    b, c, product, area = fill(centre), fill(centre_of_other), fill(0.0), fill(0.0)
    v, w = load(p, row) - b, load(p, other) - c
    for k in range(LANES, points * LANES, LANES):
        x, y = load(p, row + k) - b, load(p, other + k) - c
        product, area = product + x * y, area + (v * y - w * x)
        v, w = x, y
    store(sums, first * LANES, load(sums, first * LANES) + product)
    store(sums, second * LANES, load(sums, second * LANES) + area)


@njit(**OPTIONS)
def add_moments(p: Array, points: int, centre: Array, sums: Array) -> None:
    """Add the sums over the steps of the paths to ``sums``, whose rows are ``first`` and ``second`` of the chains."""
    d = centre.size
    for i in range(d):
        add_along(p, i * ROW, points, centre[i], sums, i, d + i * d + i)
        for j in range(i):
            add_across(p, j * ROW, i * ROW, points, centre[j], centre[i], sums, d + j * d + i, d + i * d + j)


@njit(**OPTIONS)
def take_sums(chains: Chains, c: int, sums: Array, lane: int) -> None:
    """From a chain into its lane."""
    d = chains.first.shape[1]
    for i in range(d):
        sums[i * LANES + lane] = chains.first[c, i]
        for j in range(d):
            sums[(d + i * d + j) * LANES + lane] = chains.second[c, i, j]


@njit(**OPTIONS)
def keep_sums(chains: Chains, c: int, sums: Array, lane: int) -> None:
    """From a lane into its chain."""
    d = chains.first.shape[1]
    for i in range(d):
        chains.first[c, i] = sums[i * LANES + lane]
        for j in range(d):
            chains.second[c, i, j] = sums[(d + i * d + j) * LANES + lane]


@njit(**OPTIONS)
def next_plane(i: int, j: int, a: float, b: float, lower: float, h: float) -> float:
    """Fraction of the way from a to b at which the next face on the way from place i to place j is crossed."""
    return (lower + (i if j > i else i - 1) * h - a) / (b - a)


@njit(**OPTIONS)
def count_crossings(path: Array, places: Indices, k: int, lane: int, weight: int, group: int, cells: Cells) -> None:
    """Add ±weight at every face that the straight segment to point k of a path crosses, in the order it does.

    The walk goes from cell to neighbouring cell and ends in the last whatever the rounding of the crossing points, so
    occupation and crossings balance exactly. Faces whose neighbours are both outside the grid are not counted.
    """
    faces0, faces1, faces2 = cells.faces0[group], cells.faces1[group], cells.faces2[group]
    n0, n1, n2 = faces1.shape[0], faces0.shape[1], faces0.shape[2]
    i0, i1, i2 = places[0, k - 1, lane], places[1, k - 1, lane], places[2, k - 1, lane]
    j0, j1, j2 = places[0, k, lane], places[1, k, lane], places[2, k, lane]
    lower, spacing = cells.lower, cells.spacing
    while i0 != j0 or i1 != j1 or i2 != j2:
        axis, first = -1, math.inf
        if i0 != j0:
            axis, first = 0, next_plane(i0, j0, path[0, k - 1, lane], path[0, k, lane], lower[0], spacing[0])
        if i1 != j1:
            t = next_plane(i1, j1, path[1, k - 1, lane], path[1, k, lane], lower[1], spacing[1])
            if axis < 0 or t < first:
                axis, first = 1, t
        if i2 != j2:
            t = next_plane(i2, j2, path[2, k - 1, lane], path[2, k, lane], lower[2], spacing[2])
            if axis < 0 or t < first:
                axis, first = 2, t
        inside0, inside1, inside2 = 1 <= i0 <= n0, 1 <= i1 <= n1, 1 <= i2 <= n2
        if axis == 0:
            sign = 1 if j0 > i0 else -1
            if inside1 and inside2:
                faces0[max(i0, i0 + sign) - 1, i1 - 1, i2 - 1] += sign * weight
            i0 += sign
        elif axis == 1:
            sign = 1 if j1 > i1 else -1
            if inside0 and inside2:
                faces1[i0 - 1, max(i1, i1 + sign) - 1, i2 - 1] += sign * weight
            i1 += sign
        else:
            sign = 1 if j2 > i2 else -1
            if inside0 and inside1:
                faces2[i0 - 1, i1 - 1, max(i2, i2 + sign) - 1] += sign * weight
            i2 += sign


@njit(**OPTIONS)
def count_cells(
    path: Array, points: int, chosen: Ints, weights: Ints, cells: Cells, places: Indices, flat: Indices
) -> None:
    """Add its weight to the cell of every new point of a path, and to the faces crossed on the way to it."""
    shape, size = cells.histogram.shape[1:], cells.histogram[0].size
    strides = (shape[1] * shape[2], shape[2], 1)
    p, along, end = path.reshape(-1), places.reshape(-1), points * LANES
    flat[:] = 0
    for axis in range(cells.axes):
        x, place = p[axis * ROW : axis * ROW + end], along[axis * ROW : axis * ROW + end]
        lower, per_length = cells.lower[axis], 1.0 / cells.spacing[axis]
        limit, stride = np.float64(shape[axis] - 1), np.int32(strides[axis])
        for k in range(end):
            u = (x[k] - lower) * per_length + 1.0
            place[k] = np.int32(u if u < limit else limit) if u >= 1.0 else np.int32(0)
            flat[k] += stride * place[k]
    counts = cells.histogram.reshape(-1)
    first = np.empty(LANES, np.uint64)
    for lane in range(LANES):  # the idle ones count nothing in the last group
        first[lane] = np.uint64(cells.groups[chosen[min(lane, chosen.size - 1)]] * size)
    for k in range(LANES, end, LANES):
        for lane in range(LANES):
            counts[first[lane] + np.uint64(flat[k + lane])] += weights[lane]
    if cells.crossings:
        for lane in range(chosen.size):
            if weights[lane] != 0:
                group = cells.groups[chosen[lane]]
                for k in range(1, points):
                    if flat[k * LANES + lane] != flat[(k - 1) * LANES + lane]:
                        count_crossings(path, places, k, lane, weights[lane], group, cells)


@njit(**OPTIONS)
def record(path: Array, points: int, centre: Array, chosen: Ints, weights: Ints, cells: Cells, room: Any) -> None:
    """Add the steps between the first ``points`` points of the paths to sums, and with its lane's weight to counts."""
    sums, places, flat = room
    add_moments(path.reshape(-1), points, centre, sums)
    if cells.axes > 0:
        count_cells(path, points, chosen, weights, cells, places, flat)


@njit(**OPTIONS)
def room_to_record(d: int) -> Any:
    """Sums, places and flat places; on the padding axes all are in the one cell."""
    return np.zeros((d + d * d) * LANES), np.ones((3, POINTS, LANES), np.int32), np.empty(POINTS * LANES, np.int32)


@njit(**OPTIONS)
def record_paths(which: Ints, paths: Array, centre: Array, chains: Chains, cells: Cells) -> None:
    """Count the chains ``which``, whose points are given: ``paths`` (chains, points, d)."""
    d = paths.shape[2]
    path, weights = np.zeros((d, POINTS, LANES)), np.zeros(LANES, np.int64)
    room = room_to_record(d)
    for start in range(0, which.size, LANES):
        chosen = which[start : start + LANES]
        weights[: chosen.size], weights[chosen.size :] = 1, 0
        for lane in range(chosen.size):
            take_sums(chains, chosen[lane], room[0], lane)
        for done in range(0, paths.shape[1] - 1, BLOCK):
            steps = min(BLOCK, paths.shape[1] - 1 - done)
            for lane in range(chosen.size):
                for k in range(steps + 1):
                    for i in range(d):
                        path[i, k, lane] = paths[chosen[lane], done + k, i]
            record(path, steps + 1, centre, chosen, weights, cells, room)
        for lane in range(chosen.size):
            keep_sums(chains, chosen[lane], room[0], lane)
