"""SGD chains, and what is counted along them; nothing is stored per step.

A chain walks a block of steps at a time into a short path, which is then counted; every chain uses only its own generators,
and a call writes only to the chains and to the group it is given, so the number of threads does not change the results.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from .chain_state import Array, Cells, Chains, Indices, Rule, Words

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
# Long sums may be added in any order, several terms at a time: six times as fast, and NaN and infinity stay what they are.
SUMS: dict[str, Any] = {**OPTIONS, "fastmath": {"reassoc"}}

LINEAR, LOGISTIC, PHASE, TANH, DEEP = range(5)  # the same numbers as in losses.py; any other: ``gradients`` is called
MINIBATCH, GAUSSIAN, STABLE = range(3)
LANES = 4  # chains that walk side by side, where one by itself would wait for its own additions
BLOCK = 256  # steps of a path: four of two parameters fit into the nearest cache
POINTS = BLOCK + 1

# A uint64 mixed with a Python integer silently becomes a float in Numba; every constant is a uint64.
LOW_HALF = np.uint64(0xFFFFFFFF)
SPARE = np.uint64(1 << 32)  # marks a half word that was left over
NONE, U11, U17, U19, U23, U32, U41, U45 = (np.uint64(k) for k in (0, 11, 17, 19, 23, 32, 41, 45))


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
def draw_samples(state: Words, words: Words, order: Indices, position: int, period: int, n: int, out: Indices) -> int:
    """Indices of the samples drawn next into ``out``; returns the new position in the shuffled ``order``.

    An index is the high word of 32 random bits times the number of choices (Lemire, doi:10.1145/3230636) without
    rejection, which leaves a relative bias of at most n/2³² in each probability: 1e-7 for hundreds of samples.
    With period = 0 samples are drawn with replacement. Otherwise Fisher–Yates continues through ``order`` and starts
    again at its beginning after ``period`` draws: one batch, or an epoch. A random word gives two indices; ``state[4]`` keeps
    the second for the next call, so that how many are drawn at a time does not matter.
    """
    size, spare = out.size, state[4]
    start = 1 if spare != NONE and size > 0 else 0
    count = (size - start + 1) // 2
    random_words(state, words[:count])
    if period == 0:
        choices = np.uint64(n)
        if start == 1:
            out[0] = np.int32(((spare & LOW_HALF) * choices) >> U32)
        for k in range((size - start) // 2):
            out[start + 2 * k] = np.int32(((words[k] >> U32) * choices) >> U32)
            out[start + 2 * k + 1] = np.int32(((words[k] & LOW_HALF) * choices) >> U32)
        if (size - start) % 2 == 1:
            out[size - 1] = np.int32(((words[count - 1] >> U32) * choices) >> U32)
    else:
        for q in range(size):
            if q < start:
                half = spare & LOW_HALF
            else:
                word = words[(q - start) >> 1]
                half = (word >> U32) if (q - start) & 1 == 0 else (word & LOW_HALF)
            if position == period:
                position = 0
            j = position + np.int64((half * np.uint64(n - position)) >> U32)
            k = order[j]
            order[j] = order[position]
            order[position] = k
            out[q] = k
            position += 1
    if size > 0:
        state[4] = ((words[count - 1] & LOW_HALF) | SPARE) if (size - start) % 2 == 1 else NONE
    return position


@njit(**OPTIONS)
def uniform(word: np.uint64) -> float:
    """In (0, 1]."""
    return (np.float64(word >> U11) + 1.0) * 2.0**-53


@njit(**OPTIONS)
def normals(state: Words, words: Words, out: Array) -> None:
    """Independent standard normal numbers, two from two words (Box and Muller, doi:10.1214/aoms/1177706645)."""
    count = (out.size + 1) // 2 * 2
    random_words(state, words[:count])
    for q in range(0, out.size, 2):
        radius = math.sqrt(-2.0 * math.log(uniform(words[q])))
        angle = 2.0 * math.pi * uniform(words[q + 1])
        out[q] = radius * math.cos(angle)
        if q + 1 < out.size:
            out[q + 1] = radius * math.sin(angle)


@njit(**OPTIONS)
def stretch(state: Words, words: Words, stability: float) -> float:
    """√W with E exp(−sW) = exp(−s^{α/2}) (Kanter, doi:10.1214/aop/1176996309): √W times a normal vector is α-stable."""
    random_words(state, words[:2])
    g = 0.5 * stability
    angle, wait = math.pi * uniform(words[0]), max(-math.log(uniform(words[1])), 2.0**-53)
    if g == 1.0:
        return 1.0
    size = math.sin(g * angle) / math.sin(angle) ** (1.0 / g)
    return math.sqrt(size * (math.sin((1.0 - g) * angle) / wait) ** ((1.0 - g) / g))


@njit(**OPTIONS)
def slope_of(kind: int, margin: float, y: float) -> float:
    """∂ℓ/∂(θ·x) of one sample."""
    if kind == LINEAR:
        return margin - y
    if kind == LOGISTIC:
        return -y / (1.0 + math.exp(y * margin))  # an overflow of exp gives the right limit, 0
    return 2.0 * margin * (margin * margin - y)


@njit(**OPTIONS)
def add_gradient(kind: int, theta: Array, row: Array, shift: float, out: Array) -> None:
    """Add the gradient of the loss of one sample, whose target is the last entry of ``row``, plus ``shift``."""
    y = row[row.size - 1] + shift
    if kind == TANH:
        f = math.tanh(theta[1] * row[0])
        e = theta[0] * f - y
        out[0] += e * f
        out[1] += e * theta[0] * row[0] * (1.0 - f * f)
        return
    if kind == DEEP:
        e = theta[0] * theta[1] * row[0] - y
        out[0] += e * theta[1] * row[0]
        out[1] += e * theta[0] * row[0]
        return
    margin = 0.0
    for i in range(theta.size):
        margin += theta[i] * row[i]
    slope = slope_of(kind, margin, y)
    for i in range(theta.size):
        out[i] += slope * row[i]


@njit(**OPTIONS)
def surrogate(rule: Rule, gradients: Any, rows: Array, all_rows: Indices, theta: Array, z: Array, out: Array) -> None:
    """The gradient of all samples plus F z into ``out``, F Fᵀ being the covariance of a minibatch's gradient."""
    n, d = rows.shape[0], theta.size
    each, labels = np.zeros((n, d)), np.zeros((n if rule.label_share > 0.0 else 0, d))
    if gradients is not None:
        gradients(theta, rows, all_rows, each)
    out[:] = 0.0
    for k in range(n):
        if gradients is None:
            add_gradient(rule.kind, theta, rows[k], 0.0, each[k])
        if rule.label_share > 0.0:  # gradients are linear in the target
            add_gradient(rule.kind, theta, rows[k], 1.0, labels[k])
            for i in range(d):
                labels[k, i] -= each[k, i]
        for i in range(d):
            out[i] += each[k, i] / n
    F = np.zeros((d, d))
    for k in range(n):
        for i in range(d):
            for j in range(i + 1):
                F[i, j] += rule.share / n * (each[k, i] - out[i]) * (each[k, j] - out[j])
                if rule.label_share > 0.0:
                    F[i, j] += rule.label_share / n * labels[k, i] * labels[k, j]
    for j in range(d):  # Cholesky; a direction without noise, up to the round-off of its sums, gets none
        size = F[j, j]
        for k in range(j):
            F[j, j] -= F[j, k] * F[j, k]
        pivot = math.sqrt(F[j, j]) if F[j, j] > 1e-14 * size else 0.0
        F[j, j] = pivot
        for i in range(j + 1, d):
            for k in range(j):
                F[i, j] -= F[i, k] * F[j, k]
            F[i, j] = F[i, j] / pivot if pivot > 0.0 else 0.0
    for i in range(d):
        for j in range(i + 1):
            out[i] += F[i, j] * z[j]


@njit(**OPTIONS)
def walk(
    rule: Rule, gradients: Any, rows: Array, etas: Array, chains: Chains, c: int, indices: Indices, path: Array
) -> None:
    """The steps of chain c into ``path``, shape (d, steps + 1), from its first point on."""
    d, B = path.shape[0], rule.batch_size
    look, g, z = np.empty(d), np.empty(d), np.empty(d)
    shifts, each, batch = np.zeros(B), np.empty((B, d)), np.empty(B, np.int32)
    words = np.empty(max(B, d) + 2, np.uint64)
    theta, velocity, state = chains.theta[c], chains.velocity[c], chains.noise_words[c]
    all_rows = np.arange(rows.shape[0] if rule.noise != MINIBATCH else 0).astype(np.int32)
    for k in range(etas.size):
        ahead = rule.momentum if rule.nesterov else 0.0
        for i in range(d):
            look[i] = theta[i] + ahead * velocity[i]
        if rule.noise != MINIBATCH:
            normals(state, words, z)
            if rule.noise == STABLE:
                z *= stretch(state, words, rule.stability)
            surrogate(rule, gradients, rows, all_rows, look, z, g)
        else:
            g[:] = 0.0
            if rule.label_noise > 0.0:
                normals(state, words, shifts)
                shifts *= rule.label_noise
            for q in range(B):
                batch[q] = indices[k * B + q]
            if gradients is not None:
                gradients(look, rows, batch, each)
                for q in range(B):
                    for i in range(d):
                        g[i] += each[q, i]
            else:
                for q in range(B):
                    add_gradient(rule.kind, look, rows[batch[q]], shifts[q], g)
            for i in range(d):
                g[i] /= B
        for i in range(d):
            velocity[i] = rule.momentum * velocity[i] - etas[k] * (g[i] + rule.l2 * look[i])
        if rule.temperature > 0.0:
            normals(state, words, z)
            for i in range(d):
                velocity[i] += math.sqrt(2.0 * rule.temperature * etas[k]) * z[i]
        for i in range(d):
            theta[i] += velocity[i]
            path[i, k + 1] = theta[i]


@njit(forceinline=True, **OPTIONS)
def walk_side_by_side(kind: int, l2: float, B: int, rows: Array, etas: Array, indices: Indices, p: Array) -> None:
    """See ``walk_in_planes``, which calls it with constants. Names stand for numbers in registers, which arrays are not."""
    a0, a1, b0, b1 = p[0], p[POINTS], p[2 * POINTS], p[3 * POINTS]
    c0, c1, d0, d1 = p[4 * POINTS], p[5 * POINTS], p[6 * POINTS], p[7 * POINTS]
    q, width = 0, BLOCK * B
    for k in range(etas.size):
        e0, e1, f0, f1, g0, g1, h0, h1 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for _ in range(B):
            i, j, m, n = indices[q], indices[q + width], indices[q + 2 * width], indices[q + 3 * width]
            s = slope_of(kind, a0 * rows[i, 0] + a1 * rows[i, 1], rows[i, 2])
            t = slope_of(kind, b0 * rows[j, 0] + b1 * rows[j, 1], rows[j, 2])
            u = slope_of(kind, c0 * rows[m, 0] + c1 * rows[m, 1], rows[m, 2])
            v = slope_of(kind, d0 * rows[n, 0] + d1 * rows[n, 1], rows[n, 2])
            e0, e1 = e0 + s * rows[i, 0], e1 + s * rows[i, 1]
            f0, f1 = f0 + t * rows[j, 0], f1 + t * rows[j, 1]
            g0, g1 = g0 + u * rows[m, 0], g1 + u * rows[m, 1]
            h0, h1 = h0 + v * rows[n, 0], h1 + v * rows[n, 1]
            q += 1
        keep, step = 1.0 - etas[k] * l2, etas[k] / B
        a0, a1, b0, b1 = keep * a0 - step * e0, keep * a1 - step * e1, keep * b0 - step * f0, keep * b1 - step * f1
        c0, c1, d0, d1 = keep * c0 - step * g0, keep * c1 - step * g1, keep * d0 - step * h0, keep * d1 - step * h1
        p[k + 1], p[k + 1 + POINTS], p[k + 1 + 2 * POINTS], p[k + 1 + 3 * POINTS] = a0, a1, b0, b1
        p[k + 1 + 4 * POINTS], p[k + 1 + 5 * POINTS], p[k + 1 + 6 * POINTS], p[k + 1 + 7 * POINTS] = c0, c1, d0, d1


@njit(**OPTIONS)
def walk_in_planes(rule: Rule, rows: Array, etas: Array, indices: Indices, paths: Array) -> None:
    """Four chains of two parameters and plain SGD on margins side by side; ``paths`` (4, 2, POINTS) hold their first points."""
    flat, p = indices.reshape(-1), paths.reshape(-1)
    if rule.kind == LINEAR and rule.batch_size == 1:
        walk_side_by_side(LINEAR, rule.l2, 1, rows, etas, flat, p)
    elif rule.kind == LINEAR:
        walk_side_by_side(LINEAR, rule.l2, rule.batch_size, rows, etas, flat, p)
    else:
        walk_side_by_side(LOGISTIC, rule.l2, rule.batch_size, rows, etas, flat, p)


@njit(**SUMS)
def sums_along(x: Array, centre: float, shifted: Array) -> tuple[float, float]:
    """Σ v_k and Σ v_k² for k ≥ 1 with v = x − centre, which goes to ``shifted``."""
    total, square = 0.0, 0.0
    for k in range(x.size):
        shifted[k] = x[k] - centre
    for k in range(1, x.size):
        total += shifted[k]
        square += shifted[k] * shifted[k]
    return total, square


@njit(**SUMS)
def sums_across(x: Array, y: Array) -> tuple[float, float]:
    """Σ x_k y_k and Σ (x_{k−1} y_k − y_{k−1} x_k) for k ≥ 1."""
    product, area = 0.0, 0.0
    for k in range(1, x.size):
        product += x[k] * y[k]
        area += x[k - 1] * y[k] - y[k - 1] * x[k]
    return product, area


@njit(**OPTIONS)
def add_moments(path: Array, points: int, centre: Array, shifted: Array, first: Array, second: Array) -> None:
    """Add the sums over the steps of ``path`` to ``first`` and ``second`` of its chain."""
    for i in range(path.shape[0]):
        total, square = sums_along(path[i, :points], centre[i], shifted[i])
        first[i] += total
        second[i, i] += square
        for j in range(i):
            product, area = sums_across(shifted[j, :points], shifted[i, :points])
            second[j, i] += product
            second[i, j] += area


@njit(**OPTIONS)
def first_beyond(path: Array, points: int, centre: Array, bound: float) -> int:
    """The first point of ``path`` with a coordinate that is not finite or not within ``bound`` of ``centre``; 0 if none is."""
    end = points
    for i in range(path.shape[0]):
        if bound == math.inf and abs(path[i, points - 1]) < math.inf:
            continue  # what is not finite stays so
        for k in range(1, end):
            if not abs(path[i, k] - centre[i]) < bound:
                end = k
                break
    return end if end < points else 0


@njit(**OPTIONS)
def next_plane(i: int, j: int, a: float, b: float, lower: float, h: float) -> float:
    """Fraction of the way from a to b at which the next face on the way from place i to place j is crossed."""
    return (lower + (i if j > i else i - 1) * h - a) / (b - a)


@njit(**OPTIONS)
def count_crossings(path: Array, k: int, places: Indices, weight: int, cells: Cells) -> None:
    """Add ±weight at every face that the straight segment to point k of ``path`` crosses, in the order it does.

    The walk goes from cell to neighbouring cell and ends in the last whatever the rounding of the crossing points, so
    occupation and crossings balance exactly. Faces whose neighbours are both outside the grid are not counted.
    """
    n0, n1, n2 = cells.faces1.shape[0], cells.faces0.shape[1], cells.faces0.shape[2]
    i0, i1, i2 = places[0, k - 1], places[1, k - 1], places[2, k - 1]
    j0, j1, j2 = places[0, k], places[1, k], places[2, k]
    lower, spacing = cells.lower, cells.spacing
    while i0 != j0 or i1 != j1 or i2 != j2:
        axis, first = -1, math.inf
        if i0 != j0:
            axis, first = 0, next_plane(i0, j0, path[0, k - 1], path[0, k], lower[0], spacing[0])
        if i1 != j1:
            t = next_plane(i1, j1, path[1, k - 1], path[1, k], lower[1], spacing[1])
            if axis < 0 or t < first:
                axis, first = 1, t
        if i2 != j2:
            t = next_plane(i2, j2, path[2, k - 1], path[2, k], lower[2], spacing[2])
            if axis < 0 or t < first:
                axis, first = 2, t
        inside0, inside1, inside2 = 1 <= i0 <= n0, 1 <= i1 <= n1, 1 <= i2 <= n2
        if axis == 0:
            sign = 1 if j0 > i0 else -1
            if inside1 and inside2:
                cells.faces0[max(i0, i0 + sign) - 1, i1 - 1, i2 - 1] += sign * weight
            i0 += sign
        elif axis == 1:
            sign = 1 if j1 > i1 else -1
            if inside0 and inside2:
                cells.faces1[i0 - 1, max(i1, i1 + sign) - 1, i2 - 1] += sign * weight
            i1 += sign
        else:
            sign = 1 if j2 > i2 else -1
            if inside0 and inside1:
                cells.faces2[i0 - 1, i1 - 1, max(i2, i2 + sign) - 1] += sign * weight
            i2 += sign


@njit(**OPTIONS)
def count_cells(path: Array, points: int, weight: int, cells: Cells, places: Indices, flat: Indices) -> None:
    """Add ``weight`` to the cell of every new point of ``path``, and to the faces crossed on the way to it."""
    strides = (cells.histogram[0].size, cells.histogram.shape[2], 1)
    flat[:] = 0
    for axis in range(cells.axes):
        lower, per_length = cells.lower[axis], 1.0 / cells.spacing[axis]
        limit, stride = np.float64(cells.histogram.shape[axis] - 1), np.int32(strides[axis])
        for k in range(points):
            u = (path[axis, k] - lower) * per_length + 1.0
            place = np.int32(u if u < limit else limit) if u >= 1.0 else np.int32(0)
            places[axis, k] = place
            flat[k] += stride * place
    counts = cells.histogram.reshape(-1)
    for k in range(1, points):
        counts[flat[k]] += weight
    if cells.crossings:
        for k in range(1, points):
            if flat[k] != flat[k - 1]:
                count_crossings(path, k, places, weight, cells)


@njit(**OPTIONS)
def record(
    path: Array, points: int, weight: int, centre: Array, chains: Chains, c: int, cells: Cells, room: Any
) -> None:
    """Count the steps between the first ``points`` points of ``path``, shape (d, POINTS), for chain c and its group."""
    shifted, places, flat = room
    add_moments(path, points, centre, shifted, chains.first[c], chains.second[c])
    if cells.axes > 0:
        count_cells(path, points, weight, cells, places, flat)


@njit(**OPTIONS)
def room_for(d: int) -> Any:
    """A shifted path, places and flat places; on the padding axes all are in the one cell."""
    return np.empty((d, POINTS)), np.ones((3, POINTS), np.int32), np.empty(POINTS, np.int32)


@njit(**OPTIONS)
def copy(x: Array, out: Array) -> None:
    """``out[:] = x``, which would compile the message of an error of shapes for seconds."""
    for i in range(x.size):
        out[i] = x[i]


@njit(**OPTIONS)
def advance(
    low: int,
    high: int,
    rule: Rule,
    gradients: Any,
    rows: Array,
    etas: Array,
    taken: int,
    weight: int,
    centre: Array,
    bound: float,
    every: int,
    phase: int,
    chains: Chains,
    cells: Cells,
    kept: Array,
) -> None:
    """Advance the chains low … high − 1, of one group, by ``etas.size`` steps after ``taken`` earlier ones.

    Steps are taken in blocks and, unless ``weight`` is 0, counted with it on the grid. A chain that leaves ``bound`` around
    ``centre`` is lost: the block it happens in is not counted, and the chain stops before that. Every ``every``-th point,
    the last having been ``phase`` steps ago, is copied to ``kept``, shape (chains, points, d).
    """
    d, B = chains.theta.shape[1], rule.batch_size
    drawn = B if rule.noise == MINIBATCH else 0
    plain = rule.momentum == 0.0 and rule.label_noise == 0.0 and rule.temperature == 0.0 and rule.noise == MINIBATCH
    in_planes = plain and d == 2 and (rule.kind == LINEAR or rule.kind == LOGISTIC)
    indices = np.empty((LANES, BLOCK * drawn), np.int32)
    paths = np.empty((LANES, d, POINTS))
    words = np.empty(BLOCK * drawn // 2 + 1, np.uint64)
    room = room_for(d)
    for start in range(low, high, LANES):
        lanes = min(LANES, high - start)
        for done in range(0, etas.size, BLOCK):
            steps = min(BLOCK, etas.size - done)
            eta = etas[done : done + steps]
            for lane in range(lanes):
                c = start + lane
                batch = indices[lane, : steps * drawn]
                state, order, position = chains.batch_words[c], chains.order[c], chains.position[c]
                chains.position[c] = draw_samples(state, words, order, position, rule.period, rows.shape[0], batch)
                copy(chains.theta[c], paths[lane, :, 0])
            if in_planes and lanes == LANES:
                walk_in_planes(rule, rows, eta, indices, paths)
                for lane in range(LANES):
                    copy(paths[lane, :, steps], chains.theta[start + lane])
            else:
                for lane in range(lanes):
                    if chains.lost[start + lane] == 0:
                        walk(rule, gradients, rows, eta, chains, start + lane, indices[lane], paths[lane])
            for lane in range(lanes):
                c, path = start + lane, paths[lane]
                if chains.lost[c] > 0:
                    continue
                beyond = first_beyond(path, steps + 1, centre, bound)
                if beyond > 0:
                    chains.lost[c] = taken + done + beyond
                    copy(path[:, beyond - 1], chains.theta[c])
                    continue
                if weight != 0:
                    record(path, steps + 1, weight, centre, chains, c, cells, room)
                if kept.size > 0:
                    for k in range(((phase + done) // every + 1) * every - phase, done + steps + 1, every):
                        copy(path[:, k - done], kept[c, (phase + k) // every - 1])


@njit(**OPTIONS)
def record_paths(low: int, high: int, paths: Array, centre: Array, chains: Chains, cells: Cells) -> None:
    """Count the chains low … high − 1 of one group, whose points are given: ``paths`` (chains, points, d)."""
    d = paths.shape[2]
    path = np.empty((d, POINTS))
    room = room_for(d)
    for c in range(low, high):
        for done in range(0, paths.shape[1] - 1, BLOCK):
            steps = min(BLOCK, paths.shape[1] - 1 - done)
            for i in range(d):
                copy(paths[c, done : done + steps + 1, i], path[i])
            record(path, steps + 1, 1, centre, chains, c, cells, room)
