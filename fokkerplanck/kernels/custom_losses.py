"""A gradient that the user wrote, called for every sample.

Compiled anew for every function and in every process: a cache would not notice that the function changed.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

Array = NDArray[np.float64]


@njit(**OPTIONS)
def custom_gradients(gradient: Any, data: Array, points: Array, out: Array) -> None:
    """``gradient`` at every row of ``points`` and ``data`` into ``out``, shape (points, n, d)."""
    for p in range(len(points)):
        for k in range(len(data)):
            gradient(points[p], data[k], out[p, k])


@njit(**OPTIONS)
def custom_values(value: Any, data: Array, points: Array, out: Array) -> None:
    """``value`` at every row of ``points`` and ``data`` into ``out``, shape (points, n)."""
    for p in range(len(points)):
        for k in range(len(data)):
            out[p, k] = value(points[p], data[k])
