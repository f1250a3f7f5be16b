"""Claims about minibatches as random subsets: their variance, its bounds and its side remarks. Decided by enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from ..grid import Array
from ..sgd.quadratic import batch_factor, epoch_shuffling, minibatch_covariance
from .claim import FALSE, TRUE, TRUE_IF, Finding
from .registry import BLOG, TALK, declare, expected
from .sampling import ENUMERATED, PRINTED, STORED, WITH, WITHOUT, batches, covariance, gradients

SIZES = (1, 2, 3, 6)


def _error(g: Array, size: int, sampling: str) -> float:
    """E|g_M − ∇F|² over all batches."""
    return float(((batches(g, size, sampling) - g.mean(axis=0)) ** 2).sum(axis=1).mean())


def _variances(g: Array) -> tuple[float, float]:
    """Of one sample: normalised by N, and by N − 1."""
    squares = float(((g - g.mean(axis=0)) ** 2).sum())
    return squares / len(g), squares / (len(g) - 1)


@declare(
    "C64",
    "The variance of a minibatch is below σ²/M",
    source=f"{BLOG}, §2.1",
    statement="The mean square error of a minibatch gradient is at most that of one sample, divided by M.",
    formula="E|g^{(M)} − ∇F|^2 ≤ σ^2/M",
    conditions="Independent draws; for a finite data set σ² is normalised by N.",
    verdict=TRUE,
)
def bound() -> Iterator[Finding]:
    g = gradients()
    variance, larger = _variances(g)
    for M in SIZES:
        found = _error(g, M, WITH)
        yield Finding(f"E|g − ∇F|^2, M = {M}, with replacement", found, variance / M, *ENUMERATED)
        kept = expected("C02")[f"trace_with_B{M}"]
        yield Finding(f"E|g − ∇F|^2, M = {M}, with replacement, stored", found, kept, *STORED)
        yield Finding(f"E|g − ∇F|^2, M = {M}, below S^2/M", found, larger / M, relation="<")
    several = [_error(g, M, WITHOUT) for M in SIZES[1:]]
    yield Finding("E|g − ∇F|^2 without replacement", several, [variance / M for M in SIZES[1:]], relation="<")


@declare(
    "C65",
    "The finite-population correction",
    source=f"{BLOG}, §2.2",
    statement="The mean square error of the gradient of a random subset of M is S²/M times 1 − M/N.",
    formula="E|g^{(M)} − ∇F|^2 = (1/M)(1 − M/N) Σ_i |g_i − ∇F|^2/(N − 1)",
    conditions="One uniformly random subset.",
    verdict=TRUE,
)
def correction() -> Iterator[Finding]:
    g, stored = gradients(), expected("C04")
    N = len(g)
    _, variance = _variances(g)
    for M in SIZES:
        found = _error(g, M, WITHOUT)
        yield Finding(f"E|g − ∇F|^2, M = {M}", found, (1 - M / N) / M * variance, *ENUMERATED)
        yield Finding(f"E|g − ∇F|^2, M = {M}, stored", found, stored[f"trace_without_B{M}"], *PRINTED)
        drawn = M * batches(np.eye(N), M, WITHOUT)
        pairs = drawn.T @ drawn / len(drawn)
        chance = M * (M - 1) / (N * (N - 1)) * np.ones((N, N))
        np.fill_diagonal(chance, M / N)
        yield Finding(f"chances of one sample and of two, M = {M}", pairs, chance, *ENUMERATED)


@declare(
    "C66",
    "Side remarks on the finite-population correction",
    source=f"{BLOG}, §2.2",
    statement="The factor 1 − M/N lies between 0 and 1, the end 1 included; it is 1 for M = 1; and it is the variance without "
    "replacement in units of that with replacement.",
    formula="1 − M/N ∈ (0, 1],  M = 1 ⇒ 1 − M/N = 1,  Var_{without}/Var_{with} = 1 − M/N",
    conditions="None.",
    verdict=FALSE,
    correct="The factor lies in [0, 1): it is 0 for M = N and 1 − 1/N for M = 1. With replacement the variance is (N − 1)/N "
    "S²/M, so that the ratio is (N − M)/(N − 1).",
)
def side_remarks() -> Iterator[Finding]:
    g, stored = gradients(), expected("C66")
    N = len(g)
    _, variance = _variances(g)
    factors = [M * _error(g, M, WITHOUT) / variance for M in SIZES]
    ratios = [_error(g, M, WITHOUT) / _error(g, M, WITH) for M in SIZES]
    yield Finding("ratios for M = 1, 2, 3, 6", ratios, [1 - M / N for M in SIZES], *ENUMERATED)
    end = "above zero" if factors[-1] > 1e-12 else "zero"  # round-off
    yield Finding("factor of the full batch", end, "above zero")
    yield Finding("factor for M = 1, N = 6", factors[0], 1.0, *ENUMERATED)
    kept = [stored[f"one_minus_B_over_n_B{M}"] for M in SIZES]
    yield Finding("factors for M = 1, 2, 3, 6", factors, kept, *PRINTED, of="correct")
    yield Finding("S^2", variance, stored["S2_trace"], *PRINTED, of="correct")
    kept = [stored[f"ratio_without_over_with_B{M}"] for M in SIZES]
    yield Finding("ratios for M = 1, 2, 3, 6, stored", ratios, kept, *STORED, of="correct")
    yield Finding("ratios (N − M)/(N − 1)", ratios, [(N - M) / (N - 1) for M in SIZES], *ENUMERATED, of="correct")


@declare(
    "C67",
    "Shuffled epochs have the finite-population correction",
    source=f"{BLOG}, §2.2, on PyTorch's loader",
    statement="Minibatches of a shuffled pass over the data are described by the finite-population correction.",
    formula="Cov g^{(M)} = (N − M)/(N − 1) · Σ/M",
    conditions="One step at a time.",
    verdict=TRUE_IF,
    correct="Two batches of an epoch covary as −S²/N, and the noise of an epoch sums to zero. The stationary variance is "
    "smaller than that formula says, by a factor of the order of the relaxation per epoch.",
)
def shuffled_epochs() -> Iterator[Finding]:
    g = gradients() - gradients().mean(axis=0)
    N, M = len(g), 2
    orders = np.array(list(permutations(range(N))))
    epochs = g[orders].reshape(len(orders), N // M, M, 2).mean(axis=2)
    Sigma = covariance(g)
    for step in range(N // M):
        claimed = minibatch_covariance(Sigma, batch_size=M, n=N, sampling=WITHOUT)
        yield Finding(
            f"Cov of batch {step + 1} of an epoch, N = 6, M = 2", covariance(epochs[:, step]), claimed, *ENUMERATED
        )
    cross = np.einsum("ki,kj->ij", epochs[:, 0], epochs[:, 2]) / len(epochs)
    yield Finding("Cov of the first batch with the third", cross, np.zeros((2, 2)), *ENUMERATED, of="beyond")
    kept = expected("C32")["minus_S2_over_n"]
    yield Finding("Cov of the first batch with the third, −S^2/N", cross, kept, *PRINTED, of="correct")
    n, B, rate = 20, 2, 0.01
    stored = expected("C33")["n20_B2_eta0.01_h1_S2=1"]
    state = epoch_shuffling([[1.0]], [[(n - 1) / n]], n=n, batch_size=B, learning_rate=rate)
    independent = rate**2 * batch_factor(B, n, WITHOUT) * (n - 1) / n / (1 - (1 - rate) ** 2)
    name = "stationary variance, mean over an epoch, N = 20, M = 2, ηh = 0.01"
    yield Finding(name, float(state.mean[0, 0]), independent, *ENUMERATED, of="beyond")
    found = [float(state.mean[0, 0]), float(state.independent[0, 0])]
    yield Finding(
        f"{name}, and of independent batches", found, [stored["epoch_mean"], independent], *PRINTED, of="correct"
    )
    yield Finding(
        "stationary variance of independent batches", independent, stored["iid_without"], *PRINTED, of="correct"
    )


@declare(
    "C68",
    "Minibatch noise is normal for large batches",
    source=TALK,
    statement="A minibatch gradient is the gradient plus noise, which is normal for large batches.",
    formula="∇L_b = ∇L + η_k,  η_k ≈ N(0, Σ/b)",
    conditions="Large b; it enters θ as −εη_k.",
    verdict=TRUE,
)
def normal_noise() -> Iterator[Finding]:
    g = gradients() - gradients().mean(axis=0)

    def cumulants(size: int) -> tuple[float, float]:
        noise = batches(g, size, WITH)[:, 0]
        square = float((noise**2).mean())
        return float((noise**3).mean()) / square**1.5, float((noise**4).mean()) / square**2 - 3.0

    skewness, kurtosis = cumulants(1)
    for b in (2, 3, 5):
        noise = batches(g, b, WITH)
        yield Finding(f"mean of the noise, b = {b}", noise.mean(axis=0), np.zeros(2), *ENUMERATED)
        yield Finding(f"Cov of the noise, b = {b}", covariance(noise), covariance(g) / b, *ENUMERATED)
        found = cumulants(b)
        yield Finding(f"its skewness, b = {b}, falling as b^{{−1/2}}", found[0], skewness / np.sqrt(b), *ENUMERATED)
        yield Finding(f"its excess kurtosis, b = {b}, falling as 1/b", found[1], kurtosis / b, *ENUMERATED)
