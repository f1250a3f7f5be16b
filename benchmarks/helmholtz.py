"""What a Helmholtz split costs, in Fourier transforms of its grid, measured in pairs in one run.

python benchmarks/helmholtz.py            a table; the exit code is 1 where a goal is missed

The unit is one complex transform (``scipy.fft.fftn``) of the cells' numbers on the same one thread, timed before and after
every split. The field is smooth, which rounds worst, with some noise. Split means the parts on all faces and their shares;
the potential of the curl part is the stream function in two dimensions and the vector potential in three.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.fft

import fokkerplanck as fp

GOALS = {(256, 256): 20.0, (96, 96, 96): 40.0}
SEED = 4711


def make_grid(shape: tuple[int, ...], boundary: str, stretched: bool) -> fp.Grid:
    kinds = [("reflecting", "periodic")[a % 2] for a in range(len(shape))] if boundary == "mixed" else boundary
    box = fp.Box([0.0] * len(shape), [1.0] * len(shape), boundary=kinds)
    maps = [fp.Sinh(scale=0.3) if stretched and not ring else None for ring in box.periodic]
    return fp.Grid(box, shape, maps=maps)


def random_field(grid: fp.Grid, rng: np.random.Generator) -> fp.FaceField:
    """Waves and noise; nothing passes the walls."""
    components = []
    for axis in range(grid.dim):
        x = grid.face_points(axis)
        values = np.sin(2.0 * np.pi * (x[axis] + x[0])) + 0.01 * rng.normal(size=grid.face_shape(axis))
        ends = np.moveaxis(values, axis, 0)
        ends[-1] = ends[0] = ends[0] if grid.periodic[axis] else 0.0
        components.append(values)
    return fp.FaceField(grid, tuple(components))


def seconds(task: Callable[[], object]) -> float:
    """Of the processor, so that other work on the machine does not count; all of this runs on one thread."""
    started = time.process_time()
    task()
    return time.process_time() - started


def measure(grid: fp.Grid, repeats: int) -> tuple[float, float, float, float]:
    """Median milliseconds of a transform and of a split, and the median of the ratios without and with the potential."""
    rng = np.random.default_rng(SEED)
    field, cells = random_field(grid, rng), rng.normal(size=grid.shape)
    splits: list[fp.HelmholtzSplit] = []

    def split() -> None:
        splits[:] = [fp.helmholtz(field)]
        assert abs(sum(splits[0].shares.values()) - 1.0) < 1e-12

    rows = []
    for k in range(repeats + 2):
        before = seconds(lambda: scipy.fft.fftn(cells))
        parts = seconds(split)
        potential = seconds(lambda: splits[0].potential_edges)
        unit = 0.5 * (before + seconds(lambda: scipy.fft.fftn(cells)))
        if k > 1:  # the first two make plans and warm the caches
            rows.append((1e3 * unit, 1e3 * (parts + potential), parts / unit, (parts + potential) / unit))
    unit, both, without, ratio = np.median(rows, axis=0).tolist()
    return unit, both, without, ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25, help="pairs whose median is taken (%(default)s)")
    parser.add_argument("--stretched", action="store_true", help="also on stretched grids, for which there is no goal")
    options = parser.parse_args()
    print("| cells | boundary | transform, ms | split and potential, ms | split alone ÷ transform | both | goal |")
    print("|---|---|---|---|---|---|---|", flush=True)
    missed = 0
    for shape, goal in GOALS.items():
        size = f"{shape[0]}" + "²³"[len(shape) - 2]
        for stretched in (False, True) if options.stretched else (False,):
            for boundary in ("reflecting", "periodic", "mixed"):
                grid = make_grid(shape, boundary, stretched)
                if stretched == grid.uniform:
                    continue  # a torus cannot be stretched
                unit, both, without, ratio = measure(
                    grid, max(3, options.repeats // 8) if stretched else options.repeats
                )
                kind = f"{boundary}, stretched" if stretched else boundary
                wanted = "" if stretched else f"< {goal:g}"
                missed += not stretched and ratio >= goal
                print(
                    f"| {size} | {kind} | {unit:.3g} | {both:.3g} | {without:.1f} | {ratio:.1f} | {wanted} |",
                    flush=True,
                )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
