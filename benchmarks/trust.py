"""Is the answer as good as it says? Random manufactured problems, solved, and compared with their exact answers.

python benchmarks/trust.py --dim 2 --count 200        a table, and the failures by their seeds
python benchmarks/trust.py --dim 2 --only 310017      one of them again

The exit code is 1 where fewer than 97 % of the answers are as good as they say, or an exception is not one of the package.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import asdict, dataclass, fields

import numpy as np
from manufactured import Problem, draw

import fokkerplanck as fp
from fokkerplanck.progress import progress_bar

COUNT = {1: 200, 2: 200, 3: 40}
QUICK = {1: 20, 2: 10, 3: 2}
SEED = 310_000  # of the first problem; problem i of a dimension has seed SEED + i
ROUND_OFF = (
    1e-9  # errors below this, true and estimated, are what double precision leaves, and have no meaningful ratio
)
RIGHT = 0.97  # of the answers: errors are estimated, by rules that were measured to hold for so many
BAND = 4.0  # true over estimated error should lie between the inverse of this and this
CONVERGED = "converged"


@dataclass(frozen=True)
class Trial:
    """What became of one problem.

    Errors of the density are ∫|p − p_exact|. Errors of the current are ∫|J − J_exact| over ∫|J_exact| or, for a problem in
    detailed balance, over ∫|u|p, the current if noise balanced none of the drift. Both integrals are sums over cell centres.
    NaN where there is no solution.
    """

    seed: int
    dim: int
    description: str
    outcome: str  # "converged", or the exception's name
    message: str
    shape: str
    seconds: float
    log_smallest: float  # decimal logarithm of the smallest density, which may be below the smallest double
    density_error: float
    density_estimate: float
    current_error: float
    current_estimate: float

    @property
    def converged(self) -> bool:
        return self.outcome == CONVERGED

    @property
    def crashed(self) -> bool:
        """It ended in an exception that the package does not raise on purpose."""
        known = getattr(fp, self.outcome, None)
        return not self.converged and not (isinstance(known, type) and issubclass(known, fp.FokkerPlanckError))

    def wrong(self, rtol: float) -> bool:
        """It was returned as good to ``rtol``, and is not."""
        return self.converged and not max(self.density_error, self.current_error) <= rtol


def judge(problem: Problem, seed: int, *, rtol: float, max_cells: int | None = None) -> Trial:
    """Solve a problem and compare with its exact answer; an exception is an outcome, not an end."""
    started = time.perf_counter()
    outcome, message = CONVERGED, ""
    try:
        sol = fp.solve_stationary(problem.process, problem.box, rtol=rtol, max_cells=max_cells, progress=False)
    except Exception as error:  # a refusal of the package, or a crash, which the report tells apart
        sol, outcome, message = getattr(error, "best", None), type(error).__name__, str(error)
    seconds = time.perf_counter() - started
    measured = (np.nan,) * 5 if sol is None else errors(problem, sol)
    shape = "" if sol is None else "×".join(map(str, sol.grid.shape))
    return Trial(seed, problem.box.dim, problem.description, outcome, message, shape, seconds, *measured)


def errors(problem: Problem, sol: fp.Solution) -> tuple[float, float, float, float, float]:
    """log₁₀ of the smallest density, then true and estimated error of p and of J as :class:`Trial` has them."""
    x, volume = sol.grid.cell_points(), sol.grid.cell_volume
    total = lambda field: float(np.sum(np.sqrt(np.sum(field**2, axis=0)) * volume))  # noqa: E731
    p, current = problem.density(x), problem.current(x)
    size = total(current) or total(problem.velocity(x) * p)
    present = total(sol.current.values)
    return (
        float(sol.log_density.min()) / np.log(10.0),
        float(np.sum(np.abs(sol.density.values - p) * volume)),
        sol.error,
        total(sol.current.values - current) / size,
        sol.current_error * present / size if present > 0.0 else 0.0,
    )


def report(trials: list[Trial], rtol: float) -> str:
    """The table of one dimension, Markdown; "goal" is what the shares should be."""
    done = [t for t in trials if t.converged]
    rows = [("problems", f"{len(trials)}", "")]
    rows += [("converged, the rest raised", _share(len(done), len(trials)), "≥ 98 %")]
    good = [t for t in done if not t.wrong(rtol)]
    right = f"true errors of p and J ≤ {rtol:g}, of those converged"
    rows += [(right, _share(len(good), len(done)), f"≥ {100 * RIGHT:.0f} %")]
    for name, field in (("p", "density"), ("J", "current")):
        pairs = np.array([(getattr(t, f"{field}_error"), getattr(t, f"{field}_estimate")) for t in done]).reshape(-1, 2)
        counted = pairs[(pairs > ROUND_OFF).any(axis=1)]
        with np.errstate(divide="ignore"):
            ratio = counted[:, 0] / counted[:, 1]  # an infinite estimate counts as 0, one of zero as infinite
        inside = int(np.sum((ratio >= 1.0 / BAND) & (ratio <= BAND)))
        label = f"true / estimated error of {name} within [1/{BAND:g}, {BAND:g}]"
        rows += [(label, _share(inside, len(ratio)), "≥ 95 %")]
        if len(ratio):
            marks = np.quantile(ratio, [0.0, 0.05, 0.5, 0.95, 1.0])
            rows += [("– least, 5 %, median, 95 %, largest", ", ".join(f"{m:.2g}" for m in marks), "")]
        rows += [("– left out: both errors are round-off", f"{len(pairs) - len(counted)}", "")]
    if done:
        seconds = [t.seconds for t in done]
        rows += [("smallest density", f"10^{min(t.log_smallest for t in done):.0f}", "> 0")]
        rows += [("seconds, median and largest", f"{np.median(seconds):.2f}, {max(seconds):.1f}", "")]
        finest = max(done, key=lambda t: np.prod([int(n) for n in t.shape.split("×")]))
        rows += [("finest grid", finest.shape, "")]
    lines = [f"| {trials[0].dim}-D, rtol = {rtol:g} | | goal |", "|---|---|---|"]
    lines += [f"| {a} | {b} | {c} |" for a, b, c in rows]
    for trial in trials:
        if not trial.converged:
            how = "CRASHED, " if trial.crashed else ""
            lines += [
                f"seed {trial.seed}: {how}{trial.outcome} after {trial.seconds:.1f} s ({trial.description}): {trial.message}"
            ]
        elif trial.wrong(rtol):
            lines += [f"seed {trial.seed}: WRONG {_figures(trial)} ({trial.description})"]
    return "\n".join(lines)


def missed(trials: list[Trial], rtol: float) -> bool:
    """Whether the trials of one dimension hold a crash, or too many answers that are worse than they say."""
    done = [t for t in trials if t.converged]
    wrong = sum(t.wrong(rtol) for t in done)
    return any(t.crashed for t in trials) or wrong > (1.0 - RIGHT) * len(done)


def _figures(trial: Trial) -> str:
    return (
        f"on {trial.shape}: error of p {trial.density_error:.2e} (estimated {trial.density_estimate:.2e}), "
        f"of J {trial.current_error:.2e} ({trial.current_estimate:.2e}), smallest p 10^{trial.log_smallest:.0f}, "
        f"{trial.seconds:.2f} s"
    )


def _share(part: int, whole: int) -> str:
    return f"{100.0 * part / whole:.1f} % ({part} of {whole})" if whole else "none"


def warm_up(dim: int) -> None:
    """Compile, so that no trial pays for it."""
    box = fp.Box([-4.0] * dim, [4.0] * dim)
    fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=dim), box, shape=(32,) * dim, progress=False)


def run(dim: int, seeds: list[int], rtol: float, max_cells: int | None, trials: list[Trial]) -> None:
    """Append a trial per seed to ``trials``, so that an interruption leaves those there are."""
    warm_up(dim)
    with progress_bar(f"{dim}-D", len(seeds)) as advance:
        for seed in seeds:
            trials.append(judge(draw(np.random.default_rng(seed), dim), seed, rtol=rtol, max_cells=max_cells))
            advance(1)


def write(path: str, trials: list[Trial]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [f.name for f in fields(Trial)])
        table.writeheader()
        table.writerows(asdict(t) for t in trials)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dim", type=int, choices=(1, 2, 3), action="append", help="may be repeated; all three by default"
    )
    parser.add_argument("--count", type=int, help=f"problems per dimension; by default {COUNT}")
    parser.add_argument("--quick", action="store_true", help=f"only {QUICK} problems")
    parser.add_argument("--seed", type=int, default=SEED, help="of the first problem; the others count up")
    parser.add_argument("--only", type=int, metavar="SEED", help="this problem only, with everything known about it")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--max-cells", type=int, help="of the solver; its own limit by default")
    parser.add_argument("--output", metavar="FILE.csv", help="write every trial")
    options = parser.parse_args()
    dims = options.dim or [1, 2, 3]
    if options.only is not None:
        for dim in dims:
            trial = judge(
                draw(np.random.default_rng(options.only), dim),
                options.only,
                rtol=options.rtol,
                max_cells=options.max_cells,
            )
            print(f"{dim}-D, {trial.description}\n{trial.outcome} {trial.message}\n{_figures(trial)}")
        return 0
    trials: list[Trial] = []
    interrupted = False
    try:
        for dim in dims:
            count = options.count or (QUICK if options.quick else COUNT)[dim]
            run(dim, [options.seed + i for i in range(count)], options.rtol, options.max_cells, trials)
            print(report([t for t in trials if t.dim == dim], options.rtol), end="\n\n", flush=True)
    except KeyboardInterrupt:
        interrupted = True
        unfinished = [t for t in trials if t.dim == dim]
        if unfinished:
            print(f"interrupted after {len(unfinished)} of {count}\n{report(unfinished, options.rtol)}")
    if options.output:
        write(options.output, trials)
    return 130 if interrupted else int(any(missed([t for t in trials if t.dim == dim], options.rtol) for dim in dims))


if __name__ == "__main__":
    sys.exit(main())
