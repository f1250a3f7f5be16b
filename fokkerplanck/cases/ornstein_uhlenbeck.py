"""Linear drift with constant noise that does not commute with it."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Exact


def ornstein_uhlenbeck(*, anisotropy: float = 0.5) -> Case:
    r"""Drift :math:`-Hx` with H = [[2, 1], [1, 1]], noise D = diag(1, anisotropy).

    The density is Gaussian with covariance S, :math:`HS + SH = 2D`; the current is :math:`J = -Q S^{-1}x\,p` with
    :math:`Q = \tfrac12(HS - SH)`. Detailed balance would need [H, D] = 0.
    """
    H, D = np.array([[2.0, 1.0], [1.0, 1.0]]), np.diag([1.0, anisotropy])
    S = solve_continuous_lyapunov(H, 2.0 * D)
    inverse = np.linalg.inv(S)
    rotation = 0.5 * (H @ S - S @ H) @ inverse

    def density(x: Array) -> Array:
        exponent = -0.5 * np.einsum("i...,ij,j...->...", x, inverse, x)
        return np.asarray(np.exp(exponent) / (2.0 * np.pi * np.sqrt(np.linalg.det(S))))

    def current(x: Array) -> Array:
        return np.asarray(-np.einsum("ij,j...->i...", rotation, x) * density(x))

    reach = 5.5 * np.sqrt(np.diag(S))
    scalars = {
        "entropy_production": float(np.trace(rotation.T @ np.linalg.inv(D) @ rotation @ S)),
        "circulation": float(-0.5 * (rotation @ S)[1, 0] + 0.5 * (rotation @ S)[0, 1]),
    }
    return Case(
        name="ornstein-uhlenbeck",
        title="Rotated Ornstein–Uhlenbeck process",
        description="A Gaussian with a current: the simplest process out of detailed balance. Drift −Hx, constant diagonal D.",
        process=DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), D, dim=2),
        box=Box(-reach, reach),
        exact=Exact(density, current, scalars),
        settings={"anisotropy": anisotropy},
    )
