"""Nanoseconds per update of simulated SGD: ours, an ensemble of chains in NumPy and one in JAX.

    python benchmarks/simulator.py

Linear regression with two parameters, n = 442, one sample a step. Everything is in float64 and draws its own samples. Times are
CPU times, medians over rounds in which all contenders take turns, and ratios are medians of ratios within a round. NumPy and
JAX advance 16384 chains at once, which is where they are fastest; JAX is left out if it is not installed. Ours takes eight
times as many steps, to be timed for as long as they are; what it takes before the first step is printed by itself.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from statistics import median

# before these libraries are loaded: one thread each
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numba
import numpy as np

import fokkerplanck as fp
from fokkerplanck.sgd import SGD, linear_regression

CELLS = 128  # along each axis
CHAINS, ETA = 16384, 0.1
LONGER = 8  # times as many updates as the others: below a tenth of a second two threads are not timed but their start
TASKS = ("steps alone", "moments and area", "and histogram", "and current")
TARGETS = {("steps alone", "NumPy"): 7.0, ("and histogram", "NumPy"): 3.0, ("and histogram", "JAX"): 6.0}


def problem() -> SGD:
    rng = np.random.default_rng(442)
    X = rng.normal(size=(442, 2)) @ np.array([[1.0, 0.3], [0.0, 0.8]])
    return SGD(linear_regression(X, X @ [0.4, 0.7] + rng.normal(size=442)), learning_rate=ETA, batch_size=1)


def ours(sgd: SGD, task: str, updates: int, batch: int = 1) -> None:
    """Steps alone are a burn-in, of which nothing is recorded."""
    chains, groups = 256, 32
    steps = updates // chains
    alone = task == TASKS[0]
    grid = fp.Grid(sgd.box(), (CELLS, CELLS)) if task in TASKS[2:] else None
    if batch != sgd.batch_size:
        sgd = SGD(sgd.model, learning_rate=ETA, batch_size=batch)
    sgd.simulate(
        grid=grid,
        chains=chains,
        groups=groups,
        burn_in=steps - 1 if alone else 0,
        steps=1 if alone else steps,
        current=task == TASKS[3],
        rng=4421,
        progress=False,
    )


def in_numpy(sgd: SGD, task: str, updates: int) -> None:
    rng, box = np.random.default_rng(4422), sgd.box()
    x0, x1, y = sgd.model.X[:, 0].copy(), sgd.model.X[:, 1].copy(), sgd.model.y
    (low0, low1), (per0, per1) = box.lower, CELLS / box.widths
    a, b = (np.full(CHAINS, value) for value in sgd.model.minimum)
    sums, counts = np.zeros(6), np.zeros(CELLS * CELLS, np.int64)
    for _ in range(updates // CHAINS):
        index = rng.integers(0, len(y), CHAINS, dtype=np.int32)
        u, v = x0[index], x1[index]
        residual = a * u + b * v - y[index]
        c, d = a - ETA * residual * u, b - ETA * residual * v
        if task != TASKS[0]:
            sums += c.sum(), d.sum(), c @ c, c @ d, d @ d, a @ d - b @ c
        if task == TASKS[2]:
            places = ((c - low0) * per0).astype(np.int64) * CELLS + ((d - low1) * per1).astype(np.int64)
            counts += np.bincount(places, minlength=counts.size)
        a, b = c, d


def in_jax(sgd: SGD) -> dict[str, Callable[[int], None]]:
    """A function of the number of updates for each task: a scan over steps of all chains."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y, box = jnp.array(sgd.model.X), jnp.array(sgd.model.y), sgd.box()
    low, per = jnp.array(box.lower), jnp.array(CELLS / box.widths)

    def update(theta, index):
        return theta - ETA * (theta @ X[index] - y[index]) * X[index]

    def step(task, carry, key):
        theta, sums, counts = carry
        index = jax.random.randint(key, (CHAINS,), 0, len(y), dtype=jnp.int32)
        new = jax.vmap(update)(theta, index)
        if task != TASKS[0]:
            (a, b), (c, d) = theta.T, new.T
            sums += jnp.stack([c.sum(), d.sum(), c @ c, c @ d, d @ d, a @ d - b @ c])
        if task == TASKS[2]:
            i, j = ((new - low) * per).astype(jnp.int32).T
            counts = counts.at[i * CELLS + j].add(1)
        return (new, sums, counts), None

    def runner(task):
        scan = jax.jit(lambda carry, keys: jax.lax.scan(lambda c, k: step(task, c, k), carry, keys)[0])

        def run(updates: int) -> None:
            start = jnp.tile(jnp.array(sgd.model.minimum), (CHAINS, 1))
            keys = jax.random.split(jax.random.key(4423), updates // CHAINS)
            carry = (start, jnp.zeros(6), jnp.zeros(CELLS * CELLS, jnp.int64))
            jax.block_until_ready(scan(carry, keys))

        return run

    return {task: runner(task) for task in TASKS[:3]}


def spent(work: Callable[[int], None], updates: int, clock: Callable[[], float] = time.process_time) -> float:
    """Nanoseconds per update."""
    begun = clock()
    work(updates)
    return (clock() - begun) / updates * 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=2**23, help="of every contender in every round")
    arguments = parser.parse_args()
    sgd = problem()
    jax = in_jax(sgd) if find_spec("jax") else {}
    numba.set_num_threads(1)
    print(
        f"{'':20}{'ours':>8}{'NumPy':>8}{'JAX':>8}   ns per update, one thread; then theirs / ours, and what is asked for"
    )
    for task in TASKS:
        contenders: dict[str, Callable[[int], None]] = {"ours": lambda n, t=task: ours(sgd, t, n)}
        if task != TASKS[3]:
            contenders["NumPy"] = lambda n, t=task: in_numpy(sgd, t, n)
            contenders |= {"JAX": jax[task]} if jax else {}
        for work in contenders.values():
            work(2**18)  # compiles; JAX compiles for every number of steps
        if jax and task in jax:
            jax[task](arguments.updates)
        rounds = [
            {
                name: spent(work, arguments.updates * (LONGER if name == "ours" else 1))
                for name, work in contenders.items()
            }
            for _ in range(arguments.rounds)
        ]
        line = f"{task:20}"
        for name in ("ours", "NumPy", "JAX"):
            line += f"{median(r[name] for r in rounds):8.2f}" if name in contenders else f"{'':8}"
        for name in ("NumPy", "JAX"):
            if name in contenders:
                target = TARGETS.get((task, name))
                ratio = median(r[name] / r["ours"] for r in rounds)
                line += f"   {name} {ratio:.1f}" + (f" (≥ {target:g})" if target else "")
        print(line)
    least = (
        median(spent(partial(ours, sgd, TASKS[2]), 256, time.perf_counter) for _ in range(arguments.rounds)) * 256e-6
    )
    print(f"histogram, one step of every chain, by the clock: {least:.1f} ms")
    for batch in (1, 8):
        walls: dict[int, list[float]] = {1: [], 2: []}
        most = numba.config.NUMBA_NUM_THREADS
        for _ in range(arguments.rounds if most > 1 else 0):
            for threads, times in walls.items():
                numba.set_num_threads(threads)
                walk = partial(ours, sgd, TASKS[2], batch=batch)
                times.append(spent(walk, LONGER * arguments.updates, time.perf_counter))
        if most > 1:
            gain = median(one / two for one, two in zip(walls[1], walls[2], strict=True))
            print(f"histogram, B = {batch}: two threads are {gain:.2f} times as fast as one by the clock (≥ 1.7)")


if __name__ == "__main__":
    main()
