"""Claims about Langevin dynamics as a model of SGD: its discretisation, its Boltzmann law, and which minima it prefers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.special import gamma

from ..errors import HeavyTails, NoStationaryState
from ..grid import Array, Box
from ..maps import Sinh
from ..measured import total_variation
from ..process import DiffusionProcess
from ..results import Solution
from ..sgd import SGD, linear_regression
from ..sgd.quadratic import linear_sgd, ornstein_uhlenbeck
from ..solvers.domain import find_box
from ..solvers.stationary import solve_stationary
from . import problems
from .claim import FALSE, TRUE, TRUE_IF, Finding
from .gradient_noise import SOLVED, STORED
from .registry import BLOG, TALK, declare, expected


@declare(
    "C63",
    "The conditions of Robbins and Monro",
    source=f"{BLOG}, §2",
    statement="With steps that sum to infinity and whose squares do not, stochastic approximation of a root converges in the "
    "mean square.",
    formula="θ_{t+1} = θ_t + η_t(α − y_t),  Σ η_t = ∞,  Σ η_t^2 < ∞ ⇒ E(θ_t − θ*)^2 → 0",
    conditions="One dimension; M increasing at the root, of at most linear growth; bounded variance. Sufficient, not "
    "necessary (C09).",
    verdict=TRUE,
)
def robbins_monro() -> Iterator[Finding]:
    error = 4.0  # E(θ − θ*)², from θ − θ* = 2, with y = θ + noise of variance one and η = 1/k
    for k in range(1, 10**5 + 1):
        error = (1 - 1 / k) ** 2 * error + 1 / k**2
    yield Finding(
        "mean square error × t, η = 1/t, t = 10^5", error * 1e5, 1.0, 1e-10, "the mean of t numbers; round-off"
    )
    error, steps = 4.0, 10**5
    for k in range(1, steps + 1):
        error = (1 - 2 / k) ** 2 * error + 4 / k**2
    yield Finding("mean square error × t, η = 2/t, t = 10^5", error * steps, 4 / 3, 1e-4, "the next order is 1/t")
    rng = np.random.default_rng(631)
    theta, errors = np.full(2000, 2.0), []
    for k in range(1, 1601):  # M(θ) = θ + sin θ, whose root is 0
        theta = theta - (theta + np.sin(theta) + rng.standard_normal(2000)) / k
        if k in (25, 100, 400, 1600):
            errors.append(float((theta**2).mean()))
    halved = [0.5 * e for e in errors[:-1]]  # a quarter is expected
    yield Finding(
        "mean square error of 2000 chains, M = θ + sin θ, over t = 100, 400, 1600", errors[1:], halved, relation="<"
    )


def _model() -> tuple[Any, Array]:
    """Two features, and a point away from the minimum."""
    X = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 3.0], [1.0, 4.0], [1.0, 7.0]])
    model = linear_regression(X, [0.5, 1.0, 2.0, 4.5, 5.0])
    return model, np.asarray(model.minimum + np.array([1.0, -0.5]))


@declare(
    "C69",
    "SGD as a discretised Langevin equation with a fixed D",
    source=TALK,
    statement="SGD is the Euler–Maruyama discretisation of Langevin dynamics with a constant D, with the minibatch noise in "
    "the place of the normal one.",
    formula="θ_{k+1} = θ_k − ε∇L + (2εD)^{1/2} η_k,  η_k ~ N(0, Σ)",
    conditions="None.",
    verdict=FALSE,
    correct="That noise has the covariance 2εDΣ, that of SGD ε²Σ. With η_k ~ N(0, I) it takes D = εΣ(θ)/2, which is "
    "proportional to the step, depends on the position and is not isotropic.",
)
def fixed_diffusion() -> Iterator[Finding]:
    model, away = _model()
    step, size, fixed = 0.02, 2, 0.3

    def diffusion(rate: float, point: Array) -> Array:
        sgd = SGD(model, learning_rate=rate, batch_size=size)
        return np.asarray(sgd.process().diffusion(point[:, None])[..., 0])

    Sigma = model.noise_covariance(away) / size
    made = step**2 * Sigma  # of one step of SGD
    claimed = 2 * step * fixed * Sigma
    yield Finding("covariance of a step, ε = 0.02, against D = 0.3 and η_k of SGD", made, claimed, *SOLVED)
    yield Finding(
        "covariance of a step, ε = 0.02, against 2εD", made, 2 * step * diffusion(step, away), *SOLVED, of="correct"
    )
    ratio = float(np.trace(diffusion(2 * step, away)) / np.trace(diffusion(step, away)))
    yield Finding("D at twice the step / D", ratio, 1.0, *SOLVED)
    yield Finding("D at twice the step / D, proportional", ratio, 2.0, *SOLVED, of="correct")
    moved = float(np.trace(diffusion(step, away)) / np.trace(diffusion(step, np.asarray(model.minimum))))
    yield Finding("trace of D away from the minimum / at it", moved, 1.0, *SOLVED)
    axes = np.linalg.eigvalsh(diffusion(step, away))
    yield Finding("eigenvalues of D, the larger / the smaller", float(axes[1] / axes[0]), 1.0, *SOLVED)


@declare(
    "C70",
    "The bias of Euler's method",
    source=TALK,
    statement="Discretised Langevin dynamics has a stationary variance that is too large, by an amount of the order of the "
    "step.",
    formula="Var = D/(h(1 − εh/2))",
    conditions="L = ½hθ², constant D.",
    verdict=TRUE,
)
def bias_of_euler() -> Iterator[Finding]:
    stored, D, h = expected("C70"), 0.7, 2.0
    exact = float(ornstein_uhlenbeck([[h]], [[D]]).covariance[0, 0])
    for product in (0.01, 0.1, 0.5):
        step = product / h
        found = float(linear_sgd([[h]], [[2 * D / step]], learning_rate=step).covariance[0, 0])
        yield Finding(f"Var, εh = {product}", found, D / (h * (1 - product / 2)), *SOLVED)
        kept = stored[f"eps_h{product}"]["var_over_D_h"]
        yield Finding(f"Var / that of the diffusion, εh = {product}, stored", found / exact, kept, *STORED)


# A thousand cells over six decades: the estimated error of the density is 5e-5.
DECADES = (2e-4, "four times the estimated error of the density")


def _logarithmic(D: float, reach: float) -> tuple[DiffusionProcess, Solution]:
    """Drift of the loss ln(1 + x²) and its state in a box."""
    process = DiffusionProcess(lambda x: -2 * x / (1 + x**2), D, dim=1)
    box = Box([-reach], [reach])
    return process, solve_stationary(
        process, box, maps=Sinh(scale=0.5), shape=(1024,), max_wall_mass=1.0, progress=False
    )


def _normalisation(solution: Solution, D: float) -> float:
    """∫exp(−L/D) over the box: exp(−L/D)/p in the middle."""
    middle = solution.grid.shape[0] // 2
    return float(np.exp(solution.phi[middle]) * (1 + solution.grid.centers(0)[middle] ** 2) ** (-1 / D))


@declare(
    "C71",
    "Langevin dynamics is ergodic",
    source=TALK,
    statement="Langevin dynamics settles in the Boltzmann law of the loss.",
    formula="p → e^{−L/D}/Z",
    conditions="The loss confines: Z = ∫e^{−L/D} is finite, and θ does not explode.",
    verdict=TRUE_IF,
    correct="For L = ln(1 + x²) Z is finite only for D < 2; beyond, probability leaves for ever. Flat directions have no "
    "stationary law either.",
)
def ergodic() -> Iterator[Finding]:
    stored = expected("C71")
    reach = 1e6
    for D in (1.0, 1.5):
        _, solution = _logarithmic(D, reach)
        power = 2 / D - 1
        found = _normalisation(solution, D) + 2 * reach**-power / power  # and what is outside the box
        formula = math.sqrt(math.pi) * float(gamma(1 / D - 0.5) / gamma(1 / D))
        yield Finding(f"Z from the solver's density, L = ln(1 + x^2), D = {D}", found, formula, *DECADES)
        yield Finding(f"Z from the solver's density, D = {D}, stored", found, stored[f"Z_D{D}"], *DECADES)
    half = 2 * quad(lambda x: (1 + x**2) ** -2.0, 0, np.inf)[0]
    yield Finding("Z by quadrature, D = 0.5, stored", half, stored["Z_D0.5"], 1e-9, "adaptive quadrature")
    D = 2.5
    integrals = [_normalisation(_logarithmic(D, size)[1], D) for size in (1e4, 1e6)]
    grown = integrals[1] / integrals[0]
    yield Finding("∫e^{−L/D} over ±10^6 / over ±10^4, D = 2.5", grown, 1.0, *DECADES, of="beyond")
    beyond = 1e4**0.2 * (100**0.2 - 1) / 0.2 * 2  # ∫ of x^{−0.8} between the two
    yield Finding(
        "∫e^{−L/D} between ±10^4 and ±10^6, D = 2.5",
        integrals[1] - integrals[0],
        beyond,
        1e-3,
        "as before, of a difference",
        of="correct",
    )
    try:
        find_box(_logarithmic(D, 1e2)[0])
        answer = "found"
    except NoStationaryState:
        answer = "no stationary state"
    yield Finding("box that holds the density, D = 2.5", answer, "no stationary state", of="correct")
    try:
        find_box(_logarithmic(1.0, 1e2)[0])
        answer = "found"
    except HeavyTails:
        answer = "heavy tails"
    yield Finding("box that holds the density, D = 1", answer, "heavy tails", of="correct")


def _well(D: Any) -> Solution:
    """A double well in two dimensions, L = ¼x⁴ − ½x² + ½y² + ¼xy."""

    def drift(x: Array) -> Array:
        return -np.stack([x[0] ** 3 - x[0] + 0.25 * x[1], x[1] + 0.25 * x[0]])

    return solve_stationary(
        DiffusionProcess(drift, D, dim=2), Box([-3.5, -4.5], [3.5, 4.5]), shape=(128, 128), progress=False
    )


def _loss_of_well(x: Array) -> Array:
    return np.asarray(0.25 * x[0] ** 4 - 0.5 * x[0] ** 2 + 0.5 * x[1] ** 2 + 0.25 * x[0] * x[1])


CELLS = (1e-4, "total variation on 128² cells, and the solver's error")
STORED_TV = (4e-4, "|p − q| has a kink where densities cross; sums over 128² cells are off by 3e-4")


def _beside_boltzmann() -> Any:
    """The density and exp(−L) along the x axis, where noise depends on the position."""
    from ..plotting import curves  # loads matplotlib

    solution, loss = problems.vortices_solution(1, 1, 1, 0), problems.vortices(1, 1, 1, 0)[1]
    grid, middle = solution.grid, solution.grid.shape[1] // 2
    boltzmann = grid.normalised(problems.boltzmann(loss))
    lines = {"solved": np.asarray(solution.density)[:, middle], "exp(−L)": boltzmann[:, middle]}
    return curves(grid.centers(0), lines, xlabel="x", ylabel="p(x, 0), D = diag(1 + y², 1)")[0]


@declare(
    "C72",
    "SGD samples a Boltzmann law",
    source=TALK,
    statement="SGD samples the Boltzmann law of its loss: the logarithm of the density is proportional to minus the objective.",
    formula="ln p = −L/D + const",
    conditions="The noise is constant and isotropic, Σ = sI.",
    verdict=TRUE_IF,
    correct="Noise that is anisotropic, or depends on the position, has another density, and in general a current. p can "
    "even have its maximum at a saddle of the loss.",
    picture=_beside_boltzmann,
)
def boltzmann() -> Iterator[Finding]:
    flat = _well(0.5)
    near = total_variation(flat, problems.boltzmann(_loss_of_well, 0.5)).value
    yield Finding("total variation to exp(−L/D), double well, D = 0.5", near, 0.0, *CELLS)
    current = float(np.abs(np.asarray(flat.current)).sum() * flat.grid.cell_volume)
    yield Finding("∫|J|, double well, D = 0.5", current, 0.0, 1e-6, "the solver's current at equilibrium")
    tilted = _well(np.diag([0.5, 0.25]))
    for D in (0.25, 0.5):
        off = total_variation(tilted, problems.boltzmann(_loss_of_well, D)).value
        yield Finding(f"total variation to exp(−L/{D}), D = diag(0.5, 0.25)", off, 0.0, *CELLS, of="beyond")
    stored = expected("E5")["a"]
    solution, loss = problems.vortices_solution(1, 1, 1, 0), problems.vortices(1, 1, 1, 0)[1]
    found = total_variation(solution, problems.boltzmann(loss)).value
    yield Finding("total variation to exp(−L), D = diag(1 + y^2, 1)", found, 0.0, *CELLS, of="beyond")
    name = "total variation to exp(−L), D = diag(1 + y^2, 1), stored"
    yield Finding(name, found, stored["TV_boltz"], *STORED_TV, of="correct")


def _two_wells(x: Array) -> Array:
    """(x² − 1)²(1.2 + tanh x): two wells of equal depth, the flat one on the left."""
    return np.asarray((x**2 - 1) ** 2 * (1.2 + np.tanh(x)))


def _slope_of_wells(x: Array) -> Array:
    return np.asarray(4 * x * (x**2 - 1) * (1.2 + np.tanh(x)) + (x**2 - 1) ** 2 / np.cosh(x) ** 2)


def _in_two_wells(D: float) -> Solution:
    process = DiffusionProcess(lambda x: -_slope_of_wells(x), D, dim=1)
    return solve_stationary(process, Box([-2.0], [2.0]), shape=(512,), progress=False)


def _flat_over_sharp(solution: Solution) -> float:
    cells = np.exp(-solution.phi) * solution.grid.cell_volumes
    half = len(cells) // 2
    return float(cells[:half].sum() / cells[half:].sum())


def _quadrature(D: float) -> float:
    near = 12 * math.sqrt(D)  # standard deviations are below √D

    def weight(x: float) -> float:
        return math.exp(-((x**2 - 1) ** 2) * (1.2 + math.tanh(x)) / D)

    left = quad(weight, max(-2.5, -1 - near), min(0.0, -1 + near), epsabs=0.0, epsrel=1e-11, limit=400)[0]
    right = quad(weight, max(0.0, 1 - near), min(2.5, 1 + near), epsabs=0.0, epsrel=1e-11, limit=400)[0]
    return left / right


def _wells() -> Any:
    """The density in two wells of equal depth."""
    from ..plotting import curves  # loads matplotlib

    solution = _in_two_wells(0.1)
    x = solution.grid.centers(0)
    lines = {"p, D = 0.1": np.asarray(solution.density), "loss": _two_wells(x)}
    shown = np.abs(x) < 1.4
    return curves(x[shown], {k: v[shown] for k, v in lines.items()}, xlabel="x", ylabel="density, loss")[0]


@declare(
    "C73",
    "Noise avoids sharp minima",
    source=TALK,
    statement="Of two minima of equal depth the flat one has more probability, by the root of the ratio of the curvatures.",
    formula="P_{flat}/P_{sharp} → (h_{sharp}/h_{flat})^{1/2}",
    conditions="Boltzmann law, D → 0.",
    verdict=TRUE,
    picture=_wells,
)
def flat_minima() -> Iterator[Finding]:
    stored = expected("C73")
    limit = math.sqrt((1.2 + math.tanh(1.0)) / (1.2 - math.tanh(1.0)))
    near = _quadrature(0.0005)
    yield Finding("ratio by quadrature, D = 0.0005", near, limit, 2e-4, "corrections are of the order of D")
    yield Finding("(h_{sharp}/h_{flat})^{1/2}, stored", limit, stored["limit"], *STORED)
    solved = _flat_over_sharp(_in_two_wells(0.1))
    yield Finding(
        "ratio from the solver's density, D = 0.1, stored", solved, stored["D0.1"], 1e-6, "the solver's error"
    )
    cold = _flat_over_sharp(_in_two_wells(0.06))  # below 0.04 the barrier leaves too little exchange to be resolved
    yield Finding("ratio from the solver's density, D = 0.06", cold, _quadrature(0.06), 1e-6, "the solver's error")
    for D in (0.1, 0.02, 0.005):
        kept = stored[f"D{D}"]
        yield Finding(f"ratio by quadrature, D = {D}, stored", _quadrature(D), kept, 2e-9, "two adaptive quadratures")
