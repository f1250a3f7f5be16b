"""Claims about the noise of a minibatch gradient in linear regression: labels, features, penalty.

Decided by Gauss–Hermite quadrature, which is exact for the moments of Gaussian features that these formulas consist of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..grid import Array
from ..sgd.quadratic import batch_factor, gaussian_regression, second_moments
from .claim import FALSE, TRUE, Finding
from .registry import PAPER, declare, expected
from .sampling import ENUMERATED, WITH, WITHOUT, batches, covariance, gradients

QUADRATURE = (1e-12, "three nodes an axis integrate these polynomials: round-off")
STORED = (1e-11, "the number is stored to 16 digits; round-off of both sides")
SOLVED = (1e-11, "a linear system: round-off times its condition")


def _average(*covariances: Any) -> tuple[list[Array], Array]:
    """Points, one array (d, n) for each covariance, and weights of an average over independent normal vectors."""
    roots = [np.linalg.cholesky(np.atleast_2d(np.asarray(C, dtype=float))) for C in covariances]
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)  # exact to degree five; gg^T is of degree four
    dim = sum(len(root) for root in roots)
    z = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij")).reshape(dim, -1)
    weight = np.prod(np.meshgrid(*[weights / weights.sum()] * dim, indexing="ij"), axis=0).ravel()
    ends = np.cumsum([len(root) for root in roots])
    return [root @ z[end - len(root) : end] for root, end in zip(roots, ends, strict=True)], weight


def _covariance(samples: Array, weight: Array) -> Array:
    centred = samples - (samples @ weight)[:, None]
    return np.asarray((centred * weight) @ centred.T)


def _label_noise(A: Any, delta: Any, variance: float) -> Array:
    """Covariance of one gradient x(x·δ − ε), by quadrature."""
    (x, noise), weight = _average(A, [[max(variance, 1.0)]])  # of no effect where the variance is zero
    epsilon = noise[0] * np.sqrt(variance / max(variance, 1.0))
    return _covariance(x * (np.asarray(delta) @ x - epsilon), weight)


@declare(
    "C39",
    "Noise with and without replacement",
    source=f"{PAPER}, Proposition 1 and its proof",
    statement="The covariance of a minibatch gradient is the spread of the sample gradients over S, times (N − S)/(N − 1) "
    "without replacement; the two coincide only for S = 1 or N → ∞.",
    formula="C = (1/S)[(1/N) Σ_i ∇ℓ_i ∇ℓ_i^{⊤} − ∇L∇L^{⊤}],  times (N − S)/(N − 1)",
    conditions="Batches are drawn independently of each other.",
    verdict=TRUE,
)
def two_ways_of_drawing() -> Iterator[Finding]:
    g = gradients()
    N = len(g)
    spread = g.T @ g / N - np.outer(g.mean(axis=0), g.mean(axis=0))
    for S in (1, 2, 3):
        yield Finding(f"C, S = {S}, with replacement", covariance(batches(g, S, WITH)), spread / S, *ENUMERATED)
        claimed = (N - S) / (S * (N - 1)) * spread
        yield Finding(f"C, S = {S}, without", covariance(batches(g, S, WITHOUT)), claimed, *ENUMERATED)
    S = 2
    for sampling, name, own, cross in (
        (WITH, "with replacement", S / N * (1 - 1 / N), -S / N**2),
        (WITHOUT, "without", S / N * (1 - S / N), -S * (N - S) / (N**2 * (N - 1))),
    ):
        counts = covariance(S * batches(np.eye(N), S, sampling))
        formula = cross * np.ones((N, N)) + (own - cross) * np.eye(N)
        yield Finding(f"covariance of how often each sample is drawn, {name}", counts, formula, *ENUMERATED)
    many = batch_factor(S, 10**9, WITHOUT)
    yield Finding("factor without replacement, N = 10^9", many, 1 / S, 1e-8, "(S − 1)/(N − 1) is left")


@declare(
    "C41",
    "Noise of labels",
    source=f"{PAPER}, Lemma 1",
    statement="With noisy labels the gradient noise has three parts: one along the error, one proportional to the loss that "
    "the error makes, and one of the labels.",
    formula="C = (1/S)[Aδδ^{⊤}A + (δ^{⊤}Aδ + σ^2)A],  δ = w − u",
    conditions="Gaussian features, fresh in every step.",
    verdict=TRUE,
)
def noise_of_labels() -> Iterator[Finding]:
    stored = expected("C41")
    A, delta, variance = np.array(stored["A"]), np.array(stored["delta"]), stored["sigma2"]
    found = _label_noise(A, delta, variance)
    formula = np.outer(A @ delta, A @ delta) + (delta @ A @ delta + variance) * A
    yield Finding("SC", found, formula, *QUADRATURE)
    yield Finding("SC, stored", found, stored["SC"], *STORED)
    packaged = gaussian_regression(A, label_noise=variance).noise_covariance(delta, batch_size=3)
    yield Finding("C of GaussianRegression, S = 3", packaged, formula / 3, *QUADRATURE)


@declare(
    "C45",
    "Noise of inputs",
    source=f"{PAPER}, Proposition 9",
    statement="Noise on the features acts as noise on the labels of variance σ_{eff}^2 with the features that are seen.",
    formula="C = (1/S)(KΣ_{w}K + Tr[KΣ_w]K + σ_{eff}^2 K),  K = A + B,  σ_{eff}^2 = u^{⊤}AK^{−1}Bu",
    conditions="Gaussian features and noise, fresh in every step.",
    verdict=TRUE,
)
def noise_of_inputs() -> Iterator[Finding]:
    stored = expected("C45")
    A, B = np.array(stored["A"]), np.array(stored["Bnoise"])
    u, delta = np.array(stored["u"]), np.array(stored["delta"])
    K = A + B
    minimum = np.linalg.solve(K, A @ u)
    (x, noise), weight = _average(A, B)
    seen = x + noise
    residual = minimum @ seen - u @ x
    variance = float(residual**2 @ weight)
    formula = float(u @ A @ np.linalg.solve(K, B @ u))
    yield Finding("σ_{eff}^2", variance, formula, *QUADRATURE)
    yield Finding("σ_{eff}^2, stored", variance, stored["sigma_eff2"], *STORED)
    yield Finding("residual times feature at the minimum", (seen * residual) @ weight, np.zeros(2), *QUADRATURE)
    found = _covariance(seen * ((minimum + delta) @ seen - u @ x), weight)
    yield Finding("SC", found, np.outer(K @ delta, K @ delta) + (delta @ K @ delta + formula) * K, *QUADRATURE)
    yield Finding("SC, stored", found, stored["SC"], *STORED)
    packaged = gaussian_regression(A, target=u, input_noise=B).noise_covariance(minimum + delta, batch_size=1)
    yield Finding("C of GaussianRegression, S = 1", packaged, found, *QUADRATURE)


@declare(
    "C47",
    "Noise of a penalty",
    source=f"{PAPER}, Proposition 3",
    statement="An L2 penalty moves the minimum to where samples disagree, and so makes noise without any on the labels.",
    formula="C = (1/S)(AΣ_{w}A + Tr[AΣ_w]A + Tr[AΓ'UΓ'^{⊤}]A + AΓ'UΓ'^{⊤}A),  Γ' = (A + Γ)^{−1}Γ,  U = uu^{⊤}",
    conditions="Gaussian features, fresh in every step; no label noise.",
    verdict=TRUE,
)
def noise_of_a_penalty() -> Iterator[Finding]:
    stored = expected("C47")
    A, Gamma, u = np.array(stored["A"]), np.array(stored["Gamma"]), np.array(stored["u"])
    found = _label_noise(A, np.array(stored["w"]) - u, 0.0)  # the penalty is the same in every sample
    yield Finding("SC at one w, stored", found, stored["SC"], *STORED)
    problem = gaussian_regression(A, target=u, l2=Gamma)
    shift = np.linalg.solve(A + Gamma, Gamma) @ u
    at_minimum = float(shift @ A @ shift) * A + np.outer(A @ shift, A @ shift)
    yield Finding("SC at the minimum", _label_noise(A, problem.minimum - u, 0.0), at_minimum, *QUADRATURE)
    state = second_moments(problem, learning_rate=0.3, batch_size=2)
    S = state.covariance
    mean = (A @ S @ A + np.sum(A * S) * A + at_minimum) / 2
    yield Finding("stationary mean of C, λ = 0.3, S = 2", state.noise, mean, *SOLVED)


def _penalised() -> tuple[Array, Array, Array, Array]:
    """A, w*, exact S C at w*, and what Theorem 5 has for it."""
    stored = expected("C51")
    A, Gamma, u = np.diag(stored["A"]).astype(float), np.diag(stored["Gamma"]), np.array(stored["u"], dtype=float)
    return _expansion(A, Gamma, u)


def _expansion(A: Array, Gamma: Array, u: Array) -> tuple[Array, Array, Array, Array]:
    minimum = gaussian_regression(A, target=u, l2=Gamma).minimum
    delta = minimum - u
    exact = gaussian_regression(A, target=u, l2=Gamma).noise_covariance(minimum, batch_size=1)
    slope = A @ delta  # −Γw*
    return A, Gamma @ minimum, exact, float(delta @ A @ delta) * A - np.outer(slope, slope)


@declare(
    "C51",
    "Noise from the loss and its slope",
    source=f"{PAPER}, Theorem 5",
    statement="Near a minimum the noise is the loss times the Hessian, less the square of the slope; for the penalised minimum "
    "this agrees with the exact result.",
    formula="C = (2L/S)H_0 − (1/S)∇L∇L^{⊤} + O(S^{−2})",
    conditions="Σ_w = O(1/S); |L − ℓ_i| small.",
    verdict=FALSE,
    correct="The sample losses of Gaussian regression scatter as χ², so the condition is never met. The exact noise at the "
    "minimum has +Γw*w*^{⊤}Γ where Theorem 5 has −Γw*w*^{⊤}Γ; only the term 2LH_0/S is right, which dominates "
    "in many dimensions.",
)
def loss_times_hessian() -> Iterator[Finding]:
    stored = expected("C51")
    A, pull, _, claimed = _penalised()
    u = np.array(stored["u"], dtype=float)
    problem = gaussian_regression(A, target=u, l2=np.diag(stored["Gamma"]))
    found = _label_noise(A, problem.minimum - u, 0.0)
    yield Finding("SC at the penalised minimum", found, claimed, *QUADRATURE)
    yield Finding("SC, exact, stored", found, stored["exact_SC"], *STORED, of="correct")
    yield Finding("SC of Theorem 5, stored", claimed, stored["thm5_SC"], *STORED, of="correct")
    yield Finding(
        "half of the difference, +Γw*w*^{⊤}Γ", 0.5 * (found - claimed), np.outer(pull, pull), *STORED, of="correct"
    )
    error = float(np.linalg.norm(claimed - found) / np.linalg.norm(found))
    yield Finding("relative error", error, stored["rel_frob_err"], *STORED, of="correct")
    _, _, one, none = _expansion(np.eye(1), np.array([[0.2]]), np.ones(1))
    yield Finding("SC in one dimension, Γ = 0.2", one, none, *QUADRATURE)
    yield Finding(
        "SC in one dimension, Γ = 0.2, 2(aγ'u)^2", float(one[0, 0]), 2 * (0.2 / 1.2) ** 2, *QUADRATURE, of="correct"
    )
    for d in (10, 100):
        _, _, many, leading = _expansion(np.eye(d), 0.2 * np.eye(d), np.ones(d))
        missing = float(1 - np.trace(leading) / np.trace(many))
        yield Finding(f"missing of the trace, {d} isotropic dimensions", missing, 2 / (d + 1), *STORED, of="correct")


@declare(
    "C52",
    "Noise at three kinds of minima",
    source=f"{PAPER}, Corollary 2, eqs 15–17",
    statement="The noise is set by the penalty, by the loss at the minimum, or, where that is zero, by the fluctuation itself.",
    formula="(15) (1/S)(2L_{0}H_0 − Γw*w*^{⊤}Γ),  (16) (2L_0/S)K,  (17) (1/S)(Tr[KΣ_w]K − KΣ_{w}K)",
    conditions="As C51.",
    verdict=FALSE,
    correct="(16) is exact. (15) and (17) have the rank-one term, KΣ_{w}K, with the wrong sign; (17) misses a share 2/(D + "
    "1) of the noise of D isotropic dimensions.",
)
def three_kinds_of_minima() -> Iterator[Finding]:
    A, pull, exact, _ = _penalised()
    misfit = exact - np.outer(pull, pull)  # 2L_0 H_0
    yield Finding("(15): S C", exact, misfit - np.outer(pull, pull), *STORED)
    loss = float(np.trace(misfit) / np.trace(A) / 2)
    yield Finding("(15) with the other sign", exact, 2 * loss * A + np.outer(pull, pull), *STORED, of="correct")
    label = gaussian_regression(A, label_noise=0.7)
    noise = label.noise_covariance(label.minimum, batch_size=1)
    yield Finding("(16): S C", noise, 2 * label.train_loss(np.zeros((3, 3))) * A, *STORED, of="correct")
    for d in (1, 2, 10, 100):
        K = np.eye(d)
        made, _ = gaussian_regression(K).noise_map(1, K)  # by a fluctuation proportional to 1/K
        exact_noise, claimed = made(K), d * K - K
        error = float(np.linalg.norm(claimed - exact_noise) / np.linalg.norm(exact_noise))
        yield Finding(f"(17): relative error, {d} isotropic dimensions", error, 0.0, *STORED)
        yield Finding(
            f"(17): relative error, {d} isotropic dimensions, stored",
            error,
            expected("C52")[f"eq17_rel_err_D{d}"],
            *STORED,
            of="correct",
        )
