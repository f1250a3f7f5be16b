"""Independent random streams from one seed."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

Words = NDArray[np.uint64]

# A uint64 mixed with a Python integer silently becomes a float in Numba; every constant is a uint64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
STREAM = np.uint64(0xD1342543DE82EF95)
ONE, U27, U30, U31 = (np.uint64(k) for k in (1, 27, 30, 31))


@njit(**OPTIONS)
def mix(z: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64."""
    z = (z ^ (z >> U30)) * MIX_1
    z = (z ^ (z >> U27)) * MIX_2
    return z ^ (z >> U31)


@njit(**OPTIONS)
def seed_streams(seed: np.uint64, first: int, state: Words) -> None:
    """States of xoshiro256++ for the streams ``first``, … in the rows of ``state``: SplitMix64 from a start of its own."""
    for c in range(state.shape[0]):
        z = mix(seed + GOLDEN) ^ mix((np.uint64(first + c) + ONE) * STREAM)
        for i in range(4):
            z = z + GOLDEN
            state[c, i] = mix(z)
