"""What a case is: a process in a box, where it comes from, and what is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InvalidInput
from ..grid import Array, Box, Grid
from ..process import DiffusionProcess

if TYPE_CHECKING:
    from ..sgd import SGD

CELLS = {1: 4096, 2: 384, 3: 64}  # per axis, of sums for norms: at the densities here they are good to round-off

GIBBS_CELLS = {1: 4096, 2: 512}  # per axis: lines of equal density along an axis cost 5e-6 in the plane
VANISHING = 1e-10  # moments below this, in units of the box, are round-off of zero


@dataclass(frozen=True)
class Exact:
    """Exact answers of a case.

    Attributes
    ----------
    density, current : callable
        Points of shape (d, ...) to p of shape (...), normalised on the whole space (in the box, where its walls are real),
        and J of shape (d, ...).
    scalars : mapping of str to float
        Exact numbers by name: ``entropy_production``, ``circulation`` (A_01), ``flux`` (round a periodic axis), …
        ``gibbs_distance`` is the total variation of p from :math:`|D|^{-1/2}e^{-L/T}/Z`, for a drift −∇L; T is the mean
        eigenvalue of a constant D, and the factor in front of D elsewhere.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> exact = fp.cases.get("four-vortices").exact
    >>> round(float(exact.density(np.zeros(2))) * 2 * np.pi, 9), bool((exact.current(np.zeros(2)) == 0).all())
    (1.0, True)
    """

    density: Callable[[Array], Array]
    current: Callable[[Array], Array]
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class Equation:
    """Drift and diffusion tensor in writing, beside the functions that compute them.

    Attributes
    ----------
    b : tuple of d str
        Formulas as Python has them, of the names of the variables, sin, cos, exp and the letters of ``where``.
    D : str, or tuple of d tuples of d str
        One formula is that multiple of the identity.
    where : mapping of str to float or str
        What letters stand for: a number, or a formula of the letters before.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> fp.cases.get("blowtorch").equation
    Equation(b=('sin(x)',), D='T*(1 + c*sin(x + φ))', where={'T': 0.5, 'c': 0.6, 'φ': 0.0})
    """

    b: tuple[str, ...]
    D: str | tuple[tuple[str, ...], ...]
    where: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A problem of the gallery.

    Attributes
    ----------
    name, title, description : str
    process : DiffusionProcess
    box : Box
        Holds the density to better than 1e-4.
    equation : Equation or None
        The process as formulas, where there are some.
    sgd : SGD or None
        The chain behind the process, for cases on data.
    exact : Exact or None
    moments : mapping of exponents to float
        Exact ⟨x^i y^j …⟩ by (i, j, …), those that do not vanish.
    settings : mapping
        The parameters it was built with.
    reason : str
        Why it is in the gallery: what it shows, or what would go wrong unseen without it.
    source : str
        A publication, with DOI.
    trustworthy, degenerate : str
        Of SGD on data: where the diffusion says what the chain does, as measured, and where its noise fails to spread it.
    balanced : bool or None
        Whether detailed balance holds; None where it is not known before solving.
    maps : axis map, sequence of them or None
        How the axes are stretched.
    finest : tuple of int or None
        Cells of the finest of the three grids on which :func:`verify` compares it with the exact answer.
    order : float
        Declared order of convergence of the fourth-order method on them.
    level : float
        Error below which no order is asked for: what the walls of the box cut off, or round-off.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> case = fp.cases.get("ring", sine=0.3)
    >>> case.dim, case.balanced, case.settings["sine"], case.known
    (1, False, 0.3, 'p, J, flux, affinity, entropy production, gibbs distance')
    """

    name: str
    title: str
    description: str
    process: DiffusionProcess
    box: Box
    equation: Equation | None = None
    sgd: SGD | None = None
    exact: Exact | None = None
    moments: Mapping[tuple[int, ...], float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    source: str = ""
    trustworthy: str = ""
    degenerate: str = ""
    balanced: bool | None = None
    maps: Any = None
    finest: tuple[int, ...] | None = None
    order: float = 3.5
    level: float = 1e-7

    @property
    def dim(self) -> int:
        """Number of state variables."""
        return self.process.dim

    @property
    def known(self) -> str:
        """What is exact, in words; empty where nothing is."""
        words = [] if self.exact is None else ["p", "J", *(name.replace("_", " ") for name in self.exact.scalars)]
        return ", ".join(words + (["moments"] if self.moments else []))


def combination(terms: Iterable[tuple[float, str]]) -> str:
    """A sum of multiples in writing, without those that vanish.

    Examples
    --------
    >>> combination([(-1.0, "x"), (0.0, "y"), (0.5, "z")])
    '-x + 0.5*z'
    """
    text = ""
    for factor, each in terms:
        size = "" if abs(factor) == 1.0 else f"{abs(float(factor))!r}*"
        text += f" {'-' if factor < 0.0 else '+'} {size}{each}" if factor else ""
    return ("-" if text.startswith(" - ") else "") + text[3:] if text else "0"


def check_positive(**values: float) -> None:
    """Refuse parameters that are not positive, by name."""
    for name, value in values.items():
        if not value > 0.0:
            raise InvalidInput(f"{name}: expected a positive number, got {value!r}")


def integral(function: Callable[[Array], Array], box: Box, cells: int | None = None) -> float:
    """Midpoint sum over the box: exact to round-off for smooth functions that vanish at the walls or are periodic."""
    grid = Grid(box, (CELLS[box.dim] if cells is None else cells,) * box.dim)
    return float(np.sum(function(grid.cell_points()))) * grid.cell_volume


def gibbs_distance(density: Callable[[Array], Array], exponent: Callable[[Array], Array], box: Box) -> float:
    """Total variation of a density from :math:`e^{-E}/Z`, by a sum over a box outside which both are zero; to 1e-5.

    Parameters
    ----------
    density, exponent : callable
        p and E, of which any constant may be missing.
    box : Box
        Wide enough for both, or the period of both.
    """
    grid = Grid(box, (GIBBS_CELLS[box.dim],) * box.dim)
    points = grid.cell_points()
    return _half_distance(density(points), exponent(points), grid.cell_volume)


def radial_gibbs_distance(
    density: Callable[[Array], Array], exponent: Callable[[Array], Array], dim: int, *, far: float = 1e8
) -> float:
    """As `gibbs_distance`, of functions of the distance from the origin only, which may have power-law tails; to 1e-7."""
    logarithms, spacing = np.linspace(-20.0, math.log(far), 4000, retstep=True)
    radii = np.exp(logarithms)
    points = np.zeros((dim, len(radii)))
    points[0] = radii
    spheres = 2.0 * math.pi ** (0.5 * dim) / math.gamma(0.5 * dim) * radii**dim
    return _half_distance(density(points), exponent(points), float(spacing) * spheres)


def _half_distance(p: Array, exponent: Array, weights: Array | float) -> float:
    """½Σw|p − q|, with the error of a sum where the difference changes its sign along the last axis taken off."""
    q = np.exp(exponent.min() - exponent)
    difference = (p - q / np.sum(q * weights)) * weights
    following = np.roll(difference, -1, axis=-1)  # of a period, or zero behind the last
    change = np.abs(following - difference)[difference * following < 0.0]
    share = np.abs(difference)[difference * following < 0.0] / change
    # A kink at the share t of a cell makes the sum larger by its change of slope times t(1 − t)/2 − 1/12.
    return 0.5 * float(np.abs(difference).sum() + np.sum(change * (1.0 / 6.0 - share * (1.0 - share))))


def moments_by_quadrature(density: Callable[[Array], Array], box: Box) -> dict[tuple[int, ...], float]:
    """Moments of first and second degree of a density in a box by Gauss–Legendre quadrature, but for those that vanish."""
    points, weights = _gauss_legendre(box)
    shares, reach = density(points) * weights, float(np.abs([box.lower, box.upper]).max())
    powers = [p for p in np.ndindex(*(3,) * box.dim) if 1 <= sum(p) <= 2]
    monomials = {p: np.prod([x**k for x, k in zip(points, p, strict=True)], axis=0) for p in powers}
    values = {p: float(np.sum(monomial * shares)) for p, monomial in monomials.items()}
    return {p: value for p, value in values.items() if abs(value) > VANISHING * reach ** sum(p)}


def _gauss_legendre(box: Box) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss({1: 400, 2: 200, 3: 64}[box.dim])
    half, middle = 0.5 * box.widths, 0.5 * np.add(box.lower, box.upper)
    points = np.stack(np.meshgrid(*(m + h * nodes for m, h in zip(middle, half, strict=True)), indexing="ij"))
    product = half[0] * weights
    for h in half[1:]:
        product = np.multiply.outer(product, h * weights)
    return points, product


def boltzmann(exponent: Callable[[Array], Array], box: Box) -> tuple[Callable[[Array], Array], float]:
    """p = exp(−exponent)/Z, normalised by Gauss–Legendre quadrature in the box, and ln Z."""
    points, weights = _gauss_legendre(box)
    total = exponent(points)
    least = float(total.min())
    log_norm = math.log(float(np.sum(np.exp(least - total) * weights))) - least
    return (lambda x: np.exp(-exponent(x) - log_norm)), log_norm


def from_sgd(
    sgd: SGD,
    *,
    name: str,
    title: str,
    description: str,
    widths: float = 7.0,
    reason: str = "",
    source: str = "",
    trustworthy: str = "",
    degenerate: str = "",
) -> Case:
    """The case of SGD on a loss: its diffusion limit, in a box of ± ``widths`` standard deviations round the minimum.

    Under epoch shuffling the batches are not independent, and the process is that of independent batches drawn without
    replacement: what the simulation is compared with, not what describes it.

    Raises
    ------
    InvalidInput
        If the model has more parameters than can be gridded, or the batches carry no noise.

    Examples
    --------
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> case = from_sgd(sgd, name="mine", title="Three points", description="A line through three points.")
    >>> case.dim, case.settings["samples"]
    (1, 3)
    """
    from ..sgd import SGD  # loads the simulator, which no other case needs

    independent = SGD(
        sgd.model,
        learning_rate=sgd.learning_rate,
        batch_size=sgd.batch_size,
        sampling="without_replacement" if sgd.sampling == "epoch" else sgd.sampling,
    )
    settings = {
        "model": sgd.model.kind,
        "samples": sgd.model.n,
        "l2": sgd.model.l2,
        "learning_rate": sgd.learning_rate,
        "batch_size": sgd.batch_size,
        "sampling": sgd.sampling,
    }
    return Case(
        name=name,
        title=title,
        description=description,
        box=independent.box(widths=widths),
        process=independent.process(),
        sgd=sgd,
        settings=settings,
        reason=reason,
        source=source,
        trustworthy=trustworthy,
        degenerate=degenerate,
    )
