r"""Radial loss :math:`\tfrac12 r^2` with noise that turns: the current comes from the tensor alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.integrate import quad
from scipy.linalg import solve_continuous_lyapunov

from ..errors import InvalidInput
from ..grid import Array, Box
from ..maps import Sinh
from ..process import DiffusionProcess
from .case import Case, Equation, Exact, check_positive, combination, gibbs_distance, integral, radial_gibbs_distance
from .linear import covariances

CHAUDHARI = "P. Chaudhari, S. Soatto, ICLR 2018, doi:10.48550/arXiv.1710.11029"


def swirl(*, temperature: float = 0.5, strength: float = 0.8, interpretation: str = "ito") -> Case:
    r"""Drift −x and a tensor that turns, :math:`D = \varepsilon(I + cM)`.

    :math:`M = \tfrac1{1+r^2}\begin{pmatrix}-2xy & x^2-y^2\\ x^2-y^2 & 2xy\end{pmatrix}`.

    :math:`p = N(0, \varepsilon I)` in the Itô and the isothermal interpretation, with different tangential currents,
    :math:`-cr\,[2\varepsilon r^2 + 4\varepsilon - r^4 - r^2]/(1+r^2)^2\,p` and :math:`cr^3/(1+r^2)\,p`.
    """
    check_positive(temperature=temperature)
    eps, c, ito = temperature, strength, _is_ito(interpretation)
    if not abs(c) < 1.0:
        raise InvalidInput(f"strength: expected |c| < 1, where D is positive, got {c!r}")

    def diffusion(x: Array) -> Array:
        share = c / (1.0 + x[0] ** 2 + x[1] ** 2)
        along, off = 2.0 * x[0] * x[1] * share, (x[0] ** 2 - x[1] ** 2) * share
        return eps * np.stack([np.stack([1.0 - along, off]), np.stack([off, 1.0 + along])])

    def turn(s: Any) -> Any:
        """J_θ/(r p) at r² = s."""
        if ito:
            return -c * (2.0 * eps * s + 4.0 * eps - s**2 - s) / (1.0 + s) ** 2
        return c * s / (1.0 + s)

    def density(x: Array) -> Array:
        return np.asarray(np.exp(-(x[0] ** 2 + x[1] ** 2) / (2.0 * eps)) / (2.0 * math.pi * eps))

    def current(x: Array) -> Array:
        return np.asarray(turn(x[0] ** 2 + x[1] ** 2) * density(x) * np.stack([-x[1], x[0]]))

    def area(s: float) -> float:  # r² has an exponential law
        return 0.5 * math.exp(-s / (2.0 * eps)) / (2.0 * eps) * s * turn(s)

    def production(s: float) -> float:
        return 2.0 * area(s) * turn(s) / (eps * (1.0 - (c * s / (1.0 + s)) ** 2))

    def exponent(x: Array) -> Array:
        s = x[0] ** 2 + x[1] ** 2
        return np.asarray(0.5 * s / eps + 0.5 * np.log1p(-((c * s / (1.0 + s)) ** 2)))

    reach = 6.5 * math.sqrt(eps)
    return Case(
        name="swirl" if ito else "swirl-isothermal",
        title="Bounded swirl of the noise" + ("" if ito else ", isothermal"),
        description="Round loss, round Gaussian density, and a current that changes sign with the radius.",
        process=DiffusionProcess(lambda x: -x, diffusion, dim=2, interpretation=interpretation),
        box=Box([-reach, -reach], [reach, reach]),
        equation=Equation(
            ("-x", "-y"),
            (("ε*(1 - 2*q*x*y)", "ε*q*(x**2 - y**2)"), ("ε*q*(x**2 - y**2)", "ε*(1 + 2*q*x*y)")),
            {"ε": eps, "c": c, "q": "c/(1 + x**2 + y**2)"},
        ),
        exact=Exact(
            density,
            current,
            {
                "entropy_production": _over_squares(production),
                "circulation": _over_squares(area),
                "gibbs_distance": radial_gibbs_distance(density, exponent, 2),
            },
        ),
        moments={(2, 0): eps, (0, 2): eps},
        settings={"temperature": eps, "strength": c, "interpretation": interpretation},
        reason="The two interpretations share the density: only the current tells them apart, and neither moment does.",
        source=CHAUDHARI,
        balanced=c == 0.0,
        finest=(128, 128),
    )


def heavy_swirl(
    *, temperature: float = 0.1, strength: float = 0.5, ratio: float = 0.5, interpretation: str = "ito"
) -> Case:
    r"""Drift −x with noise that grows and turns: power-law tails.

    :math:`D_{rr} = \varepsilon(1+r^2)`, :math:`D_{\theta\theta} = \varepsilon(1+qr^2)`, :math:`D_{r\theta} = \varepsilon cr^2`;
    :math:`p = \tfrac{m-1}\pi(1+r^2)^{-m}`, :math:`m = 1 + \tfrac1{2\varepsilon} + \tfrac{1-q}2` (isothermal
    :math:`1/2\varepsilon`), and :math:`J_\theta = -cr\,[4\varepsilon - (1-\varepsilon-\varepsilon q)r^2]/(1+r^2)\,p`
    (isothermal :math:`cr^3/(1+r^2)\,p`).
    """
    check_positive(temperature=temperature)
    eps, c, q, ito = temperature, strength, ratio, _is_ito(interpretation)
    if not c**2 < q:
        raise InvalidInput(f"strength, ratio: expected c² < q, where D is positive, got c = {c!r}, q = {q!r}")
    m = 1.0 + 0.5 / eps + 0.5 * (1.0 - q) if ito else 0.5 / eps
    if not m > 2.0:
        raise InvalidInput(
            f"temperature: expected one at which the variance exists, got {eps!r}: p decays as r^-{2 * m:.3g}"
        )

    def diffusion(w: Array) -> Array:
        x, y = w
        off = (1.0 - q) * x * y + c * (x**2 - y**2)
        first = 1.0 + x**2 + q * y**2 - 2.0 * c * x * y
        return eps * np.stack([np.stack([first, off]), np.stack([off, 1.0 + y**2 + q * x**2 + 2.0 * c * x * y])])

    def turn(s: Any) -> Any:
        return -c * (4.0 * eps - (1.0 - eps - eps * q) * s) / (1.0 + s) if ito else c * s / (1.0 + s)

    def density(x: Array) -> Array:
        return np.asarray((m - 1.0) / math.pi * (1.0 + x[0] ** 2 + x[1] ** 2) ** -m)

    def current(x: Array) -> Array:
        return np.asarray(turn(x[0] ** 2 + x[1] ** 2) * density(x) * np.stack([-x[1], x[0]]))

    def area(s: float) -> float:  # r² has the law (m − 1)(1 + s)^−m
        return 0.5 * (m - 1.0) * (1.0 + s) ** -m * s * turn(s)

    def production(s: float) -> float:
        return 2.0 * area(s) * turn(s) * (1.0 + s) / (eps * ((1.0 + s) * (1.0 + q * s) - (c * s) ** 2))

    def exponent(x: Array) -> Array:
        s = x[0] ** 2 + x[1] ** 2
        return np.asarray(0.5 * s / eps + 0.5 * np.log((1.0 + s) * (1.0 + q * s) - (c * s) ** 2))

    reach = math.sqrt(1e-10 ** (-1.0 / (m - 2.0)))  # the share of ⟨r²⟩ beyond is 1e-10
    return Case(
        name="heavy-swirl",
        title="Heavy-tailed swirl",
        description="Noise that grows with the distance and turns: power-law tails with a current in them.",
        process=DiffusionProcess(lambda x: -x, diffusion, dim=2, interpretation=interpretation),
        box=Box([-reach, -reach], [reach, reach]),
        equation=Equation(
            ("-x", "-y"),
            (("ε*(1 + x**2 + q*y**2 - 2*c*x*y)", "ε*s"), ("ε*s", "ε*(1 + y**2 + q*x**2 + 2*c*x*y)")),
            {"ε": eps, "c": c, "q": q, "s": "(1 - q)*x*y + c*(x**2 - y**2)"},
        ),
        exact=Exact(
            density,
            current,
            {
                "entropy_production": _over_squares(production),
                "circulation": _over_squares(area),
                "second_moment": 1.0 / (m - 2.0),
                "gibbs_distance": radial_gibbs_distance(density, exponent, 2),
            },
        ),
        moments={(2, 0): 0.5 / (m - 2.0), (0, 2): 0.5 / (m - 2.0)},
        settings={"temperature": eps, "strength": c, "ratio": q, "interpretation": interpretation},
        reason="A current in power-law tails needs stretched axes: equal cells waste themselves on nothing.",
        source=CHAUDHARI,
        balanced=c == 0.0,
        maps=Sinh(scale=1.0),
        finest=(128, 128),
    )


def tangential_noise(*, strength: float = 0.25, anisotropy: float = 0.5) -> Case:
    r"""The Gaussian and the current of the rotated Ornstein–Uhlenbeck process, with noise that depends on position.

    With S of :math:`H_0S + SH_0 = 2D_0` and :math:`v = RS^{-1}x` (R a quarter turn): :math:`D = D_0 + c\,vv^\top`, drift
    :math:`-(H_0 + \tfrac{c}{\det S}I)x`. Then :math:`p = N(0, S)` and J are those of c = 0; entropy production is less.
    """
    check_positive(anisotropy=anisotropy)
    if strength < 0.0:
        raise InvalidInput(f"strength: expected c ≥ 0, where D is positive, got {strength!r}")
    H0, D0 = np.array([[2.0, 1.0], [1.0, 1.0]]), np.diag([1.0, anisotropy])
    S = solve_continuous_lyapunov(H0, 2.0 * D0)
    inverse = np.linalg.inv(S)
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]]) @ inverse
    H = H0 + strength / np.linalg.det(S) * np.eye(2)
    turning = H0 - D0 @ inverse

    def diffusion(x: Array) -> Array:
        v = np.einsum("ij,j...->i...", quarter, x)
        return D0.reshape((2, 2) + (1,) * (x.ndim - 1)) + strength * v[:, None] * v[None]

    def density(x: Array) -> Array:
        exponent = -0.5 * np.einsum("i...,ij,j...->...", x, inverse, x)
        return np.asarray(np.exp(exponent) / (2.0 * math.pi * math.sqrt(np.linalg.det(S))))

    def current(x: Array) -> Array:
        return np.asarray(-np.einsum("ij,j...->i...", turning, x) * density(x))

    def production(x: Array) -> Array:
        J, D = current(x), diffusion(x)
        adjugate = D[1, 1] * J[0] ** 2 - 2.0 * D[0, 1] * J[0] * J[1] + D[0, 0] * J[1] ** 2
        return np.asarray(adjugate / ((D[0, 0] * D[1, 1] - D[0, 1] ** 2) * density(x)))

    temperature = 0.5 * float(np.trace(D0))

    def exponent(x: Array) -> Array:
        v = np.einsum("ij,j...->i...", quarter, x)
        stretch = 1.0 + strength * (v[0] ** 2 / D0[0, 0] + v[1] ** 2 / D0[1, 1])  # |D|/|D₀|
        return np.asarray(0.5 * np.einsum("i...,ij,j...->...", x, H, x) / temperature + 0.5 * np.log(stretch))

    wide = 9.0 * np.sqrt(np.maximum(np.diag(S), temperature * np.diag(np.linalg.inv(H))))
    sides = 6.5 * np.sqrt(np.diag(S))
    box = Box(-sides, sides)
    return Case(
        name="tangential-noise",
        title="Noise along the level lines",
        description="Noise that grows along the level lines of p: density and current stay those of constant D.",
        process=DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), diffusion, dim=2),
        equation=Equation(
            (combination(zip(-H[0], "xy", strict=True)), combination(zip(-H[1], "xy", strict=True))),
            (("1 + c*u**2", "c*u*v"), ("c*u*v", "a + c*v**2")),
            {
                "a": anisotropy,
                "c": strength,
                "u": combination(zip(quarter[0], "xy", strict=True)),
                "v": combination(zip(quarter[1], "xy", strict=True)),
            },
        ),
        box=box,
        exact=Exact(
            density,
            current,
            {
                "entropy_production": integral(production, box),
                "circulation": 0.5 * float((turning @ S)[0, 1] - (turning @ S)[1, 0]),
                "gibbs_distance": gibbs_distance(density, exponent, Box(-wide, wide)),
            },
        ),
        moments=covariances(S),
        settings={"strength": strength, "anisotropy": anisotropy},
        reason="Same p, same J, another D: entropy production is not a function of the density and its current.",
        source=CHAUDHARI,
        balanced=bool(np.abs(turning).max() < 1e-12),
        finest=(128, 128),
    )


def _is_ito(interpretation: str) -> bool:
    if interpretation not in ("ito", "isothermal"):
        raise InvalidInput(
            f"interpretation: expected 'ito' or 'isothermal', for which the answer is known, got {interpretation!r}"
        )
    return interpretation == "ito"


def _over_squares(share: Callable[[float], float]) -> float:
    """∫ over all s = r², to twelve digits of numbers of order one."""
    return float(quad(share, 0.0, np.inf, epsabs=1e-13)[0])
