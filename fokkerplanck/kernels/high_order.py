"""What samples on faces may miss of a probability current, from differences of higher order."""

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def doubts(plain, terms, weights, first, last, ring, out, start, stop):
    """Add to ``out`` what differences along an axis say that samples may miss of plain + Σ_k weight_k term_k between them.

    ``plain`` is (before, faces, after), terms and weights (k, before, faces, after); faces from ``first`` up to ``last`` count,
    round a ring or not, and a sum is taken with the weights of its face. The range is of ``before``. A 64th of the sixth
    difference is added: beside a jump half of it in all, which is what the place of a jump between two samples can amount to.
    Differences that alternate, as they do at jumps and kinks, count in full, those of a resolved function do not: the share of
    alternation, of order h², enters with its eighth power.
    """
    count, after = last - first, out.shape[2]
    reach = 0 if ring else 3
    sums = np.empty((1 + terms.shape[0], count, after))  # far − 4 near + 6 middle
    for i in range(start, stop):
        for t in range(1 + terms.shape[0]):
            rows = plain[i] if t == 0 else terms[t - 1, i]
            for f in range(count):
                if not ring and not 2 <= f < count - 2:
                    continue
                middle = rows[first + f]
                left, right = rows[first + (f - 1) % count], rows[first + (f + 1) % count]
                before, beyond = rows[first + (f - 2) % count], rows[first + (f + 2) % count]
                line = sums[t, f]
                for j in range(after):
                    line[j] = before[j] + beyond[j] - 4.0 * (left[j] + right[j]) + 6.0 * middle[j]
        for f in range(reach, count - reach):
            low, high = (f - 1) % count, (f + 1) % count
            for j in range(after):
                a, b, c = sums[0, low, j], sums[0, f, j], sums[0, high, j]
                for t in range(terms.shape[0]):
                    weight = weights[t, i, first + f, j]
                    a += weight * sums[t + 1, low, j]
                    b += weight * sums[t + 1, f, j]
                    c += weight * sums[t + 1, high, j]
                sixth = abs(a - 2.0 * b + c)
                if sixth > 0.0:
                    share = sixth / (abs(a) + 2.0 * abs(b) + abs(c))
                    out[i, first + f, j] += sixth * share**8 / 64.0
