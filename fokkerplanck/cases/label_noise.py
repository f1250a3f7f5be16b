"""Label-noise SGD: position-dependent tensor, heavy tails; detailed balance where the features are alike."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import gammaln

from ..errors import InvalidInput
from ..grid import Array, Box
from ..maps import Sinh
from ..process import DiffusionProcess
from .case import Case, Equation, Exact, check_positive, radial_gibbs_distance

ZIYIN = "L. Ziyin, K. Liu, T. Mori, M. Ueda, ICLR 2022, doi:10.48550/arXiv.2102.05375"
REASON = "Anisotropic noise that depends on position, and still detailed balance: neither breaks it by itself."
WEIGHT = {"ito": 1.0, "stratonovich": 0.5, "isothermal": 0.0}  # p ∝ D^−weight exp(∫b/D) in one dimension


def label_noise(*, temperature: float = 0.1, curvature: float = 1.0, spread: float = 1.0) -> Case:
    r"""Drift −aw with :math:`D = \varepsilon[a^2ww^\top + a(a|w|^2 + \sigma^2)I]` in two dimensions; ε = η/2B.

    :math:`p \propto (\sigma^2 + 2a|w|^2)^{-m}`, :math:`m = \tfrac54 + \tfrac1{4\varepsilon a}`, and J = 0 although D is
    anisotropic and depends on position: neither breaks detailed balance by itself.
    """
    return _isotropic(2, temperature, curvature, spread, "label-noise", "Label noise on isotropic features")


def label_noise_3d(*, temperature: float = 0.1, curvature: float = 1.0, spread: float = 1.0) -> Case:
    r"""As :func:`label_noise`, with three weights: :math:`m = \tfrac32 + \tfrac1{4\varepsilon a}`."""
    return _isotropic(3, temperature, curvature, spread, "label-noise-3d", "Label noise on three isotropic features")


def label_noise_1d(
    *, temperature: float = 0.1, curvature: float = 1.0, spread: float = 1.0, interpretation: str = "ito"
) -> Case:
    r"""Drift −aw, :math:`D = \varepsilon a(\sigma^2 + 2aw^2)`: Student's law :math:`p \propto (\sigma^2 + 2aw^2)^{-m}`.

    :math:`m = \nu + \tfrac1{4\varepsilon a}` with ν = 1, ½, 0 in the Itô, Stratonovich and isothermal interpretation.
    """
    return _isotropic(
        1,
        temperature,
        curvature,
        spread,
        "label-noise-1d",
        "Label noise on one feature",
        interpretation,
    )


def anisotropic_label_noise(
    *, temperature: float = 0.1, curvatures: tuple[float, float] = (1.0, 0.5), spread: float = 1.0
) -> Case:
    r"""Drift −Aw with :math:`D = \varepsilon[Aww^\top A + (w^\top Aw + \sigma^2)A]`, A = diag(curvatures): a current.

    No formula is known for p; the moments of each degree obey linear equations of their own.
    """
    check_positive(spread=spread)
    eps, variance = temperature, spread**2
    a = np.asarray(curvatures, dtype=float)
    if a.shape != (2,) or not (a > 0.0).all() or not eps > 0.0:
        raise InvalidInput(f"expected temperature > 0 and two curvatures > 0, got {temperature!r} and {curvatures!r}")
    moments = _moments(a, eps, variance)
    if not min(moments.values()) > 0.0:
        raise InvalidInput(
            f"temperature: expected one at which fourth moments exist, got {temperature!r} with curvatures {curvatures}"
        )

    def diffusion(w: Array) -> Array:
        pull = a.reshape((2,) + (1,) * (w.ndim - 1)) * w
        square = np.sum(pull * w, axis=0) + variance
        cross = pull[0] * pull[1]
        first, second = pull[0] ** 2 + square * a[0], pull[1] ** 2 + square * a[1]
        return eps * np.stack([np.stack([first, cross]), np.stack([cross, second])])

    return Case(
        name="anisotropic-label-noise",
        title="Label noise on unequal features",
        description="Linear regression whose features differ in size: power-law tails with a current, and closed moments.",
        process=DiffusionProcess(lambda w: -a.reshape((2,) + (1,) * (w.ndim - 1)) * w, diffusion, dim=2),
        equation=Equation(
            ("-p*x", "-q*y"),
            (("ε*(p**2*x**2 + p*s)", "ε*p*q*x*y"), ("ε*p*q*x*y", "ε*(q**2*y**2 + q*s)")),
            {"ε": eps, "p": float(a[0]), "q": float(a[1]), "σ": spread, "s": "p*x**2 + q*y**2 + σ**2"},
        ),
        box=Box([-1e4, -1e4], [1e4, 1e4]),  # the share of the fourth moment beyond is about 1e-6
        moments=moments,
        settings={"temperature": temperature, "curvatures": curvatures, "spread": spread},
        reason="What SGD on unequal features does: no formula for p, but numbers to check any that is proposed.",
        source=ZIYIN,
        balanced=bool(a[0] == a[1]),
        maps=Sinh(scale=0.3),
        finest=(256, 256),
        level=1e-5,
    )


def _moments(a: Array, eps: float, variance: float) -> dict[tuple[int, ...], float]:
    """⟨Lf⟩ = 0 for the monomials f of degree two and four, L the generator."""
    weights = a / (1.0 - eps * a)
    total = eps * variance * weights.sum() / (1.0 - eps * weights.sum())  # ⟨wᵀAw⟩
    second = eps * (total + variance) / (1.0 - eps * a)
    (p, q), (m20, m02) = a, second
    # Unknowns ⟨w₁⁴⟩, ⟨w₁²w₂²⟩, ⟨w₂⁴⟩, of w₁⁴, w₁²w₂² and w₂⁴ in turn.
    system = np.array(
        [
            [-4.0 * p + 24.0 * eps * p**2, 12.0 * eps * p * q, 0.0],
            [
                2.0 * eps * p * q,
                -2.0 * (p + q) + 4.0 * eps * (p + q) ** 2,
                2.0 * eps * p * q,
            ],
            [0.0, 12.0 * eps * p * q, -4.0 * q + 24.0 * eps * q**2],
        ]
    )
    sources = -eps * variance * np.array([12.0 * p * m20, 2.0 * (p * m02 + q * m20), 12.0 * q * m02])
    m40, m22, m04 = np.linalg.solve(system, sources)
    values = {(2, 0): m20, (0, 2): m02, (4, 0): m40, (2, 2): m22, (0, 4): m04}
    return {key: float(value) for key, value in values.items()}


def _isotropic(
    d: int,
    temperature: float,
    curvature: float,
    spread: float,
    name: str,
    title: str,
    interpretation: str = "ito",
) -> Case:
    eps, a, variance = temperature, curvature, spread**2
    if not (a > 0.0 and variance > 0.0):
        raise InvalidInput(f"expected curvature > 0 and spread > 0, got {curvature!r} and {spread!r}")
    if interpretation not in WEIGHT:
        raise InvalidInput(f"interpretation: expected one of {tuple(WEIGHT)}, got {interpretation!r}")
    # m = ν + (d − 1)/4 + 1/4εa; the variance exists for m > 1 + d/2, in Itô's reading ε a (d + 1) < 1
    limit = 1.0 / (a * (4.0 * (1.0 + 0.5 * d - WEIGHT[interpretation]) - (d - 1.0)))
    if not 0.0 < eps < limit:
        bound = "1/3" if math.isclose(limit, 1.0 / 3.0) else f"{limit:.6g}"
        raise InvalidInput(f"temperature: expected 0 < ε < {bound}, where the variance exists, got {temperature!r}")
    m = WEIGHT[interpretation] + 0.25 * (d - 1.0) + 0.25 / (eps * a)
    scale = math.sqrt(variance / (2.0 * a))  # p ∝ (1 + |w/scale|²)^(−m)
    log_norm = d * math.log(scale) + 0.5 * d * math.log(math.pi) + float(gammaln(m - 0.5 * d) - gammaln(m))

    def diffusion(w: Array) -> Array:
        square = a * (a * np.sum(w**2, axis=0) + variance)
        identity = np.eye(d).reshape((d, d) + (1,) * (w.ndim - 1))
        return eps * (a**2 * w[:, None] * w[None] + square * identity)

    def density(w: Array) -> Array:
        return np.asarray(np.exp(-m * np.log1p(np.sum(w**2, axis=0) / scale**2) - log_norm))

    def exponent(w: Array) -> Array:
        square = np.sum(w**2, axis=0)
        across = a * (a * square + variance)  # eigenvalues of D/ε: d − 1 of this, one of a²|w|² more
        return np.asarray(0.5 * a * square / eps + 0.5 * ((d - 1.0) * np.log(across) + np.log(across + a**2 * square)))

    # In two dimensions equal cells up to P(|w| > R) = (1 + |w/scale|²)^(1−m) = 1e-6; else stretched ones, to 1e-9.
    stretched = d != 2
    reach = scale * (1e-9 ** (-1.0 / (2.0 * m - d)) if stretched else math.sqrt(1e-6 ** (-1.0 / (m - 1.0)) - 1.0))
    names = "xyz"[:d]
    square = "x**2" if d == 1 else f"({' + '.join(f'{n}**2' for n in names)})"
    scalars = {"entropy_production": 0.0, "variance": scale**2 / (2.0 * m - d - 2.0)}
    scalars["gibbs_distance"] = radial_gibbs_distance(density, exponent, d)
    if d == 2:
        scalars["circulation"] = 0.0
    return Case(
        name=name,
        title=title,
        description="Anisotropic position-dependent noise with detailed balance, and power-law tails."
        if d > 1
        else "Student's law from noise that grows with the residual; its tail index depends on the interpretation.",
        process=DiffusionProcess(lambda w: -a * w, diffusion, dim=d, interpretation=interpretation),
        equation=Equation(
            tuple(f"-a*{n}" for n in names),
            tuple(tuple(f"ε*(a**2*{n}**2 + a*s)" if n == m else f"ε*a**2*{n}*{m}" for m in names) for n in names),
            {"ε": eps, "a": a, "σ": spread, "s": f"a*{square} + σ**2"},
        ),
        box=Box([-reach] * d, [reach] * d),
        exact=Exact(density, np.zeros_like, scalars),
        settings={"temperature": temperature, "curvature": curvature, "spread": spread}
        | ({"interpretation": interpretation} if d == 1 else {}),
        reason=REASON
        if d > 1
        else "Power-law tails from a quadratic loss: where the interpretation changes the tail index.",
        source=ZIYIN,
        balanced=True,
        maps=Sinh(scale=scale) if stretched else None,
        finest={1: (256,), 2: (256, 256), 3: (64, 64, 64)}[d],
        level=(1e-5 if d == 3 else 1e-8) if stretched else 2e-5,  # of zero on 64³ cells; of what lies beyond the walls
    )
