"""Label-noise SGD on isotropic features: position-dependent tensor, heavy tails, detailed balance."""

from __future__ import annotations

import math

import numpy as np

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Exact


def label_noise(*, temperature: float = 0.1) -> Case:
    r"""Drift −w with :math:`D = \varepsilon[ww^\top + (|w|^2 + 1)I]` in two dimensions.

    :math:`p \propto (1 + 2|w|^2)^{-m}`, :math:`m = \tfrac54 + \tfrac1{4\varepsilon}`, and J = 0 although D is anisotropic and
    depends on position: neither breaks detailed balance by itself.
    """
    if not 0.0 < temperature < 1.0 / 3.0:
        raise InvalidInput(f"temperature: expected 0 < ε < 1/3, where the variance exists, got {temperature!r}")
    m = 1.25 + 0.25 / temperature

    def diffusion(w: Array) -> Array:
        square = w[0] ** 2 + w[1] ** 2 + 1.0
        cross = w[0] * w[1]
        return temperature * np.stack([np.stack([w[0] ** 2 + square, cross]), np.stack([cross, w[1] ** 2 + square])])

    def density(w: Array) -> Array:
        return np.asarray((1.0 + 2.0 * (w[0] ** 2 + w[1] ** 2)) ** -m * 2.0 * (m - 1.0) / math.pi)

    reach = math.sqrt(0.5 * (1e-6 ** (-1.0 / (m - 1.0)) - 1.0))  # P(|w| > R) = (1 + 2R²)^(1−m) = 1e-6
    variance = temperature / (1.0 - 3.0 * temperature)
    return Case(
        name="label-noise",
        title="Label noise on isotropic features",
        description="Anisotropic position-dependent noise with detailed balance, and power-law tails.",
        process=DiffusionProcess(lambda w: -w, diffusion, dim=2),
        box=Box([-reach, -reach], [reach, reach]),
        exact=Exact(density, np.zeros_like, {"entropy_production": 0.0, "circulation": 0.0, "variance": variance}),
        settings={"temperature": temperature},
    )
