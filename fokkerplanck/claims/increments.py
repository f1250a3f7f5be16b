"""Claims about one step: its drift, its noise, and what many of them add up to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..sgd.quadratic import minibatch_covariance
from .claim import FALSE, Finding
from .registry import NOTES, declare, expected
from .sampling import ENUMERATED, WITH, batches, covariance, gradients

STEP = 0.1  # η


@declare(
    "C08",
    "The drift of the chain",
    source=f"{NOTES}, §1.6",
    statement="The drift of a step is +η g_n.",
    formula="E Δθ = η g_n",
    conditions="None.",
    verdict=FALSE,
    correct="The drift is −η g_n: the increment is −η g_n + ηξ.",
)
def drift() -> Iterator[Finding]:
    g = gradients()
    mean = (-STEP * batches(g, 2, WITH)).mean(axis=0)
    yield Finding("mean increment, η = 0.1", mean, STEP * g.mean(axis=0), *ENUMERATED)
    yield Finding("mean increment, η = 0.1", mean, -STEP * np.asarray(expected("C02")["gn"]), *ENUMERATED, of="correct")


@declare(
    "C11",
    "The increment of the chain, eq. 14",
    source=f"{NOTES}, eq. 14",
    statement="The increment is −η g_B + ηξ with ξ = g_n − g_B.",
    formula="Δθ = −η g_B + ηξ",
    conditions="None.",
    verdict=FALSE,
    correct="Δθ = −η g_n + ηξ = −η g_B. As printed the mean is right and the covariance four times too large.",
)
def increment() -> Iterator[Finding]:
    g, stored = gradients(), expected("C11")
    batch = batches(g, 2, WITH)
    printed = -STEP * batch + STEP * (g.mean(axis=0) - batch)
    ratio = covariance(printed)[0, 0] / covariance(-STEP * batch)[0, 0]
    yield Finding("covariance of the increment / covariance of SGD's", float(ratio), 1.0, *ENUMERATED)
    yield Finding(
        "covariance of the increment / covariance of SGD's",
        float(ratio),
        stored["cov_ratio"],
        *ENUMERATED,
        of="correct",
    )
    same = bool(np.allclose(printed.mean(axis=0), -STEP * batch.mean(axis=0), rtol=1e-12))
    yield Finding("the mean is the same", same, stored["mean_same"], of="correct")


@declare(
    "C12",
    "The covariance of a batch, eqs 15–18",
    source=f"{NOTES}, eqs 15–18",
    statement="The covariance of a batch is 1/B² times the sum over it of the covariance of ξ, and ξ is normal.",
    formula="Cov ξ = (1/B^2) Σ_{i∈B} Cov ξ,  ξ ~ N(0, Σ/B)",
    conditions="Drawn with replacement.",
    verdict=FALSE,
    correct="The sum is over Cov g_i, not over Cov ξ, which would make Σ/B². The normal law is an approximation: the "
    "skewness of a batch is that of one sample divided by √B.",
)
def one_batch() -> Iterator[Finding]:
    g = gradients()
    Sigma, size = covariance(g), 3
    found = covariance(batches(g, size, WITH))
    yield Finding("Cov ξ, B = 3", found, size * minibatch_covariance(Sigma, batch_size=size) / size**2, *ENUMERATED)
    yield Finding("Cov ξ, B = 3", found, size * Sigma / size**2, *ENUMERATED, of="correct")

    def skewness(size: int) -> float:
        noise = batches(g, size, WITH)[:, 0] - g[:, 0].mean()
        return float((noise**3).mean() / (noise**2).mean() ** 1.5)

    yield Finding("skewness of ξ_x, B = 3", skewness(size), 0.0, *ENUMERATED)
    yield Finding("skewness of ξ_x, B = 3", skewness(size), skewness(1) / np.sqrt(size), *ENUMERATED, of="correct")
