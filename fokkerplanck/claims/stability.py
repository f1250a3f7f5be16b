"""Claims about where SGD settles: mean, mean square, and almost every chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..sgd.quadratic import (
    almost_sure_limit,
    data_regression,
    gaussian_curvature,
    gaussian_regression,
    lyapunov_exponent,
    mean_square_limit,
    second_moment_radius,
    second_moments,
)
from .claim import TRUE, TRUE_IF, Finding
from .gradient_noise import SOLVED, STORED
from .registry import PAPER, declare, expected

# The chains' own growth, averaged: ln|1 − ηh| has a standard deviation of 1.1 for S = 1 and of 1.6 in C62.
CHAINS = 1_000_000
SAMPLED = (0.012, "more than four standard errors of a million steps")


def _chi2(batch: int) -> Any:
    return gaussian_curvature(1.0, batch)


def _growth() -> Any:
    from ..plotting import curves  # loads matplotlib

    rates = np.linspace(0.1, 3.0, 59)  # none where the logarithm of a step is singular for every sample
    lines = {f"S = {batch}": [lyapunov_exponent(_chi2(batch), rho) for rho in rates] for batch in (1, 4, 16)}
    return curves(rates, lines | {"settles below": 0.0 * rates}, xlabel="λa", ylabel="growth of ln|w − w*| per step")[0]


@declare(
    "C40",
    "No escape from a global minimum",
    source=f"{PAPER}, Proposition 2 and its discussion",
    statement="Where the loss is zero every sample's gradient is zero, so there is no noise and SGD never leaves.",
    formula="L(w*) = 0 ⇒ C(w*) = 0",
    conditions="Exactly at w*.",
    verdict=TRUE_IF,
    correct="At any distance from w* the noise is not zero. Nearby chains settle almost surely only for E ln|1 − λh| < 0, "
    "and in the mean square only for λa < 2S/(S + 2); beyond λa = 2.42 to 2.68 they are expelled, although C(w*) = 0. "
    "Between 2 and that they stay where gradient descent diverges.",
    picture=_growth,
)
def no_escape() -> Iterator[Finding]:
    stored = expected("C40")
    rng = np.random.default_rng(401)
    X = rng.normal(size=(7, 3))
    fitted = data_regression(X, X @ np.array([0.3, -1.0, 2.0]))
    _, constant = fitted.noise_map(1, np.eye(3))
    yield Finding("C(w*) of seven samples that are fitted exactly", constant, np.zeros((3, 3)), 1e-28, "round-off²")
    start = fitted.minimum
    moved = max(float(np.abs(x * (x @ start - y)).max()) for x, y in zip(X, fitted.y, strict=True))
    yield Finding("largest sample gradient there", moved, 0.0, 1e-13, "round-off")
    growth = lyapunov_exponent(_chi2(1), 2.6)
    yield Finding("growth of ln|w − w*| per step, S = 1, λa = 2.6", growth, 0.0, relation="<", of="beyond")
    for batch in (1, 2, 4, 8, 16):
        limit = almost_sure_limit(_chi2(batch))
        yield Finding(
            f"limit almost surely, S = {batch}", limit, stored[f"as_threshold_rho_S{batch}"], *STORED, of="correct"
        )
        limit = mean_square_limit(gaussian_regression([[1.0]]), batch_size=batch)
        name = f"limit of the mean square, S = {batch}"
        yield Finding(name, limit, stored[f"L2_threshold_S{batch}"], *STORED, of="correct")
        yield Finding(f"{name}, formula", limit, 2 * batch / (batch + 2), *SOLVED, of="correct")
    quadrature = lyapunov_exponent(_chi2(1), 1.0)
    yield Finding("growth, S = 1, λa = 1", quadrature, stored["lyapunov_S1_rho1"], *STORED, of="correct")
    sampled = float(np.log(np.abs(1.0 - rng.standard_normal(CHAINS) ** 2)).mean())
    yield Finding(
        "growth, S = 1, λa = 1, of a million steps", sampled, stored["lyapunov_S1_rho1"], *SAMPLED, of="correct"
    )
    yield Finding("growth, S = 1, λa = 2.2", lyapunov_exponent(_chi2(1), 2.2), 0.0, relation="<", of="correct")


@declare(
    "C55",
    "The largest stable learning rate",
    source=f"{PAPER}, after Theorem 2",
    statement="The mean square is finite for t < S: with isotropic features λ can be of the order of S/(aD) at most.",
    formula="λa < 2S(1 − μ)/(D + 1 + S(1 − μ)/(1 + μ)),  = 2S/(S + D + 1) for μ = 0",
    conditions="Gaussian features, fresh in every step.",
    verdict=TRUE,
)
def largest_learning_rate() -> Iterator[Finding]:
    stored = expected("C55")
    for dim, batch in ((1, 1), (10, 1), (10, 10), (100, 10)):
        limit = mean_square_limit(gaussian_regression(np.eye(dim)), batch_size=batch)
        yield Finding(f"limit, D = {dim}, S = {batch}", limit, 2 * batch / (batch + dim + 1), *SOLVED)
        yield Finding(f"limit, D = {dim}, S = {batch}, stored", limit, stored[f"D{dim}_S{batch}"], *STORED)
    for a, batch, mu in ((np.ones(1), 1, 0.5), (np.ones(3), 2, 0.5), (np.array([1.0, 0.5]), 4, 0.9)):
        problem, dim = gaussian_regression(np.diag(a)), len(a)
        limit = mean_square_limit(problem, batch_size=batch, momentum=mu)
        name = f"D = {dim}, S = {batch}, μ = {mu}"
        kept = stored[f"momentum_D{dim}_mu{mu}_S{batch}"]["lam_c"]
        yield Finding(f"limit, {name}, stored", limit, kept, 1e-11, "stored roots were bisected to 10^{−12}")
        g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch) * limit * a
        yield Finding(
            f"t at the limit, {name}", float(np.sum(limit * a / g)), float(batch), 1e-10, "round-off of a root"
        )
        radius = second_moment_radius(problem, learning_rate=limit, batch_size=batch, momentum=mu)
        yield Finding(f"spectral radius of the second moments there, {name}", radius, 1.0, 1e-10, "round-off of a root")
        settled = second_moments(problem, learning_rate=0.99 * limit, batch_size=batch, momentum=mu).gain
        yield Finding(f"gain below it, {name}", settled, 1.0, relation="<")


@declare(
    "C62",
    "SGD at a maximum of the loss",
    source=f"{PAPER}, Outlook",
    statement="SGD can converge to a maximum of the expected loss.",
    formula="E h < 0 and E ln|1 − λh| < 0",
    conditions="Sample losses ½hw^2 with h = 1 or −1.5, equally likely; λ = 0.9.",
    verdict=TRUE,
)
def settling_at_a_maximum() -> Iterator[Finding]:
    stored = expected("C62")
    h, lam = np.array(stored["h"]), stored["lam"]
    yield Finding("growth of ln|w| per step", lyapunov_exponent(h, lam), stored["lyapunov"], *STORED)
    yield Finding("curvature of the expected loss at w = 0", float(h.mean()), stored["Eh"], *STORED)
    steps = np.random.default_rng(621).choice(h, size=(CHAINS // 200, 200))
    travelled = np.log(np.abs(1.0 - lam * steps)).sum(axis=1)
    yield Finding(
        "growth of ln|w| per step, of a million steps", float(travelled.mean() / 200), stored["lyapunov"], *SAMPLED
    )
    yield Finding("largest ln|w| of 5000 chains after 200 steps", float(travelled.max()), 0.0, relation="<")
