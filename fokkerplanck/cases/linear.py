r"""Linear drift with constant noise: Gaussian densities from the Lyapunov equation :math:`HS + SH^\top = 2D`."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_continuous_lyapunov

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import VANISHING, Case, Equation, Exact, check_positive, combination, gibbs_distance

Matrix = tuple[tuple[float, ...], ...]
BALANCED = 1e-12  # current matrix in units of the drift's: the Lyapunov equation is solved to about 1e-15
AOKI = "C. Kwon, P. Ao, D. J. Thouless, PNAS 102, 13029 (2005), doi:10.1073/pnas.0506347102"


def ornstein_uhlenbeck(*, anisotropy: float = 0.5, hessian: Matrix = ((2.0, 1.0), (1.0, 1.0))) -> Case:
    r"""Drift :math:`-Hx` with H = [[2, 1], [1, 1]], noise D = diag(1, anisotropy).

    The density is Gaussian with covariance S, :math:`HS + SH^\top = 2D`; the current is :math:`J = -(H - DS^{-1})x\,p`, for
    symmetric H also :math:`-\tfrac12(HS - SH)S^{-1}x\,p`. Detailed balance would need :math:`HD = DH^\top`.
    """
    if anisotropy < 0.0:
        raise InvalidInput(f"anisotropy: expected a number of at least 0, where D is one, got {anisotropy!r}")
    return _linear(
        np.asarray(hessian, dtype=float),
        np.diag([1.0, anisotropy]),
        name="ornstein-uhlenbeck",
        title="Rotated Ornstein–Uhlenbeck process",
        description="A Gaussian with a current: the simplest process out of detailed balance. Drift −Hx, constant diagonal D.",
        reason="Gradient drift and constant noise, and yet a current, along the level lines of p and not of the loss.",
        source=AOKI,
        settings={"anisotropy": anisotropy, "hessian": hessian},
        finest=(128, 128),
        level=3e-6,  # the walls at 5.5 standard deviations cut off 1e-7 of p, more of its moments
    )


def ornstein_uhlenbeck_1d(*, stiffness: float = 1.0, temperature: float = 0.5) -> Case:
    r"""Drift :math:`-kx`, D = T: :math:`p = N(0, T/k)`, J = 0."""
    check_positive(stiffness=stiffness, temperature=temperature)
    return _linear(
        np.array([[stiffness]]),
        np.array([[temperature]]),
        name="ornstein-uhlenbeck-1d",
        title="Ornstein–Uhlenbeck process on the line",
        description="A particle in a harmonic trap: a Gaussian of variance T/k at rest.",
        reason="The smallest problem: whoever gets this wrong has the factor of D wrong.",
        source="G. E. Uhlenbeck, L. S. Ornstein, Phys. Rev. 36, 823 (1930), doi:10.1103/PhysRev.36.823",
        settings={"stiffness": stiffness, "temperature": temperature},
        finest=(256,),
        reach=7.0,
    )


def brownian_gyrator(*, hot: float = 1.0, cold: float = 0.25, stiff: float = 2.0, soft: float = 1.0) -> Case:
    r"""A trap :math:`\tfrac12(k_1 s^2 + k_2 t^2)` with axes at 45° to two heat baths: D = diag(hot, cold).

    The particle turns from the hot axis towards the cold one; for hot = cold it is in equilibrium.
    """
    check_positive(stiff=stiff, soft=soft)
    if not min(hot, cold) >= 0.0:
        raise InvalidInput(f"hot, cold: expected temperatures of at least 0, got {hot!r} and {cold!r}")
    mean, half = 0.5 * (stiff + soft), 0.5 * (stiff - soft)
    return _linear(
        np.array([[mean, half], [half, mean]]),
        np.diag([hot, cold]),
        name="brownian-gyrator",
        title="Brownian gyrator",
        description="An elliptic trap, tilted against a hot and a cold direction: a minimal heat engine.",
        reason="The textbook steady state between two heat baths; its torque changes sign with hot − cold and stiff − soft.",
        source="R. Filliger, P. Reimann, Phys. Rev. Lett. 99, 230602 (2007), doi:10.1103/PhysRevLett.99.230602",
        settings={"hot": hot, "cold": cold, "stiff": stiff, "soft": soft},
        finest=(128, 128),
        reach=6.5,
    )


def rank_one_noise(*, hessian: Matrix = ((2.0, 1.0), (1.0, 1.0))) -> Case:
    r"""Drift :math:`-Hx` with noise along x only, D = diag(1, 0): the drift carries it to y, and the density is smooth."""
    return _linear(
        np.asarray(hessian, dtype=float),
        np.diag([1.0, 0.0]),
        name="rank-one-noise",
        title="Linear process with noise along one axis",
        description="A singular diffusion tensor with a positive density: the drift mixes what the noise does not.",
        reason="SGD's noise is singular near a minimum that fits the data; a density needs [D, HD] of full rank, not D.",
        source="L. Hörmander, Acta Math. 119, 147 (1967), doi:10.1007/BF02392081",
        settings={"hessian": hessian},
        finest=(256, 256),
        reach=6.5,
        order=1.9,  # where there is no noise along an axis the corrected values are of second order too
    )


def linear_3d(*, turning: float = 1.0) -> Case:
    r"""Drift :math:`-Hx` in space with ``turning`` as its antisymmetric part, D a full constant tensor."""
    H = np.array([[1.0, 0.0, 0.3], [0.0, 1.2, 0.0], [0.3, 0.0, 0.8]])
    H = H + turning * np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.5], [0.0, -0.5, 0.0]])
    D = np.array([[1.0, 0.3, 0.0], [0.3, 0.8, -0.2], [0.0, -0.2, 0.6]])
    return _linear(
        H,
        D,
        name="linear-3d",
        title="Linear process in space",
        description="A Gaussian turning about a tilted axis, with a full diffusion tensor.",
        reason="All three planes have a circulation, and all three mixed entries of D enter.",
        source=AOKI,
        settings={"turning": turning},
        finest=(64, 64, 64),
        reach=6.0,
        level=3e-6,  # of 6 standard deviations
    )


def covariances(S: Array) -> dict[tuple[int, ...], float]:
    """Moments of second degree of a Gaussian with mean zero, but for those that vanish."""
    unit = np.eye(len(S), dtype=int)
    pairs = [(i, j) for i in range(len(S)) for j in range(i, len(S))]
    least = VANISHING * np.abs(S).max()
    return {tuple((unit[i] + unit[j]).tolist()): float(S[i, j]) for i, j in pairs if abs(S[i, j]) > least}


def _linear(
    H: Array,
    D: Array,
    *,
    name: str,
    title: str,
    description: str,
    reason: str,
    source: str,
    settings: dict[str, object],
    finest: tuple[int, ...],
    reach: float = 5.5,
    level: float = 1e-7,
    order: float = 3.5,
) -> Case:
    d = len(H)
    if H.shape != (d, d) or D.shape != (d, d):
        raise InvalidInput(f"{name}: expected a matrix of shape {D.shape}, got {H.tolist()}")
    if not np.linalg.eigvals(H).real.min() > 0.0:
        raise InvalidInput(
            f"{name}: expected a matrix whose eigenvalues have positive real parts, got {H.tolist()}: the drift −Hx does not "
            "hold the particle"
        )
    S = solve_continuous_lyapunov(H, 2.0 * D)
    if not np.linalg.eigvalsh(S).min() > 0.0:
        raise InvalidInput(f"{name}: expected noise that reaches every direction, got a covariance of {S.tolist()}")
    inverse = np.linalg.inv(S)
    turning = H - D @ inverse
    norm = float(np.sqrt(np.linalg.det(2.0 * np.pi * S)))
    balanced = bool(np.abs(turning).max() < BALANCED * np.abs(H).max())

    def density(x: Array) -> Array:
        return np.asarray(np.exp(-0.5 * np.einsum("i...,ij,j...->...", x, inverse, x)) / norm)

    def current(x: Array) -> Array:
        return np.zeros_like(x) if balanced else np.asarray(-np.einsum("ij,j...->i...", turning, x) * density(x))

    moment = turning @ S
    scalars = {}
    if np.linalg.eigvalsh(D).min() > 0.0:
        scalars["entropy_production"] = 0.0 if balanced else float(np.trace(turning.T @ np.linalg.inv(D) @ turning @ S))
    for i in range(d):
        for j in range(i + 1, d):
            label = "circulation" if d == 2 else f"circulation_{i}{j}"
            scalars[label] = 0.0 if balanced else 0.5 * float(moment[i, j] - moment[j, i])
    if d <= 2 and np.array_equal(H, H.T) and np.linalg.eigvalsh(D).min() > 0.0:
        temperature = float(np.trace(D)) / d
        wide = 9.0 * np.sqrt(np.maximum(np.diag(S), temperature * np.diag(np.linalg.inv(H))))
        scalars["gibbs_distance"] = gibbs_distance(
            density, lambda x: 0.5 / temperature * np.einsum("i...,ij,j...->...", x, H, x), Box(-wide, wide)
        )
    sides = reach * np.sqrt(np.diag(S))
    return Case(
        name=name,
        title=title,
        description=description,
        process=DiffusionProcess(lambda x: -np.einsum("ij,j...->i...", H, x), D, dim=d),
        equation=Equation(
            tuple(combination(zip(-row, "xyz", strict=False)) for row in H),
            tuple(tuple(f"{v:.16g}" for v in row) for row in D),
        ),
        box=Box(-sides, sides),
        exact=Exact(density, current, scalars),
        moments=covariances(S),
        settings=settings,
        reason=reason,
        source=source,
        balanced=balanced,
        finest=finest,
        level=level,
        order=order,
    )
