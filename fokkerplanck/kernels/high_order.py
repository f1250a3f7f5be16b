"""What samples on faces may miss of a probability current, from differences of higher order."""

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def fourth(rows, f, count, line):
    """far − 4 near + 6 middle, at place f of ``count`` along the first axis of rows; round the ring where it reaches beyond."""
    middle = rows[f % count]
    left, right = rows[(f - 1) % count], rows[(f + 1) % count]
    before, beyond = rows[(f - 2) % count], rows[(f + 2) % count]
    for j in range(line.size):
        line[j] = before[j] + beyond[j] - 4.0 * (left[j] + right[j]) + 6.0 * middle[j]


@njit(**OPTIONS)
def along(points, begin, end, count, line):
    """The same for the places ``begin`` ≤ f < ``end`` of one line of numbers."""
    for f in range(begin, end):
        if 2 <= f < count - 2:
            break
        line[f - begin] = (
            points[(f - 2) % count]
            + points[(f + 2) % count]
            - 4.0 * (points[(f - 1) % count] + points[(f + 1) % count])
            + 6.0 * points[f % count]
        )
    low, high = max(begin, 2), min(end, count - 2)
    inner, middle = points[low - 2 : high + 2], line[low - begin : high - begin]
    for k in range(middle.size):
        middle[k] = inner[k] + inner[k + 4] - 4.0 * (inner[k + 1] + inner[k + 3]) + 6.0 * inner[k + 2]
    for f in range(max(high, begin), end):
        line[f - begin] = (
            points[(f - 2) % count]
            + points[(f + 2) % count]
            - 4.0 * (points[(f - 1) % count] + points[(f + 1) % count])
            + 6.0 * points[f % count]
        )


@njit(**OPTIONS)
def add_sixth(low, middle, high, weights, out):
    """Add a 64th of the sixth difference, as far as differences alternate, from three sums per term; weights (terms, n)."""
    for j in range(out.size):
        a, b, c = low[0, j], middle[0, j], high[0, j]
        for t in range(weights.shape[0]):
            weight = weights[t, j]
            a += weight * low[t + 1, j]
            b += weight * middle[t + 1, j]
            c += weight * high[t + 1, j]
        sixth = abs(a - 2.0 * b + c)
        if sixth > 0.0:
            share = sixth / (abs(a) + 2.0 * abs(b) + abs(c))
            out[j] += sixth * share**8 / 64.0


@njit(**OPTIONS)
def doubts(plain, terms, weights, first, last, ring, out, start, stop):
    """Add to ``out`` what differences along an axis say that samples may miss of plain + Σ_k weight_k term_k between them.

    ``plain`` is (before, faces, after), terms and weights (k, before, faces, after); faces from ``first`` up to ``last`` count,
    round a ring or not, and a sum is taken with the weights of its face. The range counts them, one line after the other. A
    64th of the sixth difference is added: beside a jump half of it in all, which is what the place of a jump between two
    samples can amount to. Differences that alternate, as they do at jumps and kinks, count in full, those of a resolved
    function do not: the share of alternation, of order h², enters with its eighth power.
    """
    count, after, size = last - first, out.shape[2], 1 + terms.shape[0]
    reach = 0 if ring else 3
    sums = np.empty((3, size, after)) if after > 1 else np.empty((1, size, count + 2))
    for i in range(start // count, (stop + count - 1) // count):
        begin, end = max(start - i * count, reach), min(stop - i * count, count - reach)
        if begin >= end:
            continue
        if after == 1:
            for t in range(size):
                rows = plain[i] if t == 0 else terms[t - 1, i]
                along(rows[first:last, 0], begin - 1, end + 1, count, sums[0, t])
            n = end - begin
            line, faces = sums[0], slice(first + begin, first + end)
            low, middle, high = line[:, :n], line[:, 1 : n + 1], line[:, 2 : n + 2]
            add_sixth(low, middle, high, weights[:, i, faces, 0], out[i, faces, 0])
            continue
        for f in range(begin - 1, end + 1):
            for t in range(size):
                rows = plain[i] if t == 0 else terms[t - 1, i]
                fourth(rows[first:last], f, count, sums[f % 3, t])
            if f > begin:
                low, middle, high = sums[(f - 2) % 3], sums[(f - 1) % 3], sums[f % 3]
                add_sixth(low, middle, high, weights[:, i, first + f - 1], out[i, first + f - 1])
