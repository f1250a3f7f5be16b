"""The last step of an elimination: the null vector of a triangular factor, in logarithms."""

import math

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def null_vector(pointer, row, value, log_x):
    """ln x of U x = 0 with x = 1 in the last place, for an upper triangular U (by columns) without positive entries above it.

    All terms have one sign, so they are summed as logarithms and nothing cancels, underflows or overflows. Returns the number
    of the first place that nothing flows into, or −1.
    """
    n = log_x.size
    log_x[:] = -np.inf
    log_x[n - 1] = 0.0
    for j in range(n - 1, -1, -1):
        if log_x[j] == -np.inf:
            return j
        if j < n - 1:
            for at in range(pointer[j], pointer[j + 1]):
                if row[at] == j:
                    log_x[j] -= math.log(value[at])
        for at in range(pointer[j], pointer[j + 1]):
            k = row[at]
            if k < j and value[at] < 0.0:
                term = math.log(-value[at]) + log_x[j]
                if log_x[k] < term:
                    log_x[k] = term + math.log1p(math.exp(log_x[k] - term))
                else:
                    log_x[k] += math.log1p(math.exp(term - log_x[k]))
    return -1
