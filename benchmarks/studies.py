"""What a study costs beside its points: 64 solves on 128² cells by a loop, and by workers that share them.

Printed are seconds of wall-clock time, their ratio, and the overhead of a point: of a study whose points do nothing, with a
store on disk. Start-up of the workers, their imports with the first solve, and their end are told apart, because they are paid
once for all studies that share a client. On a machine with other work, the ratio of processor time says more: that of this
process and of all workers, shared between as many cores as there are workers, over that of the loop.
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
from fokkerplanck.cases import Case
from fokkerplanck.studies import connect


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--side", type=int, default=8, help="points along each of two axes")
    parser.add_argument("--rounds", type=int, default=3, help="of loop and study in turn; the medians count")
    arguments = parser.parse_args()
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
