r"""Landscapes: Boltzmann's density :math:`e^{-U/T}/Z`, alone, with a current along its level lines, or with friction."""

from __future__ import annotations

import math

import numpy as np

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import (
    Case,
    Equation,
    Exact,
    boltzmann,
    check_positive,
    combination,
    integral,
    moments_by_quadrature,
    radial_gibbs_distance,
)

KRAMERS = "H. A. Kramers, Physica 7, 284 (1940), doi:10.1016/S0031-8914(40)90098-2"
AO = "P. Ao, J. Phys. A 37, L25 (2004), doi:10.1088/0305-4470/37/3/L01"
MUELLER = {  # amplitudes, exponents a, b, c, and centres of the four Gaussians
    "A": (-200.0, -100.0, -170.0, 15.0),
    "a": (-1.0, -1.0, -6.5, 0.7),
    "b": (0.0, 0.0, 11.0, 0.6),
    "c": (-10.0, -10.0, -6.5, 0.7),
    "x": (1.0, 0.0, -0.5, -1.0),
    "y": (0.0, 0.5, 1.5, 1.0),
}


def double_well(*, barrier: float = 3.0, tilt: float = 0.3, temperature: float = 1.0) -> Case:
    r"""Drift −V', :math:`V = E(x^2 - 1)^2 + ax`, D = T: :math:`p \propto e^{-V/T}`, J = 0."""
    check_positive(barrier=barrier, temperature=temperature)
    reach = math.sqrt(1.0 + math.sqrt(30.0 * temperature / barrier + 2.0 * abs(tilt) / barrier))  # V = 30 T there
    box = Box([-reach], [reach])
    density, _ = boltzmann(lambda x: (barrier * (x[0] ** 2 - 1.0) ** 2 + tilt * x[0]) / temperature, box)
    return Case(
        name="double-well",
        title="Double well",
        description="Two states of different energy and a barrier between them.",
        process=DiffusionProcess(lambda x: -4.0 * barrier * x * (x**2 - 1.0) - tilt, temperature, dim=1),
        equation=Equation(("-4*E*x*(x**2 - 1) - a",), "T", {"E": barrier, "a": tilt, "T": temperature}),
        box=box,
        exact=Exact(density, np.zeros_like, {"entropy_production": 0.0, "gibbs_distance": 0.0}),
        moments=moments_by_quadrature(density, box),
        settings={"barrier": barrier, "tilt": tilt, "temperature": temperature},
        reason="Occupations that a simulation gets wrong unless it crosses the barrier often.",
        source=KRAMERS,
        balanced=True,
        finest=(256,),
    )


def multiplicative_noise(*, temperature: float = 0.75, interpretation: str = "ito") -> Case:
    r"""Drift :math:`x - x^3` with :math:`D = T(1 + x^2)`: one peak or two, depending on the interpretation.

    :math:`p \propto (1 + x^2)^{1/T - \nu}e^{-x^2/2T}`, ν = 1, ½, 0 (Itô, Stratonovich, isothermal): peaks at
    :math:`x^2 = 1 - 2\nu T` where that is positive.
    """
    check_positive(temperature=temperature)
    weights = {"ito": 1.0, "stratonovich": 0.5, "isothermal": 0.0}
    if interpretation not in weights:
        raise InvalidInput(f"interpretation: expected one of {tuple(weights)}, got {interpretation!r}")
    power = 1.0 / temperature - weights[interpretation]
    reach = 1.0 + 7.0 * math.sqrt(temperature)
    box = Box([-reach], [reach])
    density, _ = boltzmann(lambda x: 0.5 * x[0] ** 2 / temperature - power * np.log1p(x[0] ** 2), box)
    distance = radial_gibbs_distance(
        density, lambda x: (0.25 * x[0] ** 4 - 0.5 * x[0] ** 2) / temperature + 0.5 * np.log1p(x[0] ** 2), 1
    )
    suffix = "" if interpretation == "ito" else f"-{interpretation}"
    return Case(
        name=f"multiplicative-noise{suffix}",
        title=f"Noise that grows with the state, {'Itô' if interpretation == 'ito' else interpretation}",
        description="A double well whose two peaks merge, or not, by the interpretation of the noise alone.",
        process=DiffusionProcess(
            lambda x: x - x**3, lambda x: temperature * (1.0 + x[None] ** 2), dim=1, interpretation=interpretation
        ),
        equation=Equation(("x - x**3",), "T*(1 + x**2)", {"T": temperature}),
        box=box,
        exact=Exact(density, np.zeros_like, {"entropy_production": 0.0, "gibbs_distance": distance}),
        moments=moments_by_quadrature(density, box),
        settings={"temperature": temperature, "interpretation": interpretation},
        reason="The same drift and the same D are three different laws.",
        source="P. Hänggi, H. Thomas, Phys. Rep. 88, 207 (1982), doi:10.1016/0370-1573(82)90045-X",
        balanced=True,
        finest=(256,),
    )


def mueller_brown(*, temperature: float = 20.0) -> Case:
    r"""Drift −∇V of the Müller–Brown surface, D = T: :math:`p \propto e^{-V/T}` in the box, J = 0."""
    check_positive(temperature=temperature)

    def terms(x: Array) -> list[tuple[Array, Array, Array]]:
        rows = zip(*MUELLER.values(), strict=True)
        out = []
        for A, a, b, c, x0, y0 in rows:
            dx, dy = x[0] - x0, x[1] - y0
            value = A * np.exp(a * dx**2 + b * dx * dy + c * dy**2)
            out.append((value, value * (2.0 * a * dx + b * dy), value * (b * dx + 2.0 * c * dy)))
        return out

    box = Box([-2.1, -0.9], [1.6, 2.5])
    density, _ = boltzmann(lambda x: np.sum([term[0] for term in terms(x)], axis=0) / temperature, box)
    return Case(
        name="mueller-brown",
        title="Müller–Brown surface",
        description="Three minima and a bent valley: the standard landscape of reaction paths.",
        process=DiffusionProcess(lambda x: -np.sum([term[1:] for term in terms(x)], axis=0), temperature, dim=2),
        equation=_mueller_brown_in_writing(temperature),
        box=box,
        exact=Exact(density, np.zeros_like, {"entropy_production": 0.0, "circulation": 0.0, "gibbs_distance": 0.0}),
        moments=moments_by_quadrature(density, box),
        settings={"temperature": temperature},
        reason="A narrow valley along neither axis; in equilibrium, so any current is the solver's own.",
        source="K. Müller, L. D. Brown, Theor. Chim. Acta 53, 75 (1979), doi:10.1007/BF00547608",
        balanced=True,
        finest=(256, 256),
        level=1e-6,  # on the steep flanks faces far down the density keep the second-order flux
    )


def _mueller_brown_in_writing(temperature: float) -> Equation:
    """The gradient of the four Gaussians V_k."""

    def shifted(name: str, by: float) -> str:
        return f"({name} {'-' if by > 0.0 else '+'} {abs(by)!r})" if by else name

    where: dict[str, float | str] = {"T": temperature}
    slopes: list[list[tuple[float, str]]] = [[], []]
    for k, (A, a, b, c, x0, y0) in enumerate(zip(*MUELLER.values(), strict=True), start=1):
        u, v = shifted("x", x0), shifted("y", y0)
        exponent = combination([(a, f"{u}**2"), (b, f"{u}*{v}"), (c, f"{v}**2")])
        where[f"V{k}"] = combination([(A, f"exp({exponent})")])
        for slope, pair in zip(slopes, ([(-2.0 * a, u), (-b, v)], [(-b, u), (-2.0 * c, v)]), strict=True):
            slope.append((1.0, f"({combination(pair)})*V{k}"))
    return Equation((combination(slopes[0]), combination(slopes[1])), "T", where)


def maier_stein(*, alpha: float = 5.0, mu: float = 1.0, noise: float = 0.2) -> Case:
    r"""Drift :math:`(x - x^3 - \alpha xy^2,\; -\mu(1 + x^2)y)`, D = ε/2: two wells, no potential unless α = μ.

    Exact for α = μ only, in detailed balance: :math:`p \propto e^{-2V/\varepsilon}` with
    :math:`V = \tfrac14x^4 - \tfrac12x^2 + \tfrac\mu2(1 + x^2)y^2`. For α ≠ μ, as by default, no formula is known.
    """
    check_positive(alpha=alpha, mu=mu, noise=noise)
    reach = math.sqrt(1.0 + math.sqrt(60.0 * noise))  # V = 30 ε/2 above the wells
    across = max(math.sqrt(30.0 * noise / mu), 1.0)
    box = Box([-reach, -across], [reach, across])
    exact = None
    if alpha == mu:
        density, _ = boltzmann(
            lambda x: 2.0 / noise * (0.25 * x[0] ** 4 - 0.5 * x[0] ** 2 + 0.5 * mu * (1.0 + x[0] ** 2) * x[1] ** 2), box
        )
        exact = Exact(density, np.zeros_like, {"entropy_production": 0.0, "circulation": 0.0, "gibbs_distance": 0.0})
    return Case(
        name="maier-stein",
        title="Maier–Stein system",
        description="Exit from a well without detailed balance: the way out is not the way in, and beyond α = 4μ it forks. The "
        "density is known for α = μ only, where there is balance (-p alpha=1).",
        process=DiffusionProcess(
            lambda x: np.stack([x[0] - x[0] ** 3 - alpha * x[0] * x[1] ** 2, -mu * (1.0 + x[0] ** 2) * x[1]]),
            0.5 * noise,
            dim=2,
        ),
        equation=Equation(("x - x**3 - α*x*y**2", "-μ*(1 + x**2)*y"), "ε/2", {"α": alpha, "μ": mu, "ε": noise}),
        box=box,
        exact=exact,
        moments={} if exact is None else moments_by_quadrature(exact.density, box),
        settings={"alpha": alpha, "mu": mu, "noise": noise},
        reason="Caustics of the quasi-potential; the standard test of rare events out of equilibrium.",
        source="R. S. Maier, D. L. Stein, Phys. Rev. Lett. 71, 1783 (1993), doi:10.1103/PhysRevLett.71.1783",
        balanced=alpha == mu,
        finest=(128, 128) if alpha == mu else None,
    )


def mexican_hat(*, height: float = 2.0, temperature: float = 0.5, turning: float = 1.0, shear: float = 0.0) -> Case:
    r"""Drift :math:`-\nabla U + \Omega(r)(-y, x)`, :math:`U = h(r^2 - 1)^2`, D = T: a noisy rotor.

    With :math:`\Omega = \omega + \kappa r^2`, :math:`p \propto e^{-U/T}` and :math:`J = \Omega(r)(-y, x)\,p`: the normal
    form of a Hopf bifurcation.
    """
    check_positive(height=height, temperature=temperature)

    def density(x: Array) -> Array:
        return np.asarray(np.exp(-height / temperature * (x[0] ** 2 + x[1] ** 2 - 1.0) ** 2) / norm)

    def swirl(x: Array) -> Array:
        return np.asarray((turning + shear * (x[0] ** 2 + x[1] ** 2)) * np.stack([-x[1], x[0]]))

    top = math.sqrt(36.0 * temperature / height) + 1.0  # r², beyond which e^(−36) remains
    s, w = np.polynomial.legendre.leggauss(400)
    s, w = 0.5 * top * (s + 1.0), 0.5 * top * w  # of r²
    law = np.exp(-height / temperature * (s - 1.0) ** 2)
    norm = math.pi * float(w @ law)

    def mean(f: Array) -> float:
        return float(w @ (law * f) / (w @ law))

    speed = turning + shear * s
    reach = math.sqrt(top)
    return Case(
        name="mexican-hat",
        title="Mexican hat with a swirl",
        description="Noise on a ring-shaped valley that turns: a limit cycle with a phase that diffuses.",
        process=DiffusionProcess(
            lambda x: -4.0 * height * (x[0] ** 2 + x[1] ** 2 - 1.0) * x + swirl(x), temperature, dim=2
        ),
        equation=Equation(
            ("-4*h*(s - 1)*x - Ω*y", "-4*h*(s - 1)*y + Ω*x"),
            "T",
            {"h": height, "T": temperature, "ω": turning, "κ": shear, "s": "x**2 + y**2", "Ω": "ω + κ*s"},
        ),
        box=Box([-reach, -reach], [reach, reach]),
        exact=Exact(
            density,
            lambda x: swirl(x) * density(x),
            {"entropy_production": mean(speed**2 * s) / temperature, "circulation": 0.5 * mean(speed * s)},
        ),
        moments={(2, 0): 0.5 * mean(s), (0, 2): 0.5 * mean(s), (2, 2): 0.125 * mean(s**2)},
        settings={"height": height, "temperature": temperature, "turning": turning, "shear": shear},
        reason="A ring that no axis of the grid follows; the swirl leaves p as it is, however strong.",
        source=AO,
        balanced=turning == 0.0 and shear == 0.0,
        finest=(256, 256),
    )


def limit_cycle(*, width: float = 0.25, tilt: float = 0.3, turning: float = 0.4) -> Case:
    r""":math:`p \propto e^{-U}`, :math:`U = (r^2-1)^2/8w^2 + ax`, and a constant tensor with all its entries.

    The current :math:`J = \omega\,(-\partial_yU, \partial_xU)\,p` runs along the level lines of p, faster where they are
    dense: an uneven limit cycle. It sweeps the area ω.
    """
    check_positive(width=width)
    D = np.array([[0.5, 0.15], [0.15, 0.3]])
    inverse = np.linalg.inv(D)

    def slope(x: Array) -> Array:
        inner = (x[0] ** 2 + x[1] ** 2 - 1.0) / (2.0 * width**2)
        return np.stack([inner * x[0] + tilt, inner * x[1]])

    def swirl(x: Array) -> Array:
        down = slope(x)
        return turning * np.stack([-down[1], down[0]])

    reach = math.sqrt(1.0 + width * math.sqrt(8.0 * (30.0 + 2.0 * abs(tilt))))
    box = Box([-reach, -reach], [reach, reach])
    density, _ = boltzmann(lambda x: (x[0] ** 2 + x[1] ** 2 - 1.0) ** 2 / (8.0 * width**2) + tilt * x[0], box)

    def production(x: Array) -> Array:
        return np.asarray(density(x) * np.einsum("i...,ij,j...->...", swirl(x), inverse, swirl(x)))

    return Case(
        name="limit-cycle",
        title="Uneven limit cycle",
        description="Noise on a ring with more room on one side, going round along the level lines of p.",
        process=DiffusionProcess(lambda x: swirl(x) - np.einsum("ij,j...->i...", D, slope(x)), D, dim=2),
        equation=Equation(
            ("-ω*v - 0.5*u - 0.15*v", "ω*u - 0.15*u - 0.3*v"),
            (("0.5", "0.15"), ("0.15", "0.3")),
            {"w": width, "a": tilt, "ω": turning, "q": "(x**2 + y**2 - 1)/(2*w**2)", "u": "q*x + a", "v": "q*y"},
        ),
        box=box,
        exact=Exact(
            density,
            lambda x: swirl(x) * density(x),
            {"entropy_production": integral(production, box), "circulation": turning},  # ½ω⟨x·∇U⟩, and ⟨x·∇U⟩ = 2,
        ),
        moments=moments_by_quadrature(density, box),
        settings={"width": width, "tilt": tilt, "turning": turning},
        reason="A limit cycle whose density is known although drift, noise and cycle share no symmetry.",
        source=AO,
        balanced=turning == 0.0,
        finest=(256, 256),
    )


def underdamped_double_well(*, barrier: float = 1.0, friction: float = 1.0, temperature: float = 1.0) -> Case:
    r"""Position and velocity: drift :math:`(v, -V'(x) - \gamma v)`, D = diag(0, γT), :math:`V = E(x^2 - 1)^2`.

    :math:`p \propto e^{-(V + v^2/2)/T}`, and :math:`J = (v, -V')\,p` is Hamilton's flow: reversible, although it is a current.
    """
    check_positive(barrier=barrier, friction=friction, temperature=temperature)
    reach = math.sqrt(1.0 + math.sqrt(25.0 * temperature / barrier))
    fastest = math.sqrt(50.0 * temperature)
    box = Box([-reach, -fastest], [reach, fastest])
    density, _ = boltzmann(lambda x: (barrier * (x[0] ** 2 - 1.0) ** 2 + 0.5 * x[1] ** 2) / temperature, box)

    def flow(x: Array) -> Array:
        return np.stack([x[1], -4.0 * barrier * x[0] * (x[0] ** 2 - 1.0)])

    return Case(
        name="underdamped-double-well",
        title="Underdamped motion in a double well",
        description="Noise on the velocity only: Boltzmann's density with Hamilton's flow as its current.",
        process=DiffusionProcess(
            lambda x: flow(x) - friction * np.stack([np.zeros_like(x[0]), x[1]]),
            np.diag([0.0, friction * temperature]),
            dim=2,
            names=("x", "v"),
        ),
        equation=Equation(
            ("v", "-4*E*x*(x**2 - 1) - γ*v"),
            (("0", "0"), ("0", "γ*T")),
            {"E": barrier, "γ": friction, "T": temperature},
        ),
        box=box,
        exact=Exact(density, lambda x: flow(x) * density(x), {"circulation": -temperature}),  # ⟨xV'⟩ = ⟨v²⟩ = T
        moments=moments_by_quadrature(density, box),
        settings={"barrier": barrier, "friction": friction, "temperature": temperature},
        reason="Singular D, a current in equilibrium: ∇·J = 0 and J ≠ 0 do not prove that detailed balance is broken.",
        source=KRAMERS,
        balanced=True,  # with velocities reversed
        finest=(256, 256),
        order=1.9,  # where there is no noise along an axis the corrected values are of second order too
    )
