"""What a study costs beside its points: 64 solves on 128² cells by a loop, and by workers that share them.

Printed are seconds of wall-clock time, their ratio, and the overhead of a point: of a study whose points do nothing, with a
store on disk. Start-up of the workers, their imports with the first solve, and their end are told apart, because they are paid
once for all studies that share a client. On a machine with other work, the ratio of processor time says more: that of this
process and of all workers, shared between as many cores as there are workers, over that of the loop.

With ``--neighbours`` instead: what a solve gains that starts from the density at a neighbouring point, in processor time. On
the finest grid alone, there is nothing left to estimate errors from; they need two coarser ones, as every solution has.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fokkerplanck as fp
from fokkerplanck import Grid
from fokkerplanck.cases import Case
from fokkerplanck.solvers.hierarchy import Answer, Hierarchy, Start
from fokkerplanck.solvers.log_density import solve_log_density
from fokkerplanck.studies import connect

NEIGHBOURS = {  # case, its settings, and the one that differs between neighbours
    "label noise": ("anisotropic-label-noise", {"curvatures": (1.0, 0.5), "temperature": 0.05}, "temperature"),
    "limit cycle": ("limit-cycle", {"width": 0.25}, "width"),
    "its current": ("limit-cycle", {"turning": 0.4}, "turning"),
    "two wells": ("maier-stein", {"noise": 0.2}, "noise"),
}


def build(ratio: float, temperature: float) -> Case:
    return fp.cases.get("anisotropic-label-noise", curvatures=(1.0, ratio), temperature=temperature)


def measure(case: Case, cells: int = 128) -> dict[str, Any]:
    solution = fp.solve_stationary(case.process, case.box, shape=(cells, cells), maps=case.maps, max_wall_mass=1.0)
    numbers = fp.nonequilibrium(solution)
    return {
        "entropy_production": numbers.entropy_production,
        "total_current": numbers.total_current,
        "covariance_00": solution.covariance[0, 0],
        "error": solution.error,
    }


def nothing(case: Any) -> dict[str, Any]:
    return {"entropy_production": 1.0, "total_current": 1.0, "covariance_00": 1.0, "error": 1.0}


def pair(ratio: float, temperature: float) -> tuple[float, float]:
    return ratio, temperature


def seconds(work: Callable[[], Any], client: Any = None) -> tuple[float, float]:
    """Of wall-clock time, and of processor time of this process and of the workers."""

    def processor() -> float:
        others = client.run(time.process_time).values() if client is not None else ()
        return time.process_time() + sum(others)

    started, before = time.perf_counter(), processor()
    work()
    return time.perf_counter() - started, processor() - before


def nested(case: Case, grids: list[Grid], first: Start | None = None) -> tuple[Hierarchy, float]:
    """Solutions on nested grids, the first of them from a given start, and the milliseconds of processor time they took."""

    def method(process: Any, grid: Grid, start: Start | None, record: dict[str, Any]) -> Answer | None:
        return solve_log_density(process, grid, start or first, record, finest=grid is grids[-1])

    hierarchy = Hierarchy(case.process, method)
    started = time.process_time()
    for grid in grids:
        hierarchy.add(grid)
    return hierarchy, 1e3 * (time.process_time() - started)


def neighbours(rounds: int, cells: int = 128) -> None:
    """Print times from coarse to fine, and from a neighbour's density on the last grid, the last two and the last three."""
    print(
        "milliseconds: grids from coarse to fine; from a neighbour so far away, on the last 1, 2, 3 grids; and the ratios"
    )
    for text, (name, settings, varied) in NEIGHBOURS.items():

        def at(factor: float, name: str = name, settings: dict[str, Any] = settings, varied: str = varied) -> Case:
            return fp.cases.get(name, **{**settings, varied: factor * settings[varied]})

        def grids(case: Case) -> list[Grid]:
            shapes = [cells >> k for k in (3, 2, 1, 0)]
            return [Grid(case.box, (n, n), maps=case.maps) for n in shapes]

        here = at(1.0)
        nested(here, grids(here))  # kernels loaded
        cold = min(nested(here, grids(here))[1] for _ in range(rounds))
        for percent in (5, 10, 15, 50):
            there, _ = nested(at(1.0 + percent / 100), grids(at(1.0 + percent / 100)))
            warm = []
            for kept in (1, 2, 3):
                coarser = there.grades[-1 - kept].answer  # whose error that of the first grid is compared with
                errors = [np.inf if e is None else e for e in (coarser.density_error, coarser.current_error)]
                first = Start(there.grades[-kept].answer.phi, *errors)
                warm.append(min(nested(here, grids(here)[-kept:], first)[1] for _ in range(rounds)))
            numbers = "  ".join(f"{each:4.0f} ({cold / each:.2f})" for each in warm)
            print(f"{text:12} {cold:4.0f}   {percent:3} %  {numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=8, help="points along each of two axes")
    parser.add_argument("--rounds", type=int, default=3, help="of loop and study in turn; the medians count")
    parser.add_argument(
        "--neighbours", action="store_true", help="solves that start from a neighbouring point, instead"
    )
    arguments = parser.parse_args()
    if arguments.neighbours:
        neighbours(arguments.rounds)
        return
    grid = {
        "ratio": np.linspace(0.2, 0.9, arguments.side),
        "temperature": np.linspace(0.02, 0.12, arguments.side),
    }
    warm = {"ratio": [0.15], "temperature": np.linspace(0.01, 0.015, 4 * arguments.workers)}
    points = arguments.side**2

    def loop() -> None:
        for ratio in grid["ratio"]:
            for temperature in grid["temperature"]:
                measure(build(ratio, temperature))

    measure(build(0.5, 0.1))  # kernels loaded
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1000))

        def study(parameters: Any, b: Any, m: Any, **options: Any) -> None:
            fp.study(b, parameters, m, store=Path(folder) / f"{next(number)}.zarr", progress=False, **options)

        study(warm, pair, nothing, workers=0)  # imports of Zarr
        started = time.perf_counter()
        entered = connect(workers=arguments.workers)
        client = entered.__enter__()
        start = time.perf_counter() - started
        try:
            first, _ = seconds(lambda: study(warm, build, measure, scheduler=client))
            serial, parallel, idle, alone = [], [], [], []
            for _ in range(arguments.rounds):
                serial.append(seconds(loop))
                parallel.append(seconds(lambda: study(grid, build, measure, scheduler=client), client))
                idle.append(seconds(lambda: study(grid, pair, nothing, scheduler=client)))
                alone.append(seconds(lambda: study(grid, pair, nothing, workers=0)))
        finally:
            end, _ = seconds(lambda: entered.__exit__(None, None, None))
    (one, one_cpu), (many, many_cpu), (empty, _), (here, _) = (
        np.median(each, axis=0) for each in (serial, parallel, idle, alone)
    )
    workers, whole = arguments.workers, many + start + first + end
    share = many_cpu / (workers * one_cpu)
    print(f"start of {workers} workers {start:.2f} s, their imports and first solves {first:.2f} s, end {end:.2f} s")
    print(f"{points} points, loop          {one:.2f} s   {1e3 * one / points:.0f} ms per point")
    print(f"{points} points, study         {many:.2f} s   ratio {many / one:.2f} (at most 0.6 is wanted on 2 cores)")
    print(f"  processor time         {many_cpu:.2f} s on {workers} cores, loop {one_cpu:.2f} s: ratio {share:.2f}")
    print(f"  with start and end     {whole:.2f} s   ratio {whole / one:.2f}")
    print(f"overhead of a point      {1e3 * empty / points:.1f} ms with workers (below 50 is wanted), ", end="")
    print(f"{1e3 * here / points:.1f} ms without")


if __name__ == "__main__":
    main()
