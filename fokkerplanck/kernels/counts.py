"""What is counted along the paths of chains side by side: moments, cells, and faces that are crossed.

A path is a short piece of what a chain walks. The lane comes last: paths have the shape (d, POINTS, LANES).
"""

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
def next_plane(here: float, there: float, plane: float, spacing: float) -> tuple[float, float]:
    """The fraction of the way at which a plane of faces is crossed, and that from one plane to the next."""
    inverse = 1.0 / (there - here)
    return (plane - here) * inverse, abs(spacing * inverse)


@njit(**OPTIONS)
def cross_in_line(places: Indices, points: int, lane: int, weight: int, faces: Ints) -> None:
    """Add ±weight at every face that a path in one dimension crosses."""
    for k in range(1, points):
        here, there = places[0, k - 1, lane], places[0, k, lane]
        for face in range(min(here, there), max(here, there)):
            faces[face] += weight if there > here else -weight


@njit(**OPTIONS)
def cross_in_plane(
    path: Array,
    places: Indices,
    points: int,
    lane: int,
    weight: int,
    lower: Array,
    spacing: Array,
    row: int,
    faces: Ints,
) -> None:
    """Add ±weight at every face that the straight segments of a path cross, in the order they do; ``row`` is of ``faces``.

    The walk goes from place to neighbouring place and ends in the last whatever the rounding of the crossing points, so
    occupation and crossings balance exactly. Which face is next is as random as the steps: a processor that had to guess it
    would mostly wait, so ``first``, all bits or none, selects among numbers, and nothing jumps.
    """
    low0, low1, h0, h1 = lower[0], lower[1], spacing[0], spacing[1]
    for k in range(1, points):
        i0, i1 = np.int64(places[0, k - 1, lane]), np.int64(places[1, k - 1, lane])
        left0, left1 = places[0, k, lane] - i0, places[1, k, lane] - i1
        down0, down1 = np.int64(left0 < 0), np.int64(left1 < 0)
        sign0, sign1 = 1 - 2 * down0, 1 - 2 * down1
        left0, left1 = left0 * sign0, left1 * sign1
        t0, dt0 = next_plane(path[0, k - 1, lane], path[0, k, lane], low0 + (i0 - down0) * h0, h0)
        t1, dt1 = next_plane(path[1, k - 1, lane], path[1, k, lane], low1 + (i1 - down1) * h1, h1)
        lead, at = t0 - t1, i0 * row + 2 * i1
        face0, face1 = -down0 * row, 1 - 2 * down1
        for _ in range(left0 + left1):
            first = -np.int64((left1 == 0) | ((left0 > 0) & (lead <= 0.0)))
            faces[np.uint64(at + (face0 & first | face1 & ~first))] += weight * (sign0 & first | sign1 & ~first)
            at += row * sign0 & first | 2 * sign1 & ~first
            left0, left1 = left0 + first, left1 + ~first
            lead += dt0 if first else -dt1


@njit(**OPTIONS)
def cross_in_space(
    path: Array,
    places: Indices,
    points: int,
    lane: int,
    weight: int,
    lower: Array,
    spacing: Array,
    slab: int,
    row: int,
    faces: Ints,
) -> None:
    """The same in three dimensions."""
    for k in range(1, points):
        i0, i1, i2 = (
            np.int64(places[0, k - 1, lane]),
            np.int64(places[1, k - 1, lane]),
            np.int64(places[2, k - 1, lane]),
        )
        left0, left1, left2 = places[0, k, lane] - i0, places[1, k, lane] - i1, places[2, k, lane] - i2
        down0, down1, down2 = np.int64(left0 < 0), np.int64(left1 < 0), np.int64(left2 < 0)
        sign0, sign1, sign2 = 1 - 2 * down0, 1 - 2 * down1, 1 - 2 * down2
        left0, left1, left2 = left0 * sign0, left1 * sign1, left2 * sign2
        h0, h1, h2 = spacing[0], spacing[1], spacing[2]
        t0, dt0 = next_plane(path[0, k - 1, lane], path[0, k, lane], lower[0] + (i0 - down0) * h0, h0)
        t1, dt1 = next_plane(path[1, k - 1, lane], path[1, k, lane], lower[1] + (i1 - down1) * h1, h1)
        t2, dt2 = next_plane(path[2, k - 1, lane], path[2, k, lane], lower[2] + (i2 - down2) * h2, h2)
        at = i0 * slab + i1 * row + i2 * 3
        face0, face1, face2 = -down0 * slab, 1 - down1 * row, 2 - down2 * 3
        for _ in range(left0 + left1 + left2):
            first = -np.int64((left0 > 0) & ((left1 == 0) | (t0 <= t1)) & ((left2 == 0) | (t0 <= t2)))
            second = -np.int64((left1 > 0) & ((left2 == 0) | (t1 <= t2))) & ~first
            third = ~(first | second)
            face = face0 & first | face1 & second | face2 & third
            faces[np.uint64(at + face)] += weight * (sign0 & first | sign1 & second | sign2 & third)
            at += slab * sign0 & first | row * sign1 & second | 3 * sign2 & third
            left0, left1, left2 = left0 + first, left1 + second, left2 + third
            t0, t1, t2 = t0 - first * dt0, t1 - second * dt1, t2 - third * dt2


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
        lows, spacing = cells.lower, cells.spacing
        slab, row = shape[1] * shape[2] * cells.axes, (shape[1] if cells.axes == 2 else shape[2]) * cells.axes
        for lane in range(chosen.size):
            if weights[lane] != 0:
                faces = cells.faces[cells.groups[chosen[lane]]].reshape(-1)
                if cells.axes == 1:
                    cross_in_line(places, points, lane, weights[lane], faces)
                elif cells.axes == 2:
                    cross_in_plane(path, places, points, lane, weights[lane], lows, spacing, row, faces)
                else:
                    cross_in_space(path, places, points, lane, weights[lane], lows, spacing, slab, row, faces)


@njit(**OPTIONS)
def record(path: Array, points: int, centre: Array, chosen: Ints, weights: Ints, cells: Cells, room: Any) -> None:
    """Add the steps between the first ``points`` points of the paths to sums, and with its lane's weight to counts."""
    sums, places, flat = room
    add_moments(path.reshape(-1), points, centre, sums)
    if cells.axes > 0:
        count_cells(path, points, chosen, weights, cells, places, flat)


@njit(**OPTIONS)
def room_to_record(d: int) -> Any:
    """Sums, places and flat places; on the padding axes all are in the one place."""
    return np.zeros((d + d * d) * LANES), np.zeros((3, POINTS, LANES), np.int32), np.empty(POINTS * LANES, np.int32)


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
