"""Claims about power-law tails. Decided by Kesten's equation and simulation for the chain, by the density for the diffusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from ..grid import Array, Box
from ..maps import Sinh
from ..process import DiffusionProcess
from ..sgd.quadratic import gaussian_curvature, tail_index
from ..solvers.stationary import solve_stationary
from .claim import FALSE, Finding
from .gradient_noise import STORED
from .registry import PAPER, declare, expected

RATES = (0.05, 0.1, 0.2, 0.5, 1.0, 1.5)  # ρ = λa
BATCHES = (1, 2, 4, 8)


def exact_index(batch: int, rho: float) -> float:
    """β of the chain."""
    return tail_index(gaussian_curvature(1.0, batch), rho)


def paper_index(batch: int, rho: Any) -> Any:
    """β of the Student law that has the variance of the chain."""
    return 2 * batch / rho - batch


def continuous_index(batch: int, rho: Any) -> Any:
    """β of the diffusion with the noise (a/S)(aw² + σ²)."""
    return 2 * batch / rho + 1


def ito_index(batch: int, rho: Any) -> Any:
    """β of the Itô diffusion with the noise of Gaussian features, (a/S)(2aw² + σ²)."""
    return batch / rho + 1


def _moment(batch: int, rho: float, order: float) -> float:
    """E|1 − ρχ²/S|^order by adaptive quadrature."""
    law = stats.chi2(batch, scale=1 / batch)
    pieces = ((0.0, 1 / rho), (1 / rho, 4 / rho), (4 / rho, 60.0))
    return float(sum(quad(lambda h: abs(1 - rho * h) ** order * law.pdf(h), *ends, limit=200)[0] for ends in pieces))


# At w = 3 to 6 the solution with a thousand cells has ln p to 1e-5 and its slope to 1e-3.
SLOPE = (5e-3, "the slope of ln p between cells, and the error of the solver, 10^{−3}")


def _diffusion_index(batch: int, rho: float) -> float:
    """β of the Itô diffusion from the solver's density where w² is large, a = σ = 1."""
    epsilon = rho / (2 * batch)
    process = DiffusionProcess(lambda w: -w, lambda w: (epsilon * (2 * w**2 + 1))[None], dim=1)
    reach = 1e-8 ** (-1 / ito_index(batch, rho))  # the probability outside is about 10^{−8}
    solution = solve_stationary(process, Box([-reach], [reach]), maps=Sinh(scale=0.5), shape=(1024,))
    w, log_density = solution.grid.centers(0), -solution.phi
    inner, outer = np.searchsorted(w, [0.3 * reach, 0.5 * reach])
    # p is a power of 1 + 2w²; its exponent is −(β + 1)/2
    return float(
        -2 * (log_density[outer] - log_density[inner]) / np.log((1 + 2 * w[outer] ** 2) / (1 + 2 * w[inner] ** 2)) - 1
    )


LEVELS = (30.0, 3000.0)  # of |w|; the noise that is added changes its law by about 30^{−2} of it
SCATTER = (8e-3, "four standard errors of 40 000 excursions")


def _simulated_index(
    batch: int, rho: float, tilt: float, rng: np.random.Generator, *, excursions: int = 40_000
) -> float:
    r"""β of the simulated chain, by how much rarer an excursion from \|w\| = 5 to the second level is than one to the first.

    It ends below 1. Rare events are made common and counted with their weights: h is drawn with \|1 − ρh\|^tilt times its
    probability. The mean is that of the chain for any tilt; the scatter is small for one near β.
    """
    root = np.linspace(0.0, 8.0, 40_001)  # of h, whose density may be infinite at zero
    law = stats.chi(batch, scale=batch**-0.5).pdf(root) * np.abs(1 - rho * root**2) ** tilt
    cumulated = np.concatenate([[0.0], np.cumsum(0.5 * (law[1:] + law[:-1]) * root[1])])
    total = cumulated[-1]
    w, weight, reached = np.full(excursions, 5.0), np.ones(excursions), []
    for level in LEVELS:
        above: list[tuple[Array, Array]] = []
        while w.size:
            h = np.interp(rng.uniform(size=w.size) * total, cumulated, root) ** 2
            weight = weight * total / np.abs(1 - rho * h) ** tilt
            w = np.abs((1 - rho * h) * w + rho * np.sqrt(h / batch) * rng.standard_normal(w.size))
            up = w > level
            above.append((w[up], weight[up]))
            goes_on = ~up & (w > 1.0)
            w, weight = w[goes_on], weight[goes_on]
        w, weight = (np.concatenate(parts) for parts in zip(*above, strict=True))
        reached.append(weight.sum())
    return float(np.log(reached[0] / reached[1]) / np.log(LEVELS[1] / LEVELS[0]))


def _indices() -> Any:
    from ..plotting import curves  # loads matplotlib

    rates = np.geomspace(0.02, 2.0, 40)
    lines = {
        "chain": [exact_index(4, rho) * rho / 4 for rho in rates],
        "Student law": paper_index(4, rates) * rates / 4,
        "Itô diffusion": ito_index(4, rates) * rates / 4,
        "diffusion with less noise": continuous_index(4, rates) * rates / 4,
    }
    return curves(rates, lines, xlabel="λa", ylabel="tail index β × λa/S, S = 4", xscale="log")[0]


@declare(
    "C59",
    "The tail index",
    source=f"{PAPER}, Proposition 7",
    statement="The stationary law of one parameter is a Student law, with the tail index that gives it the exact variance.",
    formula="p ∝ (1 + aw^2/σ^2)^{−(1 + β)/2},  β = 2S/(λa) − S",
    conditions="One Gaussian feature, label noise.",
    verdict=FALSE,
    correct="The tail index of the chain solves E|1 − ρχ²/S|^β = 1, ρ = λa. The claimed one agrees only at β = 2. For "
    "small ρ βρ/S → 1.7956, half the root of u ln u − u = 1, where the claim has 2 and the Itô diffusion 1: tails are made "
    "by single steps that overshoot, and no diffusion has them. β vanishes where chains stop to settle (C40), not at ρ = 2.",
    picture=_indices,
)
def index_of_the_tail() -> Iterator[Finding]:
    stored = expected("C59")
    for batch in BATCHES:
        found = [exact_index(batch, rho) for rho in RATES]
        kept = [stored["table"][f"S{batch}_rho{rho}"] for rho in RATES]
        claimed = [paper_index(batch, rho) for rho in RATES]
        yield Finding(f"β, S = {batch}, ρ from 0.05 to 1.5", found, claimed, 1e-11, "a root, and quadrature")
        yield Finding(
            f"β, S = {batch}, ρ from 0.05 to 1.5, stored", found, [row["exact"] for row in kept], *STORED, of="correct"
        )
        yield Finding(
            f"β of the paper, S = {batch}, stored", claimed, [row["paper"] for row in kept], *STORED, of="correct"
        )
        continuous = [continuous_index(batch, rho) for rho in RATES]
        yield Finding(
            f"β of continuous time, S = {batch}, stored",
            continuous,
            [row["cont_mori"] for row in kept],
            *STORED,
            of="correct",
        )
        ito = [ito_index(batch, rho) for rho in RATES]
        yield Finding(
            f"β of the Itô diffusion, S = {batch}, stored",
            ito,
            [row["ito_gauss"] for row in kept],
            *STORED,
            of="correct",
        )
        two = exact_index(batch, 2 * batch / (batch + 2))
        yield Finding(f"β at ρ = 2S/(S + 2), S = {batch}", two, 2.0, *STORED, of="correct")
    for batch, rho in ((4, 1.0), (1, 0.5)):
        yield Finding(
            f"E|1 − ρh|^β by adaptive quadrature, S = {batch}, ρ = {rho}",
            _moment(batch, rho, exact_index(batch, rho)),
            1.0,
            1e-7,
            "adaptive quadrature through the point where the base is zero",
            of="correct",
        )
    for batch in (1, 2, 4):
        rho = float(brentq(lambda rho, batch=batch: exact_index(batch, rho) - 4.0, 0.2, 1.2, xtol=1e-14))
        name = f"ρ of β = 4, S = {batch}"
        yield Finding(name, rho, stored[f"paper_rho_beta4_S{batch}"], *STORED)
        yield Finding(name, rho, stored[f"rho_where_beta4_S{batch}"], *STORED, of="correct")
    for rho in (0.005, 0.01, 0.02):
        kept = stored[f"S1_rho{rho}_beta_times_rho"]
        yield Finding(f"βρ/S, S = 1, ρ = {rho}", rho * exact_index(1, rho), kept, *STORED, of="correct")
    limit = 0.5 * float(brentq(lambda u: u * np.log(u) - u - 1, 2.0, 5.0, xtol=1e-15))
    yield Finding("limit of βρ/S", limit, stored["asymptotic_beta_rho_over_S"], *STORED, of="correct")
    nearest = 2 * 0.005 * exact_index(1, 0.005) - 0.01 * exact_index(1, 0.01)
    yield Finding("βρ/S extrapolated to ρ = 0", nearest, limit, 1e-4, "the square of ρ = 0.005 is left", of="correct")
    sampled = stored["sim_jackknife_S4_rho1.0"]["slope"]
    yield Finding(
        "β against the slope of ln P(|w| > r) in a long simulation, S = 4, ρ = 1",
        exact_index(4, 1.0),
        sampled,
        0.014,
        "its standard error is 0.014",
        of="correct",
    )
    for batch, rho in ((4, 1.0), (1, 0.5)):
        claimed = paper_index(batch, rho)
        simulated = _simulated_index(batch, rho, claimed, np.random.default_rng(5900 + batch))
        name = f"β of a simulated chain, S = {batch}, ρ = {rho}"
        yield Finding(name, simulated, claimed, *SCATTER)
        yield Finding(name, simulated, exact_index(batch, rho), *SCATTER, of="correct")
    yield Finding(
        "β of the solver's density, S = 2, ρ = 0.5", _diffusion_index(2, 0.5), ito_index(2, 0.5), *SLOPE, of="correct"
    )


@declare(
    "C60",
    "Heavier tails than in continuous time",
    source=f"{PAPER}, discussion of Proposition 7",
    statement="Tails of the discrete chain are always heavier than those of the diffusion.",
    formula="β < β_{continuous}",
    conditions="One Gaussian feature, label noise.",
    verdict=FALSE,
    correct="They are heavier than those of the diffusion with the noise (a/S)(aw^2 + σ^2), β = 2S/ρ + 1. Against the Itô "
    "diffusion with the exact noise, β = S/ρ + 1, they are lighter for small steps, and heavier only beyond ρ = 0.47 to 0.62.",
)
def heavier_than_continuous() -> Iterator[Finding]:
    stored = expected("C60")
    for batch in BATCHES:
        found = [exact_index(batch, rho) for rho in RATES]
        ito = [ito_index(batch, rho) for rho in RATES]
        other = [continuous_index(batch, rho) for rho in RATES]
        yield Finding(f"β, S = {batch}, against the Itô diffusion", found, ito, relation="<")
        yield Finding(
            f"β, S = {batch}, ρ up to 0.2, against the Itô diffusion", found[:3], ito[:3], relation=">", of="correct"
        )
        yield Finding(
            f"β, S = {batch}, ρ of 1 and 1.5, against the Itô diffusion", found[4:], ito[4:], relation="<", of="correct"
        )
        yield Finding(
            f"β, S = {batch}, against the diffusion with less noise", found, other, relation="<", of="correct"
        )

        def excess(rho: float, batch: int = batch) -> float:
            return exact_index(batch, rho) - ito_index(batch, rho)

        crossing = float(brentq(excess, 0.3, 1.0, xtol=1e-14))
        kept = stored[f"crossover_rho_S{batch}"]
        yield Finding(
            f"ρ where they cross, S = {batch}", crossing, kept, 1e-9, "two curves cross at a small angle", of="correct"
        )
    rho = 0.2
    yield Finding(
        "β of the solver's density, S = 1, ρ = 0.2", _diffusion_index(1, rho), ito_index(1, rho), *SLOPE, of="correct"
    )
    yield Finding(
        "β of the chain, against it", exact_index(1, rho), _diffusion_index(1, rho), relation=">", of="correct"
    )
