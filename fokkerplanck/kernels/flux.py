"""The log-density flux: face currents, cell balances and their Jacobian, in one to three dimensions.

Arrays are padded to three axes with singletons. With Φ = −ln p a face between the cells l and r carries

    J = q v,   q = exp(−(Φ_l + Φ_r)/2),   v = u + D_aa (Φ_r − Φ_l)/h_a + Σ_m D_am ∂_m Φ      (regular)
    J = (D_aa/h) [B(−w h/D_aa) p_l − B(w h/D_aa) p_r],   w frozen,  B(x) = x/(eˣ − 1)           (frozen)

and every balance is divided by the density of its own cell, so that only ratios of neighbouring densities are formed.
The unknown of the Jacobian is s = δp/p. Its columns are stored by offset: entry ((o₀+1)·3 + (o₁+1))·3 + (o₂+1).
"""

import math

import numpy as np
from numba import njit

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
    if abs(w) > 700.0 * rate:
        return max(w, 0.0)
    return rate * bernoulli(-w / rate)


@njit(**OPTIONS)
def cell_derivative(phi, i0, i1, i2, m, h, periodic):
    """∂_m Φ in a cell: central, or one-sided of second order at a wall."""
    n = phi.shape[m]
    i = i0 if m == 0 else (i1 if m == 1 else i2)
    low, high = i - 1, i + 1
    if periodic:
        low, high = low % n, high % n
    if low >= 0 and high < n:
        if m == 0:
            return (phi[high, i1, i2] - phi[low, i1, i2]) / (2.0 * h)
        if m == 1:
            return (phi[i0, high, i2] - phi[i0, low, i2]) / (2.0 * h)
        return (phi[i0, i1, high] - phi[i0, i1, low]) / (2.0 * h)
    step = 1 if low < 0 else -1
    if m == 0:
        return step * (-3.0 * phi[i, i1, i2] + 4.0 * phi[i + step, i1, i2] - phi[i + 2 * step, i1, i2]) / (2.0 * h)
    if m == 1:
        return step * (-3.0 * phi[i0, i, i2] + 4.0 * phi[i0, i + step, i2] - phi[i0, i + 2 * step, i2]) / (2.0 * h)
    return step * (-3.0 * phi[i0, i1, i] + 4.0 * phi[i0, i1, i + step] - phi[i0, i1, i + 2 * step]) / (2.0 * h)


@njit(**OPTIONS)
def left_of(axis, i0, i1, i2, shape):
    """The cell below a face that is the lower face of cell (i0, i1, i2), wrapping round a periodic axis."""
    if axis == 0:
        return (i0 - 1) % shape[0], i1, i2
    if axis == 1:
        return i0, (i1 - 1) % shape[1], i2
    return i0, i1, (i2 - 1) % shape[2]


@njit(**OPTIONS)
def freeze(phi, u, d, spacing, periodic, steepest, fastest, limit, regular, w):
    """Decide face by face which form of the flux is used, and freeze the cross drift w of the others.

    A face is regular where the reference density varies by less than ``steepest`` (in Φ) per cell along every axis and its
    velocity stays below ``fastest`` D/h. ``limit`` bounds the h ∂_m Φ that enters w (0: no cross drift at all).
    """
    for axis in range(3):
        n = phi.shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        for i0 in range(phi.shape[0]):
            for i1 in range(phi.shape[1]):
                for i2 in range(phi.shape[2]):
                    i = i0 if axis == 0 else (i1 if axis == 1 else i2)
                    if i == 0 and not periodic[axis]:
                        continue
                    l0, l1, l2 = left_of(axis, i0, i1, i2, phi.shape)
                    daa = d[axis][axis, i0, i1, i2]
                    jump = phi[i0, i1, i2] - phi[l0, l1, l2]
                    steep = abs(jump)
                    cross = 0.0
                    whole = 0.0
                    for m in range(3):
                        if m == axis or phi.shape[m] == 1:
                            continue
                        dam = d[axis][m, i0, i1, i2]
                        here = cell_derivative(phi, i0, i1, i2, m, spacing[m], periodic[m])
                        below = cell_derivative(phi, l0, l1, l2, m, spacing[m], periodic[m])
                        slope = 0.5 * (here + below)
                        rise = slope * spacing[m]
                        steep = max(steep, abs(rise))
                        whole += dam * slope
                        if limit > 0.0:
                            cross += dam * slope / (1.0 + (rise / limit) ** 4) ** 0.25
                    velocity = u[axis][i0, i1, i2] + daa * jump / h + whole
                    regular[axis][i0, i1, i2] = steep < steepest and abs(velocity) * h < fastest * daa
                    w[axis][i0, i1, i2] = u[axis][i0, i1, i2] + cross


@njit(**OPTIONS)
def face_values(phi, u, d, spacing, periodic, regular, w, axis, i0, i1, i2, l0, l1, l2, jacobian):
    """Velocity v = J/q of one face; writes the derivatives of J/q by s_l, s_r and ∂_m s into ``jacobian``."""
    h = spacing[axis]
    daa = d[axis][axis, i0, i1, i2]
    jump = phi[i0, i1, i2] - phi[l0, l1, l2]
    for m in range(3):
        jacobian[2 + m] = 0.0
    if not regular[axis][i0, i1, i2]:
        jacobian[0] = forward_rate(w[axis][i0, i1, i2], daa, h) * math.exp(0.5 * jump)
        jacobian[1] = -forward_rate(-w[axis][i0, i1, i2], daa, h) * math.exp(-0.5 * jump)
        return jacobian[0] + jacobian[1]
    v = u[axis][i0, i1, i2] + daa * jump / h
    for m in range(3):
        if m == axis or phi.shape[m] == 1:
            continue
        dam = d[axis][m, i0, i1, i2]
        here = cell_derivative(phi, i0, i1, i2, m, spacing[m], periodic[m])
        below = cell_derivative(phi, l0, l1, l2, m, spacing[m], periodic[m])
        v += 0.5 * dam * (here + below)
        jacobian[2 + m] = -dam
    jacobian[0] = 0.5 * v + daa / h
    jacobian[1] = 0.5 * v - daa / h
    return v


@njit(**OPTIONS)
def compact_derivative(s, i0, i1, i2, m, h, periodic):
    """∂_m s in a cell: central, or to the one neighbour at a wall; the form that ``balance`` differentiates with."""
    n = s.shape[m]
    i = i0 if m == 0 else (i1 if m == 1 else i2)
    low, high, span = i - 1, i + 1, 2.0
    if periodic:
        low, high = low % n, high % n
    else:
        low, high = max(low, 0), min(high, n - 1)
        span = float(high - low)
    if m == 0:
        return (s[high, i1, i2] - s[low, i1, i2]) / (span * h)
    if m == 1:
        return (s[i0, high, i2] - s[i0, low, i2]) / (span * h)
    return (s[i0, i1, high] - s[i0, i1, low]) / (span * h)


@njit(**OPTIONS)
def fluxes(phi, s, u, d, spacing, periodic, regular, w, out):
    """Face currents J(Φ) + J'(Φ)s into ``out`` (three face arrays); walls stay zero, periodic ends are both written."""
    jacobian = np.empty(5)
    for axis in range(3):
        n = phi.shape[axis]
        if n == 1:
            continue
        for i0 in range(phi.shape[0]):
            for i1 in range(phi.shape[1]):
                for i2 in range(phi.shape[2]):
                    i = i0 if axis == 0 else (i1 if axis == 1 else i2)
                    if i == 0 and not periodic[axis]:
                        continue
                    l0, l1, l2 = left_of(axis, i0, i1, i2, phi.shape)
                    v = face_values(phi, u, d, spacing, periodic, regular, w, axis, i0, i1, i2, l0, l1, l2, jacobian)
                    v += jacobian[0] * s[l0, l1, l2] + jacobian[1] * s[i0, i1, i2]
                    for m in range(3):
                        if jacobian[2 + m] != 0.0:
                            here = compact_derivative(s, i0, i1, i2, m, spacing[m], periodic[m])
                            below = compact_derivative(s, l0, l1, l2, m, spacing[m], periodic[m])
                            v += 0.5 * jacobian[2 + m] * (here + below)
                    flux = v * math.exp(-0.5 * (phi[i0, i1, i2] + phi[l0, l1, l2]))
                    out[axis][i0, i1, i2] = flux
                    if i == 0:
                        if axis == 0:
                            out[axis][n, i1, i2] = flux
                        elif axis == 1:
                            out[axis][i0, n, i2] = flux
                        else:
                            out[axis][i0, i1, n] = flux


@njit(**OPTIONS)
def add_slope(stencil, c0, c1, c2, o0, o1, o2, m, n, h, periodic, factor):
    """Add factor × ∂_m s, taken in the cell at offset o (o_m = 0) from cell c, to the row of c; compact at walls."""
    i = c0 if m == 0 else (c1 if m == 1 else c2)
    if periodic:
        low, high, span = -1, 1, 2.0
    else:
        low = -1 if i > 0 else 0
        high = 1 if i < n - 1 else 0
        span = float(high - low)
    stride = 9 if m == 0 else (3 if m == 1 else 1)
    here = ((o0 + 1) * 3 + (o1 + 1)) * 3 + (o2 + 1)
    stencil[c0, c1, c2, here + high * stride] += factor / (span * h)
    stencil[c0, c1, c2, here + low * stride] -= factor / (span * h)


@njit(**OPTIONS)
def balance(phi, u, d, spacing, periodic, regular, w, residual, stencil):
    """Outflow per volume of every cell over its density, and its derivative by s = δp/p in stencil form."""
    jacobian = np.empty(5)
    residual[:] = 0.0
    stencil[:] = 0.0
    for axis in range(3):
        n = phi.shape[axis]
        if n == 1:
            continue
        h = spacing[axis]
        a0, a1, a2 = (1 if axis == 0 else 0), (1 if axis == 1 else 0), (1 if axis == 2 else 0)
        ahead = 9 * a0 + 3 * a1 + a2
        for i0 in range(phi.shape[0]):
            for i1 in range(phi.shape[1]):
                for i2 in range(phi.shape[2]):
                    i = i0 if axis == 0 else (i1 if axis == 1 else i2)
                    if i == 0 and not periodic[axis]:
                        continue
                    l0, l1, l2 = left_of(axis, i0, i1, i2, phi.shape)
                    v = face_values(phi, u, d, spacing, periodic, regular, w, axis, i0, i1, i2, l0, l1, l2, jacobian)
                    half = 0.5 * (phi[i0, i1, i2] - phi[l0, l1, l2])
                    left = math.exp(-half) / h  # q/p_l per h
                    right = math.exp(half) / h  # q/p_r per h
                    residual[l0, l1, l2] += left * v
                    residual[i0, i1, i2] -= right * v
                    stencil[l0, l1, l2, 13] += left * jacobian[0]
                    stencil[l0, l1, l2, 13 + ahead] += left * jacobian[1]
                    stencil[i0, i1, i2, 13 - ahead] -= right * jacobian[0]
                    stencil[i0, i1, i2, 13] -= right * jacobian[1]
                    for m in range(3):
                        if jacobian[2 + m] == 0.0:
                            continue
                        slope = 0.5 * jacobian[2 + m]
                        size, hm, ring = phi.shape[m], spacing[m], periodic[m]
                        add_slope(stencil, l0, l1, l2, 0, 0, 0, m, size, hm, ring, left * slope)
                        add_slope(stencil, l0, l1, l2, a0, a1, a2, m, size, hm, ring, left * slope)
                        add_slope(stencil, i0, i1, i2, -a0, -a1, -a2, m, size, hm, ring, -right * slope)
                        add_slope(stencil, i0, i1, i2, 0, 0, 0, m, size, hm, ring, -right * slope)


@njit(**OPTIONS)
def upwind_rates(phi, d, spacing, periodic, w, rates):
    """Dense generator of the frozen (monotone) scheme: rates[i, j] is the probability rate from cell i to cell j."""
    rates[:] = 0.0
    for axis in range(3):
        if phi.shape[axis] == 1:
            continue
        h = spacing[axis]
        for i0 in range(phi.shape[0]):
            for i1 in range(phi.shape[1]):
                for i2 in range(phi.shape[2]):
                    i = i0 if axis == 0 else (i1 if axis == 1 else i2)
                    if i == 0 and not periodic[axis]:
                        continue
                    l0, l1, l2 = left_of(axis, i0, i1, i2, phi.shape)
                    daa = d[axis][axis, i0, i1, i2]
                    cell = (i0 * phi.shape[1] + i1) * phi.shape[2] + i2
                    below = (l0 * phi.shape[1] + l1) * phi.shape[2] + l2
                    rates[below, cell] += forward_rate(w[axis][i0, i1, i2], daa, h) / h
                    rates[cell, below] += forward_rate(-w[axis][i0, i1, i2], daa, h) / h


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
        for j in range(k):
            total += rates[k, j]
        if not total > 0.0:
            return False
        out[k] = total
        for i in range(k):
            if rates[i, k] > 0.0:
                share = rates[i, k] / total
                for j in range(k):
                    if j != i:
                        rates[i, j] += share * rates[k, j]
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
