"""Matrices given by the user: finite, of the shape expected, symmetric and semidefinite where they have to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InvalidInput

Array = NDArray[np.float64]

# A product of matrices in double precision is symmetric and semidefinite to ~d·1e-16 of its largest entry; d reaches 1e3.
ROUND_OFF = 1e-12


def square(value: ArrayLike, name: str, dim: int | None = None) -> Array:
    """A finite matrix of shape (d, d); a number means that multiple of the identity where d is known."""
    matrix = _real(value, name)
    if matrix.ndim == 0 and dim is not None:
        return float(matrix) * np.eye(dim)
    side = "d" if dim is None else str(dim)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or (dim is not None and matrix.shape[0] != dim):
        raise InvalidInput(f"{name}: expected shape ({side}, {side}), got {matrix.shape}")
    if matrix.shape[0] == 0:
        raise InvalidInput(f"{name}: expected at least one parameter, got shape {matrix.shape}")
    return matrix


def symmetric(value: ArrayLike, name: str, dim: int | None = None) -> Array:
    """As `square`, and symmetric."""
    matrix = square(value, name, dim)
    gap = np.abs(matrix - matrix.T)
    if gap.max() > ROUND_OFF * np.abs(matrix).max():
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise InvalidInput(
            f"{name}: expected a symmetric matrix, got {matrix[i, j]:.6g} at ({i}, {j}) and {matrix[j, i]:.6g} at ({j}, {i})"
        )
    return np.asarray(0.5 * (matrix + matrix.T))


def semidefinite(value: ArrayLike, name: str, dim: int | None = None) -> Array:
    """As `symmetric`, without negative eigenvalues."""
    matrix = symmetric(value, name, dim)
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < -ROUND_OFF * np.abs(matrix).max():
        raise InvalidInput(f"{name}: expected a covariance, got a matrix with the negative eigenvalue {lowest:.6g}")
    return matrix


def vector(value: ArrayLike, name: str, dim: int) -> Array:
    """A finite vector of shape (d,)."""
    array = _real(value, name)
    if array.shape != (dim,):
        raise InvalidInput(f"{name}: expected shape ({dim},), one entry per parameter, got {array.shape}")
    return array


def positive(value: float, name: str) -> float:
    """A positive finite number."""
    if not _is_real(value) or not math.isfinite(value) or value <= 0.0:
        raise InvalidInput(f"{name}: expected a positive number, got {value!r}")
    return float(value)


def at_least_zero(value: float, name: str) -> float:
    """A finite number that is not negative."""
    if not _is_real(value) or not math.isfinite(value) or value < 0.0:
        raise InvalidInput(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)


def whole(value: int, name: str, *, most: int | None = None) -> int:
    """A whole number from 1 to ``most``."""
    fits = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1
    if not fits or (most is not None and value > most):
        upper = "" if most is None else f" to n = {most}"
        raise InvalidInput(f"{name}: expected a whole number from 1{upper}, got {value!r}")
    return int(value)


def fraction(value: float, name: str) -> float:
    """A number of at least 0 and below 1."""
    if not _is_real(value) or not 0.0 <= value < 1.0:
        raise InvalidInput(f"{name}: expected a number from 0 to below 1, got {value!r}")
    return float(value)


def labels(names: Sequence[str] | None, dim: int) -> tuple[str, ...]:
    """Names of the parameters; theta0, theta1, … where none are given."""
    given = tuple(f"theta{i}" for i in range(dim)) if names is None else tuple(names)
    if len(given) != dim or len(set(given)) != dim or not all(isinstance(name, str) and name for name in given):
        raise InvalidInput(f"names: expected {dim} different non-empty names, got {names!r}")
    return given


def _real(value: ArrayLike, name: str) -> Array:
    array: NDArray[Any] = np.asarray(value)
    if array.dtype.kind not in "iufb":
        raise InvalidInput(f"{name}: expected real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name}: expected finite numbers, got {int((~np.isfinite(array)).sum())} that are not")
    return np.array(array, dtype=float)


def _is_real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
