"""The problems of the benchmarks of speed: fixed, with exact density and current."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from manufactured import Array, Problem, TurningTensor, compose, double_well, linear_map, mixture, ring
from scipy.linalg import solve_continuous_lyapunov

import fokkerplanck as fp


def constant(value: float) -> Callable[[Array], tuple[Array, Array]]:
    """A field that does not vary, with its gradient."""
    return lambda x: (np.full(x.shape[1:], value), np.zeros_like(x))


def constant_tensor(D: Array) -> Callable[[Array], tuple[Array, Array]]:
    return lambda x: (
        np.broadcast_to(D.reshape(D.shape + (1,) * (x.ndim - 1)), D.shape + x.shape[1:]),
        np.zeros_like(x),
    )


def linear(drift: list[list[float]], diffusion: list[list[float]], half: list[float], description: str) -> Problem:
    """Drift Kx, constant D: p = N(0, S) with KS + SKᵀ = −2D, and J = ∇·(A p) with A = −(KS + D)."""
    K, D = np.array(drift), np.array(diffusion)
    S = solve_continuous_lyapunov(K, -2.0 * D)
    A = -(K @ S + D)
    d = len(K)
    return compose(
        mixture(np.zeros(1), np.zeros((1, d)), np.linalg.inv(S)[None]),
        constant_tensor(D),
        fp.Box(np.negative(half), half),
        swirl={(i, j): constant(A[i, j]) for i in range(d) for j in range(i)},
        description=description,
    )


def rotated_linear() -> Problem:
    return linear([[-1.0, 1.0], [-2.0, -1.5]], [[0.5, 0.2], [0.2, 0.3]], [6.0, 6.0], "(a) linear, full tensor")


def turning(half: float = 5.0) -> Problem:
    """D with eigenvalues 1 and 1/100 whose axes turn by x + y; p a Gaussian; J = ½(y, −x) p."""
    return compose(
        lambda x: (0.5 * np.sum(x**2, axis=0), x),
        TurningTensor(
            frame=np.eye(2),
            logs=np.array([0.0, np.log(0.01)]),
            scale=constant(0.0),
            spread=constant(1.0),
            angles=(lambda x: (x[0] + x[1], np.ones_like(x)),),
        ),
        fp.Box([-half, -half], [half, half]),
        swirl={(1, 0): constant(0.5)},
        description="(b) tensor 1:100 that turns",
    )


def ornstein_uhlenbeck() -> Problem:
    return linear([[-2.0, -1.0], [-1.0, -1.0]], [[1.0, 0.0], [0.0, 0.5]], [5.5, 6.5], "E1 linear, J ≠ 0 by noise alone")


def swirl(eps: float = 0.5, c: float = 0.8) -> Problem:
    """Drift −x with noise that turns: p Gaussian, J tangential and changing sign with the radius."""

    def tensor(x: Array) -> Array:
        xy, gap = 2.0 * x[0] * x[1], x[0] ** 2 - x[1] ** 2
        f = eps * c / (1.0 + np.sum(x**2, axis=0))
        return np.array([[eps - f * xy, f * gap], [f * gap, eps + f * xy]])

    def divergence(x: Array) -> Array:
        r2 = np.sum(x**2, axis=0)
        return eps * c * (4.0 + 2.0 * r2) / (1.0 + r2) ** 2 * np.stack([-x[1], x[0]])

    def density(x: Array) -> Array:
        return np.exp(-np.sum(x**2, axis=0) / (2.0 * eps)) / (2.0 * np.pi * eps)

    def current(x: Array) -> Array:
        r2 = np.sum(x**2, axis=0)
        turn = -c * (2.0 * eps * r2 + 4.0 * eps - r2**2 - r2) / (1.0 + r2) ** 2
        return turn * density(x) * np.stack([-x[1], x[0]])

    process = fp.DiffusionProcess(lambda x: -x, tensor, dim=2, divergence=divergence)
    box = fp.Box([-4.5, -4.5], [4.5, 4.5])
    return Problem(process, box, lambda x: -x - divergence(x), density, current, "E2 swirl, p Gaussian")


def four_vortices() -> Problem:
    """L = ¾x² + ¼y² + ¼x²y², D = diag(1 + y², 1): p = N(0, 1), J = −½(x(1 − y²), −y(1 − x²)) p."""

    def drift(x: Array) -> Array:
        return -np.stack([1.5 * x[0] + 0.5 * x[0] * x[1] ** 2, 0.5 * x[1] + 0.5 * x[0] ** 2 * x[1]])

    def tensor(x: Array) -> Array:
        one, zero = np.ones(x.shape[1:]), np.zeros(x.shape[1:])
        return np.array([[1.0 + x[1] ** 2, zero], [zero, one]])

    def density(x: Array) -> Array:
        return np.exp(-0.5 * np.sum(x**2, axis=0)) / (2.0 * np.pi)

    def current(x: Array) -> Array:
        return -0.5 * density(x) * np.stack([x[0] * (1.0 - x[1] ** 2), -x[1] * (1.0 - x[0] ** 2)])

    process = fp.DiffusionProcess(drift, tensor, dim=2, divergence=np.zeros_like)
    return Problem(process, fp.Box([-6.0, -6.0], [6.0, 6.0]), drift, density, current, "E5a four vortices")


def limit_cycle() -> Problem:
    """Noise on a ring of radius 1 and width 0.2, going round at about twice the noise's own pace."""
    return compose(
        ring(0.2, 0.3, 2, np.zeros(0)),
        constant_tensor(np.array([[0.5, 0.15], [0.15, 0.3]])),
        fp.Box([-1.95, -1.95], [1.95, 1.95]),
        swirl={(1, 0): constant(0.8)},
        description="limit cycle",
    )


def two_wells() -> Problem:
    """A barrier of 3 kT, a valley that bends, D with eigenvalues 1:20 whose axes turn, and a current across."""
    return compose(
        double_well(3.0, 0.4, 0.2, np.array([0.5])),
        TurningTensor(
            frame=np.eye(2),
            logs=0.5 * np.log(20.0) * np.array([1.0, -1.0]),
            scale=constant(0.0),
            spread=constant(1.0),
            angles=(lambda x: (0.5 + 0.7 * np.sin(x[0]), np.stack([0.7 * np.cos(x[0]), np.zeros_like(x[1])])),),
        ),
        fp.Box([-1.95, -3.0], [1.95, 3.5]),
        swirl={(1, 0): constant(0.5)},
        description="double well, tensor 1:20",
    )


def small_noise(eps: float = 0.05, turn: float = 1.0) -> Problem:
    """Equal wells, 1/(4 eps) kT between them; D with eigenvalues eps and eps/100 whose axes turn; J = ½ turn (∂_yU, −∂_xU)p."""
    return compose(
        double_well(0.25 / eps, 0.0, 0.0, np.array([np.sqrt(eps)])),
        TurningTensor(
            frame=np.eye(2),
            logs=np.array([0.0, np.log(0.01)]),
            scale=constant(np.log(eps)),
            spread=constant(1.0),
            angles=(lambda x: (x[0] + x[1], np.ones_like(x)),),
        ),
        fp.Box([-2.2, -2.2], [2.2, 2.2]),
        swirl={(1, 0): constant(0.5 * turn * eps)},
        description="(c) small noise, tensor 1:100 that turns",
    )


def smooth_three() -> Problem:
    return compose(
        linear_map(
            mixture(np.zeros(1), np.zeros((1, 3)), np.eye(3)[None]),
            np.array([[1.0, 0.2, 0.0], [0.0, 1.1, -0.2], [0.1, 0.0, 0.9]]),
        ),
        TurningTensor(
            frame=np.eye(3),
            logs=0.5 * np.log(4.0) * np.array([1.0, 0.0, -1.0]),
            scale=constant(0.0),
            spread=constant(1.0),
            angles=(
                lambda x: (0.4 * np.sin(0.5 * x[2]), 0.2 * np.stack([0 * x[0], 0 * x[1], np.cos(0.5 * x[2])])),
                constant(0.5),
            ),
        ),
        fp.Box([-7.0] * 3, [7.0] * 3),
        swirl={(1, 0): constant(0.7), (2, 1): constant(-0.4)},
        description="smooth, three dimensions",
    )


PLANE = {
    "a": rotated_linear,
    "b": turning,
    "E1": ornstein_uhlenbeck,
    "E2": swirl,
    "E5a": four_vortices,
    "ring": limit_cycle,
    "wells": two_wells,
}
