"""Are the numbers of a current within their reported errors? Random problems on given grids, compared with quadrature.

python benchmarks/reported.py --dim 2 --count 50 --cells 32 64 128     a line per number: how often, and by how much

Exact numbers are sums over the exact density and current on cells so fine that their errors do not count.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from manufactured import Array, Problem, draw

import fokkerplanck as fp
from fokkerplanck.progress import progress_bar

SEED = 770_000  # of the first problem
COUNT, CELLS = {1: 40, 2: 50, 3: 6}, {1: (64, 256), 2: (32, 64, 128), 3: (32,)}
FINE = {1: 8192, 2: 512, 3: 96}  # cells per axis of the sums
RESOLVED = 0.1  # largest estimated error of p: on cells that do not resolve the density nothing is claimed
ROUND_OFF = 1e-9  # of the number: errors below it have no meaningful ratio


@dataclass(frozen=True)
class Trial:
    """One number of one problem on one grid; ``true`` is its error against quadrature."""

    name: str
    seed: int
    shape: tuple[int, ...]
    order: int
    value: float
    true: float
    reported: float

    @property
    def ratio(self) -> float:
        return self.true / self.reported if self.reported > 0.0 else np.inf


def exact_numbers(problem: Problem) -> dict[str, float]:
    """By the midpoint rule: entropy production, ∫|J|, area rate, fluxes, ⟨x₀⟩ and variance, largest |ψ|, |cos(J, ∇p)|."""
    d = problem.box.dim
    grid = fp.Grid(problem.box, (FINE[d],) * d)
    x, volume = grid.cell_points(), grid.cell_volume
    p, current, tensor = problem.density(x), problem.current(x), problem.process.diffusion(x)
    velocity = np.divide(current, p, out=np.zeros_like(current), where=p > 0.0)  # zero where p underflows
    size = np.sqrt(np.sum(current**2, axis=0))
    numbers = {
        "entropy production": float(np.sum(current * _solved(tensor, velocity))) * volume,
        "∫|J|": float(size.sum()) * volume,
    }
    rings = [a for a in range(d) if grid.periodic[a]]
    numbers |= {f"flux {a}": float(current[a].sum()) * volume / float(grid.box.widths[a]) for a in rings}
    if 0 not in rings:  # round a ring x jumps, and so does what the sums are taken of
        mean = float(np.sum(x[0] * p)) * volume
        numbers |= {"⟨x₀⟩": mean, "variance of x₀": float(np.sum((x[0] - mean) ** 2 * p)) * volume}
    if d > 1 and not rings:
        numbers["area rate"] = 0.5 * float(np.sum(x[0] * current[1] - x[1] * current[0])) * volume
    if d > 1 and size.any():
        slope = _solved(tensor, problem.velocity(x) - velocity)  # ∇ln p
        steep = np.sqrt(np.sum(slope**2, axis=0))
        along = np.abs(np.sum(current * slope, axis=0))
        numbers["|cos(J, ∇p)|"] = float(np.sum(np.divide(along, steep, out=np.zeros_like(p), where=steep > 0.0)))
        numbers["|cos(J, ∇p)|"] /= float(size.sum())
    if d == 2 and size.any():
        top = fp.helmholtz(fp.FaceField.from_function(grid, problem.current)).extremum
        numbers["largest |ψ|"] = 0.0 if top is None else abs(top.value)
    return numbers


def _solved(tensor: Array, vectors: Array) -> Array:
    """D⁻¹v of every cell."""
    matrices = np.moveaxis(tensor, (0, 1), (-2, -1))
    return np.moveaxis(np.linalg.solve(matrices, np.moveaxis(vectors, 0, -1)[..., None])[..., 0], -1, 0)


def reported_numbers(sol: fp.Solution) -> dict[str, fp.Measured]:
    """The same of a solution, with their errors."""
    numbers = fp.nonequilibrium(sol)
    found = {"entropy production": numbers.entropy_production, "∫|J|": numbers.total_current}
    found |= {f"flux {sol.names.index(name)}": flux for name, flux in numbers.harmonic.items()}
    found["⟨x₀⟩"] = fp.measure(sol, lambda s: s.mean[0])
    found["variance of x₀"] = fp.measure(sol, lambda s: s.covariance[0, 0])
    area = numbers.circulation
    if area is not None:
        found["area rate"] = fp.Measured(area.value[0, 1], area.error[0, 1]) if np.ndim(area.value) else area
    if numbers.stream_function is not None:
        found["largest |ψ|"] = fp.Measured(abs(numbers.stream_function.value), numbers.stream_function.error)
    if numbers.follows_density is not None:
        found["|cos(J, ∇p)|"] = numbers.follows_density
    return found


def trials(dim: int, seed: int, cells: tuple[int, ...], order: int) -> list[Trial]:
    """Every number of one problem on every grid that resolves it."""
    problem, out = draw(np.random.default_rng(seed), dim), []
    exact = exact_numbers(problem)
    for n in cells:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fp.BoxWarning)  # of densities that reach the wall: the walls are real here
            try:
                sol = fp.solve_stationary(problem.process, problem.box, shape=(n,) * dim, order=order, progress=False)
            except fp.NotConverged:
                continue
        if sol.error > RESOLVED:
            continue
        for name, measured in reported_numbers(sol).items():
            if name in exact and np.isfinite(measured.error):
                true = abs(measured.value - exact[name])
                if true > ROUND_OFF * abs(exact[name]):
                    reached = sol.diagnostics["order"]
                    out.append(Trial(name, seed, sol.grid.shape, reached, measured.value, true, measured.error))
    return out


def report(found: list[Trial], title: str) -> str:
    """The table, Markdown, and every number farther off than twice what was reported."""
    rows = defaultdict(list)
    for trial in found:
        rows[trial.name if not trial.name.startswith("flux") else "flux round an axis"].append(trial.ratio)
    lines = [
        f"| {title} | numbers | within their errors | true / reported: median, 95 %, largest |",
        "|---|---|---|---|",
    ]
    for name, ratios in {**rows, "all": [t.ratio for t in found]}.items():
        median, most, largest = np.quantile(ratios, [0.5, 0.95, 1.0])
        share = 100.0 * np.mean(np.array(ratios) <= 1.0)
        name = name.replace("|", "\\|")
        lines.append(f"| {name} | {len(ratios)} | {share:.1f} % | {median:.2g}, {most:.2g}, {largest:.2g} |")
    lines += [
        f"seed {t.seed} on {t.shape}, order {t.order}: {t.name} {t.value:.4g} ± {t.reported:.1g} misses by {t.true:.1g}"
        for t in found
        if t.ratio > 2.0
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dim", type=int, choices=(1, 2, 3), action="append", help="may be repeated; all by default")
    parser.add_argument("--count", type=int, help=f"problems per dimension; by default {COUNT}")
    parser.add_argument("--cells", type=int, nargs="+", help=f"per axis, of every grid; by default {CELLS}")
    parser.add_argument("--order", type=int, choices=(2, 4), action="append", help="both by default")
    options = parser.parse_args()
    for dim in options.dim or (1, 2, 3):
        count, cells = options.count or COUNT[dim], tuple(options.cells or CELLS[dim])
        for order in options.order or (4, 2):
            found: list[Trial] = []
            with progress_bar(f"{dim}-D, order {order}", count) as advance:
                for seed in range(SEED, SEED + count):
                    found += trials(dim, seed, cells, order)
                    advance(1)
            print(
                report(found, f"{dim}-D, `order={order}`, {', '.join(map(str, cells))} cells per axis"),
                end="\n\n",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
