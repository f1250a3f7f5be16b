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
def neighbour(axis, z, y, x, reach):
    if axis == 0:
        return z + reach, y, x
    if axis == 1:
        return z, y + reach, x
    return z, y, x + reach


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
    shape = phi.shape
    for axis in range(3):
        n = shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        for z in range(start, stop):
            for y in range(shape[1]):
                for x in range(shape[2]):
                    i = z if axis == 0 else (y if axis == 1 else x)
                    if i == 0 and not periodic[axis]:
                        continue
                    left = neighbour(axis, z, y, x, -1 if i > 0 else n - 1)
                    daa = d[axis][axis, z, y, x]
                    jump = phi[z, y, x] - phi[left]
                    steep = abs(jump)
                    cross = 0.0
                    whole = 0.0
                    for m in range(3):
                        if m == axis or shape[m] == 1:
                            continue
                        dam = d[axis][m, z, y, x]
                        mean = 0.5 * (slope[m, z, y, x] + slope[m, left[0], left[1], left[2]])
                        rise = mean * spacing[m]
                        steep = max(steep, abs(rise))
                        whole += dam * mean
                        if limit > 0.0:
                            cross += dam * mean / math.sqrt(math.sqrt(1.0 + (rise / limit) ** 4))
                    velocity = u[axis][z, y, x] + daa * jump / h + whole
                    slow = (
                        math.isinf(fastest) or abs(velocity) * h <= fastest * daa
                    )  # without noise across it a face is never slow
                    regular[axis][z, y, x] = steep < steepest and slow
                    w[axis][z, y, x] = u[axis][z, y, x] + cross


@njit(**OPTIONS)
def face_velocity(regular, u, w, d, axis, jump, h, cross):
    """v = J/q of one face and its derivatives by s of the cells to its left and right."""
    if not regular:
        half = math.exp(0.5 * jump)
        slow = forward_rate(-abs(w), d, h)  # B(−x) = B(x) + x: the other is larger by |w|, without cancellation
        out = (slow + max(w, 0.0)) * half
        back = -(slow + max(-w, 0.0)) / half
        return out + back, out, back
    v = u + d * jump / h + cross
    return v, 0.5 * v + d / h, 0.5 * v - d / h


@njit(**OPTIONS)
def compact_slope(s, z, y, x, m, h, periodic):
    """∂_m s in a cell: central, or to the one neighbour at a wall; the form that ``balance`` differentiates with."""
    n = s.shape[m]
    i = z if m == 0 else (y if m == 1 else x)
    above = 1 if i < n - 1 else (1 - n if periodic else 0)
    below = -1 if i > 0 else (n - 1 if periodic else 0)
    span = 2.0 if above != 0 and below != 0 else 1.0
    return (s[neighbour(m, z, y, x, above)] - s[neighbour(m, z, y, x, below)]) / (span * h)


@njit(**OPTIONS)
def fluxes(phi, slope, s, u, d, spacing, periodic, regular, w, own, out, start, stop):
    """Face currents ``own`` J(Φ) + J'(Φ)s into ``out`` (three face arrays); walls stay zero, periodic ends are both written."""
    shape = phi.shape
    for axis in range(3):
        n = shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        for z in range(start, stop):
            for y in range(shape[1]):
                for x in range(shape[2]):
                    i = z if axis == 0 else (y if axis == 1 else x)
                    if i == 0 and not periodic[axis]:
                        continue
                    left = neighbour(axis, z, y, x, -1 if i > 0 else n - 1)
                    form = regular[axis][z, y, x]
                    cross, change = 0.0, 0.0
                    if form:
                        for m in range(3):
                            if m == axis or shape[m] == 1:
                                continue
                            dam = d[axis][m, z, y, x]
                            cross += 0.5 * dam * (slope[m, z, y, x] + slope[m, left[0], left[1], left[2]])
                            here = compact_slope(s, z, y, x, m, spacing[m], periodic[m])
                            there = compact_slope(s, left[0], left[1], left[2], m, spacing[m], periodic[m])
                            change -= 0.5 * dam * (here + there)
                    v, by_left, by_right = face_velocity(
                        form,
                        u[axis][z, y, x],
                        w[axis][z, y, x],
                        d[axis][axis, z, y, x],
                        axis,
                        phi[z, y, x] - phi[left],
                        h,
                        cross,
                    )
                    v = own * v + change + by_left * s[left] + by_right * s[z, y, x]
                    flux = v * math.exp(-0.5 * (phi[z, y, x] + phi[left]))
                    out[axis][z, y, x] = flux
                    if i == 0:
                        out[axis][neighbour(axis, z, y, x, n)] = flux


@njit(**OPTIONS)
def add_slope(row, i, m, offset, n, periodic, slot, factor):
    """Add factor × h ∂_m s, taken in the cell at ``offset`` (coded) and place i along m, to a row of the Jacobian."""
    low = -1 if periodic or i > 0 else 0
    high = 1 if periodic or i < n - 1 else 0
    stride = 9 if m == 0 else (3 if m == 1 else 1)
    share = factor if high - low == 1 else 0.5 * factor
    row[slot[offset + high * stride]] += share
    row[slot[offset + low * stride]] -= share


@njit(**OPTIONS)
def balance(phi, slope, u, d, spacing, periodic, regular, w, slot, residual, rows, start, stop):
    """Outflow per volume of every cell over its density, and its derivative by s = δp/p.

    ``rows[z, y, slot[code], x]`` is the derivative by s of the neighbour at offset o, code = ((o₀+1)·3 + (o₁+1))·3 + (o₂+1).
    """
    shape = phi.shape
    residual[start:stop] = 0.0
    rows[start:stop] = 0.0
    for axis in range(3):
        n = shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        across = (-0.5 / spacing[0], -0.5 / spacing[1], -0.5 / spacing[2])
        ahead = 9 if axis == 0 else (3 if axis == 1 else 1)
        extra = (1 if axis == 0 else 0, 1 if axis == 1 else 0, 1 if axis == 2 else 0)
        for f0 in range(start, stop + extra[0]):
            for f1 in range(shape[1] + extra[1]):
                for f2 in range(shape[2] + extra[2]):
                    f = f0 if axis == 0 else (f1 if axis == 1 else f2)
                    if (f == 0 or f == n) and not periodic[axis]:
                        continue
                    # the cells on both sides of the face; only those of this range of planes are written to
                    right = (f0, f1, f2) if f < n else neighbour(axis, f0, f1, f2, -n)
                    left = neighbour(axis, f0, f1, f2, -1 if f > 0 else n - 1)
                    lowest = start if axis == 0 else 0
                    highest = stop if axis == 0 else n
                    form = regular[axis][right]
                    cross = 0.0
                    if form:
                        for m in range(3):
                            if m != axis and shape[m] > 1:
                                pair = slope[m, left[0], left[1], left[2]] + slope[m, right[0], right[1], right[2]]
                                cross += 0.5 * d[axis][m, right[0], right[1], right[2]] * pair
                    jump = phi[right] - phi[left]
                    v, by_left, by_right = face_velocity(
                        form,
                        u[axis][right],
                        w[axis][right],
                        d[axis][axis, right[0], right[1], right[2]],
                        axis,
                        jump,
                        h,
                        cross,
                    )
                    rise = math.exp(0.5 * jump)
                    if f > lowest:
                        scale = 1.0 / (rise * h)  # q/p_l per h
                        row = rows[left[0], left[1], :, left[2]]
                        residual[left] += scale * v
                        row[slot[13]] += scale * by_left
                        row[slot[13 + ahead]] += scale * by_right
                        if form:
                            for m in range(3):
                                if m == axis or shape[m] == 1:
                                    continue
                                factor = scale * across[m] * d[axis][m, right[0], right[1], right[2]]
                                i = left[m]
                                add_slope(row, i, m, 13, shape[m], periodic[m], slot, factor)
                                add_slope(row, i, m, 13 + ahead, shape[m], periodic[m], slot, factor)
                    if f < highest:
                        scale = -rise / h  # q/p_r per h
                        row = rows[right[0], right[1], :, right[2]]
                        residual[right] += scale * v
                        row[slot[13]] += scale * by_right
                        row[slot[13 - ahead]] += scale * by_left
                        if form:
                            for m in range(3):
                                if m == axis or shape[m] == 1:
                                    continue
                                factor = scale * across[m] * d[axis][m, right[0], right[1], right[2]]
                                i = right[m]
                                add_slope(row, i, m, 13, shape[m], periodic[m], slot, factor)
                                add_slope(row, i, m, 13 - ahead, shape[m], periodic[m], slot, factor)


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
                    l0, l1, l2 = neighbour(axis, i0, i1, i2, -1 if i > 0 else n - 1)
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
