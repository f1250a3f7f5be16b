"""Claims about an L2 penalty on isotropic features at large learning rates. Decided by exact second moments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from ..sgd.quadratic import (
    GaussianRegression,
    almost_sure_limit,
    gaussian_curvature,
    gaussian_regression,
    lyapunov_exponent,
    second_moment_radius,
    second_moments,
)
from .claim import TRUE_IF, Finding
from .gradient_noise import SOLVED, STORED
from .registry import PAPER, declare, expected

GAMMAS = np.linspace(-0.8, 0.9, 400)  # of the picture


def _problem(dim: int, gamma: float) -> GaussianRegression:
    return gaussian_regression(np.eye(dim), l2=gamma, target=np.eye(dim)[0])


def _loss(dim: int, batch: int, lam: float, gamma: float) -> float:
    """L_test of the closed form, a = |u| = 1; without meaning where the mean square is infinite."""
    k = 1.0 + gamma
    return 0.5 * gamma**2 * (2 - lam * k) / (k * (k * (2 - lam * k) - (dim + 1) * lam / batch))


@declare(
    "C49",
    "Losses with a penalty, in one dimension",
    source=f"{PAPER}, Corollary 4",
    statement="In one dimension test and training loss are ratios of polynomials in the penalty.",
    formula="L_{test} = (a u^{2}γ^2/2)(2 − λk)/(k[k(2 − λk) − 2λa^2/S]),  k = a + γ;  "
    "in D isotropic dimensions with D + 1 for 2",
    conditions="Finite mean square: k(2 − λk) > (D + 1)λa²/S. No label noise.",
    verdict=TRUE_IF,
    correct="Where the mean square is infinite so is the test loss, and the formula says zero for γ = 0.",
)
def one_dimension() -> Iterator[Finding]:
    stored = expected("C49")
    gamma, lam, batch = stored["gamma"], stored["lam"], stored["S"]
    state = second_moments(_problem(1, gamma), learning_rate=lam, batch_size=batch)
    test = _loss(1, batch, lam, gamma)
    variance = 2 * test - (gamma / (1 + gamma)) ** 2
    train = test + 0.5 * gamma * (variance + 1 / (1 + gamma) ** 2)
    yield Finding("L_{test}", state.test_loss, test, *SOLVED)
    yield Finding("L_{train}", state.train_loss, train, *SOLVED)
    yield Finding("Σ_w", float(state.covariance[0, 0]), variance, *SOLVED)
    found = [state.test_loss, state.train_loss, float(state.covariance[0, 0])]
    yield Finding(
        "L_{test}, L_{train} and Σ_w, stored", found, [stored["Ltest"], stored["Ltrain"], stored["Sigma"]], *STORED
    )
    many = second_moments(_problem(5, 0.3), learning_rate=0.2, batch_size=3)
    yield Finding("L_{test}, D = 5, γ = 0.3, λ = 0.2, S = 3", many.test_loss, _loss(5, 3, 0.2, 0.3), *SOLVED)
    radius = second_moment_radius(_problem(1, 0.0), learning_rate=1.8, batch_size=8)
    name = "spectral radius of the second moments, γ = 0, λ = 1.8, S = 8, where the formula says 0"
    yield Finding(name, radius, 1.0, relation="<", of="beyond")


def _best(dim: int, batch: int, lam: float) -> tuple[float, float, float, float]:
    """Window of γ from its closed form, the best γ in it by search, and its exact test loss."""
    root = np.sqrt(1.0 - (dim + 1) * lam**2 / batch)
    lowest, highest = (1.0 - root) / lam - 1.0, (1.0 + root) / lam - 1.0
    width = highest - lowest

    def loss(gamma: float) -> float:
        return second_moments(_problem(dim, gamma), learning_rate=lam, batch_size=batch).test_loss

    bounds = (lowest + 1e-3 * width, highest - 1e-3 * width)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(lowest), float(highest), float(found.x), float(found.fun)


FLAT = (1e-5, "at a minimum, the loss is known to the square of γ")


def _window(dim: int, batch: int, lam: float, stored: Any, of: str) -> Iterator[Finding]:
    lowest, highest, best, loss = _best(dim, batch, lam)
    name = f"D = {dim}, S = {batch}, λa = {lam}"
    yield Finding(f"window of γ, {name}", [lowest, highest], [stored["gamma_lo"], stored["gamma_hi"]], *STORED, of=of)
    ends = [second_moment_radius(_problem(dim, end), learning_rate=lam, batch_size=batch) for end in (lowest, highest)]
    yield Finding(f"spectral radius of the second moments at its ends, {name}", ends, [1.0, 1.0], *SOLVED, of=of)
    yield Finding(f"best γ, {name}", best, stored["gamma_opt"], *FLAT, of=of)
    yield Finding(f"L_{{test}} there, {name}", loss, stored["Ltest_opt"], 1e-9, "flat in γ at the minimum", of=of)


def _losses() -> Any:
    from ..plotting import curves  # loads matplotlib

    share = np.linspace(0.02, 0.98, 97)  # of the window; the ends are infinite
    lines = {}
    for batch, lam in ((8, 1.8), (4, 1.38), (1, 0.69)):
        root = np.sqrt(1.0 - 2 * lam**2 / batch)
        gammas = (1.0 + (2 * share - 1) * root) / lam - 1.0
        lines[f"S = {batch}, λa = {lam}"] = np.interp(
            GAMMAS, gammas, [_loss(1, batch, lam, gamma) for gamma in gammas], left=np.nan, right=np.nan
        )
    return curves(GAMMAS, lines, xlabel="penalty γ", ylabel="test loss where the mean square is finite", yscale="log")[
        0
    ]


@declare(
    "C50",
    "Negative weight decay",
    source=f"{PAPER}, Corollary 1",
    statement="At learning rates beyond the limit of the mean square without a penalty, convergence needs, and the best "
    "penalty is, a negative weight decay.",
    formula="2S/(S + D + 1) < λa < (S/(D + 1))^{1/2} ⇒ γ* < 0",
    conditions="S > D + 1, and convergence in the mean square.",
    verdict=TRUE_IF,
    correct="For S < D + 1, few samples or many dimensions, every admissible γ in the window is positive. Without label noise "
    "almost every chain converges to zero test loss at γ = 0 up to a learning rate of 2.3 to 2.7, beyond the window of most "
    "batch sizes: what diverges is a mean that rare chains make.",
    picture=_losses,
)
def negative_weight_decay() -> Iterator[Finding]:
    stored = expected("C50")
    for batch, lam in ((4, 1.38), (8, 1.8), (64, 1.95)):
        kept = stored[f"S{batch}_D1_lam{lam}_a1_u1"]
        yield from _window(1, batch, lam, kept, "claim")
        _, highest, best, _ = _best(1, batch, lam)
        yield Finding(
            f"the best γ and the upper end, S = {batch}",
            [best, highest],
            [0.0, 0.0],
            relation="<",
        )
        least = 2 * batch / (batch + 2)
        yield Finding(f"λa, against its limit without a penalty, S = {batch}", lam, least, relation=">")
    for dim, batch, lam in ((1, 1, 0.69), (9, 2, 0.42)):
        lowest, highest, best, _ = _best(dim, batch, lam)
        name = f"D = {dim}, S = {batch}, λa = {lam}"
        yield Finding(f"best γ, {name}", best, 0.0, relation="<", of="beyond")
        yield Finding(f"both ends of the window, {name}", [lowest, highest], [0.0, 0.0], relation=">", of="correct")
        yield from _window(dim, batch, lam, stored[f"S{batch}_D{dim}_lam{lam}_a1_u1"], "correct")
    three = stored["D3_S2_lam068"]
    for gamma, key in ((three["gamma_test"], "radius"), (0.0, "radius_gamma0")):
        radius = second_moment_radius(_problem(3, gamma), learning_rate=0.68, batch_size=2)
        yield Finding(f"spectral radius, D = 3, S = 2, γ = {gamma:.4f}", radius, three[key], *STORED, of="correct")

    exponent = lyapunov_exponent(gaussian_curvature(1.0, 8), 1.8)
    yield Finding(
        "growth of ln|w − u| at γ = 0, S = 8, λa = 1.8",
        exponent,
        expected("C40")["lyapunov_S8_rho18"],
        *STORED,
        of="correct",
    )
    limit = almost_sure_limit(gaussian_curvature(1.0, 8))
    yield Finding("limit almost surely, against the end of the window, S = 8", limit, 2.0, relation=">", of="correct")
    decaying = stats.chi2(16, scale=1 / 16, loc=-0.6)  # with a penalty of −0.6
    for name, law, key in (
        ("γ = 0", gaussian_curvature(1.0, 16), "lyap_S16_lam25_gamma0"),
        ("γ = −0.6", decaying, "lyap_S16_lam25_gamma_m06"),
    ):
        found = lyapunov_exponent(law, 2.5)
        yield Finding(f"growth, S = 16, λa = 2.5, {name}", found, stored[key], *STORED, of="correct")
