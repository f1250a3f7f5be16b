"""Claims about SGD as a linear recursion: epochs, momentum, label noise. Decided by enumeration and linear algebra."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..grid import Array
from ..sgd.quadratic import (
    data_regression,
    epoch_shuffling,
    gaussian_regression,
    linear_chain,
    linear_sgd,
    second_moments,
)
from .claim import TRUE, Finding
from .limits import ALGEBRA
from .registry import NOTES_B, PAPER, declare, expected
from .sampling import ENUMERATED, gradients


def _suppression() -> Any:
    """Variance under epoch shuffling, relative to that of independent batches, against the curvature."""
    from .. import plotting as plot

    steps = np.geomspace(1e-4, 1.0, 60)
    states = [epoch_shuffling([[1.0]], [[1.0]], n=1000, batch_size=10, learning_rate=float(step)) for step in steps]
    lines: dict[str, ArrayLike] = {
        "between epochs": [(state.boundary / state.independent).item() for state in states],
        "mean over an epoch": [(state.mean / state.independent).item() for state in states],
        "independent batches": np.ones_like(steps),
    }
    return plot.curves(steps, lines, xlabel="η h", ylabel="variance, M = 100", xscale="log", yscale="log")[0]


@declare(
    "C33",
    "The stationary variance with shuffled epochs",
    source=f"Worked out in the audit; asked in {NOTES_B}, §2.3",
    statement="Epochs suppress noise along flat directions, h ≪ 1/Mη, and leave that along steep ones.",
    formula="V_0 = η^2 [(v − c) Σ_{j<M} ρ^{2j} + c (Σ_{j<M} ρ^j)^2] / (1 − ρ^{2M}),  ρ = 1 − ηh,  v = S^2(1/B − 1/n),  "
    "c = −S^2/n",
    conditions="Quadratic loss, noise that does not depend on θ, a new order every epoch; M = n/B.",
    verdict=TRUE,
    picture=_suppression,
)
def shuffled_epochs() -> Iterator[Finding]:
    z, step, size = gradients()[:, 0], 0.3, 2
    weights = step * (1.0 - step) ** np.arange(3)[::-1]  # of the batches of an epoch in θ after it
    orders = z[np.array(list(permutations(range(6))))].reshape(-1, 3, size).mean(axis=2)
    boundary = float((orders @ weights).var()) / (1.0 - (1.0 - step) ** 6)
    theory = epoch_shuffling([[1.0]], [[z.var()]], n=6, batch_size=size, learning_rate=step)
    yield Finding("variance between epochs, 720 orders", boundary, float(theory.boundary[0, 0]), *ENUMERATED)
    stored = expected("C33")
    digits = (1e-9, "stored in double precision; small variances are differences of large terms")
    simulated = (0.01, "simulated, 4e5 epochs")
    for size, step in ((2, 0.05), (2, 0.2), (2, 0.01), (1, 0.05)):
        row = stored[f"n20_B{size}_eta{step:g}_h1_S2=1"]
        state = epoch_shuffling([[1.0]], [[0.95]], n=20, batch_size=size, learning_rate=step)
        case = f"B = {size}, η = {step:g}"
        for name, matrix in (
            ("boundary", state.boundary),
            ("epoch_mean", state.mean),
            ("iid_without", state.independent),
        ):
            yield Finding(f"{name.replace('_', ' ')}, {case}", float(matrix[0, 0]), row[name], *digits)
            yield Finding(
                f"{name.replace('_', ' ')}, {case}, simulated", float(matrix[0, 0]), row[f"{name}_sim"], *simulated
            )
    for step in (0.1, 0.01, 0.001):
        row = stored[f"ratio_M100_etah{step:g}"]
        state = epoch_shuffling([[1.0]], [[1.0]], n=1000, batch_size=10, learning_rate=step)
        ratios = [(matrix / state.independent).item() for matrix in (state.boundary, state.mean)]
        yield Finding(f"ratios, M = 100, ηh = {step:g}", ratios, [row["boundary"], row["epoch_mean"]], *digits)


def _lyapunov(K: Array, Lam: Array, S: Array, mu: float) -> Array:
    """The left side of the matrix equation with momentum."""
    left, twice = Lam @ K @ S, Lam @ K @ Lam @ K @ S
    odd, even = mu / (1 - mu**2), (1 + mu**2) / (1 - mu**2)
    return np.asarray((1 - mu) * (left + left.T) - even * Lam @ K @ S @ K @ Lam + odd * (twice + twice.T))


@declare(
    "C35",
    "The matrix equation of SGD with momentum",
    source=f"{PAPER}, Theorem 1 (eq. 3), formula reconstructed",
    statement="The stationary covariance solves a linear matrix equation, at any learning rate, with momentum.",
    formula="(1−μ)(ΛKS + SKΛ) − (1+μ^2)/(1−μ^2) ΛKSKΛ + μ/(1−μ^2) (ΛKΛKS + SKΛKΛ) = ΛCΛ",
    conditions="Quadratic loss with Hessian K, 0 ≤ μ < 1, a stable recursion, symmetric Λ. Nothing has to commute.",
    verdict=TRUE,
)
def matrix_equation() -> Iterator[Finding]:
    stored = expected("C35")
    K, Lam, C = (np.asarray(stored[key]) for key in ("K", "Lam", "C"))
    S = linear_sgd(K, C, learning_rate=Lam, momentum=stored["mu"]).covariance
    yield Finding("covariance", S, stored["Sigma"], *ALGEBRA)
    both = np.block([[np.eye(2) - Lam @ K, -stored["mu"] * Lam], [K, stored["mu"] * np.eye(2)]])
    kick = np.vstack([-Lam, np.eye(2)])
    pair = linear_chain(both, kick @ C @ kick.T).covariance[:2, :2]
    yield Finding("covariance, from the recursion of (θ, m)", pair, stored["Sigma"], *ALGEBRA)
    yield Finding("left side of the equation", _lyapunov(K, Lam, S, stored["mu"]), Lam @ C @ Lam, *ALGEBRA)
    rng = np.random.default_rng(2021)
    for mu in (0.0, 0.3, 0.9):
        roots = rng.normal(size=(3, 4, 4)) / 2
        K, Lam, C = (root @ root.T + 0.2 * np.eye(4) for root in roots)
        Lam *= 0.2 / float(np.linalg.eigvalsh(Lam)[-1] * np.linalg.eigvalsh(K)[-1])
        S = linear_sgd(K, C, learning_rate=Lam, momentum=mu).covariance
        yield Finding(f"left side, four parameters, μ = {mu:g}", _lyapunov(K, Lam, S, mu), Lam @ C @ Lam, *ALGEBRA)


@declare(
    "C36",
    "One parameter with momentum",
    source=f"{PAPER}, Theorem 1, formula reconstructed",
    statement="Momentum multiplies the variance by 1/(1 − μ), and moves the limit of stability to λk = 2(1 + μ).",
    formula="S = λC / [k(1 − μ)(2 − λk/(1 + μ))]",
    conditions="λk < 2(1 + μ); or everything commutes.",
    verdict=TRUE,
)
def one_parameter() -> Iterator[Finding]:
    stored = expected("C36")
    for rate, k, mu in ((0.1, 1.0, 0.0), (0.1, 1.0, 0.9), (0.5, 2.0, 0.5)):
        found = float(linear_sgd([[k]], [[1.0]], learning_rate=rate, momentum=mu).covariance[0, 0])
        case = f"λ = {rate:g}, k = {k:g}, μ = {mu:g}"
        yield Finding(f"variance, {case}", found, rate / (k * (1 - mu) * (2 - rate * k / (1 + mu))), *ALGEBRA)
        yield Finding(f"variance, {case}, stored", found, stored[f"eta{rate:g}_k{k:.1f}_mu{mu:.1f}"], *ALGEBRA)
    edge = linear_sgd([[1.0]], [[1.0]], learning_rate=2 * 1.5 * (1 - 1e-6), momentum=0.5)
    radius = float(np.abs(edge.multipliers).max())
    yield Finding("spectral radius at λk = 2(1 + μ), μ = 1/2", radius, 1.0, 1e-5, "1e-6 inside the limit")


@declare(
    "C37",
    "Label noise",
    source=f"{PAPER}, Theorem 2, formula reconstructed",
    statement="Least squares with label noise has a stationary covariance in closed form, which includes that noise "
    "grows with the distance from the minimum.",
    formula="Σ_w = (σ^2/S)(1 + κ/S) Λ G^{-1},  G = 2(1−μ) − ((1−μ)/(1+μ) + 1/S) ΛA,  κ = t/(1 − t/S),  t = Tr[ΛA "
    "G^{-1}]",
    conditions="Gaussian features, fresh samples or n → ∞, second moments finite: t < S.",
    verdict=TRUE,
)
def label_noise() -> Iterator[Finding]:
    stored = expected("C37")
    A, rate, size, noise = np.diag(stored["A"]), stored["lam"], stored["S"], stored["sigma2"]
    problem = gaussian_regression(A, label_noise=noise)
    for mu in (0.0, 0.5):
        state = second_moments(problem, learning_rate=rate, batch_size=size, momentum=mu)
        row = stored[f"diag_mu{mu}"]
        G = 2 * (1 - mu) * np.eye(2) - ((1 - mu) / (1 + mu) + 1 / size) * rate * A
        t = float(np.trace(rate * A @ np.linalg.inv(G)))
        kappa = t / (1 - t / size)
        formula = noise / size * (1 + kappa / size) * rate * np.linalg.inv(G)
        yield Finding(f"covariance, μ = {mu:g}", state.covariance, formula, *ALGEBRA)
        yield Finding(f"variances, μ = {mu:g}, stored", np.diag(state.covariance), row["Sigma"], *ALGEBRA)
        measured = float(2 * state.test_loss * size / noise)  # Tr[AΣ_w] = σ²κ/S
        yield Finding(f"κ from the test loss, μ = {mu:g}", measured, row["kappa"], *ALGEBRA)
        yield Finding(
            f"Σ_w of the matrix equation with that noise, μ = {mu:g}",
            _lyapunov(A, rate * np.eye(2), state.covariance, mu),
            rate**2 * state.noise,
            *ALGEBRA,
        )
    rng = np.random.default_rng(2022)
    X = rng.normal(size=(10_000, 2)) * np.sqrt(stored["A"])
    finite = second_moments(
        data_regression(X, X @ [1.0, -1.0] + rng.normal(size=10_000)), learning_rate=rate, batch_size=size
    )
    exact = second_moments(problem, learning_rate=rate, batch_size=size)
    mean, spread = stored["finiteN10000_trace_ratio_mean_std"]
    ratio = float(np.trace(finite.covariance) / np.trace(exact.covariance))
    yield Finding(
        "trace on 10 000 fixed samples / formula",
        ratio,
        mean,
        4 * spread,
        "four deviations over data sets",
        of="beyond",
    )
