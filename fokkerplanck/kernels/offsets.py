"""The monotone generator: Selling's decomposition, the edges between cells, and their fluxes carried to the faces.

Arrays are padded to three axes with singletons; lengths are counted in cells. A tensor is written as

    A = Σ_e w_e e eᵀ,   w_e ≥ 0,   e whole numbers,

and every offset e carries a Scharfetter–Gummel flux between the cells i and i ± e.
"""

import math

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
# b_ij below this share of √(b_ii b_jj) is round-off of the products that it is summed from
OBTUSE = 1e-13
FLIPS = 100_000  # each flip shortens the basis; a tensor of condition κ needs at most about √κ of them
# The trapezoid rule needs the force to change little along an edge; beyond this each cell uses its own force
CURVED = 1.0
# Drift whose potential drops by more than this along an offset of several cells is upwinded along the axes instead: upwinded
# along the offset it would smear the density by the offset's length. Along the axes the two are the same
RESOLVED = 4.0
STEEPEST = 600.0  # potential drop along an edge beyond which B would underflow, and an edge with noise cease to exist


@njit(**OPTIONS)
def product(a, v, w):
    total = 0.0
    for m in range(3):
        for n in range(3):
            total += v[m] * a[m, n] * w[n]
    return total


@njit(**OPTIONS)
def selling(tensor, dim, offset, weight):
    """Decompose the tensor of every cell, shape (cells, 3, 3), into offsets (cells, K, 3) and weights (cells, K).

    K = 1, 3, 6 in one, two, three dimensions. Returns the first cell on which the reduction did not end, or −1.
    """
    base = np.zeros((4, 3))
    for cell in range(tensor.shape[0]):
        a = tensor[cell]
        if dim == 1:
            offset[cell, 0, 0] = 1
            weight[cell, 0] = a[0, 0]
            continue
        base[:] = 0.0
        for m in range(dim):
            base[m, m] = 1.0
            base[dim, m] = -1.0
        for _ in range(FLIPS):
            flipped = False
            for i in range(dim + 1):
                for j in range(i + 1, dim + 1):
                    scale = math.sqrt(product(a, base[i], base[i]) * product(a, base[j], base[j]))
                    if not product(a, base[i], base[j]) > OBTUSE * scale:
                        continue
                    for k in range(dim + 1):
                        if k != i and k != j:
                            for m in range(3):
                                # (−v_i, v_j, v_i − v_j) in two dimensions; (−v_i, v_j, v_k + v_i, v_l + v_i) in three
                                base[k, m] = base[i, m] - base[j, m] if dim == 2 else base[k, m] + base[i, m]
                    for m in range(3):
                        base[i, m] = -base[i, m]
                    flipped = True
                    break
                if flipped:
                    break
            if not flipped:
                break
        if flipped:
            return cell
        slot = 0
        for i in range(dim + 1):
            for j in range(i + 1, dim + 1):
                scale = math.sqrt(product(a, base[i], base[i]) * product(a, base[j], base[j]))
                size = -product(a, base[i], base[j])
                weight[cell, slot] = size if size > OBTUSE * scale else 0.0
                if dim == 2:
                    k = 3 - i - j
                    offset[cell, slot, 0] = -int(base[k, 1])
                    offset[cell, slot, 1] = int(base[k, 0])
                else:
                    k = -1
                    other = -1
                    for c in range(4):
                        if c != i and c != j:
                            if k < 0:
                                k = c
                            else:
                                other = c
                    for m in range(3):
                        n, o = (m + 1) % 3, (m + 2) % 3
                        offset[cell, slot, m] = int(base[k, n] * base[other, o] - base[k, o] * base[other, n])
                slot += 1
    return -1


@njit(**OPTIONS)
def steepest_drop(offset, weight, force):
    """Largest |e·ω| along the offsets of a cell that are longer than one cell."""
    steepest = 0.0
    for slot in range(weight.size):
        e = offset[slot]
        if weight[slot] > 0.0 and abs(e[0]) + abs(e[1]) + abs(e[2]) > 1:
            steepest = max(steepest, abs(e[0] * force[0] + e[1] * force[1] + e[2] * force[2]))
    return steepest


@njit(**OPTIONS)
def share_out(offset, weight, modes, force, rest):
    """Sum the parts of the force, shape (cells, k, 3), and move what long offsets would smear to ``rest``."""
    for cell in range(weight.shape[0]):
        for k in range(modes.shape[1]):
            force[cell] += modes[cell, k]
        if steepest_drop(offset[cell], weight[cell], force[cell]) <= RESOLVED:
            continue
        for k in range(modes.shape[1]):
            part = modes[cell, k]
            if steepest_drop(offset[cell], weight[cell], part) <= RESOLVED:
                continue
            for slot in range(weight.shape[1]):
                e = offset[cell, slot]
                along = weight[cell, slot] * (e[0] * part[0] + e[1] * part[1] + e[2] * part[2])
                for a in range(3):
                    rest[cell, a] += along * e[a]
            force[cell] -= part


@njit(**OPTIONS)
def bernoulli(x):
    """x/(eˣ − 1); bounded away from zero, so that noise keeps every edge open in both directions."""
    x = min(x, STEEPEST)
    if abs(x) < 1e-2:  # the next term of the series is x⁶/30240, below round-off here
        return 1.0 - x / 2.0 + x * x / 12.0 - x**4 / 720.0
    return x / math.expm1(x)


@njit(**OPTIONS)
def neighbour(place, step, sign, shape, periodic):
    """Flat number of the cell at place + sign·step, or −1 outside."""
    flat = 0
    for a in range(3):
        at = place[a] + sign * step[a]
        if periodic[a]:
            at %= shape[a]
        elif at < 0 or at >= shape[a]:
            return -1
        flat = flat * shape[a] + at
    return flat


@njit(**OPTIONS)
def join(cell, place, step, w, oblique, force, shape, periodic, out, count):
    """Edges from a cell along ± step, half the weight each; returns the new count.

    Where one of them leaves the box, the other gets all the weight if the tensor of the cell is oblique: the slope along e is
    then taken from one side, and all slopes alike. Along the axes nothing crosses the wall, and its half is left out.
    """
    tail, head, steps, forward, backward = out
    ahead = neighbour(place, step, 1, shape, periodic)
    behind = neighbour(place, step, -1, shape, periodic)
    share = w if oblique and (ahead < 0 or behind < 0) else 0.5 * w
    for sign in (1, -1):
        other = ahead if sign == 1 else behind
        if other < 0 or other == cell:
            continue
        if count < tail.size:
            drop, change = 0.0, 0.0  # of the potential along the edge
            for a in range(3):
                drop += sign * step[a] * force[cell, a]
                change += sign * step[a] * 0.5 * (force[other, a] - force[cell, a])
                steps[count, a] = sign * step[a]
            if abs(change) < CURVED:
                drop += change
            tail[count] = cell
            head[count] = other
            forward[count] = share * bernoulli(-drop)
            backward[count] = share * bernoulli(drop)
        count += 1
    return count


@njit(**OPTIONS)
def edges(offset, weight, force, rest, shape, periodic, tail, head, steps, forward, backward):
    """Rates tail → head (forward) and back of every edge; returns their number, writing as many as there is room for.

    ``force`` is ω and ``rest`` the drift outside the range of the tensor, both of shape (cells, 3).
    """
    out = (tail, head, steps, forward, backward)
    count = 0
    place = np.zeros(3, dtype=np.int64)
    axis_step = np.zeros(3, dtype=np.int64)
    for cell in range(weight.shape[0]):
        place[2] = cell % shape[2]
        place[1] = cell // shape[2] % shape[1]
        place[0] = cell // (shape[2] * shape[1])
        oblique = False
        for slot in range(weight.shape[1]):
            e = offset[cell, slot]
            oblique |= weight[cell, slot] > 0.0 and abs(e[0]) + abs(e[1]) + abs(e[2]) > 1
        for slot in range(weight.shape[1]):
            w = weight[cell, slot]
            if not w > 0.0:
                continue
            e = offset[cell, slot]
            ahead = neighbour(place, e, 1, shape, periodic)
            behind = neighbour(place, e, -1, shape, periodic)
            if ahead >= 0 or behind >= 0:
                count = join(cell, place, e, w, oblique, force, shape, periodic, out, count)
                continue
            for a in range(
                3
            ):  # in a corner that the offset leaves both ways: the same diagonal of w e eᵀ, along the axes
                if e[a] != 0:
                    axis_step[:] = 0
                    axis_step[a] = 1
                    share = w * e[a] * e[a]
                    count = join(cell, place, axis_step, share, oblique, force, shape, periodic, out, count)
        for a in range(3):
            axis_step[:] = 0
            axis_step[a] = 1
            other = neighbour(place, axis_step, 1, shape, periodic)
            if other < 0 or other == cell:
                continue
            speed = 0.5 * (rest[cell, a] + rest[other, a])
            if speed == 0.0:
                continue
            if count < tail.size:
                tail[count] = cell
                head[count] = other
                for m in range(3):
                    steps[count, m] = axis_step[m]
                forward[count] = max(speed, 0.0)
                backward[count] = max(-speed, 0.0)
            count += 1
    return count


@njit(**OPTIONS)
def carry_to_faces(tail, steps, net, shape, periodic, faces):
    """Add the flux of every edge to the faces that the straight line between its two cells crosses.

    Where the line meets an edge or corner of a cell it crosses several faces at once; half the flux then takes them in
    ascending and half in descending order of the axes, which keeps the path symmetric about its middle.
    """
    place = np.zeros(3, dtype=np.int64)
    done = np.zeros(3, dtype=np.int64)
    size = np.zeros(3, dtype=np.int64)
    for k in range(tail.size):
        total = 0
        for a in range(3):
            size[a] = abs(steps[k, a])
            total += size[a]
        for order in range(2):
            place[2] = tail[k] % shape[2]
            place[1] = tail[k] // shape[2] % shape[1]
            place[0] = tail[k] // (shape[2] * shape[1])
            done[:] = 0
            for _ in range(total):
                axis = -1
                for c in range(3):
                    a = c if order == 0 else 2 - c
                    if done[a] == size[a]:
                        continue
                    # the next face of axis a is crossed at the time (done + ½)/size of the way: compared without a division
                    if axis < 0 or (2 * done[a] + 1) * size[axis] < (2 * done[axis] + 1) * size[a]:
                        axis = a
                sign = 1 if steps[k, axis] > 0 else -1
                if sign < 0:
                    face = place[axis]
                else:
                    face = place[axis] + 1
                    if periodic[axis]:
                        face %= shape[axis]
                at0 = face if axis == 0 else place[0]
                at1 = face if axis == 1 else place[1]
                at2 = face if axis == 2 else place[2]
                faces[axis][at0, at1, at2] += 0.5 * sign * net[k]
                place[axis] += sign
                if periodic[axis]:
                    place[axis] %= shape[axis]
                done[axis] += 1
