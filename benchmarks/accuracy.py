"""The tables of docs/theory/method.md: true against estimated errors on linear processes, known in closed form."""

from __future__ import annotations

import time

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

import fokkerplanck as fp

QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


class Linear:
    """Drift −Hx with constant D in a box of six standard deviations."""

    def __init__(self, H, D):
        self.S = solve_continuous_lyapunov(H, 2 * D)
        self.inverse = np.linalg.inv(self.S)
        self.rotation = 0.5 * (H @ self.S - self.S @ H.T) @ self.inverse
        reach = 6 * np.sqrt(np.diag(self.S))
        self.box = fp.Box(-reach, reach)
        self.process = fp.DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), D, dim=len(H))

    def errors(self, sol):
        x = sol.grid.cell_points()
        p = np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, self.inverse, x))
        p /= np.sqrt(np.linalg.det(2 * np.pi * self.S))
        current = -np.einsum("ij,j...->i...", self.rotation, x) * p
        size = lambda field: float(np.sqrt((field**2).sum(axis=0)).sum())  # noqa: E731
        density = float(np.abs(sol.density.values - p).sum()) * sol.grid.cell_volume
        return density, size(sol.current.values - current) / size(current)


def turned(angle, values):
    c, s = np.cos(angle), np.sin(angle)
    R = np.array([[c, -s], [s, c]])
    return R @ np.diag(values) @ R.T


def row(name, problem, sol, note=""):
    p, j = problem.errors(sol)
    cells = "×".join(map(str, sol.grid.shape))
    print(f"| {name} | {cells}{note} | {p:.1e} | {sol.error:.1e} | {j:.1e} | {sol.current_error:.1e} |", flush=True)


def reach(name, problem):
    started = time.perf_counter()
    try:
        sol, note = fp.solve_stationary(problem.process, problem.box), ""
    except fp.NotConverged as error:
        sol, note = error.best, ", **not reached**"
    row(f"{name} ({time.perf_counter() - started:.0f} s)", problem, sol, note)


def main():
    print(
        "| problem | cells | ∫|p − p_exact| | estimate | ∫|J − J_exact| / ∫|J| | estimate |\n|---|---|---|---|---|---|"
    )
    rotated = Linear(np.array([[2.0, 1.0], [1.0, 1.0]]), np.diag([1.0, 0.5]))
    for order, cells in ((4, (32, 64, 128, 256)), (2, (64, 128, 256))):
        for n in cells:
            found = fp.solve_stationary(rotated.process, rotated.box, shape=(n, n), order=order)
            row(f"rotated Ornstein–Uhlenbeck, order {order}", rotated, found)
    slope = np.diag([1.0, 2.0])
    reach("rotation 10", Linear(slope + 10 * QUARTER_TURN, 0.5 * np.eye(2)))
    reach("rotation 100", Linear(slope + 100 * QUARTER_TURN, 0.5 * np.eye(2)))
    reach("eigenvalues of D 1 : 1/100", Linear(slope, turned(0.5, [1.0, 0.01])))
    reach("eigenvalues of D 1 : 1/1000", Linear(slope, turned(0.5, [1.0, 0.001])))
    reach("noise on the velocity only, γ = 1", Linear(np.array([[0.0, -1.0], [1.0, 1.0]]), np.diag([0.0, 1.0])))
    reach("noise on the velocity only, γ = 0.1", Linear(np.array([[0.0, -1.0], [1.0, 0.1]]), np.diag([0.0, 0.1])))
    H = np.array([[2.0, 0.5, 0.2], [0.1, 1.0, 0.0], [0.0, 0.4, 1.5]])
    reach("three dimensions", Linear(H, np.diag([1.0, 0.5, 0.3]) + 0.1))


if __name__ == "__main__":
    main()
