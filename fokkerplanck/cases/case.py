"""What a case is: a process in a box, where it comes from, and what is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..grid import Array, Box, Grid
from ..process import DiffusionProcess
from ..sgd import SGD

CELLS = {1: 4096, 2: 384, 3: 64}  # per axis, of sums for norms: at the densities here they are good to round-off


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
class Case:
    """A problem of the gallery.

    Attributes
    ----------
    name, title, description : str
    process : DiffusionProcess
    box : Box
        Holds the density to better than 1e-4.
    sgd : SGD or None
        The chain behind the process, for cases on data.
    exact : Exact or None
    moments : mapping of exponents to float
        Exact ⟨x^i y^j …⟩ by (i, j, …), where no formula for the density is known.
    settings : mapping
        The parameters it was built with.
    reason : str
        Why it is in the gallery: what it shows, or what would go wrong unseen without it.
    source : str
        A publication, with DOI.
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
    (1, False, 0.3, 'p, J, flux, affinity, entropy production')
    """

    name: str
    title: str
    description: str
    process: DiffusionProcess
    box: Box
    sgd: SGD | None = None
    exact: Exact | None = None
    moments: Mapping[tuple[int, ...], float] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    source: str = ""
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


def integral(function: Callable[[Array], Array], box: Box, cells: int | None = None) -> float:
    """Midpoint sum over the box: exact to round-off for smooth functions that vanish at the walls or are periodic."""
    grid = Grid(box, (CELLS[box.dim] if cells is None else cells,) * box.dim)
    return float(np.sum(function(grid.cell_points()))) * grid.cell_volume


def boltzmann(exponent: Callable[[Array], Array], box: Box) -> tuple[Callable[[Array], Array], float]:
    """p = exp(−exponent)/Z, normalised by Gauss–Legendre quadrature in the box, and ln Z."""
    nodes, weights = np.polynomial.legendre.leggauss({1: 400, 2: 200, 3: 64}[box.dim])
    half, middle = 0.5 * box.widths, 0.5 * np.add(box.lower, box.upper)
    points = np.stack(np.meshgrid(*(m + h * nodes for m, h in zip(middle, half, strict=True)), indexing="ij"))
    total = exponent(points)
    least = float(total.min())
    shares: Array = np.exp(least - total)
    for h in half:
        shares = np.tensordot(shares, h * weights, axes=(0, 0))
    log_norm = float(np.log(shares)) - least
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
    >>> from fokkerplanck.sgd import linear_regression
    >>> sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> case = from_sgd(sgd, name="mine", title="Three points", description="A line through three points.")
    >>> case.dim, case.settings["samples"]
    (1, 3)
    """
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
    )
