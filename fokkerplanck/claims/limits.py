"""Claims about small steps: schedules, scaling, the diffusion that SGD is close to, and what that needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.integrate import quad

from ..sgd.quadratic import (
    epoch_shuffling,
    gaussian_regression,
    linear_chain,
    linear_sgd,
    ornstein_uhlenbeck,
    second_moments,
)
from ..solvers.hermite import chain_moments
from .claim import FALSE, TRUE_IF, Finding
from .registry import BLOG, NOTES, NOTES_B, declare, expected
from .sampling import ENUMERATED, PRINTED, WITH, WITHOUT, batches, covariance, gradients

ALGEBRA = (1e-10, "linear algebra: round-off")


@declare(
    "C09",
    "The schedule η₀/√(k + 1) and Robbins–Monro",
    source=f"{NOTES}, §1.7.4; {BLOG}, §2",
    statement="The learning rate η₀/√(k + 1) meets the conditions of Robbins and Monro.",
    formula="Σ η_k = ∞,  Σ η_k^2 < ∞",
    conditions="None.",
    verdict=FALSE,
    correct="The sum of squares grows like a logarithm. The mean square error goes to zero nevertheless, as η_k C/2h "
    "on strongly convex losses with bounded noise: the conditions are sufficient and not necessary.",
)
def schedule() -> Iterator[Finding]:
    stored, start = expected("C09"), 0.5
    k = np.arange(1, 10**6 + 1)
    decades = [float((1 / k[10**a : 10 ** (a + 1)]).sum()) for a in (4, 5)]
    yield Finding("sum of η² over a decade / over the one before", decades[1] / decades[0], 1.0, relation="<")
    yield Finding("sum of 1/k to 10^6", float((1 / k).sum()), stored["sum_eta2_N1e6"], *PRINTED, of="correct")
    error = 1.0  # E θ², from θ = 1 with h = C = 1
    for step in (start / np.sqrt(k)).tolist():
        error = (1.0 - step) ** 2 * error + step**2
    yield Finding("mean square error, k = 10^6", error, stored["mse_k1e6_eta0_half"], *PRINTED, of="correct")
    asymptotic = (1e-3, "next order: η_k = 5e-4")
    yield Finding(
        "mean square error, k = 10^6, beside η_k C/2h", error, stored["eta_k_over_2"], *asymptotic, of="correct"
    )


@declare(
    "C13",
    "Noise accumulated over a time",
    source=f"{NOTES}, eqs 19–22",
    statement="Over a time t of t/η steps the noise has the covariance tηΣ.",
    formula="Cov Σ_k ηξ_k = tηΣ",
    conditions="Independent batches of one sample, frozen θ.",
    verdict=TRUE_IF,
    correct="Batches of B give tηΣ/B. It vanishes with η at fixed t; noise multiplied by √η in place of η would give "
    "tΣ/B, and is another algorithm.",
)
def accumulated() -> Iterator[Finding]:
    g, steps, step = gradients(), 3, 0.1

    def total(size: int, scale: float) -> np.ndarray:
        noise = batches(g, size, WITH) - g.mean(axis=0)
        paths = np.array(list(product(range(len(noise)), repeat=steps if size == 1 else 2)))
        return covariance(scale * noise[paths].sum(axis=1))

    Sigma = covariance(g)
    yield Finding("Cov of the noise, B = 1, t = 0.3", total(1, step), 0.3 * step * Sigma, *ENUMERATED)
    yield Finding("Cov of the noise, B = 2, t = 0.2", total(2, step), 0.2 * step * Sigma, *ENUMERATED, of="beyond")
    yield Finding(
        "Cov of the noise, B = 2, t = 0.2, divided by B",
        total(2, step),
        0.2 * step * Sigma / 2,
        *ENUMERATED,
        of="correct",
    )
    root = total(1, math.sqrt(step))
    yield Finding("Cov with √η in place of η, t = 0.3", root, 0.3 * Sigma, *ENUMERATED, of="correct")


@declare(
    "C14",
    "The stochastic differential equation as the limit of SGD",
    source=f"{NOTES}, eq. 23",
    statement="For small learning rates SGD becomes this stochastic differential equation.",
    formula="dθ = −∇L dt + (ηΣ/B)^{1/2} dW",
    conditions="None.",
    verdict=FALSE,
    correct="The limit η → 0 is gradient flow without noise. The equation is an approximation of weak order one on "
    "times of order one. Its stationary variance is too small by a factor 1 − ηh/2; the modified loss L + (η/4)|∇L|² "
    "of order two moves it the wrong way, to 1/(1 + ηh/2), unless the noise is modified as well.",
)
def diffusion_limit() -> Iterator[Finding]:
    stored = expected("C14")
    for step in (0.01, 0.1, 0.2, 0.5):
        row, unit = stored[f"etah{step:g}"], step / 2
        chain = float(linear_sgd([[1.0]], [[1.0]], learning_rate=step).covariance[0, 0]) / unit
        flow = float(ornstein_uhlenbeck([[1.0]], [[unit]]).covariance[0, 0]) / unit
        modified = float(ornstein_uhlenbeck([[1.0 + step / 2]], [[unit]]).covariance[0, 0]) / unit
        yield Finding(f"variance of SGD / ηC/2h, ηh = {step:g}", chain, flow, *ALGEBRA)
        yield Finding(f"variance of SGD / ηC/2h, ηh = {step:g}", chain, row["exact"], *ALGEBRA, of="correct")
        yield Finding("variance of the equation", flow, row["sde1"], *ALGEBRA, of="correct")
        yield Finding("variance with the modified loss", modified, row["sme2_modified_loss"], *ALGEBRA, of="correct")
    errors = [(1.0 - step) ** round(1 / step) - math.exp(-1.0) for step in (2e-4, 1e-4)]
    order = (1e-3, "next order: η = 1e-4")
    yield Finding("error of the mean at t = 1, η = 2e-4 / 1e-4", errors[0] / errors[1], 2.0, *order, of="correct")
    problem = gaussian_regression([[1.0, 0.0], [0.0, 0.5]], label_noise=1.0)
    state = second_moments(problem, learning_rate=0.4, batch_size=2)
    K, S = problem.hessian, state.covariance
    work, heat = float(np.trace(K @ S)), 0.2 * float(np.trace(K @ S @ K + state.noise))
    yield Finding("E θ·∇L of least squares", work, stored["FDT_lhs"], *PRINTED, of="correct")
    yield Finding("(η/2) E|g_B|^2", heat, stored["FDT_rhs"], *PRINTED, of="correct")


@declare(
    "C15",
    "What the diffusion needs",
    source=f"{NOTES_B}, §2.3; {NOTES}, §2.1",
    statement="A diffusion needs the noise of every step to be normal, or batches that are large.",
    formula="ξ ~ N(0, Σ/B)",
    conditions="None.",
    verdict=FALSE,
    correct="Many small steps make the sum normal, whatever the batch: skewness falls by (1 − r²)^{3/2}/(1 − r³) and "
    "excess kurtosis by (1 − r²)²/(1 − r⁴), r = 1 − ηh. Independent draws of the index suffice; the samples need not "
    "be independent.",
)
def gaussian_steps() -> Iterator[Finding]:
    stored = expected("C15")
    z = np.array([-1.0, -1.0, -1.0, 3.0])  # variance 3
    skewness, kurtosis = float((z**3).mean()) / 3**1.5, float((z**4).mean()) / 9 - 3
    quadrature = (1e-6, "moments by Hermite polynomials: eight digits near a Gaussian")
    for step in (0.01, 0.1, 0.5):
        state = chain_moments(
            lambda theta: theta[None, :, :] - z[:, None, None],
            mean=[0.0],
            covariance=[[3.0 * step / (2.0 - step)]],
            learning_rate=step,
            batch_size=1,
        )
        factors = float(state.skewness[0]) / skewness, float(state.excess_kurtosis[0]) / kurtosis
        row = stored[f"etah{step:g}"]
        yield Finding(f"skewness of θ / of a step, ηh = {step:g}", factors[0], 1.0, *quadrature)
        yield Finding(
            f"skewness of θ / of a step, ηh = {step:g}", factors[0], row["skew_factor"], *quadrature, of="correct"
        )
        yield Finding(
            "excess kurtosis of θ / of a step", factors[1], row["excess_kurtosis_factor"], *quadrature, of="correct"
        )


@declare(
    "C31",
    "Conditions for the central limit theorem",
    source=f"{NOTES}, §5 of the first, §6 of the second",
    statement="B must stay fixed and not grow like 1/η; without replacement B/n must be small, or batches depend on "
    "each other.",
    formula="B = const,  B/n ≪ 1",
    conditions="Batches of shuffled epochs, for the dependence.",
    verdict=TRUE_IF,
    correct="Noise per time falls as η^{1+a} for B ~ η^{−a}. Batches drawn independently, each without replacement, "
    "are independent of each other for any B/n; only within a batch is there a dependence.",
)
def central_limit() -> Iterator[Finding]:
    g = gradients()
    rate = [
        step * float(np.trace(covariance(batches(g, size, WITH)))) for step, size in ((0.1, 1), (0.05, 1), (0.05, 2))
    ]
    yield Finding("noise per time, η halved, B fixed", rate[1] / rate[0], 0.5, *ENUMERATED)
    yield Finding("noise per time, η halved, B doubled", rate[2] / rate[0], 0.25, *ENUMERATED)
    noise = batches(g, 3, WITHOUT) - g.mean(axis=0)
    between = float(np.einsum("ai,bi->ab", noise, noise).mean())  # trace over two independent batches
    epoch = float(-np.trace(np.cov(g.T)) / 6)
    pairs = [(noise[k], noise[-1 - k]) for k in range(len(noise))]  # a batch of three and the three others
    yield Finding(
        "covariance of the two batches of an epoch, B/n = 1/2",
        float(np.mean([a @ b for a, b in pairs])),
        epoch,
        *ENUMERATED,
    )
    yield Finding("covariance of two independent batches, B/n = 1/2", between, epoch, *ENUMERATED, of="beyond")
    yield Finding("covariance of two independent batches, B/n = 1/2", between, 0.0, *ENUMERATED, of="correct")


@declare(
    "C34",
    "Correlated noise and the Wiener limit",
    source=f"{NOTES_B}, §2.3",
    statement="Noise whose autocorrelation decays acts like white noise in the limit of small steps.",
    formula="D_{eff} = (η/2) Σ_k C(k)",
    conditions="The sum over all lags converges, and is not zero.",
    verdict=TRUE_IF,
    correct="Over shuffled epochs the sum is exactly zero, and the leading white noise vanishes. Long memory gives "
    "fractional noise, with the variance σ²Γ(2H + 1)/(2h^{2H}).",
)
def correlated_noise() -> Iterator[Finding]:
    step, memory = 1e-4, 0.5  # ξ' = ξ/2 + ε: C(k) = (4/3)/2^|k|, which adds up to 4
    chain = linear_chain([[1.0 - step, -step], [0.0, memory]], [[0.0, 0.0], [0.0, 1.0]])
    total = 1.0 / (1.0 - memory) ** 2
    order = (1e-3, "next order: η = 1e-4")
    yield Finding("variance / (η/2h), autoregressive noise", float(chain.covariance[0, 0]) / (step / 2), total, *order)
    epochs = epoch_shuffling([[1.0]], [[1.0]], n=1000, batch_size=10, learning_rate=0.001)
    ratio = float(epochs.boundary[0, 0] / epochs.independent[0, 0])
    yield Finding(
        "variance with epochs / with independent batches, ηh = 0.001, M = 100", ratio, 1.0, 0.1, "100 η h", of="beyond"
    )
    stored = expected("C33")["ratio_M100_etah0.001"]["boundary"]
    yield Finding(
        "variance with epochs / with independent batches, ηh = 0.001, M = 100",
        ratio,
        stored,
        1e-9,
        "the stored number lost digits to cancellation",
        of="correct",
    )
    for H in (0.3, 0.5, 0.7):
        front = math.gamma(2 * H + 1) * math.sin(math.pi * H) / math.pi
        # the spectrum |ω|^{1−2H}/(1 + ω²) on (0, 1), and on (1, ∞) with ω → 1/ω
        halves = (
            quad(lambda w: 1 / (1 + w * w), 0.0, 1.0, weight="alg", wvar=(a, 0.0)) for a in (1 - 2 * H, 2 * H - 1)
        )
        variance, printed = front * sum(value for value, _ in halves), expected("OQ_fOU")[f"H{H:g}_h1_s1"]
        yield Finding(f"variance with fractional noise, H = {H:g}", variance, printed, 1e-8, "quadrature", of="correct")
