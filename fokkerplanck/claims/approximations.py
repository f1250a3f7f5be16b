"""Claims about limits: small steps, large batches, many parameters. Decided by how the exact fluctuation approaches them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..grid import Array
from ..sgd.quadratic import data_regression, gaussian_regression, linear_sgd, ornstein_uhlenbeck, second_moments
from .claim import TRUE, TRUE_IF, Finding
from .gradient_noise import SOLVED, STORED
from .registry import PAPER, declare, expected

LIMIT = (1e-6, "what is left is of the order of 1/S or λ, 10^{−7}")


@declare(
    "C42",
    "Noise taken for the Hessian",
    source=f"{PAPER}, Appendix B",
    statement="With the noise replaced by σ²H/S the fluctuation is λ/S (2 − λA)^{−1}, and λ/2S in continuous time: limits of "
    "the exact one for large batches, and then small steps. With a penalty the replacement fails badly.",
    formula="Σ_w → (λσ^2/S)(2 − λA)^{−1} for S → ∞,  → (λσ^2/2S) I for λ → 0",
    conditions="Label noise, scalar λ, no momentum.",
    verdict=TRUE,
)
def hessian_for_noise() -> Iterator[Finding]:
    stored = expected("C42")["B1"]
    a, batch, lam, variance = np.array(stored["a"]), stored["S"], stored["lam"], float(stored["sigma2"])
    A = np.diag(a)
    problem = gaussian_regression(A, label_noise=variance)

    def diagonal(lam: float, batch: int) -> Array:
        return np.diag(second_moments(problem, learning_rate=lam, batch_size=batch).covariance)

    huge = 10**8
    yield Finding("S Σ_w, S = 10^8", huge * diagonal(lam, huge), lam * variance / (2 - lam * a), *LIMIT)
    slow = 1e-7
    yield Finding("Σ_w/λ, λ = 10^{−7}", diagonal(slow, batch) / slow, variance / (2 * batch) * np.ones(2), *LIMIT)
    discrete = linear_sgd(A, variance * A / batch, learning_rate=lam).covariance
    continuous = ornstein_uhlenbeck(A, 0.5 * lam / batch * variance * A).covariance
    yield Finding("Σ_w with the noise of the Hessian", np.diag(discrete), stored["Sigma_hess_disc"], *STORED)
    flat = [stored["Sigma_hess_cont"]] * 2
    yield Finding("Σ_w with the noise of the Hessian, continuous time", np.diag(continuous), flat, *STORED)
    exact = second_moments(problem, learning_rate=lam, batch_size=batch)
    losses = [exact.test_loss, 0.5 * float(np.sum(A * discrete)), 0.5 * float(np.sum(A * continuous))]
    kept = [stored[key] for key in ("Ltest_exact", "Ltest_disc", "Ltest_cont")]
    yield Finding("L_{test}: exact, Hessian, continuous", losses, kept, *STORED)

    stored = expected("C42")["B3"]
    a, gamma, u = (np.array(stored[key]) for key in ("a", "gamma", "u"))
    batch, lam, K = stored["S"], stored["lam"], np.diag(a + gamma)
    problem = gaussian_regression(np.diag(a), l2=np.diag(gamma), target=u)
    penalised = second_moments(problem, learning_rate=lam, batch_size=batch)
    frozen = linear_sgd(K, problem.noise_covariance(problem.minimum, batch_size=batch), learning_rate=lam).covariance
    hessian = linear_sgd(K, K / batch, learning_rate=lam).covariance
    for name, Sigma, key in (
        ("exact", penalised.covariance, "exact"),
        ("noise of the minimum", frozen, "largeS"),
        ("noise of the Hessian", hessian, "hess"),
    ):
        yield Finding(f"Σ_w with a penalty: {name}", np.diag(Sigma), stored[f"Sigma_{key}"], *STORED)
        yield Finding(f"L_{{test}} with a penalty: {name}", problem.test_loss(Sigma), stored[f"Ltest_{key}"], *STORED)
    twice = 2.0 * penalised.test_loss
    yield Finding(
        "L_{test} of the Hessian, against twice the exact one", problem.test_loss(hessian), twice, relation=">"
    )


# The stored ratio at λ = 0.1 comes from an iteration that stopped 3.6e-10 short of its limit.
ITERATED = (1e-9, "the stored numbers are from an iteration that stopped at 4·10^{−10}")


@declare(
    "C53",
    "The fluctuation to first order",
    source=f"{PAPER}, Corollary 3",
    statement="To first order in λ and 1/S the fluctuation is given by the loss at the minimum, the penalty, and the Hessian.",
    formula="Γ ≠ 0: Σ_w = Λ/(2(1 − μ)S) (H_0 + Γ)^{−1}(2L_{0}H_0 − Γw*w*^{⊤}Γ);  "
    "Γ = 0: Σ_w = L_{0}Λ/((1 − μ)S);  L_0 = 0: Σ_w = 0",
    conditions="No penalty, Γ = 0; finite mean square.",
    verdict=TRUE_IF,
    correct="With a penalty the sign of the rank-one term is wrong, as in C51, and entries off the diagonal have k_i + k_j "
    "for 2k_i: (Σ_w)_{ij} = λ(2L_{0}H_0 + Γw*w*^{⊤}Γ)_{ij}/((1 − μ)S(k_i + k_j)).",
)
def first_order() -> Iterator[Finding]:
    stored = expected("C53")
    problem = gaussian_regression(np.diag([1.0, 0.5]), label_noise=1.0)
    for lam in (0.1, 0.01, 0.001):
        exact = np.diag(second_moments(problem, learning_rate=lam, batch_size=2).covariance)
        ratio = exact / (0.5 * lam / 2)  # L_0 = ½
        yield Finding(
            f"exact / first order, λ = {lam}, stored", ratio, stored[f"exact_over_cor3_lam{lam}_S2"], *ITERATED
        )
    for mu in (0.0, 0.5):
        slow = second_moments(problem, learning_rate=1e-7, batch_size=2, momentum=mu).covariance
        yield Finding(f"Σ_w/λ, λ = 10^{{−7}}, μ = {mu}", slow / 1e-7, 0.5 / ((1 - mu) * 2) * np.eye(2), *LIMIT)
    fitted = second_moments(gaussian_regression(np.diag([1.0, 0.5])), learning_rate=0.1, batch_size=2)
    yield Finding("Σ_w without label noise or penalty", fitted.covariance, np.zeros((2, 2)), 1e-15, "round-off")

    A, Gamma = np.diag([1.0, 2.0, 0.5]), np.diag([0.3, 0.2, 0.4])
    penalised = gaussian_regression(A, target=[1.0, -1.0, 2.0], l2=Gamma)
    pull, gap = Gamma @ penalised.minimum, penalised.minimum - penalised.target
    misfit, k = float(gap @ A @ gap) * A, np.diag(A + Gamma)
    slow = second_moments(penalised, learning_rate=1e-7, batch_size=10**7).covariance * 1e14
    claimed = 0.5 * (misfit - np.outer(pull, pull)) / k[:, None]
    yield Finding("S Σ_w/λ with a penalty, diagonal", np.diag(slow), np.diag(claimed), *LIMIT, of="beyond")
    correct = (misfit + np.outer(pull, pull)) / (k[:, None] + k)
    yield Finding("S Σ_w/λ with a penalty", slow, correct, *LIMIT, of="correct")


SETS = 6
# One data set of 200 parameters scatters by 0.008, and the mean of 20 falls short by 1/D.
MANY = (0.012, "1/D is 0.005, and two standard errors of 6 data sets are 0.007")


@declare(
    "C54",
    "As many samples as parameters",
    source=f"{PAPER}, Proposition 4 and Theorem 6",
    statement="With fixed data, N samples and D parameters, both large, fluctuation follows from the spectrum of the sample "
    "covariance Â; with fewer samples than parameters there is none.",
    formula="Tr[ÂΣ_w] = (σ^2/S)(1 − 1/α)_{+} κ̂,  κ̂ = t̂/(1 − t̂/S),  t̂ = Tr[λÂ(2 − λÂ)^{−1}],  α = N/D",
    conditions="N, D → ∞ at fixed α; finite mean square. σ²(1 − 1/α) stands for the residual, which scatters by N^{−1/2}.",
    verdict=TRUE,
)
def many_parameters() -> Iterator[Finding]:
    rng = np.random.default_rng(54)
    N, D, lam, S = 400, 200, 0.06, 20
    ratios, residuals = [], []
    for _ in range(SETS):
        X = rng.normal(size=(N, D))
        problem = data_regression(X, X @ rng.normal(size=D) + rng.normal(size=N))
        A = problem.hessian
        residual = 2 * problem.train_loss(np.zeros((D, D)))
        eigenvalues = np.linalg.eigvalsh(A)
        t = float(np.sum(lam * eigenvalues / (2 - lam * eigenvalues)))
        state = second_moments(problem, learning_rate=lam, batch_size=S)
        ratios.append(float(np.sum(A * state.covariance)) / (residual / S * t / (1 - t / S)))
        residuals.append(residual)
    yield Finding("exact / formula with the realised residual, N = 400, D = 200", float(np.mean(ratios)), 1.0, *MANY)
    spread = float(abs(np.mean(residuals) / (1 - D / N) - 1.0))
    yield Finding("residual against σ^2(1 − 1/α)", spread, 4 * np.sqrt(2 / (N - D) / SETS), relation="<")
    X = rng.normal(size=(30, 60))
    _, _, V = np.linalg.svd(X, full_matrices=False)
    inside = data_regression(
        X @ V.T, X @ rng.normal(size=60) + rng.normal(size=30)
    )  # where the data have any curvature
    state = second_moments(inside, learning_rate=0.06, batch_size=20)
    yield Finding(
        "Σ_w where there is curvature, N = 30, D = 60", state.covariance, np.zeros((30, 30)), 1e-20, "round-off²"
    )


@declare(
    "C61",
    "Isotropic noise, and noise like the Hessian",
    source=f"{PAPER}, §3",
    statement="In continuous time isotropic noise makes a fluctuation proportional to the inverse Hessian, and noise "
    "proportional to the Hessian an isotropic one.",
    formula="C = cI ⇒ Σ_w = (λc/2) H^{−1},  C = cH ⇒ Σ_w = (λc/2) I",
    conditions="Small λ; discrete steps have λc[H(2 − λH)]^{−1} and λc(2 − λH)^{−1}.",
    verdict=TRUE,
)
def two_kinds_of_noise() -> Iterator[Finding]:
    H, c, lam = np.array([[2.0, 0.5], [0.5, 0.8]]), 0.3, 0.2
    eye, inverse = np.eye(2), np.linalg.inv(H)
    flow = [ornstein_uhlenbeck(H, 0.5 * lam * c * noise).covariance for noise in (eye, H)]
    yield Finding("Σ_w, C = cI, continuous", flow[0], 0.5 * lam * c * inverse, *SOLVED)
    yield Finding("Σ_w, C = cH, continuous", flow[1], 0.5 * lam * c * eye, *SOLVED)
    left = np.linalg.inv(2 * eye - lam * H)
    steps = [linear_sgd(H, c * noise, learning_rate=lam).covariance for noise in (eye, H)]
    yield Finding("Σ_w, C = cI, steps", steps[0], lam * c * left @ inverse, *SOLVED)
    yield Finding("Σ_w, C = cH, steps", steps[1], lam * c * left, *SOLVED)
    slow = [linear_sgd(H, c * noise, learning_rate=1e-7).covariance / 1e-7 for noise in (eye, H)]
    yield Finding("Σ_w/λ, C = cI, λ = 10^{−7}", slow[0], 0.5 * c * inverse, *LIMIT)
    yield Finding("Σ_w/λ, C = cH, λ = 10^{−7}", slow[1], 0.5 * c * eye, *LIMIT)
