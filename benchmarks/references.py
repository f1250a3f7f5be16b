"""Are the numbers of SGD right? Reference moments by every method that applies; and where the diffusion limit fails.

python benchmarks/references.py                     a table of all cases and methods, and what they disagree by
python benchmarks/references.py --case tanh         the cases of that name
python benchmarks/references.py --law               total variation of simulated SGD from each prediction, logistic_bc

The references (references.json) come from an implementation that shares no code with this package: moments of the diffusion
(fp), of the chain with normal noise (em) and of SGD (sgd), with the change between two degrees of an expansion (delta), and
moments of simulations of 3e7 to 3e9 updates with their standard errors. These simulations share one seed: the deviations of the
two step sizes of a problem go together, and their rms is that of fewer numbers than there are. Ours have a seed each. The last
line is about every statistic in the file, and names those that nothing here has computed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

import fokkerplanck as fp
from fokkerplanck import sgd
from fokkerplanck.compare import total_variation
from fokkerplanck.measured import measure
from fokkerplanck.solvers import Moments, chain_moments, hermite_moments

TABLES = Path(fp.__file__).parent / "cases" / "data"
REFERENCES = json.loads(Path(__file__).with_suffix(".json").read_text())
# Of the scale of a statistic (its standard deviations, or 1 for skewness): what is left of the digits of a Galerkin system with
# a condition number of 1e6, and of minima known to 1e-12.
ROUND_OFF = 1e-9
NAMES = {
    "mean": "mean",
    "covariance": "cov_triu",
    "skewness": "skew",
    "excess_kurtosis": "exkurt",
    "circulation": "A_triu",
}
FINITE_VOLUMES = (
    "logistic_bc|eta=0.5",
    "tanh_bc|eta=0.1",
    "phase_iris|eta=0.0005",
    "linreg_diabetes_scaled|eta=0.1|B=4",
    "logistic_1d",
    "linreg_1d",
)
HEAVY = (
    "linreg_diabetes_scaled|eta=0.1|B=1",
)  # with normal noise: no fourth moments, so no standard errors of variances
SEED = 7303
REPEATS = 16  # independent simulations of a case: statistics of one go together


@dataclass(frozen=True)
class Row:
    """One statistic of a case: a value and what it should be, and how far they may be apart."""

    case: str
    method: str
    statistic: str
    value: float
    expected: float
    error: float
    random: bool  # the error is a standard error, and not a bound

    @property
    def z(self) -> float:
        return (self.value - self.expected) / self.error


def _standard(file: str, target: str, *features: str, scales: tuple[float, ...] | None = None, number: bool = False):
    return sgd.read_csv(TABLES / file, target=target, features=list(features)).standardised(
        target=number, scales=scales
    )


def _iris(*features: str, rows: slice) -> np.ndarray:
    X = sgd.read_csv(TABLES / "iris.csv", target="species", features=list(features)).X[rows]
    return (X - X.mean(axis=0)) / X.std(axis=0)


@cache
def model(name: str) -> sgd.LossModel:
    """The loss of a reference case, as its recipe says."""
    if name == "linreg_diabetes_scaled":
        data = _standard("diabetes.csv", "target", "bmi", "s5", scales=(1.0, 0.5), number=True)
        return sgd.linear_regression(data.X, data.y)
    if name == "linreg_1d":
        data = _standard("diabetes.csv", "target", "bmi", number=True)
        return sgd.linear_regression(data.X, data.y)
    if name in ("logistic_bc", "logistic_1d"):
        features = ("mean_radius", "mean_texture") if name == "logistic_bc" else ("mean_texture",)
        data = _standard("breast_cancer.csv", "target", *features)
        return sgd.logistic_regression(data.X, data.y, l2=0.1)
    if name == "tanh_bc":
        data = _standard("breast_cancer.csv", "target", "mean_concave_points")
        return sgd.tanh_neuron(data.X, 1 - 2 * data.y, l2=0.05)
    if name == "phase_iris":
        X = _iris("sepal_length", "petal_length", rows=slice(None))
        noise = 0.5 * np.sqrt(2.0) * np.sin(12.9898 * (np.arange(len(X)) + 1))
        return sgd.phase_retrieval(X, (X @ [1.0, 0.5]) ** 2 + noise)
    if name == "logistic3_iris":
        X = _iris("petal_length", "petal_width", rows=slice(50, 150))
        return sgd.logistic_regression(np.column_stack([X, np.ones(100)]), np.repeat([-1, 1], 50), l2=0.1)
    raise ValueError(f"no recipe for {name!r}")


@cache
def descent(case: str) -> sgd.SGD:
    """The SGD of a reference case."""
    entry = REFERENCES[case]
    return sgd.SGD(model(case.split("|")[0]), learning_rate=entry["eta"], batch_size=entry["B"])


@cache
def oracle(chain: sgd.SGD, law: str) -> Moments:
    """Moments without a grid of the diffusion ("fp"), the chain with normal noise ("em") or SGD ("sgd")."""
    guess = {"mean": chain.model.minimum, "covariance": chain.covariance()}
    if law == "fp":
        return hermite_moments(chain.process(), **guess)
    return chain_moments(
        chain.model.sample_gradients,
        **guess,
        learning_rate=chain.learning_rate,
        batch_size=chain.batch_size,
        noise="gaussian" if law == "em" else "minibatch",
    )


def flat(name: str, value: np.ndarray) -> np.ndarray:
    """What is independent of a vector, a symmetric or an antisymmetric matrix, in a row."""
    if name == "covariance":
        return np.asarray(value[np.triu_indices(len(value))])
    return np.asarray(value[np.triu_indices(len(value), 1)]) if name == "circulation" else np.ravel(value)


def scale(name: str, moments: Moments, chain: sgd.SGD) -> np.ndarray:
    """What a statistic is to be compared with in size: deviations, and for areas those times the drift across them."""
    width = np.sqrt(np.diag(moments.covariance))
    curvature = np.abs(chain.model.hessian(chain.model.minimum)).max()
    if name in ("covariance", "circulation"):
        return flat(name, np.outer(width, width) * (curvature if name == "circulation" else 1.0))
    return width if name == "mean" else np.ones(len(width))


def deterministic(
    case: str, law: str, method: str, got: Moments, chain: sgd.SGD, names: tuple[str, ...]
) -> Iterator[Row]:
    """A computed law against the reference: apart by the larger of the two errors, or round-off."""
    entry, delta = REFERENCES[case][law], REFERENCES[case][f"{law}_delta"]
    for name in names:
        key = "var" if name == "covariance" and "var" in entry else NAMES[name]
        if key not in entry:
            continue
        value, error, size = (
            flat(name, getattr(got, name)),
            flat(name, getattr(got.error, name)),
            scale(name, got, chain),
        )
        for k, expected in enumerate(np.ravel(entry[key])):
            bound = max(float(np.max(delta[key])), float(error[k]), ROUND_OFF * size[k])
            yield Row(case, f"{method} {law}", f"{key}[{k}]", float(value[k]), float(expected), bound, False)
    if law == "fp" and entry.get("sigma_EP") is not None and np.isfinite(got.entropy_production):
        bound = max(delta["sigma_EP"], float(got.error.entropy_production), 1e-6 * entry["sigma_EP"])
        yield Row(case, f"{method} fp", "sigma_EP", got.entropy_production, entry["sigma_EP"], bound, False)


def shape_of(solution: fp.Solution, power: int) -> np.ndarray:
    """Standardised central moments of a power along every axis."""
    x = solution.grid.cell_points().reshape(solution.grid.dim, -1) - solution.mean[:, None]
    probability = (np.exp(-solution.phi) * solution.grid.cell_volumes).ravel()
    return np.asarray(
        x**power @ probability / np.diag(solution.covariance) ** (power / 2) - (3.0 if power == 4 else 0.0)
    )


def finite_volumes(case: str, chain: sgd.SGD) -> Moments:
    """Moments of the solution on a grid, with the errors that grids behind it imply; in the box of the reference, if any."""
    box = REFERENCES[case].get("box")
    where = chain.box(widths=8.0) if box is None else fp.Box([box[0]], [box[1]])
    solution = fp.solve_stationary(chain.process(), where, rtol=1e-3 if box is None else 1e-6)
    numbers = {
        name: measure(solution, lambda s, name=name: getattr(s, name)) for name in ("mean", "covariance", "circulation")
    }
    numbers |= {
        name: measure(solution, lambda s, k=k: shape_of(s, k)) for k, name in ((3, "skewness"), (4, "excess_kurtosis"))
    }
    errors = {name: np.broadcast_to(number.error, number.value.shape) for name, number in numbers.items()}
    if box is None:  # what lies beyond eight deviations weighs as much as 64 times its probability
        cut = 64.0 * max(solution.diagnostics["wall_mass"].values()) * np.abs(solution.covariance).max()
        errors["covariance"] = errors["covariance"] + cut
    return Moments(**{name: number.value for name, number in numbers.items()}, error=Moments(**errors))


def simulated(case: str, law: str, chain: sgd.SGD, exact: Moments, updates: float, seed: int) -> Iterator[Row]:
    """Our chains against our oracle, in standard errors."""
    chains, each = 256, chain.batch_size
    if law == "em":  # a step with normal noise takes the gradients of all samples
        chain, chains, each = replace(chain, noise="gaussian"), 64, chain.model.n
    steps = max(1000, int(updates / (chains * each)))
    run = chain.simulate(
        grid=fp.Grid(chain.box(), (16,) * chain.model.dim), chains=chains, steps=steps, rng=SEED + seed, progress=False
    )
    for name in ("mean", "covariance", "circulation"):
        value, error = flat(name, getattr(run, name)), flat(name, getattr(run, f"{name}_error"))
        for k, expected in enumerate(flat(name, getattr(exact, name))):
            yield Row(
                case, f"chains {law}", f"{NAMES[name]}[{k}]", float(value[k]), float(expected), float(error[k]), True
            )


def reference_chains(case: str, exact: Moments) -> Iterator[Row]:
    """The reference's chains against our oracle, in standard errors."""
    known = REFERENCES[case].get("simulated")
    if known is None:
        return
    d = len(exact.mean)
    values = {f"mean{i}": exact.mean[i] for i in range(d)} | {f"skew{i}": exact.skewness[i] for i in range(d)}
    values |= {f"exkurt{i}": exact.excess_kurtosis[i] for i in range(d)}
    values |= {
        f"{letter}{i}{j}": tensor[i, j]
        for letter, tensor in (("c", exact.covariance), ("A", exact.circulation))
        for i in range(d)
        for j in range(d)
    }
    for name, estimate, error in zip(known["order"], known["est"], known["se"], strict=True):
        yield Row(case, "reference chains", name, estimate, float(values[name]), error, True)


def rows(case: str, *, updates: float, nodes: int) -> Iterator[Row]:
    """Everything that can be said of a case."""
    chain, every, entry = descent(case), tuple(NAMES), REFERENCES[case]
    for law in ("fp", "em", "sgd"):
        if law not in entry:
            continue
        got = oracle(chain, law)
        if not (law == "fp" and "box" in entry):  # the density in a box is not that of the line, where tails are heavy
            yield from deterministic(case, law, "oracle", got, chain, every)
        if law == "sgd":
            yield from reference_chains(case, got)
            for repeat in range(REPEATS if updates else 0):
                yield from simulated(case, law, chain, got, updates, REPEATS * list(REFERENCES).index(case) + repeat)
        if law == "em" and updates and case not in HEAVY:
            yield from simulated(case, law, chain, got, updates, 1000 + list(REFERENCES).index(case))
        if law != "fp" and nodes and chain.model.dim < 3:
            yield from attempted(case, chain, law, nodes)
        if law == "fp" and (nodes or chain.model.dim == 1) and case.startswith(FINITE_VOLUMES):
            known = every if "box" in entry else ("mean", "covariance", "circulation")
            yield from deterministic(case, law, "grid", finite_volumes(case, chain), chain, known)


def attempted(case: str, chain: sgd.SGD, law: str, nodes: int) -> Iterator[Row]:
    """The operator, where the law fits on a grid: least squares with normal noise has tails like a power."""
    number = nodes if chain.model.dim == 2 else None
    noise = "gaussian" if law == "em" else "minibatch"
    try:
        operator = sgd.transfer_operator(chain, noise=noise, nodes=number, widths=8.0)
    except fp.NotConverged as error:
        print(f"| {case} | operator {law} | refused | | | {str(error).split('. ')[0]} |", flush=True)
        return
    yield from deterministic(case, law, "operator", operator.moments, chain, tuple(NAMES))


def root_mean_square(found: list[Row]) -> float:
    return float(np.sqrt(np.mean([row.z**2 for row in found]))) if found else float("nan")


def table(wanted: list[str], updates: float, nodes: int) -> bool:
    """Print a line per case and method; whether all agree."""
    print("| case | by | numbers | rms z | largest | of |\n|---|---|---|---|---|---|")
    found: list[Row] = []
    for case in wanted:
        here = list(rows(case, updates=updates, nodes=nodes))
        for method in dict.fromkeys(row.method for row in here):
            part = [row for row in here if row.method == method]
            worst = max(part, key=lambda row: abs(row.z))
            rms = root_mean_square(part)
            print(
                f"| {case} | {method} | {len(part)} | {rms:.2g} | {abs(worst.z):.2g} | {worst.statistic} |", flush=True
            )
        found += here
    chance, bound = [row for row in found if row.random], [row for row in found if not row.random]
    theirs = [row for row in chance if row.method == "reference chains"]
    ours = [row for row in chance if row.method != "reference chains"]
    print(f"\n{len(bound)} computed numbers against the reference, in units of the larger error: {words(bound)}")
    print(f"{len(ours)} estimates of our chains, a seed each, against exact moments, in standard errors: {words(ours)}")
    print(f"{len(theirs)} estimates of the reference's chains, one seed for all, the same: {words(theirs)}")
    statistics = {(case, law, name) for case in wanted for law, name in listed(case)}
    missing = statistics - {(row.case, row.method.split()[-1], row.statistic) for row in found}
    print(
        f"all {len(statistics)} statistics, {len(chance)} estimates of them: {words(chance)}; of all numbers, {words(found)}"
    )
    if missing:
        print(f"not computed: {sorted(missing)}")
    return 0.8 <= root_mean_square(chance) <= 1.25 and max(abs(row.z) for row in found) < 4.0 and not missing


def words(found: list[Row]) -> str:
    """Root mean square and largest."""
    return f"rms z {root_mean_square(found):.3f}, largest |z| {max((abs(row.z) for row in found), default=0.0):.2f}"


def listed(case: str) -> Iterator[tuple[str, str]]:
    """Law and name of every statistic of a case in the file."""
    for law in ("fp", "em", "sgd"):
        for key, value in REFERENCES[case].get(law, {}).items():
            if key == "sigma_EP":
                yield from [(law, key)] * (value is not None)
            else:
                yield from ((law, f"{key}[{k}]") for k in range(np.size(value)))
    yield from (("chains", name) for name in REFERENCES[case].get("simulated", {}).get("order", ()))


def distances(eta: float, batch: int, updates: float, cells: int) -> None:
    """Total variation between simulated SGD and what each method says, in bins of the grid."""
    chain = sgd.SGD(model("logistic_bc"), learning_rate=eta, batch_size=batch)
    moments = chain.chain_moments()
    width = 7.0 * np.sqrt(np.diag(moments.covariance))
    grid = fp.Grid(fp.Box(moments.mean - width, moments.mean + width), (cells, cells))
    laws, seconds = {}, {}

    def add(name: str, make) -> None:
        start = time.process_time()
        laws[name], seconds[name] = make(), time.process_time() - start

    kinds = ("minibatch", "gaussian") if batch == 1 else ("minibatch", "skewed", "gaussian")
    for noise in kinds:
        add(f"operator, {noise}", lambda noise=noise: sgd.transfer_operator(chain, noise=noise).probabilities(grid))
    for order in (1, 2):
        solution = fp.solve_stationary(chain.process(order=order), grid.box, shape=grid.shape)
        add(f"diffusion, order {order}", lambda s=solution: s.density.values * grid.cell_volume)
        add(
            f"diffusion, order {order}, skew",
            lambda s=solution, o=order: sgd.skew_correction(s, chain, order=o).density.values * grid.cell_volume,
        )
    run = chain.simulate(grid=grid, chains=1024, steps=max(1000, int(updates / 1024 / batch)), rng=SEED, progress=False)
    block = cells // 2

    def binned(values: np.ndarray) -> np.ndarray:
        return values.reshape(*values.shape[:-2], block, 2, block, 2).sum(axis=(-1, -3)).reshape(*values.shape[:-2], -1)

    seen = np.concatenate([binned(run.histogram), run.outside_samples[:, None]], axis=1) / run.group_samples[:, None]
    print(f"logistic_bc, η = {eta:g}, B = {batch}: {run.samples:.3g} samples in {block}² bins")
    print("| law | total variation | interval |\n|---|---|---|")
    for name, cells_of in laws.items():
        expected = binned(cells_of)
        distance, floor = total_variation(np.append(expected, 1.0 - expected.sum()), seen)
        print(f"| {name} | {distance.value:.4f} | [{distance.low:.4f}, {distance.high:.4f}] |")
    print(f"noise alone: {floor:.4f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    parser.add_argument("--updates", type=float, default=2e7, help="sample gradients per simulation; 0 for none")
    parser.add_argument(
        "--nodes", type=int, default=97, help="per axis of transfer operators in the plane; 0 for none, nor grids there"
    )
    parser.add_argument(
        "--law", action="store_true", help="total variation of simulated SGD from every prediction instead"
    )
    parser.add_argument("--eta", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cells", type=int, default=96)
    asked = parser.parse_args()
    if asked.law:
        distances(asked.eta, asked.batch, max(asked.updates, 1e6), asked.cells)
        return 0
    wanted = [case for case in REFERENCES if asked.case in case]
    if not wanted:
        parser.error(f"no case {asked.case!r} among {list(REFERENCES)}")
    return 0 if table(wanted, asked.updates, asked.nodes) else 1


if __name__ == "__main__":
    sys.exit(main())
