"""Seconds and memory of one solve with its error estimate, on growing grids.

    python benchmarks/scaling.py --problem a

Every solve runs in a process of its own, after a small one that compiled. Its time is also given in products of a sparse
matrix of the finest grid's stencil (9 points in the plane, 19 in space) with a vector, measured in the same process; and so
is the part of it that was spent in the problem's own functions, drift, tensor and ∇·D, which any method has to call.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product

import numpy as np
from scipy import sparse

import fokkerplanck as fp

PROBLEMS = ("a", "ring", "wells", "smooth")  # the last in three dimensions
SIZES = {2: (256, 512, 1024), 3: (32, 64, 128)}
QUICK = {2: (64, 128, 256), 3: (16, 32)}
LIMIT = 1800  # seconds; a solve that takes longer is reported as such
PRODUCTS = 5  # whose fastest is the matrix–vector product


def stencil(shape: tuple[int, ...]) -> sparse.csr_array:
    """A matrix with the entries of the scheme: all neighbours that share a face or an edge, 3, 9 or 19 points."""
    steps = [s for s in product((-1, 0, 1), repeat=len(shape)) if np.count_nonzero(s) <= 2]
    strides = np.cumprod((1, *shape[:0:-1]))[::-1]
    size = int(np.prod(shape))
    offsets = [int(np.dot(s, strides)) for s in steps]
    rng = np.random.default_rng(2203)
    return sparse.diags_array([rng.random(size - abs(o)) for o in offsets], offsets=offsets, format="csr")


class Stopwatch:
    """Seconds spent in the functions that it was handed."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self, field: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        def timed(x: np.ndarray) -> np.ndarray:
            started = time.perf_counter()
            values = field(x)
            self.seconds += time.perf_counter() - started
            return values

        return timed

    def process(self, given: fp.DiffusionProcess) -> fp.DiffusionProcess:
        """The same process, with its functions timed."""
        return fp.DiffusionProcess(
            self(given._drift),
            self(given._diffusion),
            dim=given.dim,
            interpretation=given.interpretation,
            divergence=None if given._divergence is None else self(given._divergence),
        )


def measure(name: str, n: int) -> dict[str, object]:
    """Solve in this process: seconds, peak memory in GB, products, errors."""
    from known import PLANE, smooth_three

    problem = smooth_three() if name == "smooth" else PLANE[name]()
    dim = problem.box.dim
    warm = {2: 64, 3: 16}[dim]
    watch = Stopwatch()
    process = watch.process(problem.process)
    fp.solve_stationary(process, problem.box, shape=(warm,) * dim, progress=False)
    watch.seconds = 0.0
    started = time.perf_counter()
    try:
        shape = (n,) * dim
        sol = fp.solve_stationary(process, problem.box, shape=shape, max_cells=n**dim, progress=False)
    except fp.NotConverged as error:
        return {"seconds": time.perf_counter() - started, "failed": str(error)}
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux; read before the matrix is made
    matrix = stencil(sol.grid.shape)
    vector = np.random.default_rng(2204).random(matrix.shape[0])
    times = []
    for _ in range(PRODUCTS):
        begun = time.perf_counter()
        matrix @ vector
        times.append(time.perf_counter() - begun)
    true = float(np.sum(np.abs(sol.density.values - problem.density(sol.grid.cell_points())) * sol.grid.cell_volume))
    return {
        "seconds": seconds,
        "gigabytes": memory,
        "products": seconds / min(times),
        "functions": watch.seconds / min(times),
        "estimate": sol.error,
        "current_estimate": sol.current_error,
        "error": true,
    }


def elsewhere(*arguments: str) -> str:
    """Run this file in a fresh process; what it printed."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the process for {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def grow(name: str, sizes: tuple[int, ...], dim: int) -> None:
    """Rows of the table for one problem, and the exponent of the time in the number of cells."""
    cells, seconds = [], []
    for n in sizes:
        grid = f"{n}{'²' if dim == 2 else '³'}"
        try:
            got = json.loads(elsewhere("--one", name, str(n)))
        except subprocess.TimeoutExpired:
            print(f"| {name} | {grid} | > {LIMIT} | | | | | | |", flush=True)
            break
        if "failed" in got:
            print(f"| {name} | {grid} | {got['seconds']:.3g}, **raised**: {got['failed']} | | | | | | |", flush=True)
            continue
        spent = f"{got['seconds']:.3g} | {got['gigabytes']:.2f} | {got['products']:.0f} | {got['functions']:.0f}"
        reached = f"{got['error']:.1e} | {got['estimate']:.1e} | {got['current_estimate']:.1e}"
        print(f"| {name} | {grid} | {spent} | {reached} |", flush=True)
        cells.append(n**dim)
        seconds.append(got["seconds"])
    if len(cells) > 1:
        print(
            f"| {name} | seconds ∝ cells^{np.polyfit(np.log(cells), np.log(seconds), 1)[0]:.2f} | | | | | | | |",
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="may be repeated; all by default")
    parser.add_argument("--quick", action="store_true", help=f"grids of {QUICK} cells along an axis instead of {SIZES}")
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "CELLS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return 0
    sizes = QUICK if options.quick else SIZES
    columns = ["problem", "cells", "seconds", "peak GB", "matrix–vector products", "of them in the problem's functions"]
    columns += ["true error of p", "estimate", "estimate of J"]
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|", flush=True)
    for name in options.problem or PROBLEMS:
        dim = 3 if name == "smooth" else 2
        grow(name, sizes[dim], dim)
    return 0


if __name__ == "__main__":
    sys.exit(main())
