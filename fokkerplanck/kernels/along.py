"""Sums of neighbours along an axis, with other weights near its ends or round a ring.

Arrays are (before, along, after); a pass over everything but the ends is a sum of shifted contiguous rows.
"""

from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}
PIECE = 2048  # numbers at a time, which stay in the nearest cache while neighbour after neighbour is added


@njit(**OPTIONS)
def add(weight, values, out):
    """Indices of a loop from 0 need no care for negative ones, which would keep it from being vectorised."""
    for j in range(out.size):
        out[j] += weight * values[j]


@njit(**OPTIONS)
def weigh(values, first, middle, last, shift, period, out):
    """``out[:, i]`` = Σ_k ``middle[k] values[:, i + shift + k]``, with indices modulo ``period`` unless that is 0.

    Without a period the rows of ``first`` and ``last`` are the weights for the first and last places of ``out``, of the
    first and last values as far as they go.
    """
    before, places, after = out.shape
    length, width = values.shape[1], middle.size
    low, high = first.shape[0], places - last.shape[0]
    if period > 0:
        low, high = min(max(-shift, 0), places), max(min(places, length - shift - width + 1), 0)
    for b in range(before):
        source, target = values[b].reshape(-1), out[b].reshape(-1)
        for start in range(low * after, high * after, PIECE):
            stop = min(start + PIECE, high * after)
            piece = target[start:stop]
            piece[:] = 0.0
            for k in range(width):
                add(middle[k], source[start + (shift + k) * after : stop + (shift + k) * after], piece)
        for end in range(low + places - high):
            i = end if end < low else high + end - low
            for j in range(after):
                total = 0.0
                if period > 0:
                    for k in range(width):
                        total += middle[k] * values[b, (i + shift + k) % period, j]
                elif i < low:
                    for k in range(first.shape[1]):
                        total += first[i, k] * values[b, k, j]
                else:
                    for k in range(last.shape[1]):
                        total += last[i - high, k] * values[b, length - last.shape[1] + k, j]
                out[b, i, j] = total
