"""What one thread of BLAS saves inside solves and splits, over as many as there are: medians of ratios of runs in turn.

python benchmarks/blas.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from statistics import median
from typing import Any

import fokkerplanck as fp
from fokkerplanck import threads

ROUNDS = {128: 9, 256: 7, 512: 5}  # by cells along an axis


def seconds(work: Callable[[], Any], held: AbstractContextManager[Any]) -> float:
    with held:
        started = time.perf_counter()
        work()
        return time.perf_counter() - started


def main() -> None:
    case = fp.cases.get("anisotropic-label-noise", curvatures=(1.0, 0.5), temperature=0.06)

    def solve(cells: int) -> fp.Solution:
        return fp.solve_stationary(case.process, case.box, shape=(cells, cells), maps=case.maps, max_wall_mass=1.0)

    fp.nonequilibrium(solve(64))  # kernels loaded
    print("| cells | | milliseconds | of as many threads as there are, over that |\n|---|---|---|---|")
    for cells, rounds in ROUNDS.items():
        solution = solve(cells)
        works = {
            "solve_stationary": lambda n=cells: solve(n),
            "nonequilibrium": lambda s=solution: fp.nonequilibrium(s),
        }
        for name, work in works.items():
            # whoever holds this lock is taken for a call that has set the number, which then stays as it is
            pairs = [(seconds(work, threads._blas), seconds(work, nullcontext())) for _ in range(rounds)]
            one, ratio = median(b for _, b in pairs), median(a / b for a, b in pairs)
            print(f"| {cells}² | {name} | {1e3 * one:.0f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
