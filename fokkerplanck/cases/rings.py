r"""One dimension, round a ring: Stratonovich's formula for the current that a force or a temperature profile drives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Equation, Exact, check_positive, gibbs_distance

MODES = 256  # of the Fourier series below: those of smooth profiles are at round-off after a tenth of them
PERIOD = 2.0 * math.pi
WEIGHT = {"ito": 1.0, "stratonovich": 0.5, "isothermal": 0.0}  # u = b − weight D'
Function = Callable[[Array], Array]


def ring(*, interpretation: str = "ito", sine: float = 0.5, cosine: float = 0.25) -> Case:
    r"""Drift sin x (the loss is cos x) on [0, 2π), :math:`1/D = 1 + s\sin x + c\cos x`: a current by noise alone.

    The force :math:`\oint b/D = s\pi` drives it round although the drift is the gradient of a periodic loss.
    """
    if not math.hypot(sine, cosine) < 1.0:
        raise InvalidInput(f"expected sine² + cosine² < 1, where D is positive, got {sine!r} and {cosine!r}")

    def slow(x: Array) -> Array:
        return np.asarray(1.0 + sine * np.sin(x) + cosine * np.cos(x))

    return _ring(
        np.sin,
        lambda x: 1.0 / slow(x),
        lambda x: -(sine * np.cos(x) - cosine * np.sin(x)) / slow(x) ** 2,
        interpretation,
        Equation(("sin(x)",), "1/(1 + s*sin(x) + c*cos(x))", {"s": sine, "c": cosine}),
        name="ring",
        title="Ring with noise that depends on position",
        description="A periodic loss and a gradient drift; where the noise is strong decides which way it goes.",
        settings={"interpretation": interpretation, "sine": sine, "cosine": cosine},
        temperature=1.0,
        reason="The current is harmonic, neither gradient nor curl, and different in each of the three interpretations.",
        source="P. Reimann, Phys. Rep. 361, 57 (2002), doi:10.1016/S0370-1573(01)00081-3",
    )


def tilted_ratchet(
    *, tilt: float = 0.5, temperature: float = 0.3, barrier: float = 1.0, asymmetry: float = 0.25
) -> Case:
    r"""Drift :math:`f - V'`, :math:`V = V_0(\sin x + a\sin 2x)`, D = T: a tilted washboard, or a ratchet that is rocked slowly.

    :math:`J = T\,(1 - e^{-2\pi f/T})\,\big/ \int_0^{2\pi}\!dx\,e^{-\Psi(x)}\int_x^{x+2\pi}\!dy\,e^{\Psi(y)}`,
    :math:`\Psi = (V - fx)/T`. ``rectified_flux`` is the mean of the currents at f and −f: what a force that alternates slowly
    between the two drives through an asymmetric potential.
    """
    check_positive(temperature=temperature)

    def slope(x: Array) -> Array:
        return np.asarray(barrier * (np.cos(x) + 2.0 * asymmetry * np.cos(2.0 * x)))

    def level(x: Array) -> Array:
        return np.full_like(x, temperature)

    forth = _stratonovich(lambda x: tilt - slope(x), level)[1]
    back = _stratonovich(lambda x: -tilt - slope(x), level)[1]
    return _ring(
        lambda x: tilt - slope(x),
        level,
        np.zeros_like,
        "ito",
        Equation(("f - V*(cos(x) + 2*a*cos(2*x))",), "T", {"f": tilt, "V": barrier, "a": asymmetry, "T": temperature}),
        name="tilted-ratchet",
        title="Tilted periodic potential",
        description="A washboard, pinned or sliding; asymmetric, it turns an alternating force into a current.",
        settings={"tilt": tilt, "temperature": temperature, "barrier": barrier, "asymmetry": asymmetry},
        reason="The textbook current far from equilibrium, exact at any force.",
        source="M. O. Magnasco, Phys. Rev. Lett. 71, 1477 (1993), doi:10.1103/PhysRevLett.71.1477",
        scalars={"rectified_flux": 0.5 * (forth + back)},
    )


def blowtorch(*, temperature: float = 0.5, contrast: float = 0.6, phase: float = 0.0) -> Case:
    r"""Drift sin x in a temperature that varies, :math:`D = T(x) = T_0[1 + c\sin(x + \varphi)]`, Itô.

    :math:`J = -V'p - (Tp)'`, V = cos x: heating one flank of the barrier drives a current over it, though no force has a mean.
    """
    check_positive(temperature=temperature)
    if not abs(contrast) < 1.0:
        raise InvalidInput(f"contrast: expected |c| < 1, where the temperature is positive, got {contrast!r}")
    return _ring(
        np.sin,
        lambda x: temperature * (1.0 + contrast * np.sin(x + phase)),
        lambda x: temperature * contrast * np.cos(x + phase),
        "ito",
        Equation(("sin(x)",), "T*(1 + c*sin(x + φ))", {"T": temperature, "c": contrast, "φ": phase}),
        name="blowtorch",
        title="Landauer's blowtorch",
        description="A flat ring with one hill, hotter on one flank: the wells are filled by what happens on the way between.",
        settings={"temperature": temperature, "contrast": contrast, "phase": phase},
        temperature=temperature,
        reason="Relative occupation of two wells is not decided by their energies where temperature varies.",
        source="R. Landauer, J. Stat. Phys. 53, 233 (1988), doi:10.1007/BF01011555",
    )


def _ring(
    drift: Function,
    diffusion: Function,
    slope: Function,
    interpretation: str,
    equation: Equation,
    *,
    name: str,
    title: str,
    description: str,
    settings: dict[str, object],
    reason: str,
    source: str,
    scalars: dict[str, float] | None = None,
    temperature: float | None = None,
) -> Case:
    """The record of a ring; ``temperature`` is the factor in front of D where the drift is sin x, of the loss cos x."""
    if interpretation not in WEIGHT:
        raise InvalidInput(f"interpretation: expected one of {tuple(WEIGHT)}, got {interpretation!r}")
    weight = WEIGHT[interpretation]
    density, flux, affinity = _stratonovich(lambda x: drift(x) - weight * slope(x), diffusion)
    box = Box([0.0], [PERIOD], boundary="periodic")
    numbers = {"flux": flux, "affinity": affinity, "entropy_production": flux * affinity, **(scalars or {})}
    if temperature is not None:
        numbers["gibbs_distance"] = gibbs_distance(
            lambda x: density(x[0]), lambda x: np.cos(x[0]) / temperature + 0.5 * np.log(diffusion(x)[0]), box
        )
    process = DiffusionProcess(
        drift,
        lambda x: diffusion(x)[None],
        dim=1,
        interpretation=interpretation,
        divergence=None if interpretation == "stratonovich" else slope,
    )
    return Case(
        name=name,
        title=title,
        description=description,
        process=process,
        box=box,
        equation=equation,
        exact=Exact(
            lambda x: density(x[0]),
            lambda x: np.full_like(x, flux),
            numbers,
        ),
        settings=settings,
        reason=reason,
        source=source,
        balanced=abs(affinity) < 1e-12,
        finest=(256,),
    )


def _stratonovich(velocity: Function, diffusion: Function) -> tuple[Function, float, float]:
    r"""p, J and :math:`A = \oint u/D` of :math:`J = up - Dp'` round a ring of length 2π.

    With :math:`\Psi' = -u/D`: :math:`p = C e^{-\Psi(x)}\int_x^{x+2\pi} e^\Psi/D`, :math:`J = C(1 - e^{-A})`. The part of Ψ that
    is periodic is a Fourier series, and so is :math:`e^{\Psi + Ax/2\pi}/D = \sum_k c_k e^{ikx}`, whose integrals over a period
    are :math:`c_k e^{(ik - a)x}(1 - e^{-A})/(a - ik)`, a = A/2π: no difference of large numbers.
    """
    x = PERIOD * np.arange(2 * MODES) / (2 * MODES)
    ratio = np.fft.fft((velocity(x[None]) / diffusion(x[None]))[0]) / x.size
    k = np.fft.fftfreq(x.size, 1.0 / x.size)
    rate = float(ratio[0].real)  # A/2π
    wave = np.where(k == 0.0, 0.0, -ratio / np.where(k == 0.0, 1.0, 1j * k))  # of Ψ + ax

    def series(coefficients: NDArray[np.complex128], points: Array) -> Array:
        keep = np.abs(coefficients) > 1e-17 * np.abs(coefficients).max()
        phases = np.exp(1j * np.multiply.outer(np.asarray(points, dtype=float), k[keep]))
        return np.asarray((phases @ coefficients[keep]).real)

    level = np.fft.ifft(wave * x.size).real
    weights = np.fft.fft(np.exp(level) / diffusion(x[None])[0]) / x.size
    affinity = PERIOD * rate
    whole = -math.expm1(-affinity)  # 1 − e^−A
    safe = np.where((k == 0.0) & (rate == 0.0), 1.0, rate - 1j * k)
    share = np.where((k == 0.0) & (rate == 0.0), PERIOD, whole / safe)  # → the period for k = 0 and A → 0
    inner = weights * share
    total = float(np.sum(np.exp(-level) * np.fft.ifft(inner * x.size).real)) * PERIOD / x.size

    def density(points: Array) -> Array:
        return np.asarray(np.exp(-series(wave, points)) * series(inner, points) / total)

    return density, whole / total, affinity
