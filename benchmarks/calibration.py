"""Are the tests on chains what they say: sizes, powers and coverages over thousands of repetitions.

    python benchmarks/calibration.py [--replications 2000] [--seed 2026]

Every repetition is a whole experiment: independent chains, their areas, a test. Sizes are shares of p < 0.05 where the null
holds; powers are set beside that of the best test there can be, whose noncentrality is half the entropy produced; coverages are
shares of 95 % intervals that hold what they estimate. Fails where a size is off by more than three standard errors of the
repetitions, a power of long enough chains by more than a tenth, or the coverage of χ² or a Hellinger distance by more than 0.02
and two standard errors.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_discrete_lyapunov
from scipy.special import fdtri, ncfdtr, ndtr
from scipy.stats import expon

import fokkerplanck as fp
from fokkerplanck.replicates import chi_square, hellinger, mean_test, noncentrality, sign_flip, total_variation

Array = NDArray[np.float64]

LEVEL = 0.05
SIGMAS = 3.0  # of a size from 0.05: [0.035, 0.065] for 2000 repetitions
SHORTFALL, LENGTH = 0.1, 5  # of power, in chains of at least as many relaxation times
BURN_IN = 10.0  # relaxation times


@dataclass(frozen=True)
class Linear:
    """θ' = θ − ηHθ + η ξ, many chains at once.

    Attributes
    ----------
    H, C : ndarray, shape (d, d)
        Hessian, and covariance of ξ.
    learning_rate : float
    skewed : bool
        Minibatches of ``batch_size`` from 41 samples with exponential quantiles along every axis, in all combinations (skewness
        1.6), and not Gaussian noise.
    """

    H: Array
    C: Array
    learning_rate: float
    skewed: bool = False
    batch_size: int = 1

    @property
    def covariance(self) -> Array:
        step = np.eye(len(self.H)) - self.learning_rate * self.H
        return np.asarray(solve_discrete_lyapunov(step, self.learning_rate**2 * self.C / self.batch_size))

    @property
    def circulation(self) -> Array:
        """½(HS − SH), exact at any learning rate."""
        return 0.5 * (self.H @ self.covariance - self.covariance @ self.H)

    @property
    def entropy_production(self) -> float:
        """Of the Gaussian chain, per unit time: the relative entropy of two successive points and of the same in reverse."""
        S = self.covariance
        cross = (np.eye(len(self.H)) - self.learning_rate * self.H) @ S
        forward, backward = np.block([[S, cross.T], [cross, S]]), np.block([[S, cross], [cross.T, S]])
        return float(np.trace(np.linalg.solve(backward, forward)) - 2 * len(S)) / (2.0 * self.learning_rate)

    def areas(self, chains: int, steps: int, rng: np.random.Generator) -> fp.Areas:
        d, root = len(self.H), np.linalg.cholesky(self.C)
        quantiles = expon.ppf((np.arange(41) + 0.5) / 41)
        quantiles = (quantiles - quantiles.mean()) / quantiles.std()
        step = np.eye(d) - self.learning_rate * self.H
        first, second = np.triu_indices(d, 1)
        theta, sums = (
            rng.standard_normal((chains, d)) @ np.linalg.cholesky(self.covariance).T,
            np.zeros((chains, len(first))),
        )
        burn_in = int(np.ceil(BURN_IN / (self.learning_rate * np.linalg.eigvalsh(self.H)[0]))) if self.skewed else 0
        size = self.learning_rate / np.sqrt(self.batch_size)
        for k in range(burn_in + steps):
            if self.skewed:
                drawn = quantiles[rng.integers(0, 41, size=(self.batch_size, chains, d), dtype=np.int32)]
                noise = drawn.sum(axis=0) / np.sqrt(self.batch_size)
            else:
                noise = rng.standard_normal((chains, d))
            after = theta @ step.T + size * (noise @ root.T)
            if k >= burn_in:
                sums += theta[:, first] * after[:, second] - theta[:, second] * after[:, first]
            theta = after
        rates = np.zeros((chains, d, d))
        rates[:, first, second] = sums / (2.0 * self.learning_rate * steps)
        rates -= np.swapaxes(rates, 1, 2)
        return fp.Areas(rates, tuple(f"theta{i}" for i in range(d)), self.learning_rate, steps)


def mirrored(dim: int, *, seed: int = 11) -> fp.sgd.SGD:
    """Linear regression on skewed features whose rows come in mirror images: every area is zero by symmetry, at any η.

    The noise is that of minibatches: skewed, and dependent on θ.
    """
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(60, dim))
    y = X @ np.arange(1.0, dim + 1.0)[::-1] + rng.exponential(size=60)
    for axis in range(1, dim):  # the copy with one feature turned round leaves the law of the other parameters as it is
        turned = X.copy()
        turned[:, axis] *= -1.0
        X, y = np.concatenate([X, turned]), np.concatenate([y, y])
    return fp.sgd.SGD(fp.sgd.linear_regression(X / X.std(axis=0), y - y.mean()), learning_rate=0.1, batch_size=4)


def simulated(sgd: fp.sgd.SGD, chains: int, steps: int, seed: int, groups: int = 16) -> fp.sgd.Run:
    grid = fp.Grid(sgd.box(widths=5), (8,) * sgd.model.dim)
    return sgd.simulate(grid=grid, chains=chains, steps=steps, rng=seed, groups=groups, progress=False)


def experiments(areas: fp.Areas | fp.sgd.Run, replications: int) -> Array:
    """The areas of every repetition's chains, shape (replications, chains, q)."""
    rates = areas.rates if isinstance(areas, fp.Areas) else areas.chain_circulation
    rows = rates[:, *np.triu_indices(rates.shape[-1], 1)]
    return rows.reshape(replications, -1, rows.shape[-1])


def rejected(rows: Array) -> float:
    return float(np.mean([mean_test(one) < LEVEL for one in rows]))


def best_power(entropy: float, q: int, chains: int) -> float:
    """Of a test of q components whose noncentrality is half the entropy produced, which no current exceeds."""
    critical = fdtri(q, chains - q, 1.0 - LEVEL)
    return float(1.0 - ncfdtr(q, chains - q, 0.5 * entropy, critical))


def turning(dim: int, strength: float = 0.11, **options: object) -> Linear:
    """H = diag(1, 0.3) or diag(1, 0.5, 0.2), and correlated noise, with which it does not commute."""
    H = np.diag([1.0, 0.3] if dim == 2 else [1.0, 0.5, 0.2])
    C = np.eye(dim)
    C[0, 1:] = C[1:, 0] = strength * np.array([1.0, 0.5])[: dim - 1]
    return Linear(H, C, 0.1, **options)  # type: ignore[arg-type]


def sizes(replications: int, seed: int) -> list[list[str]]:
    """Size at 5 % under nulls with Gaussian and with skewed noise, of few and many chains."""
    table = []
    for dim in (2, 3):
        for chains, steps in ((16, 500), (32, 500)):
            total = replications * chains
            for name, areas in (
                ("Gaussian, reversible", turning(dim, 0.0).areas(total, steps, np.random.default_rng(seed))),
                (
                    "skewed (1.6), B = 1",
                    turning(dim, 0.0, skewed=True).areas(total, steps, np.random.default_rng(seed + 1)),
                ),
                ("regression, mirrored, B = 4", simulated(mirrored(dim), total, steps, seed + 2)),
            ):
                rows = experiments(areas, replications)
                flips = [
                    sign_flip(r, np.random.default_rng(k)) < LEVEL for k, r in enumerate(rows[: replications // 10])
                ]
                table.append([str(dim), name, f"{chains} x {steps}", f"{rejected(rows):.4f}", f"{np.mean(flips):.3f}"])
    return table


def single(replications: int, seed: int) -> list[list[str]]:
    """Size at 5 % of the blocks of one trajectory."""
    table = []
    for steps in (500, 2000):
        law = turning(2, 0.0)
        rng = np.random.default_rng(seed)
        theta = np.empty((steps + 1, replications, 2))
        theta[0] = rng.standard_normal((replications, 2)) @ np.linalg.cholesky(law.covariance).T
        step = np.eye(2) - law.learning_rate * law.H
        for k in range(steps):
            theta[k + 1] = theta[k] @ step.T + law.learning_rate * rng.standard_normal((replications, 2))
        for blocks in (10, 16):
            tested = [
                mean_test(fp.swept_areas(theta[:, r], time_step=0.1, blocks=blocks).rows) for r in range(replications)
            ]
            table.append(
                [f"{steps * law.learning_rate * 0.3:.0f}", str(blocks), f"{np.mean(np.array(tested) < LEVEL):.4f}"]
            )
    return table


def powers(replications: int, seed: int) -> list[list[str]]:
    """Power beside the best there can be, in steady states that turn."""
    table = []
    for name, law in (
        ("2-D, Gaussian", turning(2)),
        ("2-D, skewed, B = 1", turning(2, skewed=True)),
        ("3-D, Gaussian", turning(3)),
        ("3-D, skewed, B = 1", turning(3, skewed=True)),
    ):
        dim, chains = len(law.H), 32
        for produced in (8.0, 15.7):
            steps = round(produced / (law.entropy_production * law.learning_rate * chains))
            rows = experiments(law.areas(replications * chains, steps, np.random.default_rng(seed)), replications)
            duration = law.learning_rate * steps
            table.append(power_row(name, rows, law.entropy_production, duration, law.H.diagonal().min(), dim))
    case = fp.cases.get("diabetes")
    sol = fp.solve_stationary(case.process, case.box, shape=(128, 128))
    sigma, eta, slowest = (
        fp.detailed_balance(sol).entropy_production,
        case.sgd.learning_rate,
        1.0 / case.sgd.relaxation_time,
    )
    for chains in (32, 16):  # of half the length, and of whole
        for produced in (8.0, 15.7):
            steps = round(produced / (sigma * eta * chains))
            rows = experiments(simulated(case.sgd, replications * chains, steps, seed), replications)
            table.append(power_row("diabetes data, B = 4", rows, sigma, eta * steps, slowest, 2))
    return table


def power_row(name: str, rows: Array, sigma: float, duration: float, slowest: float, dim: int) -> list[str]:
    chains, produced = rows.shape[1], sigma * duration * rows.shape[1]
    power, best = rejected(rows), best_power(produced, dim * (dim - 1) // 2, chains)
    length = f"{chains} x {duration * slowest:.0f}"
    return [name, length, f"{produced:.1f}", f"{power:.3f}", f"{best:.3f}", f"{power / best:.3f}"]


def coverages(replications: int, seed: int) -> list[list[str]]:
    """Of the area, of the bound on the entropy production that it gives, and of distances between laws."""
    table = []
    for dim in (2, 3):
        law = turning(dim)
        rows = experiments(law.areas(replications * 32, 1000, np.random.default_rng(seed)), replications)
        everything, exact = rows.reshape(-1, rows.shape[-1]), law.circulation[np.triu_indices(dim, 1)]
        hits = [mean_test(one - exact) > LEVEL for one in rows]
        mean = everything.mean(axis=0)
        true = 32 * float(mean @ np.linalg.solve(np.atleast_2d(np.cov(everything.T)), mean))
        bounds = [noncentrality(one) for one in rows]
        inside = [one.low <= true <= one.high for one in bounds]
        bias = np.mean([one.value for one in bounds]) / true - 1.0
        table.append([f"area, {dim}-D", f"{np.mean(hits):.4f}", ""])
        table.append([f"bound on the entropy production, {dim}-D", f"{np.mean(inside):.4f}", f"{bias:+.3f}"])
    return table + distances(replications // 2, seed)


def distances(replications: int, seed: int) -> list[list[str]]:
    """Coverage of the distances of correlated chains, x' = 0.9 x + noise, 32 of 1000 steps, to laws shifted and widened."""
    rng, chains, steps = np.random.default_rng(seed), 32 * replications, 1000
    edges = np.linspace(-4.0, 4.0, 41)
    counts, every = np.zeros((chains, 40)), np.arange(chains)
    x = rng.standard_normal(chains)
    for _ in range(steps):
        x = 0.9 * x + np.sqrt(0.19) * rng.standard_normal(chains)
        counts[every, np.clip(((x + 4.0) * 5.0).astype(int), 0, 39)] += 1.0
    seen = (counts / steps).reshape(replications, 32, 40)
    p = law_of(edges, 0.0)
    same = [chi_square(p, one, rng)[1] < LEVEL for one in seen]
    table = [["equal laws: sign flips reject", f"{np.mean(same):.4f}", ""]]
    for shift, width in ((0.03, 1.0), (0.05, 1.0), (0.1, 1.0), (0.15, 1.0), (0.0, 1.03), (0.0, 1.08)):
        q = law_of(edges, shift, width)
        true = {
            "total variation": 0.5 * np.abs(p - q).sum(),
            "Hellinger": np.sqrt(1.0 - np.sqrt(p * q).sum()),
            "chi²": np.sum((p - q) ** 2 / q),
        }
        found = {
            "total variation": [total_variation(q, one)[0] for one in seen],
            "Hellinger": [hellinger(q, one) for one in seen],
            "chi²": [chi_square(q, one, rng)[0] for one in seen],
        }
        for name, value in true.items():
            inside = np.mean([one.low <= value <= one.high for one in found[name]])
            bias = np.mean([one.value for one in found[name]]) / value - 1.0
            what = f"by {shift:g}" if shift else f"× {width:g}"
            table.append([f"{name} {value:.4f}, {what}", f"{inside:.4f}", f"{bias:+.3f}"])
    return table


def law_of(edges: Array, shift: float, width: float = 1.0) -> Array:
    """A normal law in bins; the outermost reach to infinity."""
    cumulated = ndtr((edges - shift) / width)
    cumulated[[0, -1]] = 0.0, 1.0
    return np.diff(cumulated)


def directed(replications: int, seed: int) -> list[list[str]]:
    """Size at 5 %, one-sided, of the work along a field that turns, where mirror symmetry makes it zero."""
    sgd = mirrored(2)
    run = simulated(sgd, replications * 64, 500, seed, groups=replications * 32)
    centre, spread = sgd.model.minimum, np.sqrt(np.diag(sgd.covariance()))

    def field(x: Array) -> Array:
        return np.stack([centre[1] - x[1], x[0] - centre[0]]) / spread.prod()

    found = []
    for r in range(replications):
        groups, chains = slice(32 * r, 32 * (r + 1)), slice(64 * r, 64 * (r + 1))
        part = replace(
            run,
            group_samples=run.group_samples[groups],
            histogram=run.histogram[groups],
            outside_samples=run.outside_samples[groups],
            crossings=tuple(c[groups] for c in run.crossings),
            start=run.start[chains],
            end=run.end[chains],
        )
        found.append(fp.directed_test(part, field).p_value)
    return [["work, one-sided", f"{np.mean(np.array(found) < LEVEL):.4f}"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    R, seed = options.replications, options.seed
    tables = (
        ("Size at 0.05 of the area test", ["d", "noise", "chains x steps", "t, Hotelling", "sign flip"], sizes),
        ("Size at 0.05 of blocks of one trajectory", ["relaxation times", "blocks", "size"], single),
        ("Size at 0.05 of the directed test", ["", "size"], lambda r, s: directed(r // 4, s)),
        ("Power of the area test", ["", "chains x relaxation times", "entropy", "power", "best", "ratio"], powers),
        ("Coverage of 95 % intervals", ["", "share", "bias"], coverages),
    )
    failed = []
    for title, head, make in tables:
        begin = time.process_time()
        print(f"\n{title}\n")
        rows = make(R, seed)
        for row in (head, ["---"] * len(head), *rows):
            print("| " + " | ".join(row) + " |", flush=True)
        print(f"\n{time.process_time() - begin:.0f} s of CPU", flush=True)
        failed += [" ".join(row) for row in rows if off(head, row, R)]
    if failed:
        raise SystemExit("off: " + "; ".join(failed))


def off(head: list[str], row: list[str], replications: int) -> bool:
    values = dict(zip(head, row, strict=True))
    for name in ("t, Hotelling", "size"):
        if name in values and abs(float(values[name]) - LEVEL) > SIGMAS * np.sqrt(LEVEL * (1.0 - LEVEL) / replications):
            return True
    if head[1] == "share" and row[0].startswith(("Hellinger", "chi²")):
        return abs(float(values["share"]) - 0.95) > 0.02 + 2.0 * np.sqrt(0.95 * 0.05 / (replications // 2))
    long = float(values.get("chains x relaxation times", "x 0").split("x")[1]) >= LENGTH
    return long and float(values["ratio"]) < 1.0 - SHORTFALL


if __name__ == "__main__":
    main()
