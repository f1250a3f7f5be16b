"""Processes with known stationary states that several checks solve."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ..grid import Array, Box
from ..maps import Sinh
from ..process import DiffusionProcess
from ..results import Solution
from ..solvers.stationary import solve_stationary

# The rotated Ornstein–Uhlenbeck process, drift −Hx.
H = np.array([[2.0, 1.0], [1.0, 1.0]])
D = np.diag([1.0, 0.5])
POINT = np.array([1.0, 0.5])  # where numbers at a point are stored


def linear(drift: Array = H, diffusion: Array = D) -> DiffusionProcess:
    """Drift −Hx, constant D."""
    return DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", drift, x), diffusion, dim=len(drift))


@cache
def linear_solution() -> Solution:
    """The stationary state of the rotated Ornstein–Uhlenbeck process."""
    reach = 5.5 * np.sqrt([5 / 6, 7 / 6])
    return solve_stationary(linear(), Box(-reach, reach), shape=(128, 128), progress=False)


def vortices(
    alpha: float, beta: float, gamma: float, delta: float, s: float = 1.0
) -> tuple[DiffusionProcess, Callable[[Array], Array]]:
    r"""A process of density N(0, sI), and its loss.

    :math:`D = s\,\mathrm{diag}(\alpha + \beta y^2, \gamma + \delta x^2)`,
    :math:`L = \tfrac12(\alpha - s\kappa)x^2 + \tfrac12(\gamma + s\kappa)y^2 + \tfrac14(\beta + \delta)x^2y^2`, drift −∇L, and
    :math:`J = \kappa p\,(x(s - y^2), -y(s - x^2))` with :math:`\kappa = \tfrac12(\delta - \beta)`.
    """
    kappa = 0.5 * (delta - beta)
    a, c, cross = alpha - s * kappa, gamma + s * kappa, 0.5 * (beta + delta)

    def drift(x: Array) -> Array:
        return -np.stack([a * x[0] + cross * x[0] * x[1] ** 2, c * x[1] + cross * x[0] ** 2 * x[1]])

    def diffusion(x: Array) -> Array:
        zero = np.zeros_like(x[0])
        return s * np.stack([np.stack([alpha + beta * x[1] ** 2, zero]), np.stack([zero, gamma + delta * x[0] ** 2])])

    def loss(x: Array) -> Array:
        return np.asarray(0.5 * (a * x[0] ** 2 + c * x[1] ** 2 + cross * (x[0] * x[1]) ** 2))

    return DiffusionProcess(drift, diffusion, dim=2), loss


@cache
def vortices_solution(alpha: float, beta: float, gamma: float, delta: float) -> Solution:
    """Its stationary state, for s = 1, in a box that also holds exp(−L)."""
    tall = 5.5 / min(1.0, gamma + 0.5 * (delta - beta)) ** 0.5
    process, _ = vortices(alpha, beta, gamma, delta)
    return solve_stationary(process, Box([-5.5, -tall], [5.5, tall]), shape=(128, 128), progress=False)


@cache
def label_noise(interpretation: str, temperature: float = 0.1) -> Solution:
    """One parameter with label noise, drift −w and D = ε(1 + 2w²), whose tails are powers."""
    process = DiffusionProcess(
        lambda w: -w,
        lambda w: temperature * (1.0 + 2.0 * w[None] ** 2),
        dim=1,
        interpretation=interpretation,
    )
    return solve_stationary(process, Box([-300.0], [300.0]), shape=(1024,), maps=Sinh(scale=0.3), progress=False)


def ring(interpretation: str = "ito") -> DiffusionProcess:
    """On a circle: drift sin x from the loss cos x, 1/D = 1 + ½ sin x + ¼ cos x."""
    return DiffusionProcess(
        lambda x: np.sin(x),
        lambda x: 1.0 / (1.0 + 0.5 * np.sin(x) + 0.25 * np.cos(x))[None],
        dim=1,
        interpretation=interpretation,
    )


def label_noise_tensor(a: tuple[float, float], temperature: float = 0.1) -> DiffusionProcess:
    """Label noise on two features of variances a: drift −Aw, D = ε[Aww^⊤A + (w^⊤Aw + 1)A]."""
    A = np.asarray(a)

    def diffusion(w: Array) -> Array:
        v = np.einsum("i,i...->i...", A, w)
        grows = (v * w).sum(axis=0) + 1.0
        return temperature * (v[:, None] * v[None] + np.einsum("ij,...->ij...", np.diag(A), grows))

    return DiffusionProcess(lambda w: -np.einsum("i,i...->i...", A, w), diffusion, dim=2)


def boltzmann(loss: Callable[[Array], Array], temperature: float = 1.0) -> Callable[[Array], Array]:
    """The logarithm of exp(−L/T)."""
    return lambda x: np.asarray(-loss(x) / temperature)
