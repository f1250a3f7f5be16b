"""SGD chains, and what is counted along them; nothing is stored per step.

LANES chains walk a block of steps side by side into short paths, which are then counted. Every chain uses only its own
generators, lanes do not mix, and a call writes only to its chains and their groups: neither the number of threads nor which
chains walk side by side changes the results.

In arrays of all lanes the lane comes last, and before it the step: ``path`` has shape (d, POINTS, LANES).
"""

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from .chain_state import Array, Cells, Chains, Halves, Indices, Ints, Rule
from .counts import BLOCK, POINTS, ROW, keep_sums, record, room_to_record, take_sums
from .draws import draw_samples, normals, stretch
from .lanes import LANES, exponential, fill, gather, load, store

# Numba's cache notices changes in this file, not in others that are called from it: ``cached`` takes care of those.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
LINEAR, LOGISTIC, PHASE, TANH, DEEP = range(5)  # the same numbers as in losses.py; any other: ``gradients`` is called
MINIBATCH, GAUSSIAN, STABLE = range(3)


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
    rule: Rule,
    gradients: Any,
    rows: Array,
    etas: Array,
    chains: Chains,
    c: int,
    lane: int,
    indices: Halves,
    path: Array,
) -> None:
    """The steps of chain c by any rule, along its lane of ``path`` from the first point on."""
    d, B = path.shape[0], rule.batch_size
    theta, look, g, z = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    shifts, each, batch = np.zeros(B), np.empty((B, d)), np.empty(B, np.int32)
    words = np.empty(max(B, d) + 2, np.uint64)
    velocity, state = chains.velocity[c], chains.noise_words[c]
    all_rows = np.arange(rows.shape[0] if rule.noise != MINIBATCH else 0).astype(np.int32)
    for i in range(d):
        theta[i] = path[i, 0, lane]
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
                batch[q] = indices[(k * B + q) * LANES + lane]
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
            path[i, k + 1, lane] = theta[i]


@njit(**OPTIONS)
def slopes_of(kind: int, margins: Any, y: Any) -> Any:
    """``slope_of`` in every lane."""
    if kind == LINEAR:
        return margins - y
    if kind == LOGISTIC:
        return (fill(0.0) - y) / (fill(1.0) + exponential(y * margins))
    return fill(2.0) * margins * (margins * margins - y)


@njit(forceinline=True, **OPTIONS)
def walk_in_planes(kind: int, l2: float, B: int, table: Array, etas: Array, indices: Halves, p: Array) -> None:
    """Steps of plain SGD on margins, two parameters, in all lanes: they and the gradient stay in registers."""
    a, b = load(p, 0), load(p, ROW)
    for k in range(etas.size):
        g, h = fill(0.0), fill(0.0)
        for q in range(k * B * LANES, (k + 1) * B * LANES, LANES):
            x, y = gather(table, 3, 0, indices, q), gather(table, 3, 1, indices, q)
            s = slopes_of(kind, a * x + b * y, gather(table, 3, 2, indices, q))
            g, h = g + s * x, h + s * y
        keep, step, at = fill(1.0 - etas[k] * l2), fill(etas[k] / B), (k + 1) * LANES
        a, b = keep * a - step * g, keep * b - step * h
        store(p, at, a)
        store(p, at + ROW, b)


@njit(**OPTIONS)
def walk_on_margins(
    kind: int, l2: float, B: int, d: int, table: Array, etas: Array, indices: Halves, p: Array, room: Array
) -> None:
    """The same with any number of parameters; ``room``, shape (2d, LANES), is for the gradient and a sample."""
    for k in range(etas.size):
        here = k * LANES
        for i in range(d):
            store(room, i * LANES, fill(0.0))
        for q in range(k * B * LANES, (k + 1) * B * LANES, LANES):
            margins = fill(0.0)
            for i in range(d):
                x = gather(table, d + 1, i, indices, q)
                store(room, (d + i) * LANES, x)
                margins = margins + load(p, i * ROW + here) * x
            s = slopes_of(kind, margins, gather(table, d + 1, d, indices, q))
            for i in range(d):
                store(room, i * LANES, load(room, i * LANES) + s * load(room, (d + i) * LANES))
        keep, step = fill(1.0 - etas[k] * l2), fill(etas[k] / B)
        for i in range(d):
            moved = keep * load(p, i * ROW + here) - step * load(room, i * LANES)
            store(p, i * ROW + here + LANES, moved)


@njit(**OPTIONS)
def walk_side_by_side(rule: Rule, d: int, table: Array, etas: Array, indices: Halves, p: Array, room: Array) -> None:
    """Plain SGD on margins in all lanes; constants make code of their own for what is simulated most."""
    if d == 2 and rule.batch_size == 1:
        walk_in_planes(rule.kind, rule.l2, 1, table, etas, indices, p)
    elif d == 2:
        walk_in_planes(rule.kind, rule.l2, rule.batch_size, table, etas, indices, p)
    else:
        walk_on_margins(rule.kind, rule.l2, rule.batch_size, d, table, etas, indices, p, room)


@njit(**OPTIONS)
def first_beyond(path: Array, lane: int, points: int, centre: Array, bound: float) -> int:
    """The first point of a path with a coordinate that is not finite or not within ``bound`` of ``centre``; 0 if none is."""
    end = points
    for i in range(path.shape[0]):
        if bound == math.inf and abs(path[i, points - 1, lane]) < math.inf:
            continue  # what is not finite stays so
        for k in range(1, end):
            if not abs(path[i, k, lane] - centre[i]) < bound:
                end = k
                break
    return end if end < points else 0


@njit(**OPTIONS)
def walk_and_count(
    which: Ints,
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
    """Advance the chains ``which`` by ``etas.size`` steps after ``taken`` earlier ones.

    Steps are taken in blocks and, unless ``weight`` is 0, counted with it on the grid. A chain that leaves ``bound`` around
    ``centre`` is lost: the block it happens in is not counted, and the chain stops before that. Every ``every``-th point,
    the last having been ``phase`` steps ago, is copied to ``kept``, shape (chains, points, d).
    """
    d, B = chains.theta.shape[1], rule.batch_size
    drawn = B if rule.noise == MINIBATCH else 0
    plain = rule.momentum == 0.0 and rule.label_noise == 0.0 and rule.temperature == 0.0 and rule.noise == MINIBATCH
    side_by_side = plain and LINEAR <= rule.kind <= PHASE
    states, indices = np.zeros(5 * LANES, np.uint64), np.zeros((BLOCK * drawn + 1) * LANES, np.uint32)
    path, weights = np.zeros((d, POINTS, LANES)), np.zeros(LANES, np.int64)
    table, p, gradient = rows.reshape(-1), path.reshape(-1), np.empty(2 * d * LANES)
    room = room_to_record(d)
    sums = room[0]
    for start in range(0, which.size, LANES):
        chosen = which[start : start + LANES]
        for lane in range(LANES):  # where there are too few chains, the last walks in several
            c = chosen[min(lane, chosen.size - 1)]
            for i in range(5):
                states[i * LANES + lane] = chains.batch_words[c, i]
            for i in range(d):
                path[i, 0, lane] = chains.theta[c, i]
            take_sums(chains, c, sums, lane)
        weights[:], steps = 0, 0
        for done in range(0, etas.size, BLOCK):
            for i in range(d if done > 0 else 0):
                for lane in range(LANES):
                    path[i, 0, lane] = path[i, steps, lane]
            steps = min(BLOCK, etas.size - done)
            eta = etas[done : done + steps]
            draw_samples(
                states, steps * drawn, rule.period, rows.shape[0], chosen, chains.order, chains.position, indices
            )
            if side_by_side:
                walk_side_by_side(rule, d, table, eta, indices, p, gradient)
            for lane in range(chosen.size):
                c = chosen[lane]
                weights[lane] = 0
                if chains.lost[c] > 0:
                    continue
                if not side_by_side:
                    walk(rule, gradients, rows, eta, chains, c, lane, indices, path)
                beyond = first_beyond(path, lane, steps + 1, centre, bound)
                last = beyond - 1 if beyond > 0 else steps
                for i in range(d):
                    chains.theta[c, i] = path[i, last, lane]
                if beyond > 0:
                    chains.lost[c] = taken + done + beyond
                    keep_sums(chains, c, sums, lane)
                    continue
                weights[lane] = weight
                if kept.size > 0:
                    for k in range(((phase + done) // every + 1) * every - phase, done + steps + 1, every):
                        for i in range(d):
                            kept[c, (phase + k) // every - 1, i] = path[i, k - done, lane]
            if weight != 0:
                record(path, steps + 1, centre, chosen, weights, cells, room)
        for lane in range(chosen.size):
            c = chosen[lane]
            for i in range(5):
                chains.batch_words[c, i] = states[i * LANES + lane]
            if chains.lost[c] == 0:
                keep_sums(chains, c, sums, lane)


def cached(sources: tuple[int, ...]) -> Any:
    """``walk_and_count`` for Numba's cache, to which a function whose closure changed is another one."""

    @njit(cache=True, **OPTIONS)
    def advance(which, rule, gradients, rows, etas, taken, weight, centre, bound, every, phase, chains, cells, kept):
        if len(sources) > 0:
            walk_and_count(
                which, rule, gradients, rows, etas, taken, weight, centre, bound, every, phase, chains, cells, kept
            )

    return advance


called = (Path(__file__).with_name(name) for name in ("counts.py", "draws.py", "lanes.py"))
advance = cached(tuple(zlib.crc32(file.read_bytes()) for file in called))
