"""Claims about minibatches: how they are drawn, what their gradients covary like. Decided by enumeration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product

import numpy as np

from ..grid import Array
from ..sgd.quadratic import batch_factor, minibatch_covariance, sample_covariance
from .claim import FALSE, TRUE, TRUE_IF, Finding
from .registry import BLOG, NOTES, NOTES_A, declare, expected

WITH, WITHOUT = "with_replacement", "without_replacement"
ENUMERATED = (1e-12, "every batch is enumerated: round-off")
PRINTED = (1e-10, "the number is printed with ten or more digits")
# The with-replacement traces in expected.json are means over 6^6 batches in single passes, good to 1e-10.
STORED = (1e-9, "the stored number is a sum over 46656 batches")

# A population of four equally likely samples (x, ε); the gradient of ½(xθ − xu − ε)² at θ = u is −xε.
POPULATION = np.array([(x, e) for x in (1.0, 2.0) for e in (-1.0, 1.0)])
DATASET, BATCH = 3, 2  # samples of it, and of a batch: 64 data sets with 9 or 3 batches each


def gradients() -> Array:
    """The six sample gradients that the enumerations use, shape (6, 2)."""
    return np.asarray(expected("C02")["gradients"])


def batches(g: Array, size: int, sampling: str) -> Array:
    """Mean gradients of all batches, each as likely as the others."""
    draw = product(range(len(g)), repeat=size) if sampling == WITH else combinations(range(len(g)), size)
    return np.asarray(g[np.array(list(draw))].mean(axis=1))


def covariance(values: Array) -> Array:
    """Covariance over equally likely rows, normalised by their number."""
    return np.atleast_2d(np.cov(values.T, bias=True))


def _datasets(trained: bool = False) -> Iterator[Array]:
    """Sample gradients, shape (3, 1), of all data sets, at the true θ or at the least-squares fit to each."""
    for rows in product(POPULATION, repeat=DATASET):
        x, e = np.array(rows).T
        shift = (x @ e) / (x @ x) if trained else 0.0
        yield (x * (x * shift - e))[:, None]


@declare(
    "C01",
    "A minibatch gradient is unbiased",
    source=f"{NOTES}, §1.3, eqs 1–4",
    statement="Over batches the minibatch gradient averages to the gradient on the data; over data sets that averages "
    "to the true gradient, with the covariance of one sample divided by n.",
    formula="E g_B = g_n,  E g_n = g,  Cov g_n = Σ_{pop}/n",
    conditions="Independent samples of finite variance; θ fixed before the data are drawn.",
    verdict=TRUE,
)
def unbiased() -> Iterator[Finding]:
    g = gradients()
    for sampling in (WITH, WITHOUT):
        mean = batches(g, 2, sampling).mean(axis=0)
        yield Finding(f"mean of a batch of 2, {sampling}", mean, g.mean(axis=0), *ENUMERATED)
    means = np.array([data.mean() for data in _datasets()])
    one = (POPULATION[:, 0] * POPULATION[:, 1]) ** 2
    yield Finding("mean of g_n over data sets", float(means.mean()), 0.0, *ENUMERATED)
    yield Finding("variance of g_n over data sets", float(means.var()), float(one.mean()) / DATASET, *ENUMERATED)


@declare(
    "C02",
    "Covariance of a minibatch drawn with replacement",
    source=f"{NOTES}, eqs 5–11 and 39–54",
    statement="The minibatch gradient has the covariance of one sample's gradient, divided by B.",
    formula="Cov(g_B | data) = Σ/B,  Σ = (1/n) Σ_i (g_i − g_n)(g_i − g_n)^T",
    conditions="Drawn with replacement; any n and B.",
    verdict=TRUE,
)
def with_replacement() -> Iterator[Finding]:
    g, stored = gradients(), expected("C02")
    Sigma = covariance(g)
    yield Finding("Σ", Sigma, stored["Sigma_emp"], *PRINTED)
    for size in (1, 2, 3, 6):
        found = covariance(batches(g, size, WITH))
        yield Finding(f"Cov g_B, B = {size}", found, minibatch_covariance(Sigma, batch_size=size), *ENUMERATED)
        yield Finding(f"its trace, B = {size}", float(np.trace(found)), stored[f"trace_with_B{size}"], *STORED)


@declare(
    "C03",
    "The covariance expected over data sets",
    source=f"{NOTES}, Prop. 1.3 and key observation 3",
    statement="Averaged over data sets, the covariance of a minibatch gradient is that of the population times (n − "
    "1)/nB.",
    formula="E Cov(g_B | data) = (n − 1)/(nB) Σ_{pop}",
    conditions="θ must not depend on the data.",
    verdict=TRUE_IF,
    correct="At a θ that was fitted to the data residuals are smaller than the noise, and so is the covariance. "
    "Without replacement the factor is 1/B − 1/n.",
)
def expected_covariance() -> Iterator[Finding]:
    stored = expected("C03")
    n, B = stored["n"], stored["B"]
    one = float(((POPULATION[:, 0] * POPULATION[:, 1]) ** 2).mean())
    factors = {WITH: (DATASET - 1) / (DATASET * BATCH), WITHOUT: 1 / BATCH - 1 / DATASET}
    for sampling, factor in factors.items():
        mean = float(np.mean([batches(data, BATCH, sampling).var() for data in _datasets()]))
        of = "claim" if sampling == WITH else "correct"
        yield Finding(f"mean variance at a fixed θ, {sampling}", mean, factor * one, *ENUMERATED, of=of)
    for sampling, key in ((WITH, "factor_with"), (WITHOUT, "factor_without")):
        factor = batch_factor(B, n, sampling) * (n - 1) / n  # of Σ, whose mean is (n − 1)/n Σ_pop
        yield Finding(f"factor for n = {n}, B = {B}, {sampling}", factor, stored[key], *PRINTED, of="correct")
    fitted = float(np.mean([batches(data, BATCH, WITH).var() for data in _datasets(trained=True)]))
    yield Finding("mean variance at the least-squares fit", fitted, factors[WITH] * one, *ENUMERATED, of="beyond")
    yield Finding("mean variance at the least-squares fit", fitted, factors[WITH] * one, of="correct", relation="<")


@declare(
    "C04",
    "Covariance of a minibatch drawn without replacement",
    source=f"{NOTES_A}, key observation 4",
    statement="Drawing without replacement multiplies the covariance by (n − B)/(n − 1).",
    formula="Cov(g_B | data) = (n − B)/(n − 1) · Σ/B",
    conditions="One uniformly random subset of B samples; Σ normalised by 1/n.",
    verdict=TRUE,
)
def without_replacement() -> Iterator[Finding]:
    g, stored = gradients(), expected("C04")
    for size in (1, 2, 3, 6):
        found = covariance(batches(g, size, WITHOUT))
        formula = minibatch_covariance(covariance(g), batch_size=size, n=6, sampling=WITHOUT)
        yield Finding(f"Cov g_B, B = {size}", found, formula, *ENUMERATED)
        yield Finding(f"Cov g_B, B = {size}, stored", found, stored[f"cov_without_B{size}"], *PRINTED)


@declare(
    "C05",
    "Two finite-population corrections",
    source=f"{NOTES_A}, key observation 4; {BLOG}, §2.2",
    statement="The correction of the notes and that of the blog are the same.",
    formula="(n − B)/(n − 1) · Σ/B = (1 − B/n) · S^2/B,  S^2 = n/(n − 1) Σ",
    conditions="Σ is normalised by 1/n and S² by 1/(n − 1); mixing them is wrong by (n − 1)/n.",
    verdict=TRUE,
)
def two_corrections() -> Iterator[Finding]:
    stored = expected("C05")
    n, B = stored["n"], stored["B"]
    measured = batch_factor(B, n, WITHOUT)
    yield Finding("factor of the notes, n = 100, B = 20", measured, stored["factor_000"], *PRINTED)
    yield Finding("factor of the blog", measured, (1 - B / n) / B * n / (n - 1), *PRINTED)
    g = gradients()
    blog = (1 - 2 / 6) / 2 * np.cov(g.T)
    yield Finding("Cov g_B by enumeration, n = 6, B = 2", covariance(batches(g, 2, WITHOUT)), blog, *ENUMERATED)


@declare(
    "C06",
    "Batch noise and data noise add up",
    source=f"{NOTES}, §1.8.2",
    statement="The noise of the batch and that of the data set are uncorrelated, and their covariances add up.",
    formula="Cov g_B = [(n − 1)/(nB) + 1/n] Σ_{pop} with, Σ_{pop}/B without replacement",
    conditions="θ fixed before the data are drawn.",
    verdict=TRUE,
)
def total_noise() -> Iterator[Finding]:
    one = float(((POPULATION[:, 0] * POPULATION[:, 1]) ** 2).mean())
    n, B = DATASET, BATCH
    for sampling, factor in ((WITH, (n - 1) / (n * B) + 1 / n), (WITHOUT, 1 / B)):
        pooled = np.concatenate([batches(data, B, sampling) for data in _datasets()])
        yield Finding(f"variance over data and batches, {sampling}", float(pooled.var()), factor * one, *ENUMERATED)
    stored = expected("C06")
    n, B = stored["n"], stored["B"]
    for sampling, key in ((WITH, "with_repl_total_over_Sigma_pop"), (WITHOUT, "without_total_over_Sigma_pop")):
        total = batch_factor(B, n, sampling) * (n - 1) / n + 1 / n
        yield Finding(f"factor for n = {n}, B = {B}, {sampling}", total, stored[key], *PRINTED)


@declare(
    "C07",
    "The full batch has no noise",
    source=f"{NOTES}, §1.7",
    statement="A batch as large as the data has no noise; a batch of one has the most.",
    formula="B = n ⇒ ξ = 0",
    conditions="Drawn without replacement.",
    verdict=TRUE_IF,
    correct="With replacement a batch of n has the covariance Σ/n.",
)
def full_batch() -> Iterator[Finding]:
    g, stored = gradients(), expected("C02")
    traces = {size: float(np.trace(covariance(batches(g, size, WITHOUT)))) for size in (1, 2, 3, 6)}
    yield Finding("trace of Cov g_B, B = n = 6, without replacement", traces[6], 0.0, *ENUMERATED)
    yield Finding("traces for B = 2 and 3, against B = 1", [traces[2], traces[3]], [traces[1]] * 2, relation="<")
    repeated = float(np.trace(covariance(batches(g, 6, WITH))))
    yield Finding("trace of Cov g_B, B = n = 6, with replacement", repeated, 0.0, *ENUMERATED, of="beyond")
    yield Finding(
        "trace of Cov g_B, B = n = 6, with replacement", repeated, stored["trace_with_B6"], *STORED, of="correct"
    )


@declare(
    "C10",
    "Estimating Σ from minibatch gradients",
    source=f"{NOTES}, §1.8.5",
    statement="B times the sample covariance of m minibatch gradients is an unbiased estimate of Σ.",
    formula="Σ̂ = B/(m − 1) Σ_j (g_{Bj} − ḡ)(g_{Bj} − ḡ)^T,  E Σ̂ = Σ",
    conditions="Batches are drawn with replacement, independently of each other.",
    verdict=TRUE_IF,
    correct="Without replacement it estimates (n − B)/(n − 1) Σ; multiply by (n − 1)/(n − B).",
)
def estimator() -> Iterator[Finding]:
    g = gradients()
    Sigma = covariance(g)

    def mean(drawn: str, assumed: str) -> Array:
        means = batches(g, 2, drawn)
        pairs = ([a, b] for a in means for b in means)  # m = 2
        return np.mean([sample_covariance(pair, batch_size=2, n=6, sampling=assumed) for pair in pairs], axis=0)

    yield Finding("E Σ̂, B = 2, with replacement", mean(WITH, WITH), Sigma, *ENUMERATED)
    uncorrected = mean(WITHOUT, WITH)
    yield Finding("E Σ̂, B = 2, without replacement", uncorrected, Sigma, *ENUMERATED, of="beyond")
    yield Finding("E Σ̂, B = 2, without replacement", uncorrected, 4 / 5 * Sigma, *ENUMERATED, of="correct")
    yield Finding("E Σ̂, corrected", mean(WITHOUT, WITHOUT), Sigma, *ENUMERATED, of="correct")


@declare(
    "C30",
    "A finite-population correction with replacement",
    source=f"{NOTES}, §6 of the second, §5 of the first",
    statement="Drawn with replacement, minibatch gradients have a finite-population correction.",
    formula="Cov g_B = (n − B)/(n − 1) · Σ/B",
    conditions="Drawn with replacement.",
    verdict=FALSE,
    correct="That is without replacement. With replacement Cov g_B = Σ/B, whatever n.",
)
def correction_with_replacement() -> Iterator[Finding]:
    g = gradients()
    for size in (2, 6):
        found = covariance(batches(g, size, WITH))
        claimed = minibatch_covariance(covariance(g), batch_size=size, n=6, sampling=WITHOUT)
        yield Finding(f"Cov g_B, B = {size}, n = 6", found, claimed, *ENUMERATED)
        trace = float(np.trace(found))
        yield Finding(f"its trace, B = {size}", trace, expected("C02")[f"trace_with_B{size}"], *STORED, of="correct")


@declare(
    "C32",
    "Anticorrelated noise",
    source=f"{NOTES}, §2.3 of the second",
    statement="If sampling is not without replacement, the noise of successive steps is anticorrelated.",
    formula="Cov(ξ_k, ξ_l) < 0",
    conditions="Frozen θ.",
    verdict=FALSE,
    correct="Independent draws are uncorrelated. Batches of one shuffled epoch covary as −S²/n each, with correlation "
    "−1/(M − 1), M = n/B, and sum to zero noise over the epoch; different epochs are independent.",
)
def anticorrelation() -> Iterator[Finding]:
    g, stored = gradients() - gradients().mean(axis=0), expected("C32")
    drawn = batches(g, 2, WITH)
    pairs = (
        np.einsum("ai,bi->ab", drawn, drawn).mean() / (drawn**2).sum(axis=1).mean()
    )  # over independent pairs of batches
    word = "anticorrelated" if pairs < -1e-12 else "uncorrelated"  # round-off
    yield Finding("noise of two steps, with replacement", word, "anticorrelated")
    orders = np.array(list(permutations(range(len(g)))))
    epochs = g[orders].reshape(len(orders), 3, 2, 2).mean(axis=2)
    cross = np.einsum("ki,kj->ij", epochs[:, 0], epochs[:, 1]) / len(epochs)
    yield Finding("Cov(ξ_1, ξ_2) over 720 epochs, B = 2", cross, stored["cross_cov"], *PRINTED, of="correct")
    yield Finding("−S²/n", cross, -np.cov(g.T) / 6, *ENUMERATED, of="correct")
    correlation = float(cross[0, 0] / covariance(epochs[:, 0])[0, 0])
    yield Finding("correlation", correlation, stored["corr"], *PRINTED, of="correct")
    yield Finding("noise summed over an epoch", float(np.abs(epochs.sum(axis=1)).max()), 0.0, *ENUMERATED, of="correct")
