"""Probability currents at the centres of the faces from differences of higher order, in the layout of ``kernels.flux``."""

import math

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def point_fluxes(phi, reach, across, slope, along, u, d, spacing, out, start, stop):
    """q (u + D ∂Φ) at the centre of every face, q = e^(−Φ) there, into ``out`` (three face arrays).

    ``phi`` has ``reach[a]`` more cells at both ends of axis a, none along an axis that is not there. ``across`` and ``slope``
    interpolate and differentiate to a face from 2 × reach cells; ``along`` is the antisymmetric half of a centred difference.
    """
    planes = out[1].shape[0]
    for axis in range(3):
        g = reach[axis]
        if g == 0:
            continue
        e0, e1, e2 = 1 if axis == 0 else 0, 1 if axis == 1 else 0, 1 if axis == 2 else 0
        last = stop + 1 if axis == 0 and stop == planes else stop
        for z in range(start, last):
            for y in range(out[axis].shape[1]):
                for x in range(out[axis].shape[2]):
                    z0, y0, x0 = z + reach[0] - g * e0, y + reach[1] - g * e1, x + reach[2] - g * e2
                    value, rise = 0.0, 0.0
                    for k in range(2 * g):
                        cell = phi[z0 + k * e0, y0 + k * e1, x0 + k * e2]
                        value += across[k] * cell
                        rise += slope[k] * cell
                    v = u[axis][z, y, x] + d[axis][axis, z, y, x] * rise / spacing[axis]
                    for m in range(3):
                        if m == axis or reach[m] == 0:
                            continue
                        factor = d[axis][m, z, y, x] / spacing[m]
                        if factor == 0.0:
                            continue
                        m0, m1, m2 = 1 if m == 0 else 0, 1 if m == 1 else 0, 1 if m == 2 else 0
                        rise = 0.0
                        for k in range(2 * g):
                            zk, yk, xk = z0 + k * e0, y0 + k * e1, x0 + k * e2
                            part = 0.0
                            for j in range(1, g + 1):
                                ahead = phi[zk + j * m0, yk + j * m1, xk + j * m2]
                                behind = phi[zk - j * m0, yk - j * m1, xk - j * m2]
                                part += along[j - 1] * (ahead - behind)
                            rise += across[k] * part
                        v += factor * rise
                    out[axis][z, y, x] = v * math.exp(-value)


@njit(**OPTIONS)
def doubts(terms, weights, first, last, ring, out):
    """Add to ``out`` what differences along an axis say that samples may miss of Σ_k weight_k term_k between them.

    Terms and weights (k, before, faces, after); those from ``first`` up to ``last`` count, round a ring or not, and
    a sum is taken with the weights of its face. A 64th of its sixth difference is added: beside a jump half of it in all,
    which is what the place of a jump between two samples can amount to. Differences that alternate, as they do at jumps
    and kinks, count in full, those of a resolved function do not: the share of alternation, of order h², enters with its
    eighth power.
    """
    count, after = last - first, out.shape[2]
    reach = 0 if ring else 3
    sums = np.empty((terms.shape[0], count, after))  # far − 4 near + 6 middle
    for i in range(out.shape[0]):
        for t in range(terms.shape[0]):
            for f in range(count):
                if not ring and not 2 <= f < count - 2:
                    continue
                middle = terms[t, i, first + f]
                left, right = terms[t, i, first + (f - 1) % count], terms[t, i, first + (f + 1) % count]
                before, beyond = terms[t, i, first + (f - 2) % count], terms[t, i, first + (f + 2) % count]
                line = sums[t, f]
                for j in range(after):
                    line[j] = before[j] + beyond[j] - 4.0 * (left[j] + right[j]) + 6.0 * middle[j]
        for f in range(reach, count - reach):
            low, high = (f - 1) % count, (f + 1) % count
            for j in range(after):
                a, b, c = 0.0, 0.0, 0.0
                for t in range(terms.shape[0]):
                    weight = weights[t, i, first + f, j]
                    a += weight * sums[t, low, j]
                    b += weight * sums[t, f, j]
                    c += weight * sums[t, high, j]
                sixth = abs(a - 2.0 * b + c)
                if sixth > 0.0:
                    share = sixth / (abs(a) + 2.0 * abs(b) + abs(c))
                    out[i, first + f, j] += sixth * share**8 / 64.0
