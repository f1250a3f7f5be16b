"""A case from formulas: whatever density, tensor and stream function one likes, and the drift that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import symbolic
from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Exact, boltzmann, integral, moments_by_quadrature
from .helix import ROACHE


def manufactured(
    log_density: Any,
    diffusion: Any,
    stream_function: Any = None,
    *,
    symbols: Sequence[Any],
    box: Box,
    name: str = "manufactured",
    title: str = "Manufactured solution",
) -> Case:
    r"""The Itô process with a given stationary density p, diffusion tensor D and stream function ψ.

    .. math::

        b_i = \partial_j D_{ij} + D_{ij}\,\partial_j\ln p + J_i/p, \qquad J = (\partial_y\psi, -\partial_x\psi)

    has the stationary density p and the current J, for any p > 0, any D ≥ 0 and any ψ. In three dimensions
    :math:`J = \nabla\times\psi` with a vector potential ψ.

    Parameters
    ----------
    log_density : SymPy expression
        ln p, up to a constant: p is normalised in the box.
    diffusion : SymPy expressions, (d, d), or one times the identity
    stream_function : SymPy expression, or three of them in three dimensions, optional
        **ψ/p**, so that the current falls off with the density, as it has to before the walls. None for detailed balance.
    symbols : sequence of SymPy symbols
        The d state variables.
    box : Box
        Should hold the density: the walls cut off what is beyond.
    name, title : str

    Returns
    -------
    Case
        With ``exact``: p, J, entropy production where D is positive, and in two dimensions the circulation; and moments.

    Raises
    ------
    InvalidInput
        If SymPy is missing, or the formulas do not fit each other or the box.

    References
    ----------
    P. J. Roache, J. Fluids Eng. 124, 4 (2002), doi:10.1115/1.1436090 (manufactured solutions).

    Examples
    --------
    >>> import sympy
    >>> x, y = sympy.symbols("x y", real=True)
    >>> box = Box([-6, -6], [6, 6])
    >>> case = manufactured(-(x**2 + y**2) / 2, sympy.diag(1 + y**2, 1), -x * y / 2, symbols=(x, y), box=box)
    >>> case.process.formulas.drift.T, round(case.exact.scalars["entropy_production"], 6)  # four vortices
    (Matrix([[-x*y**2/2 - 3*x/2, -x**2*y/2 - y/2]]), 0.655679)
    """
    x = tuple(symbols)
    if len(x) != box.dim:
        raise InvalidInput(f"symbols: expected one per axis of the box ({box.dim}), got {len(x)}")
    f, D, velocity, drift = symbolic.manufactured(log_density, diffusion, stream_function, x)
    exponent = symbolic.numeric([-f], x)
    stirring = symbolic.numeric(velocity, x)
    process = DiffusionProcess.from_sympy([entry.expand() for entry in drift], D, symbols=x)
    density, _ = boltzmann(lambda y: exponent(y)[0], box)

    def current(y: Array) -> Array:
        return np.asarray(stirring(y) * density(y))

    balanced = all(entry == 0 for entry in velocity)
    scalars: dict[str, float] = {}
    middle = 0.5 * np.add(box.lower, box.upper)[:, None]
    if np.linalg.eigvalsh(np.moveaxis(process.diffusion(middle), -1, 0)).min() > 0.0:

        def production(y: Array) -> Array:
            tensor = np.moveaxis(process.diffusion(y), (0, 1), (-2, -1))
            w = np.moveaxis(stirring(y), 0, -1)
            return np.asarray(density(y) * np.sum(w * np.linalg.solve(tensor, w[..., None])[..., 0], axis=-1))

        scalars["entropy_production"] = 0.0 if balanced else integral(production, box)
    if box.dim == 2:
        scalars["circulation"] = integral(lambda y: 0.5 * (y[0] * current(y)[1] - y[1] * current(y)[0]), box)
    return Case(
        name=name,
        title=title,
        description="Drift made to fit a given density, diffusion tensor and stream function.",
        process=process,
        box=box,
        exact=Exact(density, current, scalars),
        moments=moments_by_quadrature(density, box),
        settings={"log_density": str(f), "diffusion": str(D.tolist()), "stream_function": str(stream_function)},
        reason="Any density with any current: what a test needs where no textbook has an answer.",
        source=ROACHE,
        balanced=balanced,
        finest={1: (256,), 2: (128, 128), 3: (64, 64, 64)}[box.dim],
        level=1e-6,
    )
