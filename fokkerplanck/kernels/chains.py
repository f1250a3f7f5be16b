"""SGD chains with exact minibatches, and what is counted along them; nothing is stored per step.

Parameters, data and grid are padded to three axes: a zero feature leaves its parameter alone, and an axis of one cell
around it is never crossed. Chains run one after the other inside a group and groups run in parallel; a group
writes only its own arrays and a chain uses only its own generator: the number of threads does not change the results.
"""

import math
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

LINEAR = 0  # the same numbers as in glm.py
LOGISTIC = 1

# A uint64 mixed with a Python integer silently becomes a float in Numba; every constant is a uint64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
STREAM = np.uint64(0xD1342543DE82EF95)
LOW_HALF = np.uint64(0xFFFFFFFF)
ONE = np.uint64(1)
U17, U19, U23 = np.uint64(17), np.uint64(19), np.uint64(23)
U27, U30, U31 = np.uint64(27), np.uint64(30), np.uint64(31)
U32, U41, U45 = np.uint64(32), np.uint64(41), np.uint64(45)


@njit(**OPTIONS)
def mix(z: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64."""
    z = (z ^ (z >> U30)) * MIX_1
    z = (z ^ (z >> U27)) * MIX_2
    return z ^ (z >> U31)


@njit(**OPTIONS)
def seed_streams(seed: np.uint64, state: Words) -> None:
    """A xoshiro256++ state for each row of ``state``, shape (chains, 4): SplitMix64 outputs from a start of its own."""
    for c in range(state.shape[0]):
        z = mix(seed + GOLDEN) ^ mix((np.uint64(c) + ONE) * STREAM)
        for i in range(4):
            z = z + GOLDEN
            state[c, i] = mix(z)


@njit(**OPTIONS)
def random_words(state: Words, out: Words) -> None:
    """Successive outputs of xoshiro256++ (Blackman and Vigna, doi:10.1145/3460772); ``state``, shape (4,), moves on."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    for k in range(out.size):
        x = s0 + s3
        out[k] = ((x << U23) | (x >> U41)) + s0
        shifted = s1 << U17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = (s3 << U45) | (s3 >> U19)
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3


@njit(**OPTIONS)
def draw_batch(state: Words, words: Words, order: Ints, position: int, period: int, n: int, batch: Ints) -> int:
    """Indices of the next minibatch into ``batch``; returns the new position in the shuffled ``order``.

    An index is the high word of 32 random bits times the number of choices (Lemire, doi:10.1145/3230636) without
    rejection, which leaves a relative bias of at most n/2³² in each probability: 1e-7 for hundreds of samples.
    With period = 0 samples are drawn with replacement. Otherwise Fisher–Yates continues through ``order`` and starts
    again at its beginning after ``period`` draws: one batch, or an epoch.
    """
    random_words(state, words)
    if position == period:
        position = 0
    for q in range(batch.size):
        word = words[q >> 1]
        half = (word >> U32) if q & 1 == 0 else (word & LOW_HALF)
        if period == 0:
            batch[q] = np.int64((half * np.uint64(n)) >> U32)
        else:
            j = position + np.int64((half * np.uint64(n - position)) >> U32)
            k = order[j]
            order[j] = order[position]
            order[position] = k
            batch[q] = k
            position += 1
    return position


@njit(**OPTIONS)
def cell_of(x: float, lower: float, per_length: float, n: int) -> int:
    """Index of the cell that holds x; −1 and n are all that lies below and above the grid."""
    u = (x - lower) * per_length
    if u < 0.0:
        return -1
    if u >= n:
        return n
    return int(u)


@njit(**OPTIONS)
def next_plane(i: int, j: int, a: float, b: float, lower: float, h: float) -> float:
    """Fraction of the way from a to b at which the next face on the way from cell i to cell j is crossed."""
    face = i + 1 if j > i else i
    return (lower + face * h - a) / (b - a)


@njit(**OPTIONS)
def count_crossings(
    a0: float,
    a1: float,
    a2: float,
    b0: float,
    b1: float,
    b2: float,
    i0: int,
    i1: int,
    i2: int,
    j0: int,
    j1: int,
    j2: int,
    lower: Array,
    spacing: Array,
    faces0: Ints,
    faces1: Ints,
    faces2: Ints,
) -> None:
    """Add ±1 at every face that the straight segment from a (in cell i) to b (in cell j) crosses, in the order it does.

    The walk goes from cell to neighbouring cell and ends in j whatever the rounding of the crossing points, so
    occupation and crossings balance exactly. Faces whose neighbours are both outside the grid are not counted.
    """
    n0, n1, n2 = faces1.shape[0], faces0.shape[1], faces0.shape[2]
    while i0 != j0 or i1 != j1 or i2 != j2:
        axis, first = -1, math.inf
        if i0 != j0:
            axis, first = 0, next_plane(i0, j0, a0, b0, lower[0], spacing[0])
        if i1 != j1:
            t = next_plane(i1, j1, a1, b1, lower[1], spacing[1])
            if axis < 0 or t < first:
                axis, first = 1, t
        if i2 != j2:
            t = next_plane(i2, j2, a2, b2, lower[2], spacing[2])
            if axis < 0 or t < first:
                axis, first = 2, t
        if axis == 0:
            sign = 1 if j0 > i0 else -1
            if 0 <= i1 < n1 and 0 <= i2 < n2:
                faces0[max(i0, i0 + sign), i1, i2] += sign
            i0 += sign
        elif axis == 1:
            sign = 1 if j1 > i1 else -1
            if 0 <= i0 < n0 and 0 <= i2 < n2:
                faces1[i0, max(i1, i1 + sign), i2] += sign
            i1 += sign
        else:
            sign = 1 if j2 > i2 else -1
            if 0 <= i0 < n0 and 0 <= i1 < n1:
                faces2[i0, i1, max(i2, i2 + sign)] += sign
            i2 += sign


@njit(**OPTIONS)
def advance_group(
    low: int,
    high: int,
    kind: int,
    X: Array,
    y: Array,
    l2: float,
    eta: float,
    batch_size: int,
    period: int,
    first: int,
    steps: int,
    record: bool,
    centre: Array,
    lower: Array,
    spacing: Array,
    theta: Array,
    state: Words,
    order: Ints,
    position: Ints,
    failed: Ints,
    histogram: Ints,
    faces0: Ints,
    faces1: Ints,
    faces2: Ints,
    outside: Ints,
    sums: Array,
) -> None:
    """``steps`` steps of the chains low … high − 1, which form one group; see ``advance``."""
    n = X.shape[0]
    n0, n1, n2 = histogram.shape
    p0, p1, p2 = 1.0 / spacing[0], 1.0 / spacing[1], 1.0 / spacing[2]
    batch = np.empty(batch_size, np.int64)
    words = np.empty((batch_size + 1) // 2, np.uint64)
    for c in range(low, high):
        a0, a1, a2 = theta[c, 0], theta[c, 1], theta[c, 2]
        i0, i1, i2 = cell_of(a0, lower[0], p0, n0), cell_of(a1, lower[1], p1, n1), cell_of(a2, lower[2], p2, n2)
        m0, m1, m2, s00, s01, s02, s11, s12, s22, r01, r02, r12 = sums[c]
        place = position[c]
        for k in range(steps):
            place = draw_batch(state[c], words, order[c], place, period, n, batch)
            g0, g1, g2 = 0.0, 0.0, 0.0
            for q in range(batch_size):
                x0, x1, x2, label = X[batch[q], 0], X[batch[q], 1], X[batch[q], 2], y[batch[q]]
                margin = a0 * x0 + a1 * x1 + a2 * x2
                # an overflow of exp gives the right limit, 0
                slope = -label / (1.0 + math.exp(label * margin)) if kind == LOGISTIC else margin - label
                g0 += slope * x0
                g1 += slope * x1
                g2 += slope * x2
            b0 = a0 - eta * (g0 / batch_size + l2 * a0)
            b1 = a1 - eta * (g1 / batch_size + l2 * a1)
            b2 = a2 - eta * (g2 / batch_size + l2 * a2)
            if not abs(b0) + abs(b1) + abs(b2) < math.inf:
                failed[c] = first + k + 1
                break
            if record:
                j0, j1, j2 = cell_of(b0, lower[0], p0, n0), cell_of(b1, lower[1], p1, n1), cell_of(b2, lower[2], p2, n2)
                if i0 != j0 or i1 != j1 or i2 != j2:
                    count_crossings(
                        a0, a1, a2, b0, b1, b2, i0, i1, i2, j0, j1, j2, lower, spacing, faces0, faces1, faces2
                    )
                    i0, i1, i2 = j0, j1, j2
                if 0 <= i0 < n0 and 0 <= i1 < n1 and 0 <= i2 < n2:
                    histogram[i0, i1, i2] += 1
                else:
                    outside[0] += 1
                u0, u1, u2 = a0 - centre[0], a1 - centre[1], a2 - centre[2]
                v0, v1, v2 = b0 - centre[0], b1 - centre[1], b2 - centre[2]
                m0 += v0
                m1 += v1
                m2 += v2
                s00 += v0 * v0
                s01 += v0 * v1
                s02 += v0 * v2
                s11 += v1 * v1
                s12 += v1 * v2
                s22 += v2 * v2
                r01 += u0 * v1 - u1 * v0
                r02 += u0 * v2 - u2 * v0
                r12 += u1 * v2 - u2 * v1
            a0, a1, a2 = b0, b1, b2
        theta[c, 0], theta[c, 1], theta[c, 2] = a0, a1, a2
        position[c] = place
        for i, value in enumerate((m0, m1, m2, s00, s01, s02, s11, s12, s22, r01, r02, r12)):
            sums[c, i] = value


@njit(parallel=True, **OPTIONS)
def advance(
    bounds: Ints,
    kind: int,
    X: Array,
    y: Array,
    l2: float,
    eta: float,
    batch_size: int,
    period: int,
    first: int,
    steps: int,
    record: bool,
    centre: Array,
    lower: Array,
    spacing: Array,
    theta: Array,
    state: Words,
    order: Ints,
    position: Ints,
    failed: Ints,
    histogram: Ints,
    faces0: Ints,
    faces1: Ints,
    faces2: Ints,
    outside: Ints,
    sums: Array,
) -> None:
    """Advance every chain by ``steps``, after ``first`` earlier ones; what is carried on lives in the arrays.

    ``theta`` (chains, 3), ``state`` (chains, 4), ``order`` (chains, n or 0) and ``position`` (chains,) are the state of
    the chains, and group g is the chains bounds[g] … bounds[g+1] − 1. If ``record``, counts are added to ``histogram``
    (groups, *shape), ``faces`` (groups, *face_shape) and ``outside`` (groups, 1), and sums over the new points less
    ``centre`` to ``sums`` (chains, 12): three means, six second moments 00 01 02 11 12 22, and θ_i θ'_j − θ_j θ'_i for
    01 02 12.
    A chain that is no longer finite stops, with the number of its step in ``failed``.
    """
    for g in prange(bounds.size - 1):
        advance_group(
            bounds[g],
            bounds[g + 1],
            kind,
            X,
            y,
            l2,
            eta,
            batch_size,
            period,
            first,
            steps,
            record,
            centre,
            lower,
            spacing,
            theta,
            state,
            order,
            position,
            failed,
            histogram[g],
            faces0[g],
            faces1[g],
            faces2[g],
            outside[g],
            sums,
        )
