"""Is a diffusion tensor definite, in units in which every variable has noise of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ROUND_OFF = 1e-12  # a tensor assembled in double precision is symmetric and semidefinite to ~1e-15 of its largest entry
NEWTON = 12  # steps: simple roots are exact after six, a double one is approached by halves
PLAINLY = 1e-10  # of a minor of D over the product of its diagonal: beyond doubt whatever rounds
# Points at a time: the temporaries of a user's function stay in the cache, two to three times faster at 1024².
BLOCK = 2**14


def plainly_definite(tensor: Array) -> bool:
    """Whether D is symmetric at every point and clearly definite: only if :func:`smallest_correlation` exceeds ``PLAINLY``/3.

    By leading minors, which need neither roots nor iterations. With λ₁ ≤ λ₂ ≤ λ₃ the eigenvalues of D_ij/√(D_ii D_jj), whose
    sum is 3 (or 2), the determinant is at most 2.25 λ₁.
    """
    d = tensor.shape[0]
    if d > 3:
        return False
    flat = tensor.reshape(d, d, -1)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not plain
        return all(_minors_positive(flat[..., i : i + BLOCK]) for i in range(0, flat.shape[2], BLOCK))


def _minors_positive(D: Array) -> bool:
    d = D.shape[0]
    minors = [D[a, a] for a in range(d)]
    if d > 1:
        square, product = D[0, 1] * D[0, 1], D[0, 0] * D[1, 1]
        minors.append((1.0 - PLAINLY) * product - square)
    if d == 3:
        mixed = 2.0 * D[0, 1] * D[1, 2] * D[0, 2]
        rest = D[0, 0] * D[1, 2] ** 2 + D[1, 1] * D[0, 2] ** 2 + D[2, 2] * square
        minors.append((1.0 - PLAINLY) * product * D[2, 2] + mixed - rest)
    if not all(minor.min() > 0.0 for minor in minors):
        return False
    pairs = [(i, j) for j in range(d) for i in range(j)]
    return all(((D[i, j] - D[j, i]) ** 2 <= ROUND_OFF**2 * (D[i, i] * D[j, j])).all() for i, j in pairs)


def smallest_correlation(tensor: Array) -> Array:
    """Smallest eigenvalue of D_ij/√(D_ii D_jj) at every point, for D of shape (d, d, ...); 0 at most where a D_ii vanishes.

    1 for uncorrelated noise, 0 where some direction has none; free of the units of the variables.
    """
    d = tensor.shape[0]
    root = np.sqrt(np.abs(np.einsum("ii...->i...", tensor)))
    noiseless = (root == 0.0).any(axis=0)
    root = np.where(root > 0.0, root, 1.0)
    if d == 1:
        smallest = np.sign(tensor[0, 0])
    elif d == 2:
        signs = np.sign(np.einsum("ii...->i...", tensor))
        mean, half = 0.5 * (signs[0] + signs[1]), 0.5 * (signs[0] - signs[1])
        smallest = mean - np.hypot(half, tensor[0, 1] / (root[0] * root[1]))
    elif d == 3 and not noiseless.any():
        a, b, c = (tensor[i, j] / (root[i] * root[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
        square, determinant = a * a + b * b + c * c, 1.0 + 2.0 * a * b * c - a * a - b * b - c * c
        smallest = np.zeros_like(a)
        # Newton's method for the characteristic polynomial, concave below its smallest root: from below it stays there.
        for _ in range(NEWTON):
            value = ((smallest - 3.0) * smallest + (3.0 - square)) * smallest - determinant
            slope = (3.0 * smallest - 6.0) * smallest + (3.0 - square)
            smallest = smallest - np.divide(value, slope, out=np.zeros_like(a), where=np.abs(slope) > ROUND_OFF)
    else:
        correlation = tensor / (root[:, None] * root[None])
        smallest = np.linalg.eigvalsh(np.moveaxis(correlation, (0, 1), (-2, -1)))[..., 0]
    return np.asarray(np.where(noiseless, np.minimum(smallest, 0.0), smallest))
