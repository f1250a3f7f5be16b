"""Time to accuracy of this package, scikit-fem, FiPy and py-pde on the same problems.

    python benchmarks/peers.py --peer scikit-fem --problem a --problem b

Every method refines, each by its own knob, until its **true** errors are ∫|p − p_exact| ≤ 1e-4 and
∫|J − J_exact| ≤ 1e-3 ∫|J_exact|; what is timed is the one run that gets there, after a run that compiled and warmed up. Ours
includes all its nested grids and the error estimate that tells it when to stop; the peers have none, and are told. Runs of
ours and of the peers alternate, and times are medians. A peer that does not get there within the cap is given as a lower bound.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

import numpy as np
from known import PLANE
from manufactured import Problem
from peer_solvers import Capped, Run, fipy_run, load, pypde_run, skfem_run

import fokkerplanck as fp

DENSITY, CURRENT = 1e-4, 1e-3  # the true errors to reach
TOLERANCES = (1e-3, 5e-4, 2e-4, 1e-4, 5e-5, 2e-5)  # our knob
# Their knobs, cells (of scikit-fem: elements, each two cells' worth of unknowns) along an axis.
ELEMENTS = (12, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384)
PEERS: dict[str, tuple[str, Callable[[Problem, int, float], Run], tuple[int, ...]]] = {
    "scikit-fem": ("skfem", skfem_run, ELEMENTS),  # at the points where it is best
    "scikit-fem everywhere": ("skfem", partial(skfem_run, everywhere=True), ELEMENTS),
    "FiPy": ("fipy", fipy_run, (32, 64, 128, 256, 512, 1024)),
    "py-pde": ("pde", pypde_run, (64, 128, 256, 512)),
}
SHORT = 5.0  # seconds: longer runs are not repeated


@dataclass(frozen=True)
class Reached:
    """The setting at which a method first met both errors, or how far it came."""

    knob: float
    run: Run
    capped: str = ""  # why it stopped short


def ours(problem: Problem, rtol: float) -> Run:
    """One solve, with its true errors at cell centres; only the solve is timed."""
    started = time.perf_counter()
    sol = fp.solve_stationary(problem.process, problem.box, rtol=rtol, progress=False)
    seconds = time.perf_counter() - started
    x, volume = sol.grid.cell_points(), sol.grid.cell_volume
    total = lambda field: float(np.sum(np.sqrt(np.sum(field**2, axis=0)) * volume))  # noqa: E731
    exact = problem.current(x)
    density = float(np.sum(np.abs(sol.density.values - problem.density(x)) * volume))
    current = total(sol.current.values - exact) / total(exact)
    return Run(seconds, density, current, float(np.exp(sol.log_density.values.min())), max(sol.grid.shape))


def accurate(run: Run) -> bool:
    return run.density_error <= DENSITY and run.current_error <= CURRENT


def search_ours(problem: Problem) -> Reached | None:
    best = None
    for rtol in TOLERANCES:
        try:
            best = Reached(rtol, ours(problem, rtol))
        except fp.NotConverged as error:
            return best and Reached(best.knob, best.run, f"NotConverged: {error}")
        if accurate(best.run):
            return best
    return best and Reached(best.knob, best.run, "not reached")


def search_peer(
    solve: Callable[[Problem, int, float], Run], grids: tuple[int, ...], problem: Problem, cap: float
) -> Reached:
    """Finer and finer until accurate, or until the next grid would not end within the cap.

    Stopped short it has the errors of the last grid that was solved, and the time of the grid that was not.
    """
    last = None
    for n in grids:
        if last is not None and last.run.seconds * (n / last.knob) ** 2 > 2.0 * cap:
            return Reached(last.knob, last.run, f"{n}² would take more than {cap:g} s")
        try:
            last = Reached(n, solve(problem, n, cap))
        except Capped as stopped:
            so_far = last.run if last else Run(np.nan, np.nan, np.nan, np.nan, 0)
            return Reached(n, replace(so_far, seconds=stopped.seconds), f"{n}² {stopped}")
        if accurate(last.run):
            return last
    assert last is not None
    return Reached(last.knob, last.run, "finest grid")


def compare(problem: Problem, peers: list[str], cap: float, repeats: int) -> list[str]:
    """Rows of the table for one problem: ours, then every peer with its ratio to ours."""
    mine = search_ours(problem)
    if mine is None:
        return [f"| {problem.description} | fokkerplanck | raised at rtol = {TOLERANCES[0]:g} | | | | | |"]
    theirs = {name: search_peer(PEERS[name][1], PEERS[name][2], problem, cap) for name in peers}
    times: dict[str, list[float]] = {name: [] for name in ["fokkerplanck", *peers]}
    for _ in range(repeats):
        times["fokkerplanck"].append(ours(problem, mine.knob).seconds)
        for name, reached in theirs.items():
            long = reached.capped or reached.run.seconds > SHORT
            times[name].append(reached.run.seconds if long else PEERS[name][1](problem, int(reached.knob), cap).seconds)
    own = median(times["fokkerplanck"])
    rows = [_row(problem.description, "fokkerplanck", f"rtol {mine.knob:g}, {mine.run.cells}²", own, mine, "1")]
    for name, reached in theirs.items():
        seconds = median(times[name])
        bound = "≥ " if reached.capped else ""
        knob = f"{reached.run.cells}² {'elements' if name.startswith('scikit-fem') else 'cells'}"
        rows.append(_row(problem.description, name, knob, seconds, reached, f"{bound}{seconds / own:.3g}"))
    return rows


def _row(problem: str, name: str, knob: str, seconds: float, reached: Reached, ratio: str) -> str:
    run = reached.run
    note = f", **not reached** ({reached.capped})" if reached.capped else ""
    return (
        f"| {problem} | {name} | {knob}{note} | {seconds:.3g} | {run.density_error:.1e} | {run.current_error:.1e} | "
        f"{run.smallest:.1e} | {ratio} |"
    )


def importable(names: list[str]) -> list[str]:
    """The peers that can be run; says which cannot."""
    found = []
    for name in names:
        try:
            load(PEERS[name][0])
        except ImportError as error:
            print(f"{name}: left out, it cannot be imported ({error})")
        else:
            found.append(name)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=PLANE, action="append", help="may be repeated; all by default")
    parser.add_argument("--peer", choices=PEERS, action="append", help="may be repeated; all by default")
    parser.add_argument("--cap", type=float, default=60.0, help="seconds for one run of a peer")
    parser.add_argument("--repeats", type=int, default=3, help="alternating runs, of which the median counts")
    parser.add_argument("--quick", action="store_true", help="problems a and b, without py-pde, with a cap of 5 s")
    options = parser.parse_args()
    problems = options.problem or (["a", "b"] if options.quick else list(PLANE))
    peers = importable(
        options.peer or (["scikit-fem", "scikit-fem everywhere", "FiPy"] if options.quick else list(PEERS))
    )
    cap = min(options.cap, 5.0) if options.quick else options.cap
    print("| problem | method | setting | seconds | error of p | error of J | smallest p | time / ours |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in problems:
        print("\n".join(compare(PLANE[name](), peers, cap, options.repeats)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
