"""Claims about the stationary density: every formula that has the loss in an exponent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from ..balance import detailed_balance
from ..grid import Array, Box
from ..measured import total_variation
from ..process import DiffusionProcess
from ..sgd import linear_regression
from ..sgd.quadratic import ornstein_uhlenbeck
from ..solvers.stationary import solve_stationary
from . import problems
from .claim import FALSE, TRUE_IF, Finding
from .conventions import SOLVED
from .limits import ALGEBRA
from .problems import D, H
from .registry import NOTES, declare, expected

BOX = Box([-4.0, -4.0], [4.0, 4.0])
SMALLEST_TV = (5e-3, "the same sums; 3e-4 of 0.08")
STORED_TV = (4e-4, "|p − q| has a kink where densities cross; sums over 128² cells are off by 3e-4")


def _loss(x: Array) -> Array:
    """½x·Hx"""
    return np.asarray(0.5 * np.einsum("i...,ij,j...->...", x, H, x))


@declare(
    "C18",
    "Zero current and the density that follows",
    source=f"{NOTES}, eq. 27",
    statement="Without a current the density follows by integrating Σ⁻¹∇L.",
    formula="j = 0 ⇒ ∇ ln p = −(2B/η) Σ^{−1}∇L",
    conditions="Σ⁻¹∇L is a gradient, and Σ does not depend on θ.",
    verdict=TRUE_IF,
    correct="J = 0 is possible where ω = D⁻¹(b − ∇·D) is a gradient, and then ∇ ln p = ω. For constant D and a "
    "quadratic loss that is [H, D] = 0.",
)
def zero_current() -> Iterator[Finding]:
    commuting = np.diag([2.0, 1.0])
    state = ornstein_uhlenbeck(commuting, D)
    yield Finding(
        "covariance, H = diag(2, 1), D = diag(1, 1/2)", state.covariance, np.linalg.inv(commuting) @ D, *ALGEBRA
    )
    yield Finding(
        "detailed balance, H = diag(2, 1), D = diag(1, 1/2)",
        detailed_balance(problems.linear(commuting), BOX).verdict,
        "holds",
    )
    claimed = np.linalg.inv(np.linalg.inv(D) @ H)
    rotated, stored = ornstein_uhlenbeck(H, D).covariance, expected("E1")["S"]
    yield Finding("covariance, H and D do not commute", rotated, 0.5 * (claimed + claimed.T), *ALGEBRA, of="beyond")
    yield Finding("covariance, H and D do not commute, from HS + SH = 2D", rotated, stored, *ALGEBRA, of="correct")
    cases = {
        "H and D that do not commute": (problems.linear(), "broken"),
        "D = diag(1 + y², 1 + x²)": (problems.vortices(1, 1, 1, 1)[0], "holds"),
        "label noise, equal features": (problems.label_noise_tensor((1.0, 1.0)), "holds"),
        "label noise, different features": (problems.label_noise_tensor((1.0, 0.5)), "broken"),
    }
    for name, (process, answer) in cases.items():
        yield Finding(
            f"detailed balance from the curl of ω, {name}", detailed_balance(process, BOX).verdict, answer, of="correct"
        )


@declare(
    "C19",
    "A matrix in the exponent",
    source=f"{NOTES}, eq. 28",
    statement="The stationary density is the exponential of −βΣ⁻¹L.",
    formula="p ∝ exp(−βΣ^{−1}L)",
    conditions="Constant Σ.",
    verdict=FALSE,
    correct="Σ⁻¹L is a matrix, and no number in its place helps: exp(−cL) misses the density with every c. For Σ = sI the "
    "exponent is −2BL/ηs; where Σ commutes with every Hessian it is −(2B/η)∫Σ⁻¹∇L·dθ; for a quadratic loss p is Gaussian with "
    "HS + SH = ηΣ/B, whatever Σ, and has a current unless H and Σ commute.",
)
def matrix_exponent() -> Iterator[Finding]:
    exponent = np.linalg.inv(D) * float(_loss(problems.POINT))
    yield Finding("indices of the exponent", exponent.ndim, 0, 0.0, "a whole number")
    isotropic = ornstein_uhlenbeck(H, 0.3 * np.eye(2))
    yield Finding("covariance, D = 0.3 I", isotropic.covariance, 0.3 * np.linalg.inv(H), *ALGEBRA, of="correct")
    state, stored = ornstein_uhlenbeck(H, D), expected("E1")
    yield Finding("covariance, D = diag(1, 1/2)", state.covariance, stored["S"], *ALGEBRA, of="correct")
    yield Finding("its area rate A_{01}", float(state.area[0, 1]), 0.5 * stored["ang_mom"], *ALGEBRA, of="correct")
    solution = problems.linear_solution()
    for number, name in ((1.0, "Σ⁻¹_{11}"), (2.0, "Σ⁻¹_{22}"), (1.5, "½ tr Σ⁻¹")):
        away = total_variation(solution, problems.boltzmann(_loss, 1.0 / number)).value
        yield Finding(f"total variation from the formula with {name} for Σ⁻¹", away, 0.0, *STORED_TV)
    least = minimize_scalar(
        lambda t: total_variation(solution, problems.boltzmann(_loss, t)).value,
        bounds=(0.5, 1.0),
        options={"xatol": 1e-4},
    )
    yield Finding("the least of exp(−L/t) over all t", float(least.fun), stored["minTV"], *SMALLEST_TV, of="correct")
    well = DiffusionProcess(lambda x: np.stack([x[0] - x[0] ** 3, -2 * x[1]]), D, dim=2)
    solved = solve_stationary(well, Box([-3.3, -3.0], [3.3, 3.0]), shape=(128, 128), progress=False)

    def loss(x: Array, across: float = 1.0) -> Array:
        return np.asarray(x[0] ** 4 / 4 - x[0] ** 2 / 2 + across * x[1] ** 2)

    away = total_variation(solved, lambda x: -loss(x, 2.0)).value
    name = "double well, Hessians that commute with Σ: total variation from exp(−∫Σ⁻¹∇L·dθ)"
    yield Finding(name, away, 0.0, *STORED_TV, of="correct")


@declare(
    "C20",
    "The inverse temperature",
    source=f"{NOTES}, text to eq. 28",
    statement="The inverse temperature is B/2η.",
    formula="β = B/2η",
    conditions="Σ = sI.",
    verdict=FALSE,
    correct="β = 2B/η, as in eq. 29 of the same notes.",
)
def temperature() -> Iterator[Finding]:
    step, size, s, h = 0.1, 4, 2.0, 3.0
    variance = float(ornstein_uhlenbeck([[h]], [[step * s / (2 * size)]]).covariance[0, 0])
    claimed = s / (size / (2 * step) * h)
    yield Finding("variance, η = 0.1, B = 4, s = 2, h = 3", variance, claimed, *ALGEBRA)
    yield Finding(
        "variance, η = 0.1, B = 4, s = 2, h = 3, with β = 2B/η",
        variance,
        s / (2 * size / step * h),
        *ALGEBRA,
        of="correct",
    )
    yield Finding("claimed variance / variance", claimed / variance, expected("C19")["ratio"], *ALGEBRA, of="correct")


def _against_the_formula() -> Any:
    """The exact density and eq. 29, in equilibrium, along the x axis."""
    from .. import plotting as plot

    solution, loss = problems.vortices_solution(1, 1, 1, 1), problems.vortices(1, 1, 1, 1)[1]
    grid, middle = solution.grid, solution.grid.shape[1] // 2
    formula = grid.normalised(lambda x: -loss(x) - 0.5 * np.log((1 + x[0] ** 2) * (1 + x[1] ** 2)))
    boltzmann = grid.normalised(problems.boltzmann(loss))
    lines = {"solved": np.asarray(solution.density), "eq. 29": formula, "exp(−L)": boltzmann}
    cut = {name: values[:, middle] for name, values in lines.items()}
    return plot.curves(grid.centers(0), cut, xlabel="x", ylabel="p(x, 0), D = diag(1 + y², 1 + x²)")[0]


@declare(
    "C21",
    "The density with |Σ|^{-1/2}",
    source=f"{NOTES}, eq. 29",
    statement="The stationary density of SGD is a Gibbs density, divided by the root of the determinant of Σ.",
    formula="p ∝ |Σ|^{−1/2} exp(−2BL/η)",
    conditions="None.",
    verdict=FALSE,
    correct="The process depends on ηΣ/B alone, the formula does not. It is exact for Riemannian Langevin dynamics "
    "with the metric Σ⁻¹, whose drift is −Σ∇L + (∇·Σ − ½Σ∇ln|Σ|)η/2B, and fails for the drift −∇L even in equilibrium.",
    slow=True,
    picture=_against_the_formula,
)
def determinant() -> Iterator[Finding]:
    cases = {
        "d_TV": ((1, 1, 1, 1), "detailed balance, D = diag(1 + y², 1 + x²)"),
        "a_TV": ((1, 1, 1, 0), "D = diag(1 + y², 1)"),
        "c_TV": ((1, 1.8, 1, 0.2), "D = diag(1 + 1.8y², 1 + 0.2x²)"),
    }
    stored = expected("E5")
    for key, (parameters, name) in cases.items():
        solution, (process, loss) = problems.vortices_solution(*parameters), problems.vortices(*parameters)

        def formula(x: Array, process: Any = process, loss: Any = loss) -> Array:
            volume = np.log(np.linalg.det(np.moveaxis(process.diffusion(x), (0, 1), (-2, -1))))
            return np.asarray(-loss(x) - 0.5 * volume)

        away = total_variation(solution, formula).value
        yield Finding(f"total variation from the formula, {name}", away, 0.0, *STORED_TV)
        yield Finding(
            f"total variation from the formula, {name}, stored", away, stored[key]["eq29"], *STORED_TV, of="correct"
        )
        plain = total_variation(solution, problems.boltzmann(loss)).value
        yield Finding(f"total variation from exp(−L), {name}", plain, stored[key]["boltz"], *STORED_TV, of="correct")
    solution = problems.linear_solution()
    gibbs = total_variation(solution, problems.boltzmann(_loss, 0.75)).value
    linear = expected("E1")["TV_eq29_eps0.75"]
    yield Finding("total variation from exp(−L/0.75), constant Σ", gibbs, linear, *STORED_TV, of="correct")
    for temperature in (0.05, 0.1, 0.2):
        line = problems.label_noise("ito", temperature)

        def on_a_line(w: Array, T: float = temperature) -> Array:
            return np.asarray(-0.5 * np.log1p(2 * w[0] ** 2) - 0.5 * w[0] ** 2 / T)

        away = total_variation(line, on_a_line).value
        row = expected("C21")["oneD_TV_eq29_vs_ito"][f"{temperature:g}"]
        yield Finding(
            f"total variation from the formula, label noise, ε = {temperature:g}", away, row, *SOLVED, of="correct"
        )
    metric = solve_stationary(_riemannian(), Box([-5.5] * 2, [5.5] * 2), shape=(128, 128), progress=False)
    exact = total_variation(
        metric, lambda x: -0.5 * (x**2).sum(axis=0) - 0.5 * np.log((1 + x[0] ** 2) * (1 + x[1] ** 2))
    )
    yield Finding(
        "total variation from the formula, Riemannian Langevin",
        exact.value,
        0.0,
        *STORED_TV,
        of="correct",
    )


def _riemannian() -> DiffusionProcess:
    """Σ = diag(1 + y², 1 + x²), divergence-free, L = r²/2 and η/2B = 1."""

    def drift(x: Array) -> Array:
        spread = np.stack([1.0 + x[1] ** 2, 1.0 + x[0] ** 2])
        log_determinant = np.stack([2.0 * x[0] / (1.0 + x[0] ** 2), 2.0 * x[1] / (1.0 + x[1] ** 2)])
        return -spread * (x + 0.5 * log_determinant)

    return DiffusionProcess(drift, problems.vortices(1, 1, 1, 1)[0].diffusion, dim=2)


@declare(
    "C22",
    "Singular noise",
    source=f"{NOTES}, conditions to eq. 27",
    statement="Where Σ is singular the Fokker–Planck equation has no solution that is a density; in practice Σ is "
    "singular.",
    formula="|Σ| = 0 ⇒ no density",
    conditions="None.",
    verdict=FALSE,
    correct="Noise in one direction that the drift carries to the others makes a smooth density; the linear condition "
    "is that (H, D^{1/2}) is controllable. Σ has indeed at most rank min(n − 1, d), and vanishes at a minimum that "
    "fits every sample.",
)
def singular_noise() -> Iterator[Finding]:
    stored, one = expected("C22"), np.diag([1.0, 0.0])
    S = ornstein_uhlenbeck(H, one).covariance
    yield Finding("determinant of the covariance, D = diag(1, 0)", float(np.linalg.det(S)), 0.0, *ALGEBRA)
    yield Finding(
        "determinant of the covariance, D = diag(1, 0), stored",
        float(np.linalg.det(S)),
        stored["detS"],
        *ALGEBRA,
        of="correct",
    )
    yield Finding("covariance, D = diag(1, 0)", S, stored["S"], *ALGEBRA, of="correct")
    reach = 6.0 * np.sqrt(np.diag(S))
    solution = solve_stationary(problems.linear(diffusion=one), Box(-reach, reach), shape=(128, 128), progress=False)
    grid = (2e-3, "the error that the solution estimates is below 1e-3")
    yield Finding("covariance on a grid, D = diag(1, 0)", solution.covariance, stored["S"], *grid, of="correct")
    rng = np.random.default_rng(2023)
    rank = int(np.linalg.matrix_rank(np.cov(rng.normal(size=(20, 5)), bias=True)))
    yield Finding("rank of Σ, n = 5, d = 20", rank, 4, 0.0, "a whole number", of="correct")
    X = rng.normal(size=(12, 2))
    fitted = linear_regression(X, X @ [1.0, -2.0])
    noise = float(np.abs(fitted.noise_covariance(fitted.minimum)).max())
    yield Finding("Σ where every sample is fitted", noise, 0.0, 1e-20, "residuals of 1e-15, squared", of="correct")


@declare(
    "C23",
    "SGD samples a tempered posterior",
    source=f"{NOTES}, text to eq. 29",
    statement="The stationary density is the posterior at the temperature ηs/2B.",
    formula="p ∝ exp(−L/T),  T = ηs/2B",
    conditions="Σ = sI, the same everywhere.",
    verdict=TRUE_IF,
    correct="With other constant noise the covariance of a quadratic loss solves HS + SH = ηΣ/B; with label noise "
    "tails are powers.",
)
def posterior() -> Iterator[Finding]:
    T = 0.3
    state = ornstein_uhlenbeck(H, T * np.eye(2))
    yield Finding("covariance, Σ = sI", state.covariance, T * np.linalg.inv(H), *ALGEBRA)
    yield Finding("its area rate A_{01}", float(state.area[0, 1]), 0.0, *ALGEBRA)
    other = ornstein_uhlenbeck(H, D).covariance
    mean = float(np.trace(D)) / 2
    yield Finding("covariance, D = diag(1, 1/2)", other, mean * np.linalg.inv(H), *ALGEBRA, of="beyond")
    yield Finding("covariance, D = diag(1, 1/2), stored", other, expected("E1")["S"], *ALGEBRA, of="correct")
    square = expected("C16")["oneD_label_noise_a1_s1_D_eps_1p2w2"]["0.1"]["var"]["ito"]
    variance = float(problems.label_noise("ito").covariance[0, 0])
    yield Finding("variance with label noise, ε = 0.1", variance, 0.1, *SOLVED, of="beyond")
    yield Finding("variance with label noise, ε = 0.1, stored", variance, square, *SOLVED, of="correct")
