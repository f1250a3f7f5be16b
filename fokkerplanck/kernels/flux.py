"""The log-density flux: face currents, cell balances and their Jacobian, in one to three dimensions.

Arrays have three axes, (1, 1, n) in one dimension and (n, 1, m) in two, and every kernel that takes ``start`` and ``stop``
writes to the planes between them only, so that two threads can share a grid. With Φ = −ln p a face between the cells l and r
carries

    J = q v,   q = exp(−(Φ_l + Φ_r)/2),   v = u + D_aa (Φ_r − Φ_l)/h_a + Σ_m D_am ∂_m Φ      (regular)
    J = (D_aa/h) [B(−w h/D_aa) p_l − B(w h/D_aa) p_r],   w frozen,  B(x) = x/(eˣ − 1)           (frozen)

and every balance is divided by the density of its own cell, so that only ratios of neighbouring densities are formed.
The unknown of the Jacobian is s = δp/p.
"""

import math

import numpy as np
from numba import njit

LEAST, NOISELESS = 1e-290, 1e4
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def bernoulli(x):
    """x/(eˣ − 1), with its series where the quotient loses digits."""
    if abs(x) < 1e-2:  # the next term of the series is x⁶/30240, below round-off here
        return 1.0 - x / 2.0 + x * x / 12.0 - x**4 / 720.0
    if x > 700.0:
        return 0.0
    return x / math.expm1(x)


@njit(**OPTIONS)
def forward_rate(w, d, h):
    """(D/h) B(−w h/D): the part of a Scharfetter–Gummel flux that carries the density upstream of w; max(w, 0) as D → 0."""
    rate = d / h
    if abs(w) >= 700.0 * rate:
        return max(w, 0.0)
    return rate * bernoulli(-w / rate)


@njit(**OPTIONS)
def faces_of(axis, z, y, part, shape):
    """Faces normal to ``axis`` behind a row of cells: the rows of cells on their left and right, from which x on, how many.

    Along x part 0 are those between the cells of the row, part 1 is the one that closes a ring.
    """
    if axis == 0:
        return (z if z > 0 else shape[0]) - 1, y, 0, z if z < shape[0] else 0, y, 0, shape[2]
    if axis == 1:
        return z, (y if y > 0 else shape[1]) - 1, 0, z, y if y < shape[1] else 0, 0, shape[2]
    if part == 0:
        return z, y, 0, z, y, 1, shape[2] - 1
    return z, y, shape[2] - 1, z, y, 0, 1


@njit(**OPTIONS)
def parts_of(axis, z, y, shape, periodic):
    """How many parts the faces behind a row of cells come in; none at a wall, or where there are no neighbours."""
    if shape[axis] == 1:
        return 0
    if axis == 2:
        return 2 if periodic[2] else 1
    place = z if axis == 0 else y
    return 1 if periodic[axis] or 0 < place < shape[axis] else 0


@njit(**OPTIONS)
def slopes(phi, spacing, periodic, out, start, stop):
    """∂_m Φ of every cell into ``out[m]``: central, or one-sided of second order at a wall."""
    ny, nx = phi.shape[1:]
    for m in range(3):
        n = phi.shape[m]
        if n == 1:
            continue
        half = 0.5 / spacing[m]
        for z in range(start, stop):
            for y in range(ny):
                line, row = phi[z, y], out[m, z, y]
                if m == 2:
                    for x in range(1, nx - 1):
                        row[x] = half * (line[x + 1] - line[x - 1])
                    if periodic[2]:
                        row[0], row[nx - 1] = half * (line[1] - line[nx - 1]), half * (line[0] - line[nx - 2])
                    else:
                        row[0] = half * (-3.0 * line[0] + 4.0 * line[1] - line[2])
                        row[nx - 1] = -half * (-3.0 * line[nx - 1] + 4.0 * line[nx - 2] - line[nx - 3])
                    continue
                i = z if m == 0 else y
                if (0 < i < n - 1) or periodic[m]:
                    above, below = (i + 1) % n, (i - 1) % n
                    ahead = phi[above, y] if m == 0 else phi[z, above]
                    behind = phi[below, y] if m == 0 else phi[z, below]
                    for x in range(nx):
                        row[x] = half * (ahead[x] - behind[x])
                else:
                    step = 1 if i == 0 else -1
                    near = phi[i + step, y] if m == 0 else phi[z, i + step]
                    far = phi[i + 2 * step, y] if m == 0 else phi[z, i + 2 * step]
                    for x in range(nx):
                        row[x] = step * half * (-3.0 * line[x] + 4.0 * near[x] - far[x])


@njit(**OPTIONS)
def freeze(phi, slope, u, d, spacing, periodic, steepest, fastest, limit, regular, w, start, stop):
    """Decide face by face which form of the flux is used, and freeze the cross drift w of the others.

    A face is regular where the reference density varies by less than ``steepest`` (in Φ) per cell along every axis and its
    velocity stays below ``fastest`` D/h. ``limit`` bounds the h ∂_m Φ that enters w (0: no cross drift at all).
    """
    shape, any_speed = phi.shape, math.isinf(fastest)
    inverse = 1.0 / limit if limit > 0.0 else 0.0
    steep, whole, cross = np.empty(shape[2]), np.empty(shape[2]), np.empty(shape[2])
    for z in range(start, stop):
        for y in range(shape[1]):
            for axis in range(3):
                for part in range(parts_of(axis, z, y, shape, periodic)):
                    lz, ly, lx, rz, ry, rx, n = faces_of(axis, z, y, part, shape)
                    left, right = phi[lz, ly, lx : lx + n], phi[rz, ry, rx : rx + n]
                    for x in range(n):
                        steep[x] = abs(right[x] - left[x])
                        whole[x] = 0.0
                        cross[x] = 0.0
                    for m in range(3):
                        if m == axis or shape[m] == 1:
                            continue
                        h, dam = spacing[m], d[axis][m, rz, ry, rx : rx + n]
                        before, after = slope[m, lz, ly, lx : lx + n], slope[m, rz, ry, rx : rx + n]
                        for x in range(n):
                            mean = 0.5 * (before[x] + after[x])
                            steep[x] = max(steep[x], abs(mean * h))
                            whole[x] += dam[x] * mean
                        if limit > 0.0:
                            for x in range(n):
                                mean = 0.5 * (before[x] + after[x])
                                excess = (mean * h * inverse) ** 2
                                cross[x] += dam[x] * mean / math.sqrt(math.sqrt(1.0 + excess * excess))
                    daa, drift = d[axis][axis, rz, ry, rx : rx + n], u[axis][rz, ry, rx : rx + n]
                    form, frozen = regular[axis][rz, ry, rx : rx + n], w[axis][rz, ry, rx : rx + n]
                    h = spacing[axis]
                    for x in range(n):
                        velocity = drift[x] + daa[x] * (right[x] - left[x]) / h + whole[x]
                        # without noise across it a face is never slow
                        slow = any_speed or abs(velocity) * h <= fastest * daa[x]
                        form[x] = slow and steep[x] < steepest
                        frozen[x] = drift[x] + cross[x]


@njit(**OPTIONS)
def frozen_rates(w, d, h, jump):
    """J/q of one face of the frozen form by s of the cells to its left and right."""
    half = math.exp(0.5 * jump)
    slow = forward_rate(-abs(w), d, h)  # B(−x) = B(x) + x: the other is larger by |w|, without cancellation
    return (slow + max(w, 0.0)) * half, -(slow + max(-w, 0.0)) / half


@njit(**OPTIONS)
def velocities(axis, faces, phi, slope, u, d, spacing, regular, w, v, by_left, by_right):
    """v = J/q of a row of faces, and its derivatives by s of the cells to their left and right."""
    lz, ly, lx, rz, ry, rx, n = faces
    left, right = phi[lz, ly, lx : lx + n], phi[rz, ry, rx : rx + n]
    drift, daa, h = u[axis][rz, ry, rx : rx + n], d[axis][axis, rz, ry, rx : rx + n], spacing[axis]
    for x in range(n):
        v[x] = drift[x] + daa[x] * (right[x] - left[x]) / h
    for m in range(3):
        if m != axis and phi.shape[m] > 1:
            dam = d[axis][m, rz, ry, rx : rx + n]
            before, after = slope[m, lz, ly, lx : lx + n], slope[m, rz, ry, rx : rx + n]
            for x in range(n):
                v[x] += 0.5 * dam[x] * (before[x] + after[x])
    for x in range(n):
        rate = daa[x] / h
        by_left[x], by_right[x] = 0.5 * v[x] + rate, 0.5 * v[x] - rate
    form = regular[axis][rz, ry, rx : rx + n]
    for x in range(n):
        if not form[x]:
            jump = right[x] - left[x]
            by_left[x], by_right[x] = frozen_rates(w[axis][rz, ry, rx + x], daa[x], h, jump)
            v[x] = by_left[x] + by_right[x]


@njit(**OPTIONS)
def add_compact_slopes(s, z, y, first, m, h, periodic, out):
    """Add ∂_m s of a row of cells: central, or to the one neighbour at a wall; as ``balance`` differentiates."""
    n, count = s.shape[m], len(out)
    if m < 2:
        i = z if m == 0 else y
        above = i + 1 if i < n - 1 else (0 if periodic else i)
        below = i - 1 if i > 0 else (n - 1 if periodic else i)
        factor = 1.0 / ((2.0 if above != i and below != i else 1.0) * h)
        ahead = s[above, y] if m == 0 else s[z, above]
        behind = s[below, y] if m == 0 else s[z, below]
        ahead, behind = ahead[first : first + count], behind[first : first + count]
        for x in range(count):
            out[x] += factor * (ahead[x] - behind[x])
        return
    row = s[z, y]
    for x in range(max(first, 1), min(first + count, n - 1)):
        out[x - first] += 0.5 / h * (row[x + 1] - row[x - 1])
    for x in (0, n - 1):
        if first <= x < first + count:
            above = x + 1 if x < n - 1 else (0 if periodic else x)
            below = x - 1 if x > 0 else (n - 1 if periodic else x)
            out[x - first] += (row[above] - row[below]) / ((2.0 if above != x and below != x else 1.0) * h)


@njit(**OPTIONS)
def fluxes(phi, slope, s, u, d, spacing, periodic, regular, w, own, out, start, stop):
    """Face currents ``own`` J(Φ) + J'(Φ)s into ``out`` (three face arrays); walls stay zero, periodic ends are both written."""
    shape = phi.shape
    v, by_left, by_right, rise = np.empty(shape[2]), np.empty(shape[2]), np.empty(shape[2]), np.empty(shape[2])
    for z in range(start, stop):
        for y in range(shape[1]):
            for axis in range(3):
                for part in range(parts_of(axis, z, y, shape, periodic)):
                    faces = faces_of(axis, z, y, part, shape)
                    lz, ly, lx, rz, ry, rx, n = faces
                    velocities(axis, faces, phi, slope, u, d, spacing, regular, w, v, by_left, by_right)
                    before, after = s[lz, ly, lx : lx + n], s[rz, ry, rx : rx + n]
                    for x in range(n):
                        v[x] = own * v[x] + by_left[x] * before[x] + by_right[x] * after[x]
                    form = regular[axis][rz, ry, rx : rx + n]
                    for m in range(3):
                        if m == axis or shape[m] == 1:
                            continue
                        change, dam = rise[:n], d[axis][m, rz, ry, rx : rx + n]
                        change[:] = 0.0
                        add_compact_slopes(s, lz, ly, lx, m, spacing[m], periodic[m], change)
                        add_compact_slopes(s, rz, ry, rx, m, spacing[m], periodic[m], change)
                        for x in range(n):
                            v[x] -= 0.5 * dam[x] * change[x] if form[x] else 0.0
                    left, right = phi[lz, ly, lx : lx + n], phi[rz, ry, rx : rx + n]
                    flux = out[axis][rz, ry, rx : rx + n]
                    for x in range(n):
                        flux[x] = v[x] * math.exp(-0.5 * (left[x] + right[x]))
                    if axis == 0 and z == 0:
                        out[0][shape[0], y] = out[0][0, y]
                    elif axis == 1 and y == 0:
                        out[1][z, shape[1]] = out[1][z, 0]
                    elif part == 1:
                        out[2][z, y, shape[2]] = out[2][z, y, 0]


@njit(**OPTIONS)
def add_slope(row, i, m, offset, n, periodic, slot, factor, x):
    """Add factor × h ∂_m s, taken in the cell at ``offset`` (coded) and place i along m, to a row of the Jacobian."""
    low = -1 if periodic or i > 0 else 0
    high = 1 if periodic or i < n - 1 else 0
    stride = 9 if m == 0 else (3 if m == 1 else 1)
    share = factor if high - low == 1 else 0.5 * factor
    row[slot[offset + high * stride], x] += share
    row[slot[offset + low * stride], x] -= share


@njit(**OPTIONS)
def add_slopes(rows, i, first, m, offset, n, periodic, slot, scale, coefficient):
    """The same of a row of cells from ``first`` on, factor = scale × coefficient; i along the row itself is its x."""
    low, high, start, stop = -1, 1, 0, len(scale)
    stride = 9 if m == 0 else (3 if m == 1 else 1)
    if m == 2:  # of whole rows only
        start, stop = 1, n - 1
        for x in (0, n - 1):
            add_slope(rows, x, m, offset, n, periodic, slot, scale[x] * coefficient[x], x)
    elif not periodic:
        low, high = -1 if i > 0 else 0, 1 if i < n - 1 else 0
    share = 1.0 if high - low == 1 else 0.5
    up, down = rows[slot[offset + high * stride]], rows[slot[offset + low * stride]]
    for x in range(start, stop):
        change = share * (scale[x] * coefficient[x])
        up[first + x] += change
        down[first + x] -= change


@njit(**OPTIONS)
def balance(phi, slope, u, d, spacing, periodic, regular, w, slot, residual, rows, start, stop):
    """Outflow per volume of every cell over its density, and its derivative by s = δp/p.

    ``rows[z, y, slot[code], x]`` is the derivative by s of the neighbour at offset o, code = ((o₀+1)·3 + (o₁+1))·3 + (o₂+1).
    """
    shape = phi.shape
    nx = shape[2]
    v, by_left, by_right, rise = np.empty(nx), np.empty(nx), np.empty(nx), np.empty(nx)
    scale, crossing = np.empty(nx), np.empty((3, nx))
    extra = (1 if shape[0] > 1 else 0, 1 if shape[1] > 1 else 0)
    for f0 in range(start, stop + extra[0]):
        for f1 in range(shape[1] + extra[1]):
            if f0 < stop and f1 < shape[1]:
                residual[f0, f1] = 0.0
                rows[f0, f1] = 0.0
            for axis in range(3):
                if (axis != 0 and f0 == stop) or (axis != 1 and f1 == shape[1]):
                    continue
                for part in range(parts_of(axis, f0, f1, shape, periodic)):
                    faces = faces_of(axis, f0, f1, part, shape)
                    lz, ly, lx, rz, ry, rx, n = faces
                    h, ahead = spacing[axis], 9 if axis == 0 else (3 if axis == 1 else 1)
                    velocities(axis, faces, phi, slope, u, d, spacing, regular, w, v, by_left, by_right)
                    left, right = phi[lz, ly, lx : lx + n], phi[rz, ry, rx : rx + n]
                    for x in range(n):
                        rise[x] = math.exp(0.5 * (right[x] - left[x]))
                    form = regular[axis][rz, ry, rx : rx + n]
                    for m in range(3):
                        if m != axis and shape[m] > 1:
                            across, dam, coefficient = -0.5 / spacing[m], d[axis][m, rz, ry, rx : rx + n], crossing[m]
                            for x in range(n):
                                coefficient[x] = across * dam[x] if form[x] else 0.0
                    # the cells on both sides of the faces; only those of this range of planes are written to
                    for side in range(2):
                        if side == 0:
                            if (axis == 0 and f0 == start) or (axis == 1 and f1 == 0):
                                continue
                            z, y, first, there, mine, theirs = lz, ly, lx, 13 + ahead, by_left, by_right
                            for x in range(n):
                                scale[x] = 1.0 / (rise[x] * h)  # q/p_l per h
                        else:
                            if (axis == 0 and f0 == stop) or (axis == 1 and f1 == shape[1]):
                                continue
                            z, y, first, there, mine, theirs = rz, ry, rx, 13 - ahead, by_right, by_left
                            for x in range(n):
                                scale[x] = -rise[x] / h
                        row, total = rows[z, y], residual[z, y, first : first + n]
                        own, other = row[slot[13], first : first + n], row[slot[there], first : first + n]
                        for x in range(n):
                            total[x] += scale[x] * v[x]
                            own[x] += scale[x] * mine[x]
                            other[x] += scale[x] * theirs[x]
                        for m in range(3):
                            if m == axis or shape[m] == 1:
                                continue
                            i, of = z if m == 0 else y, crossing[m, :n]
                            add_slopes(row, i, first, m, 13, shape[m], periodic[m], slot, scale[:n], of)
                            add_slopes(row, i, first, m, there, shape[m], periodic[m], slot, scale[:n], of)


@njit(**OPTIONS)
def row_scales(rows, dominance, diagonal, start, stop):
    """What to divide every row by: its own coefficient, or ``dominance`` × the sum of the others where that is larger."""
    for z in range(start, stop):
        for y in range(rows.shape[1]):
            others = diagonal[z, y]
            others[:] = 0.0
            for s in range(1, rows.shape[2]):
                for x in range(rows.shape[3]):
                    others[x] += abs(rows[z, y, s, x])
            for x in range(rows.shape[3]):
                others[x] = max(rows[z, y, 0, x], dominance * others[x])


@njit(**OPTIONS)
def scale_rows(rows, diagonal, held, start, stop):
    """Divide every row; a held cell's becomes that of the identity."""
    scale = np.empty(rows.shape[3])
    for z in range(start, stop):
        for y in range(rows.shape[1]):
            for x in range(rows.shape[3]):
                scale[x] = 1.0 / diagonal[z, y, x]
            for s in range(rows.shape[2]):
                own = 1.0 if s == 0 else 0.0
                for x in range(rows.shape[3]):
                    rows[z, y, s, x] = own if held[z, y, x] else rows[z, y, s, x] * scale[x]


@njit(**OPTIONS)
def upwind_rates(shape, d, spacing, periodic, w, place, rates):
    """Dense generator of the frozen (monotone) scheme: rates[i, j] is the rate from the cell with place i to that with place j.

    Against a drift so strong that no double holds the rate, it is ``LEAST`` of noise alone: no cell is left for good. Beyond a
    cell Péclet number of ``NOISELESS`` there is no noise, and nothing comes back.
    """
    rates[:] = 0.0
    for axis in range(3):
        n = shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        for i0 in range(shape[0]):
            for i1 in range(shape[1]):
                for i2 in range(shape[2]):
                    i = i0 if axis == 0 else (i1 if axis == 1 else i2)
                    if i == 0 and not periodic[axis]:
                        continue
                    l0, l1, l2 = i0 - (axis == 0), i1 - (axis == 1), i2 - (axis == 2)
                    if i == 0:
                        l0, l1, l2 = (
                            (n - 1, i1, i2) if axis == 0 else ((i0, n - 1, i2) if axis == 1 else (i0, i1, n - 1))
                        )
                    daa = d[axis][axis, i0, i1, i2]
                    cell = place[(i0 * shape[1] + i1) * shape[2] + i2]
                    below = place[(l0 * shape[1] + l1) * shape[2] + l2]
                    least = LEAST * daa / h if abs(w[axis][i0, i1, i2]) * h < NOISELESS * daa else 0.0
                    rates[below, cell] += max(forward_rate(w[axis][i0, i1, i2], daa, h), least) / h
                    rates[cell, below] += max(forward_rate(-w[axis][i0, i1, i2], daa, h), least) / h


@njit(**OPTIONS)
def gth(rates, log_p):
    """Stationary law of a Markov chain by Grassmann–Taksar–Heyman elimination: no subtraction, so no cancellation.

    ``rates`` is overwritten; state 0 is eliminated last and should be a likely one. Writes ln p with ln p[0] = 0 and
    returns False where the chain falls apart (a state that cannot be left towards the others).
    """
    n = rates.shape[0]
    out = np.zeros(n)
    for k in range(n - 1, 0, -1):
        total = 0.0
        onward = rates[k, :k]
        for j in range(k):
            total += onward[j]
        if not total > 0.0:
            return False
        out[k] = total
        for i in range(k):
            if rates[i, k] > 0.0:
                share, row = rates[i, k] / total, rates[i]
                for j in range(
                    k
                ):  # the diagonal too, which is never looked at: without exceptions loops are vectorised
                    row[j] += share * onward[j]
    log_p[0] = 0.0
    for k in range(1, n):
        top = -np.inf
        for i in range(k):
            if rates[i, k] > 0.0:
                top = max(top, log_p[i] + math.log(rates[i, k]))
        if top == -np.inf:
            return False
        total = 0.0
        for i in range(k):
            if rates[i, k] > 0.0:
                total += math.exp(log_p[i] + math.log(rates[i, k]) - top)
        log_p[k] = top + math.log(total) - math.log(out[k])
    return True
