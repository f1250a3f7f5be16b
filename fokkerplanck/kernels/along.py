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
def weigh(values, first, middle, last, shift, period, out, start, stop):
    """``out[:, i]`` = Σ_k ``middle[k] values[:, i + shift + k]``, with indices modulo ``period`` unless that is 0.

    Without a period the rows of ``first`` and ``last`` are the weights for the first and last places of ``out``, of the
    first and last values as far as they go. The range counts places of all lines, one line after the other.
    """
    places, after = out.shape[1:]
    length, width = values.shape[1], middle.size
    low, high = first.shape[0], places - last.shape[0]
    if period > 0:
        low, high = min(max(-shift, 0), places), max(min(places, length - shift - width + 1), 0)
    for b in range(start // places, (stop + places - 1) // places):
        source, target = values[b].reshape(-1), out[b].reshape(-1)
        begin, end = max(start - b * places, 0), min(stop - b * places, places)
        for here in range(max(begin, low) * after, min(end, high) * after, PIECE):
            there = min(here + PIECE, min(end, high) * after)
            piece = target[here:there]
            piece[:] = 0.0
            for k in range(width):
                add(middle[k], source[here + (shift + k) * after : there + (shift + k) * after], piece)
        for edge in range(low + places - high):
            i = edge if edge < low else high + edge - low
            if i < begin or i >= end:
                continue
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
