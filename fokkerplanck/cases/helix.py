"""A current along helices: through a periodic axis and round it at once."""

from __future__ import annotations

import math

import numpy as np

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Equation, Exact

ROACHE = "P. J. Roache, J. Fluids Eng. 124, 4 (2002), doi:10.1115/1.1436090"


def helix(
    *, spread: float = 0.7, turning: float = 1.0, through: float = 1.0, waves: float = 0.4, ratio: float = 0.5
) -> Case:
    r""":math:`p = \tfrac1{2\pi}g(x, y)(1 + a\cos z)`, g = N(0, s), z periodic, with a current that turns and rises.

    :math:`J = \tfrac1{2\pi}g\,(-\omega y, \omega x, c)`; D = diag(1, 1, ratio) and the drift :math:`J/p + D\nabla\ln p`
    belong to it. Probability goes round the axis and along it;
    entropy production :math:`(2s\omega^2 + c^2/\text{ratio})/\sqrt{1 - a^2}`, flux along z :math:`c/2\pi`.
    """
    if not (spread > 0.0 and ratio > 0.0 and abs(waves) < 1.0):
        raise InvalidInput(f"expected spread > 0, ratio > 0 and |waves| < 1, got {spread!r}, {ratio!r} and {waves!r}")
    rates = np.array([1.0, 1.0, ratio])

    def density(x: Array) -> Array:
        return _disc(x) * (1.0 + waves * np.cos(x[2])) / (2.0 * math.pi)

    def _disc(x: Array) -> Array:
        return np.asarray(np.exp(-0.5 * (x[0] ** 2 + x[1] ** 2) / spread) / (2.0 * math.pi * spread))

    def stirring(x: Array) -> Array:
        return np.stack([-turning * x[1], turning * x[0], through + 0.0 * x[2]])

    def drift(x: Array) -> Array:
        height = 1.0 + waves * np.cos(x[2])
        slope = np.stack([-x[0] / spread, -x[1] / spread, -waves * np.sin(x[2]) / height])
        return np.asarray(stirring(x) / height + rates.reshape((3,) + (1,) * (x.ndim - 1)) * slope)

    reach = 6.0 * math.sqrt(spread)
    return Case(
        name="helix",
        title="Helical current",
        description="A column of probability that turns and rises; noise weaker along it.",
        process=DiffusionProcess(drift, np.diag(rates), dim=3),
        equation=Equation(
            ("-ω*y/h - x/s", "ω*x/h - y/s", "(c - q*a*sin(z))/h"),
            (("1", "0", "0"), ("0", "1", "0"), ("0", "0", "q")),
            {"s": spread, "ω": turning, "c": through, "a": waves, "q": ratio, "h": "1 + a*cos(z)"},
        ),
        box=Box(
            [-reach, -reach, 0.0], [reach, reach, 2.0 * math.pi], boundary=["reflecting", "reflecting", "periodic"]
        ),
        exact=Exact(
            density,
            lambda x: stirring(x) * _disc(x) / (2.0 * math.pi),
            {
                "entropy_production": (2.0 * spread * turning**2 + through**2 / ratio) / math.sqrt(1.0 - waves**2),
                "flux": through / (2.0 * math.pi),
                "circulation_01": spread * turning,
            },
        ),
        moments={(2, 0, 0): spread, (0, 2, 0): spread},
        settings={"spread": spread, "turning": turning, "through": through, "waves": waves, "ratio": ratio},
        reason="A current with a solenoidal and a harmonic part, in three dimensions, by the recipe of manufactured solutions.",
        source=ROACHE,
        balanced=turning == 0.0 and through == 0.0,
        finest=(64, 64, 64),
        level=3e-6,  # of 6 standard deviations
    )
