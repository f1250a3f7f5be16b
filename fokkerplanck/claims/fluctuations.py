"""Claims about the stationary fluctuation of SGD on linear regression. Decided by the exact second moments of the chain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..grid import Array
from ..sgd.quadratic import SecondMoments, gaussian_regression, mean_square_limit, second_moments
from .claim import FALSE, TRUE, TRUE_IF, Finding
from .gradient_noise import SOLVED, STORED
from .registry import PAPER, declare, expected

MOMENTA = (0.0, 0.5)


def gain(rate_times_curvature: Array, batch: int, momentum: float) -> Array:
    """G_μ(ΛA) = 2(1 − μ) − ((1 − μ)/(1 + μ) + 1/S)ΛA."""
    mu = momentum
    identity = np.eye(len(rate_times_curvature))
    return 2 * (1 - mu) * identity - ((1 - mu) / (1 + mu) + 1 / batch) * rate_times_curvature


def closed_form(A: Array, rate: Array, variance: float, batch: int, momentum: float) -> tuple[Array, float, float]:
    """Σ_w of Theorem 2, t and κ."""
    inverse = np.linalg.inv(gain(rate @ A, batch, momentum))
    t = float(np.trace(rate @ A @ inverse))
    kappa = t / (1 - t / batch)
    return variance / batch * (1 + kappa / batch) * inverse @ rate, t, kappa


def _three() -> tuple[Array, Array, float, int, Any]:
    stored = expected("C38")
    return np.array(stored["A"]), np.array(stored["Lam"]), stored["sigma2"], stored["S"], stored


def _states() -> Iterator[tuple[str, float, SecondMoments, Any]]:
    A, rate, variance, batch, stored = _three()
    for mu in MOMENTA:
        state = second_moments(
            gaussian_regression(A, label_noise=variance), learning_rate=rate, batch_size=batch, momentum=mu
        )
        yield f"μ = {mu}", mu, state, stored[f"mu{mu}"]


@declare(
    "C38",
    "The closed form needs a learning rate that commutes",
    source=f"{PAPER}, Theorem 2 and the remark after it",
    statement="The closed form of the fluctuation with label noise needs a learning rate Λ that commutes with A.",
    formula="Σ_w = (σ^2/S)(1 + κ_μ/S) G_μ^{−1}(ΛA) Λ  only if [Λ, A] = 0",
    conditions="Gaussian features, fresh in every step; finite mean square.",
    verdict=FALSE,
    correct="It holds for every symmetric positive definite Λ, in this order of the factors: with M = A^{1/2}ΛA^{1/2} every "
    "term of the equation for A^{1/2}Σ_{w}A^{1/2} is a function of M.",
)
def commuting_is_not_needed() -> Iterator[Finding]:
    A, rate, variance, batch, _ = _three()
    commutator = float(np.abs(A @ rate - rate @ A).max())
    yield Finding("largest entry of [Λ, A]", commutator, 0.09, 1e-12, "sums of two-digit numbers", of="correct")
    for name, mu, state, stored in _states():
        formula, t, kappa = closed_form(A, rate, variance, batch, mu)
        gap = float(np.abs(formula - state.covariance).max() / np.abs(state.covariance).max())
        yield Finding(f"closed form without commuting, {name}", "holds" if gap < 1e-10 else "fails", "fails")
        yield Finding(f"Σ_w, {name}", state.covariance, formula, *SOLVED, of="correct")
        yield Finding(f"Σ_w, {name}, stored", state.covariance, stored["Sigma"], *STORED, of="correct")
        found = batch * float(np.sum(A * state.covariance)) / variance
        yield Finding(f"κ = S Tr[AΣ_w]/σ^2, {name}", found, kappa, *SOLVED, of="correct")
        yield Finding(f"κ and t, {name}, stored", [found, t], [stored["kappa"], stored["t"]], *STORED, of="correct")


@declare(
    "C43",
    "Stationary noise of labels",
    source=f"{PAPER}, Theorem 3",
    statement="The stationary noise is that of the labels, raised by the loss that the fluctuation makes.",
    formula="C = (σ^2/S)(1 + κ/S)[A + (1/S) A G_μ^{−1} Λ A] = (1/S)(AΣ_{w}A + 2L_{train}A)",
    conditions="Gaussian features, fresh in every step; finite mean square.",
    verdict=TRUE,
)
def stationary_noise() -> Iterator[Finding]:
    A, rate, variance, batch, _ = _three()
    for name, mu, state, stored in _states():
        fluctuation, _, kappa = closed_form(A, rate, variance, batch, mu)
        inverse = np.linalg.inv(gain(rate @ A, batch, mu))
        formula = variance / batch * (1 + kappa / batch) * (A + A @ inverse @ rate @ A / batch)
        yield Finding(f"C, {name}", state.noise, formula, *SOLVED)
        second = (A @ fluctuation @ A + 2 * state.train_loss * A) / batch
        yield Finding(f"C from the training loss, {name}", state.noise, second, *SOLVED)
        yield Finding(f"C, {name}, stored", state.noise, stored["C"], *STORED)


@declare(
    "C44",
    "Losses with noisy labels",
    source=f"{PAPER}, Theorem 8",
    statement="Fluctuation raises the test loss from zero, and the training loss from σ²/2 by as much.",
    formula="L_{train} = (σ^2/2)(1 + κ/S),  L_{test} = σ^{2}κ/(2S)",
    conditions="Gaussian features, fresh in every step; finite mean square.",
    verdict=TRUE,
)
def losses() -> Iterator[Finding]:
    A, rate, variance, batch, _ = _three()
    for name, mu, state, stored in _states():
        _, _, kappa = closed_form(A, rate, variance, batch, mu)
        found = [state.train_loss, state.test_loss]
        formula = [variance / 2 * (1 + kappa / batch), variance * kappa / (2 * batch)]
        yield Finding(f"L_{{train}} and L_{{test}}, {name}", found, formula, *SOLVED)
        yield Finding(
            f"L_{{train}} and L_{{test}}, {name}, stored", found, [stored["Ltrain"], stored["Ltest"]], *STORED
        )
    slow = second_moments(gaussian_regression(A, label_noise=variance), learning_rate=1e-8 * rate, batch_size=batch)
    yield Finding("L_{train}, 10^8 times smaller Λ", slow.train_loss, variance / 2, 1e-7, "of the order of Λ")
    yield Finding("L_{test}, 10^8 times smaller Λ", slow.test_loss, 0.0, 1e-8, "of the order of Λ")


@declare(
    "C46",
    "Fluctuation and losses with noisy inputs",
    source=f"{PAPER}, Theorem 9",
    statement="With noise on the features fluctuation and losses are those of label noise with K = A + B and σ_{eff}^2; the "
    "test loss is never above the training loss.",
    formula="L_{train} = (σ_{eff}^2/2)(1 + κ/S),  L_{test} = ½Tr[AΣ_w] + ½u^{⊤}BK^{−1}AK^{−1}Bu",
    conditions="Gaussian features and noise; finite mean square. The remark that Λ and K have to commute is not needed (C38).",
    verdict=TRUE,
)
def noisy_inputs() -> Iterator[Finding]:
    given, stored = expected("C45"), expected("C46")
    A, B, u = np.array(given["A"]), np.array(given["Bnoise"]), np.array(given["u"])
    K, batch = A + B, stored["S"]
    problem = gaussian_regression(A, target=u, input_noise=B)
    variance = float(u @ A @ np.linalg.solve(K, B @ u))
    bias = np.linalg.solve(K, B @ u)
    turned = np.array([[0.3, 0.1], [0.1, 0.2]])
    for mu in MOMENTA:
        for name, rate in ((f"μ = {mu}", stored["lam"] * np.eye(2)), (f"μ = {mu}, [Λ, K] ≠ 0", turned)):
            state = second_moments(problem, learning_rate=rate, batch_size=batch, momentum=mu)
            Sigma, _, kappa = closed_form(K, rate, variance, batch, mu)
            yield Finding(f"Σ_w, {name}", state.covariance, Sigma, *SOLVED)
            train = variance / 2 * (1 + kappa / batch)
            test = 0.5 * float(np.sum(A * Sigma) + bias @ A @ bias)
            yield Finding(f"L_{{train}}, {name}", state.train_loss, train, *SOLVED)
            yield Finding(f"L_{{test}}, {name}", state.test_loss, test, *SOLVED)
            yield Finding(f"L_{{test}}, {name}", state.test_loss, state.train_loss, relation="<")
        state = second_moments(problem, learning_rate=stored["lam"], batch_size=batch, momentum=mu)
        numbers = stored[f"mu{mu}"]
        yield Finding(f"Σ_w, μ = {mu}, stored", state.covariance, numbers["Sigma"], *STORED)
        stored_losses = [numbers["Ltrain"], numbers["Ltest"]]
        yield Finding(f"losses, μ = {mu}, stored", [state.train_loss, state.test_loss], stored_losses, *STORED)


def _penalised(lam: Array, a: Array, gamma: Array, u: Array, batch: int, mu: float) -> tuple[float, Array]:
    """L_test and Σ_w in the common eigenbasis."""
    k = a + gamma
    moved = gamma / k * u  # Γ'u
    G = 2 * (1 - mu) - (1 - mu) / (1 + mu) * lam * k - lam * a**2 / k / batch
    t = float(np.sum(lam * a**2 / k / G))
    r = float(np.sum(a * moved**2))
    q = float(np.sum(lam * a**3 / k / G * moved**2))
    kappa = t / (1 - t / batch)
    test = 0.5 * (1 + kappa / batch) * (r + q / batch)
    rate, pairs = np.outer(lam, lam), np.outer(a, a)
    lk = lam * k
    decay = (1 - mu) * (lk[:, None] + lk) - (1 + mu**2) / (1 - mu**2) * np.outer(lk, lk)
    decay += mu / (1 - mu**2) * (lk[:, None] ** 2 + lk**2) - rate * pairs / batch
    tau = 2 * test - r
    made = pairs * np.outer(moved, moved) + np.diag(a * (tau + r))
    return test, rate / batch * made / decay


@declare(
    "C48",
    "Test loss with a penalty",
    source=f"{PAPER}, Theorem 4",
    statement="Without label noise a penalty makes the test loss ½(1 + κ/S)(r + q/S).",
    formula="L_{test} = ½(1 + κ/S)(r + q/S),  r = Tr[AΓ'^{2}U],  q = Tr[ΛA^{3}K^{−1}G^{−1}Γ'^{2}U],  κ = t/(1 − t/S)",
    conditions="A, Γ and Λ commute; U = uu^{⊤} need not. Gaussian features; finite mean square.",
    verdict=TRUE,
)
def test_loss_with_a_penalty() -> Iterator[Finding]:
    stored = expected("C48")
    a, gamma, u, lam = (np.array(stored[key], dtype=float) for key in ("a", "gamma", "u", "lam"))
    problem = gaussian_regression(np.diag(a), l2=np.diag(gamma), target=u)
    for mu in MOMENTA:
        state = second_moments(problem, learning_rate=np.diag(lam), batch_size=stored["S"], momentum=mu)
        test, Sigma = _penalised(lam, a, gamma, u, stored["S"], mu)
        numbers = stored[f"mu{mu}"]
        yield Finding(f"L_{{test}}, μ = {mu}", state.test_loss, test, *SOLVED)
        yield Finding(f"L_{{test}}, μ = {mu}, stored", state.test_loss, numbers["Ltest"], *STORED)
        yield Finding(f"Σ_w, μ = {mu}", state.covariance, Sigma, *SOLVED)
        yield Finding(f"Σ_w, μ = {mu}, stored", state.covariance, numbers["Sigma"], *STORED)
        pulled = 0.5 * float(np.sum(np.diag(gamma) * Sigma) + problem.minimum @ np.diag(gamma) @ problem.minimum)
        yield Finding(f"L_{{train}}, μ = {mu}", state.train_loss, test + pulled, *SOLVED)
        yield Finding(f"L_{{train}}, μ = {mu}, stored", state.train_loss, numbers["Ltrain"], *STORED)
    yield Finding("L_{test} where Γ is positive, μ = 0.5", state.test_loss, state.train_loss, relation="<")
    negative = gaussian_regression(np.diag(a), l2=np.diag([-0.3, 0.1]), target=u)
    state = second_moments(negative, learning_rate=np.diag(lam), batch_size=stored["S"])
    yield Finding("L_{test} where it has a negative direction", state.test_loss, state.train_loss, relation=">")


@declare(
    "C56",
    "The damped Newton method",
    source=f"{PAPER}, Proposition 5",
    statement="Preconditioned with the inverse Hessian, the fluctuation is proportional to it.",
    formula="Σ_w = λσ^2/(g_{μ}S − λD) A^{−1},  g_μ = 2(1 − μ) − ((1 − μ)/(1 + μ) + 1/S)λ",
    conditions="Gaussian features; λD < g_{μ}S.",
    verdict=TRUE,
)
def damped_newton() -> Iterator[Finding]:
    stored = expected("C56")
    A, batch, lam, variance = np.array(stored["A"]), stored["S"], stored["lam"], stored["sigma2"]
    inverse, problem = np.linalg.inv(A), gaussian_regression(A, label_noise=variance)
    for mu in MOMENTA:
        state = second_moments(problem, learning_rate=lam * inverse, batch_size=batch, momentum=mu)
        g = 2 * (1 - mu) - ((1 - mu) / (1 + mu) + 1 / batch) * lam
        coefficient = lam * variance / (g * batch - lam * len(A))
        yield Finding(f"Σ_w, μ = {mu}", state.covariance, coefficient * inverse, *SOLVED)
        yield Finding(f"Σ_w, μ = {mu}, stored", state.covariance, stored[f"mu{mu}"]["Sigma"], *STORED)
        found = float(np.trace(A @ state.covariance) / len(A))
        yield Finding(f"its coefficient, μ = {mu}, stored", found, stored[f"mu{mu}"]["coef"], *STORED)
    limit = mean_square_limit(problem, learning_rate=inverse, batch_size=batch)
    yield Finding("limit of λ, μ = 0", limit, 2 * batch / (batch + len(A) + 1), *SOLVED)


def _natural(dim: int, batch: int, lam: float, mu: float, variance: float) -> float:
    """The positive root x of Σ_w = x/A."""
    quadratic = 2 * (1 - mu) * (1 + dim)
    linear = 2 * (1 - mu) * variance - (1 + dim) * lam / batch - (1 - mu) / (1 + mu) * lam
    return float((-linear + np.sqrt(linear**2 + 4 * quadratic * lam * variance / batch)) / (2 * quadratic))


CHAINS, STEPS, SETTLED = 20_000, 250, 50  # relaxation takes 3 steps, and chains start near the middle
SAMPLED = (0.01, "four standard errors of 4 million dependent samples, and of the stored simulation")


def _variance_of_natural_gradient(batch: int, lam: float) -> float:
    """E w² in one dimension, a = σ = 1, with the Fisher information 3w² + 1 of every w."""
    rng = np.random.default_rng(573)
    w, total = np.zeros(CHAINS), 0.0
    for step in range(STEPS):
        square = 2.0 * rng.standard_gamma(0.5 * batch, CHAINS)  # Σx² of a batch
        gradient = (square * w - np.sqrt(square) * rng.standard_normal(CHAINS)) / batch
        w = w - lam * gradient / (3.0 * w**2 + 1.0)
        if step >= SETTLED:
            total += float((w**2).mean())
    return total / (STEPS - SETTLED)


@declare(
    "C57",
    "Natural gradient descent",
    source=f"{PAPER}, Proposition 6",
    statement="Preconditioned with the inverse Fisher information, the fluctuation is x A^{−1} with x the root of a quadratic; "
    "without label noise it stays finite.",
    formula="2(1 − μ)(1 + D)x^2 + [2(1 − μ)σ^2 − (1 + D)λ/S − (1 − μ)λ/(1 + μ)]x − λσ^2/S = 0",
    conditions="The preconditioner is the mean Fisher information, frozen.",
    verdict=TRUE_IF,
    correct="With the Fisher information of every w the fluctuation is another. Without label noise the frozen "
    "preconditioner sits exactly at the limit of the mean square for every λ: a marginal mode, not a stable fluctuation.",
)
def natural_gradient() -> Iterator[Finding]:
    stored = expected("C57")
    for dim, lam, mu in ((1, 0.1, 0.0), (2, 0.5, 0.0), (2, 0.5, 0.5)):
        batch, eye = 4, np.eye(dim)
        x = _natural(dim, batch, lam, mu, 1.0)
        name = f"D = {dim}, λ = {lam}, μ = {mu}"
        problem = gaussian_regression(eye, label_noise=1.0)
        linear, constant = problem.noise_map(batch, eye)
        fisher = batch * (linear(x * eye) + constant)
        state = second_moments(problem, learning_rate=lam * np.linalg.inv(fisher), batch_size=batch, momentum=mu)
        found = float(np.trace(state.covariance) / dim)
        yield Finding(f"Σ_w, {name}, frozen", found, x, *SOLVED)
        yield Finding(
            f"Σ_w, {name}, frozen, stored", found, stored[f"D{dim}_S4_lam{lam}_mu{mu}_s21.0"]["coef"], *STORED
        )
    moving = _variance_of_natural_gradient(4, 0.5)
    claimed = _natural(1, 4, 0.5, 0.0, 1.0)
    yield Finding("Σ_w with the Fisher information of every w, D = 1, λ = 0.5", moving, claimed, *SAMPLED, of="beyond")
    sampled = stored["sim_D1_S4_lam0.5"]["position_dependent"]
    yield Finding(
        "Σ_w with the Fisher information of every w, against a longer simulation",
        moving,
        sampled,
        *SAMPLED,
        of="correct",
    )
    for dim in (2, 10):
        batch, eye, numbers = 4, np.eye(dim), stored[f"D{dim}_S4_lam0.5_mu0.0_s20.0"]
        x = _natural(dim, batch, 0.5, 0.0, 0.0)
        yield Finding(f"x without label noise, D = {dim}, stored", x, numbers["coef"], *STORED)
        problem = gaussian_regression(eye)
        linear, _ = problem.noise_map(batch, eye)
        rate = 0.5 * np.linalg.inv(batch * linear(x * eye))
        yield Finding(f"its ΛA, D = {dim}", float(rate[0, 0]), numbers["L2_limit"], *STORED, of="correct")
        factor = mean_square_limit(problem, learning_rate=rate, batch_size=batch)
        mode = "stable" if factor > 1.0 + 1e-9 else "marginal"  # 1e-12 of a root
        yield Finding(f"mean square without label noise, D = {dim}", mode, "stable", of="beyond")
        yield Finding(f"factor to the limit of the mean square, D = {dim}", factor, 1.0, *SOLVED, of="correct")


@declare(
    "C58",
    "The ratio of learning rate and batch size",
    source=f"{PAPER}, discussion of Theorem 2",
    statement="The fluctuation is not a function of λ/S alone: to second order it depends on both.",
    formula="Σ_w = (λσ^2/2S){1 + (λ/2)[(1 + 1/S)A + Tr A/S] + O(λ^2)}",
    conditions="Label noise, scalar λ; finite mean square.",
    verdict=TRUE,
)
def no_scaling_law() -> Iterator[Finding]:
    stored = expected("C58")
    a = np.array(stored["A"], dtype=float)
    problem = gaussian_regression(np.diag(a), label_noise=1.0)
    largest = []
    for batch in (1, 2, 4, 8, 16):
        state = second_moments(problem, learning_rate=stored["ratio"] * batch, batch_size=batch)
        diagonal = np.diag(state.covariance)
        largest.append(float(diagonal[0]))
        yield Finding(
            f"diagonal of Σ_w, λ/S = 0.05, S = {batch}", diagonal, stored["table"][str(batch)]["Sigma"], *STORED
        )
        lam = 1e-6
        slow = np.diag(second_moments(problem, learning_rate=lam, batch_size=batch).covariance)
        order = (slow / (lam / (2 * batch)) - 1.0) / lam
        formula = 0.5 * ((1 + 1 / batch) * a + a.sum() / batch)
        yield Finding(
            f"correction per λ, S = {batch}", order, formula, 1e-5, "λ = 10^{−6}, and round-off of 10^{−10}/λ"
        )
    yield Finding("Σ_w at one λ/S, larger S", largest[1:], largest[:-1], relation=">")
