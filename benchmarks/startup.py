"""Seconds until something happens: the import, the command line, and the first call in a fresh process.

    python benchmarks/startup.py

Every number is that of the fastest of some fresh processes, from their start to their end: wall clock, and processor time,
which other work on the machine changes less. Only the first call with a cold cache of compiled kernels is made once.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

FIRST = 128  # cells along an axis of the first call, in the plane

IMPORT = ("-W", "error", "-c", "import fokkerplanck")
SOLVER = ("-W", "error", "-c", "from fokkerplanck import Box, DiffusionProcess, solve_stationary")
SOLVE = f"""if True:
    import numpy as np
    import fokkerplanck as fp

    drift = lambda x: np.stack([-x[0] + 2 * x[1], -2 * x[0] - x[1]])
    process = fp.DiffusionProcess(drift, [[1.0, 0.2], [0.2, 0.5]], dim=2)
    fp.solve_stationary(process, fp.Box([-6, -6], [6, 6]), shape=({FIRST}, {FIRST}), progress=False)
"""
COMMANDS: tuple[tuple[str, tuple[str, ...], float | None], ...] = (  # what it is, how it is done, its limit in seconds
    ("python", ("-c", "pass"), None),
    ("import fokkerplanck", IMPORT, 0.6),
    ("import of what solves", SOLVER, None),
    ("fokkerplanck --help", ("-m", "fokkerplanck", "--help"), 0.5),
    ("fokkerplanck list", ("-m", "fokkerplanck", "list"), None),
)


def elapsed(arguments: Sequence[str], cache: str | None = None) -> tuple[float, float]:
    """Seconds of a fresh process, by the wall clock and of processor time; it has to succeed and to be silent on stderr."""
    environment = dict(os.environ) | ({} if cache is None else {"NUMBA_CACHE_DIR": cache})
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or done.stderr:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode} and said:\n{done.stderr}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="processes, of which the fastest counts")
    rounds = parser.parse_args().rounds
    print("| in a fresh process | seconds | processor seconds | limit |\n|---|---|---|---|", flush=True)
    for name, arguments, limit in COMMANDS:
        wall, used = (min(times) for times in zip(*(elapsed(arguments) for _ in range(rounds)), strict=True))
        print(f"| {name} | {wall:.2f} | {used:.2f} | {'' if limit is None else limit} |", flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for state, count, limit in (("cold", 1, ""), ("warm", rounds, "2")):
            runs = [elapsed(("-c", SOLVE), cache) for _ in range(count)]
            wall, used = (min(times) for times in zip(*runs, strict=True))
            print(f"| import and solve on {FIRST}², {state} cache | {wall:.2f} | {used:.2f} | {limit} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
