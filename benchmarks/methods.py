"""How good the other methods are: the monotone generator and FiPy, on problems with exact answers.

python benchmarks/methods.py                       the tables of docs/theory/dynamics.md and docs/theory/method.md
python benchmarks/methods.py --method monotone     one of them
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from known import constant, constant_tensor, four_vortices, linear, ornstein_uhlenbeck
from manufactured import Array, Problem, Scalar, TurningTensor, compose

import fokkerplanck as fp
from fokkerplanck.solvers.fipy_reference import solve_fipy

Row = tuple[str, Problem, tuple[tuple[int, ...], ...]]


def turned(ratio: float, potential: Scalar, box: fp.Box, *, turn: float, angle: Scalar, description: str) -> Problem:
    """Eigenvalues 1 and ``ratio`` of D with axes at an angle; p = e^(−potential) and J = turn × ∇ × p."""
    tensor = TurningTensor(np.eye(2), np.array([0.0, np.log(ratio)]), constant(0.0), constant(1.0), (angle,))
    return compose(potential, tensor, box, swirl={(1, 0): constant(turn)} if turn else None, description=description)


def bowl(x: Array) -> tuple[Array, Array]:
    return 0.5 * np.sum(x**2, axis=0), x


def two_wells(x: Array) -> tuple[Array, Array]:
    """A barrier of 5 kT between x = ±1."""
    return 5.0 * (x[0] ** 2 - 1.0) ** 2 + 0.5 * x[1] ** 2, np.stack([20.0 * x[0] * (x[0] ** 2 - 1.0), x[1]])


def with_the_sum(x: Array) -> tuple[Array, Array]:
    return x[0] + x[1], np.ones_like(x)


def oscillator() -> Problem:
    """Noise on the velocity only: p = e^(−(x² + v²)/2), which goes round at frequency one."""
    tensor = constant_tensor(np.diag([0.0, 0.5]))
    return compose(
        bowl,
        tensor,
        fp.Box([-6.0] * 2, [6.0] * 2),
        swirl={(1, 0): constant(1.0)},
        description="noise on the velocity only",
    )


def monotone_rows() -> Iterator[Row]:
    box = fp.Box([-5.0] * 2, [5.0] * 2)
    oblique = partial(turned, 0.01, bowl, box, angle=with_the_sum)
    yield "Ornstein–Uhlenbeck case", ornstein_uhlenbeck(), squares(32, 64, 128, 256)
    yield "four vortices", four_vortices(), squares(32, 64, 128)
    yield "equilibrium, eigenvalues 1 : 0.01, turning", oblique(turn=0.0, description=""), squares(64, 128)
    yield "the same with a circulation across it", oblique(turn=0.5, description=""), squares(64, 128)
    yield "noise on the velocity only", oscillator(), squares(64, 128)


def fipy_rows() -> Iterator[Row]:
    box, walls = fp.Box([-5.0] * 2, [5.0] * 2), fp.Box([-1.0] * 2, [1.0] * 2)
    yield "Ornstein–Uhlenbeck, one variable", linear([[-1.0]], [[0.5]], [4.0], ""), ((128,),)
    yield "four vortices", four_vortices(), squares(48)
    for ratio, cells in ((0.2, (32, 64)), (0.01, (32, 64, 128))):
        problem = turned(ratio, bowl, box, turn=0.5, angle=with_the_sum, description="")
        yield f"eigenvalues 1 and {ratio:g}, turning, with current", problem, squares(*cells)
    wells = turned(0.01, two_wells, fp.Box([-2.2, -5.0], [2.2, 5.0]), turn=0.5, angle=with_the_sum, description="")
    yield "eigenvalues 1 and 0.01, double well of 5 kT", wells, squares(32, 64)
    for ratio in (0.2, 0.01):
        problem = turned(ratio, bowl, walls, turn=0.0, angle=constant(np.pi / 4), description="")
        yield f"walls through the bulk, eigenvalues 1 and {ratio:g}", problem, squares(32, 64)


def squares(*cells: int) -> tuple[tuple[int, ...], ...]:
    return tuple((n, n) for n in cells)


def monotone(problem: Problem, shape: tuple[int, ...]) -> str:
    """∫|p − p_exact|, and the same of J over ∫|J_exact| where there is a current."""
    found = fp.solve_stationary(problem.process, problem.box, shape=shape, method="monotone", max_wall_mass=1.0)
    x, volumes = found.grid.cell_points(), found.grid.cell_volumes
    out = f"{float(np.sum(np.abs(found.density.values - problem.density(x)) * volumes)):.1e}"
    J = problem.current(x)
    size, off = (np.sqrt(np.sum(field**2, axis=0)) for field in (J, found.current.values - J))
    return out + (f", {float(np.sum(off * volumes) / np.sum(size * volumes)):.1e}" if size.any() else "")


def fipy(problem: Problem, shape: tuple[int, ...]) -> str:
    """∫|p − p_exact|, sweeps, and the smallest density over the largest."""
    grid = fp.Grid(problem.box, shape)
    try:
        found = solve_fipy(problem.process, grid)
    except fp.NotConverged as error:
        return f"refused ({str(error).split(':')[1].split('.')[0].strip()})"
    off = float(np.sum(np.abs(found.density - problem.density(grid.cell_points()))) * grid.cell_volume)
    return f"{off:.1e}, {found.diagnostics['sweeps']}, {found.density.min() / found.density.max():.0e}"


METHODS: dict[str, tuple[Callable[[], Iterator[Row]], Callable[[Problem, tuple[int, ...]], str], str]] = {
    "monotone": (monotone_rows, monotone, "∫\\|p − p_exact\\|, the same of J, relative"),
    "fipy": (fipy_rows, fipy, "∫\\|p − p_exact\\|, sweeps, min p / max p"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, action="append")
    for method in parser.parse_args().method or METHODS:
        rows, measure, title = METHODS[method]
        print(f"\n| {method} | cells along an axis: {title} |\n|---|---|")
        for name, problem, shapes in rows():
            print(f"| {name} | {'; '.join(f'{shape[0]}: {measure(problem, shape)}' for shape in shapes)} |", flush=True)


if __name__ == "__main__":
    main()
