"""Where the regions above a level of the density meet: its valleys, flooded from the bottom."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def root_of(parent: NDArray[np.int64], cell: int) -> int:
    while parent[cell] != cell:
        parent[cell] = parent[parent[cell]]
        cell = parent[cell]
    return cell


@njit(**OPTIONS)
def uncertain_mass(
    order: NDArray[np.int64],
    phi: NDArray[np.float64],
    weight: NDArray[np.float64],
    shape: NDArray[np.int64],
    periodic: NDArray[np.bool_],
    epsilon: float,
) -> float:
    """Σ of min(1, epsilon e^(Φ_s − Φ_min)) × the lesser weight, over all saddles s at which two regions of lower Φ meet.

    ``order`` sorts the cells (C order) by Φ; ``shape`` and ``periodic`` have three entries.
    """
    n = phi.size
    parent = np.full(n, -1, np.int64)
    mass = np.zeros(n)
    strides = (shape[1] * shape[2], shape[2], 1)
    total = 0.0
    for place in range(n):
        cell = order[place]
        parent[cell] = cell
        mass[cell] = weight[cell]
        for axis in range(3):
            i = cell // strides[axis] % shape[axis]
            for step in (-1, 1):
                j = i + step
                if j < 0 or j >= shape[axis]:
                    if not periodic[axis]:
                        continue
                    j %= shape[axis]
                other = cell + (j - i) * strides[axis]
                if parent[other] < 0:
                    continue
                here, there = root_of(parent, cell), root_of(parent, other)
                if here == there:
                    continue
                if mass[here] < mass[there]:
                    here, there = there, here
                if here != cell and there != cell:
                    total += min(1.0, epsilon * math.exp(min(phi[cell] - phi[order[0]], 700.0))) * mass[there]
                parent[there] = here
                mass[here] += mass[there]
    return total
