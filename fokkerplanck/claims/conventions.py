"""Claims about the convention: which Fokker–Planck equation belongs to SGD, and what sign its current has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..measured import total_variation
from ..sgd import SGD, linear_regression
from ..sgd.quadratic import data_regression, diffusion_moments, second_moments
from ..sgd.simulation import simulate
from ..solvers.generator import current
from . import problems
from .claim import FALSE, TRUE_IF, Finding
from .registry import NOTES, declare, expected

# A solution of 1024 stretched cells is good to 1e-5; the box at 300 cuts 1e-5 of the widest variance, and TVs by as much.
SOLVED = (2e-4, "grid error 1e-5, box error 5e-5")
INTERPRETATIONS = {"ito": "ito", "strat": "stratonovich", "hk": "isothermal"}


def _three_densities() -> Any:
    """The densities of the three conventions, and what the equation in the notes gives."""
    from .. import plotting as plot

    solutions = {name: problems.label_noise(name) for name in INTERPRETATIONS.values()}
    x = np.asarray(solutions["ito"].density.x)
    inner = abs(x) < 4.0
    lines = {name: np.asarray(solution.density)[inner] for name, solution in solutions.items()}
    return plot.curves(x[inner], lines, xlabel="w", ylabel="density, label noise, ε = 0.1", yscale="log")[0]


@declare(
    "C16",
    "The Fokker–Planck equation of the notes",
    source=f"{NOTES}, eq. 24",
    statement="The density of SGD obeys this equation, with the diffusion tensor outside of the derivative of p.",
    formula="∂_t p = ∇·(p∇L + D∇p),  D = ηΣ/2B",
    conditions="None.",
    verdict=FALSE,
    correct="The noise of SGD is evaluated before the step, which is Itô: ∂_i[p ∂_{i}L + ∂_j(D_{ij} p)]. The equation of "
    "the notes is the isothermal one, and the same only where ∇·D = 0.",
    slow=True,
    picture=_three_densities,
)
def equation() -> Iterator[Finding]:
    stored = expected("C16")
    # x = ±√50 in 2 of 100 samples and 0 otherwise, each with labels +1 and −1.
    X = np.repeat(np.r_[np.zeros(98), np.sqrt(50.0), -np.sqrt(50.0)], 2)[:, None]
    y = np.tile([1.0, -1.0], 100)
    row = stored["high_kurtosis"]
    problem, rate = data_regression(X, y), row["lam"]
    chain = float(second_moments(problem, learning_rate=rate, batch_size=1).covariance[0, 0])
    flow = float(diffusion_moments(problem, learning_rate=rate, batch_size=1).covariance[0, 0])
    algebra = (1e-10, "linear algebra: round-off")
    sgd = SGD(linear_regression(X, y), learning_rate=rate, batch_size=1)
    run = simulate(sgd, grid=_line(), chains=400, steps=20_000, rng=16, progress=False)
    seen, error = float(run.covariance[0, 0]), float(run.covariance_error[0, 0])
    yield Finding("E w² of SGD, simulated", seen, row["hk"], 4 * error / row["hk"], "four standard errors")
    yield Finding("E w² of SGD, exact", chain, row["hk"], *algebra)
    yield Finding(
        "E w² of SGD, simulated, beside the exact value",
        seen,
        row["discrete"],
        4 * error / seen,
        "four standard errors",
        of="correct",
    )
    yield Finding("E w² of SGD, exact, beside the stored value", chain, row["discrete"], *algebra, of="correct")
    yield Finding("E w² of the Itô diffusion", flow, row["ito"], *algebra, of="correct")
    four = (4 * row["se"] / row["sim"], "four standard errors of the stored simulation, 2e8 steps")
    yield Finding("E w² of SGD, exact, beside the stored simulation", chain, row["sim"], *four, of="correct")
    row = stored["oneD_label_noise_a1_s1_D_eps_1p2w2"]["0.1"]
    solutions = {key: problems.label_noise(name) for key, name in INTERPRETATIONS.items()}
    ito = solutions["ito"]
    for key, solution in solutions.items():
        variance = float(solution.covariance[0, 0])
        yield Finding(f"variance on a grid, {INTERPRETATIONS[key]}", variance, row["var"][key], *SOLVED, of="correct")
    for key in ("strat", "hk"):
        found = total_variation(ito, solutions[key]).value
        yield Finding(f"total variation between Itô and {INTERPRETATIONS[key]}", found, row[key], *SOLVED, of="correct")


def _line() -> Any:
    from ..grid import Box, Grid

    return Grid(Box([-1.0], [1.0]), (64,))


@declare(
    "C17",
    "The current of the notes",
    source=f"{NOTES}, eqs 25 and 26",
    statement="A density is stationary exactly where the divergence of its current vanishes.",
    formula="∂_t p = ∇·j,  j = p∇L + D∇p",
    conditions="j is minus the flow of probability.",
    verdict=TRUE_IF,
    correct="Probability flows along J = −j, ∂_t p = −∇·J; with the noise of SGD J_i = −p ∂_{i}L − ∂_j(D_{ij} p).",
)
def current_of_the_notes() -> Iterator[Finding]:
    solution = problems.linear_solution()
    flow = current(problems.linear(), solution.grid, np.asarray(solution.density))
    speed = flow.largest() / float(solution.grid.spacing.min())
    rate = float(np.abs(flow.divergence()).max()) / speed
    yield Finding(
        "largest ∇·J of the stationary density / (largest |J| / h)", rate, 0.0, 1e-2, "two schemes, h² = 1e-2"
    )
    solved = float(np.abs(solution.flux.divergence()).max()) / speed
    yield Finding(
        "largest ∇·J of the stationary density / (largest |J| / h) with the flux that was solved for",
        solved,
        0.0,
        1e-10,
        "Newton's residual",
    )
    here = {"x": problems.POINT[0], "y": problems.POINT[1]}
    found = solution.current.interp(here, method="cubic").values
    stored, accuracy = (
        np.asarray(expected("E1")["J_at_1_half"]),
        (1e-4, "fourth-order values of cells, cubic between them"),
    )
    yield Finding("flow of probability at (1, 1/2)", found, -stored, *accuracy, of="beyond")
    yield Finding("flow of probability at (1, 1/2), with the other sign", found, stored, *accuracy, of="correct")
