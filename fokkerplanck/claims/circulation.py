"""Claims about the current: when there is one, what it looks like, and what circulates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..balance import detailed_balance
from ..cases import get as case
from ..force import force
from ..grid import Array, Box, Grid
from ..helmholtz import helmholtz
from ..nonequilibrium import nonequilibrium
from ..process import DiffusionProcess
from ..sgd.quadratic import linear_chain, ornstein_uhlenbeck
from ..solvers.stationary import solve_stationary
from . import problems
from .claim import FALSE, TRUE_IF, Finding
from .gibbs import BOX
from .limits import ALGEBRA
from .problems import POINT, D, H
from .registry import NOTES, NOTES_A, NOTES_B, declare, expected

SOLVED = (1e-4, "grids of 128² and values of fourth order: 1e-6, and 1e-5 in the box")


def _isotropic(x: Array) -> Array:
    """D = (1 + x²/2) I, whose gradient is not along that of the loss."""
    return np.einsum("ij,...->ij...", np.eye(2), 1.0 + 0.5 * x[0] ** 2)


@declare(
    "C24",
    "Anisotropic noise breaks detailed balance",
    source=f"{NOTES_B}, §2.3",
    statement="If the noise is anisotropic the current has a curl and there is no detailed balance.",
    formula="Σ ≠ sI ⇒ ∇×j ≠ 0",
    conditions="None.",
    verdict=FALSE,
    correct="Neither necessary nor sufficient: detailed balance holds where ω = D⁻¹(b − ∇·D) is a gradient. It holds "
    "for separable and for commuting anisotropic noise, and is broken by isotropic noise that changes across the "
    "gradient of the loss. With label noise it holds only if all features have the same variance.",
)
def anisotropy() -> Iterator[Finding]:
    anisotropic = {
        "H = diag(1, 2), D = diag(3, 1)": problems.linear(np.diag([1.0, 2.0]), np.diag([3.0, 1.0])),
        "D = diag(1 + y², 1 + x²)": problems.vortices(1, 1, 1, 1)[0],
        "label noise, equal features": problems.label_noise_tensor((1.0, 1.0)),
    }
    for name, process in anisotropic.items():
        yield Finding(f"detailed balance, {name}", detailed_balance(process, BOX).verdict, "broken")
    isotropic = DiffusionProcess(lambda x: -np.stack([x[0], 2.0 * x[1]]) - 0.5 * x[::-1], _isotropic, dim=2)
    yield Finding(
        "detailed balance, D = (1 + x²/2) I", detailed_balance(isotropic, BOX).verdict, "broken", of="correct"
    )
    window = Grid(Box([0.0, 0.0], [2.0, 1.0]), (65, 65))  # with a cell centre at (1, ½)
    curls = {a: force(problems.label_noise_tensor((1.0, a)), window).curl for a in (0.5, 1.0)}
    stencil = (1e-7, "differences of fourth order with steps of 1e-3")
    found, stored = float(curls[0.5].values[32, 32]), expected("E8")["integrability_curl_at_1_half"]
    yield Finding("curl of ω at (1, 1/2), label noise, features 1 and 1/2", found, stored, *stencil, of="correct")
    yield Finding(
        "largest curl of ω, label noise, equal features", float(abs(curls[1.0]).max()), 0.0, *stencil, of="correct"
    )


@declare(
    "C25",
    "Noise that depends on θ drives a current",
    source=f"{NOTES_B}, §2.3",
    statement="If Σ depends on θ the stationary current is solenoidal and not zero.",
    formula="∇Σ ≠ 0 ⇒ J ≠ 0",
    conditions="None.",
    verdict=FALSE,
    correct="Generically, but not always; and constant noise can drive a current.",
)
def dependence_on_position() -> Iterator[Finding]:
    varying = {
        "D = diag(1 + y², 1 + x²)": problems.vortices(1, 1, 1, 1)[0],
        "label noise, equal features": problems.label_noise_tensor((1.0, 1.0)),
    }
    for name, process in varying.items():
        yield Finding(f"detailed balance, {name}", detailed_balance(process, BOX).verdict, "broken")
    equilibrium = nonequilibrium(problems.vortices_solution(1, 1, 1, 1)).entropy_production
    yield Finding(
        "entropy production, D = diag(1 + y², 1 + x²)",
        _value(equilibrium),
        0.0,
        1e-10,
        "errors of J squared",
        of="correct",
    )
    generic = _value(nonequilibrium(problems.vortices_solution(1, 1, 1, 0)).entropy_production)
    closed = expected("E5")["a_EPR_closed"]
    yield Finding("entropy production, D = diag(1 + y², 1)", generic, closed, *SOLVED, of="correct")
    constant = _value(nonequilibrium(problems.linear_solution()).entropy_production)
    yield Finding(
        "entropy production, constant D", constant, expected("E1")["entropy_production"], *SOLVED, of="correct"
    )


def _value(measured: Any) -> float:
    return float(measured.value)


@declare(
    "C26",
    "The Helmholtz split of the current",
    source=f"{NOTES_B}, §§2.3 and 5.1, eq. 55",
    statement="A current is a gradient plus a divergence-free curl; the stationary one is a curl.",
    formula="J = ∇χ + ∇×ψ,  ∇·J = 0 ⇒ ∇χ = 0",
    conditions="The whole space with decay, or a box without flow through its walls.",
    verdict=TRUE_IF,
    correct="On a ring or torus there is a third, harmonic part, without divergence and without curl: there J ≠ 0 "
    "although its curl is zero.",
)
def helmholtz_split() -> Iterator[Finding]:
    shares = helmholtz(problems.vortices_solution(1, 1, 1, 0)).shares
    residual = (1e-12, "Newton's residual, squared")
    yield Finding("share of the gradient part, no flow through walls", shares["gradient"], 0.0, *residual)
    yield Finding("share of the curl part, no flow through walls", shares["curl"], 1.0, *residual)
    around = Box([0.0], [2 * np.pi], boundary="periodic")
    stored, loops = expected("E7"), {"ito": "ito", "strat": "stratonovich", "hk": "isothermal"}
    for key, interpretation in loops.items():
        solution = solve_stationary(problems.ring(interpretation), around, shape=(128,), progress=False)
        if key == "ito":
            parts = helmholtz(solution).shares
            yield Finding("share of the curl part, ring", parts["curl"], 1.0, *residual, of="beyond")
            yield Finding("share of the harmonic part, ring", parts["harmonic"], 1.0, *residual, of="correct")
        flow = float(solution.current.values[0, 0])
        yield Finding(f"current round the ring, {interpretation}", flow, stored[f"J_{key}"], *SOLVED, of="correct")


@declare(
    "C27",
    "A term that is dropped from the curl of the current",
    source=f"{NOTES_B}, eqs 57–60",
    statement="In the curl of the current the second derivatives of p cancel by antisymmetry.",
    formula="ε_{klm} Σ_{mj} ∂_l∂_j p = 0",
    conditions="None.",
    verdict=FALSE,
    correct="The antisymmetric pair is (l, m), the symmetric one (l, j). The term is the antisymmetric part of Σ∇∇p "
    "and vanishes only where the two commute, as for Σ = sI.",
)
def dropped_term() -> Iterator[Finding]:
    state, stored = ornstein_uhlenbeck(H, D), expected("C27")
    inverse = np.linalg.inv(state.covariance)
    p = float(np.exp(-0.5 * POINT @ inverse @ POINT) / (2 * np.pi * np.sqrt(np.linalg.det(state.covariance))))
    slope = -inverse @ POINT * p
    curvature = np.outer(inverse @ POINT, inverse @ POINT) * p - inverse * p
    downhill = H @ POINT
    dropped = float((D[1, 1] - D[0, 0]) * curvature[0, 1] + D[0, 1] * (curvature[0, 0] - curvature[1, 1]))
    kept = float(slope[0] * downhill[1] - slope[1] * downhill[0])
    rotation = state.area @ inverse  # of j = −J
    turned = rotation @ POINT
    curl = float((rotation[1, 0] - rotation[0, 1]) * p + slope[0] * turned[1] - slope[1] * turned[0])
    yield Finding("dropped term at (1, 1/2)", dropped, 0.0, *ALGEBRA)
    yield Finding("dropped term at (1, 1/2), stored", dropped, stored["dropped_term"], *ALGEBRA, of="correct")
    yield Finding("curl of j at (1, 1/2), against what is kept", curl, kept, *ALGEBRA)
    yield Finding("curl of j at (1, 1/2), against both terms", curl, kept + dropped, *ALGEBRA, of="correct")
    yield Finding("curl of j at (1, 1/2), stored", curl, stored["true_curl_j"], *ALGEBRA, of="correct")
    J = problems.linear_solution().current
    field = J.sel(component="x").differentiate("y") - J.sel(component="y").differentiate("x")
    solved = float(field.interp({"x": POINT[0], "y": POINT[1]}, method="cubic"))
    cells = (0.01, "second-order differences over cells of 0.09: 6e-3")
    yield Finding("curl of j at (1, 1/2), on a grid, stored", solved, stored["true_curl_j"], *cells, of="correct")
    yield Finding("what is kept, stored", kept, stored["grad_p_cross_grad_L"], *ALGEBRA, of="correct")


@declare(
    "C28",
    "A current means that the density is not stationary",
    source=f"{NOTES_A}, remarks",
    statement="With a curl in the current the distribution is not stationary, but an orbit.",
    formula="∇×J ≠ 0 ⇒ ∂_t p ≠ 0",
    conditions="None.",
    verdict=FALSE,
    correct="Density and current are both stationary; trajectories circulate on average, and sweep an area at a "
    "constant rate.",
)
def orbit() -> Iterator[Finding]:
    stored, step = expected("E1"), 0.05
    move = np.eye(2) - step * H
    chain = linear_chain(move, 2 * step * D)
    S = chain.covariance
    change = float(np.abs(move @ S @ move.T + 2 * step * D - S).max())
    word = "moves" if change > 1e-12 else "stationary"  # round-off
    yield Finding("covariance after another step, η = 0.05", word, "moves")
    yield Finding("covariance of the chain", S, stored["discrete_eta005_S"], *ALGEBRA, of="correct")
    rate = float(chain.area[0, 1]) / step
    yield Finding(
        "area rate of the chain, per time", rate, stored["discrete_area_rate_per_time"], *ALGEBRA, of="correct"
    )
    flow = float(ornstein_uhlenbeck(H, D).area[0, 1])
    yield Finding("area rate of the diffusion", flow, stored["continuous_area_rate"], *ALGEBRA, of="correct")
    solved = _value(nonequilibrium(problems.linear_solution()).circulation)
    yield Finding("area rate on a grid", solved, stored["continuous_area_rate"], *SOLVED, of="correct")


def _vortices() -> Any:
    """Density and current of the four vortices: streamlines follow neither density nor loss."""
    from .. import plotting as plot

    drawn: Any = plot.current(problems.vortices_solution(1, 1, 1, 0))
    return drawn.lines


@declare(
    "C29",
    "Probability orbits along level sets of the loss",
    source=f"{NOTES}, §2.3 of the second",
    statement="The stationary current flows along the level sets of the loss.",
    formula="J·∇L = 0",
    conditions="None.",
    verdict=FALSE,
    correct="Streamlines are the level sets of the stream function. They are those of p for linear drift and constant "
    "noise, those of −ln p in the limit of small noise, and in general neither; those of L where p is a function of L.",
    picture=_vortices,
)
def level_sets() -> Iterator[Finding]:
    stored = expected("E1")
    here = {"x": POINT[0], "y": POINT[1]}
    J = problems.linear_solution().current.interp(here, method="cubic").values
    downhill = float(J @ H @ POINT)
    point = (1e-4, "fourth-order values of cells, cubic between them")
    yield Finding("J·∇L at (1, 1/2), linear drift", downhill, 0.0, *point)
    yield Finding(
        "J·∇L at (1, 1/2), linear drift, stored",
        downhill,
        stored["J_dot_gradL_at_1_half"],
        1e-3,
        "J to 2e-6, of which a fifth is left",
        of="correct",
    )
    along = float(J @ np.linalg.inv(np.asarray(stored["S"])) @ POINT)
    yield Finding("J·∇ ln p at (1, 1/2), linear drift", along, 0.0, 1e-6, "the error of J", of="correct")
    follows = nonequilibrium(problems.linear_solution()).follows_density
    yield Finding(
        "mean |cos(J, ∇p)|, linear drift", _value(follows), 0.0, 1e-3, "second-order directions in cells", of="correct"
    )
    rows = expected("C29")
    for s in (1.0, 0.1, 0.01, 0.001):
        problem = case("four-vortices", noise=s)
        assert problem.exact is not None
        flow, slope = problem.exact.current(POINT), -problem.process.drift(POINT)
        flow = flow / np.abs(flow).max()  # down to e^{−625}, and its square underflows
        row = rows[f"s{s}"]
        for label, key, gradient in (("p", "cos_J_gradp", POINT), ("L", "cos_J_gradL", slope)):
            found = _cosine(flow, gradient)
            name = f"cos(J, ∇{label}) at (1, 1/2), four vortices, s = {s:g}"
            yield Finding(name, found, row[key], *ALGEBRA, of="correct")
            if s == 1.0:
                solved = problems.vortices_solution(1, 1, 1, 0).current.interp(here, method="cubic").values
                yield Finding(f"{name}, on a grid", _cosine(solved, gradient), row[key], *point, of="correct")


def _cosine(a: Array, b: Array) -> float:
    return float(abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b))
