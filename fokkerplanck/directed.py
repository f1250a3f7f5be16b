"""The current of chains along a given force: a test of detailed balance where vortices hide from the area."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import stdtrit

from . import currents
from .area import linear_circulation
from .errors import InvalidInput
from .fields import FaceField
from .force import Force
from .grid import Array, Grid
from .mismatch import warn_of_mismatch
from .replicates import CONFIDENCE, Interval, check_rows, in_words, mean_test, standard_error
from .results import Solution
from .sweeps import Areas, as_areas, settling
from .tensors import smallest_correlation

if TYPE_CHECKING:
    from .sgd import SGD, Run

LINE = "expected at least 2 parameters, got 1: on a line every force is a gradient and does no work"
SYMMETRIC = 1e-12  # round-off of products of a few matrices
NULL = "the discrete chain does no work along the force on average, as detailed balance demands"
# Circulation of the force round single cells over the sum of its four sides, root mean square where the chains are. That of a
# gradient is what the integrals along the sides, of fourth order, leave: 1e-5 on cells of a fifth of its scale.
GRADIENT = 1e-5
LOST = 1e-3  # share of samples outside the grid: their way back is not counted


@dataclass(frozen=True)
class DirectedTest:
    """What the work of a force along independent chains says about detailed balance.

    Attributes
    ----------
    entropy_production : Interval
        :math:`\\langle f\\circ\\dot\\theta\\rangle` per unit time in units of k_B: the entropy production, if f is the force of
        the process, for small steps.
    error : float
        Its standard error.
    p_value : float
        Of ``null``, against a positive value.
    predicted : float or None
        By the solution that the force came from.
    method : str
        How the p-value was found.
    remarks : tuple of str
        What weakens the test: a force that is a gradient, samples outside the grid, chains that have not settled.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> sgd = fp.cases.get("diabetes").sgd
    >>> test = directed_test(sgd.simulate(chains=64, steps=500, rng=7), sgd)  # the force linearised at the minimum
    >>> test.predicted > 0, test.null
    (True, 'the discrete chain does no work along the force on average, as detailed balance demands')
    """

    entropy_production: Interval
    error: float
    p_value: float
    predicted: float | None
    method: str
    remarks: tuple[str, ...]
    null: str = field(default=NULL, init=False)

    @property
    def z_predicted(self) -> float | None:
        """(measured − predicted) in standard errors; grows with the run as the finite learning rate shows."""
        return None if self.predicted is None else (self.entropy_production.value - self.predicted) / self.error

    @property
    def sentence(self) -> str:
        """The result in one sentence, without the remarks."""
        words = (
            f"The force does work of {self.entropy_production.value:.4g} ± {self.error:.1g} per unit time along the chains; "
            f"{in_words(self.p_value)} if {self.null} ({self.method})"
        )
        if self.predicted is not None:
            words += f"; the diffusion limit produces {self.predicted:.4g} (z = {self.z_predicted:+.1f})"
        return words + "."

    def __str__(self) -> str:
        return "\n".join([self.sentence, *self.remarks])


def directed_test(
    run: Run | Areas, force: Solution | Force | FaceField | Callable[[Array], Any] | SGD | Array
) -> DirectedTest:
    r"""Test whether a force does work along stationary chains, which it does not in detailed balance.

    .. math:: \hat\sigma = \frac{1}{N\eta}\sum_k f\circ\Delta\theta_k = \frac{1}{N\eta}\sum_\text{faces} n_F \int_F f\cdot dx

    with :math:`n_F` the net number of crossings of a face and the integral along the line between the cell centres beside it. A
    gradient does no work: summed like this it telescopes to the ends of the chains. For :math:`f = D^{-1}(b - \nabla\cdot D)`,
    the force of the process, the mean is its entropy production, without p and without ∇p. It sees what the area is blind to,
    but depends on the model of the noise. In balance f is a gradient and does no work however large the steps are; out of it,
    they change the work by a relative amount of first order in η. That is not so for other fields.

    A linear force :math:`f = F(\theta - c)` does its work on areas, :math:`\hat\sigma = \sum_{i<j}(F_{ji} - F_{ij})A_{ij}`.
    That needs no grid, and any number of parameters will do: one number of each chain, where :func:`area_test` has d(d − 1)/2.

    Parameters
    ----------
    run : Run, or Areas for a linear force
    force : Solution, Force, FaceField, callable, SGD or ndarray (d, d)
        f: that of a solution on the grid of the run, or of a process (:func:`force`), or any field, such as a function that
        maps points (d, ...) to vectors (d, ...), chosen before the run was seen. Of an SGD that of its diffusion linearised at
        the minimum, −D⁻¹H; a matrix is F.

    Returns
    -------
    DirectedTest

    Raises
    ------
    InvalidInput
        If the grids differ, there is no force because D is singular, the matrix is symmetric, or in one dimension.

    Warns
    -----
    MismatchWarning
        If the force is that of a solution of another SGD than the run, see :func:`compare`.

    References
    ----------
    U. Seifert, Rep. Prog. Phys. 75, 126001 (2012), doi:10.1088/0034-4885/75/12/126001, §2.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> case = fp.cases.get("diabetes")
    >>> sol = fp.solve_stationary(case.process, case.box, shape=(64, 64))
    >>> run = case.sgd.simulate(grid=sol.grid, chains=128, steps=2000, rng=7)
    >>> test = directed_test(run, sol)
    >>> abs(test.z_predicted) < 4
    True
    """
    from .sgd import SGD, Run  # their compiled loops take time to load

    predicted = None
    if isinstance(force, (SGD, np.ndarray)):
        areas = as_areas(run)
        matrix = _linear_force(force) if isinstance(force, SGD) else np.asarray(force, dtype=float)
        rows, remarks, kind = _work_on_areas(areas, matrix), settling(areas), areas.kind
        predicted = linear_circulation(force)[1] if isinstance(force, SGD) else None
    else:
        if not isinstance(run, Run):
            raise InvalidInput(f"run: expected a Run with the crossings of its grid, got {type(run).__name__}")
        if run.dim < 2:
            raise InvalidInput(LINE)
        work = _along_lines(run.grid, force)
        faces = run.grid.cell_volume / run.grid.spacing  # their areas
        done = [
            area * np.tensordot(current, w, axes=run.grid.dim)
            for area, current, w in zip(faces, run.face_current_groups, work, strict=True)
        ]
        rows, remarks, kind = np.sum(done, axis=0), _remarks(run, work), "groups"
        if isinstance(force, Solution) and force.force is not None:
            predicted = currents.entropy_production(force.flux, force.force)
            warn_of_mismatch("directed_test", force, run)
    check_rows(rows[:, None], "work")
    value, error = float(rows.mean()), float(standard_error(rows))
    reach = float(stdtrit(len(rows) - 1, 0.5 * (1.0 + CONFIDENCE))) * error
    return DirectedTest(
        entropy_production=Interval(value, value - reach, value + reach),
        error=error,
        p_value=mean_test(rows[:, None], tail=1),
        predicted=predicted,
        method=f"Student's t over {len(rows)} {kind}, one-sided",
        remarks=tuple(remarks),
    )


def _linear_force(sgd: SGD) -> Array:
    """−D⁻¹H at the minimum."""
    H, S = sgd.model.hessian(sgd.model.minimum), sgd.covariance()
    D = 0.5 * (H @ S + S @ H)
    if not smallest_correlation(D) > currents.SINGULAR:
        raise InvalidInput(
            f"force: expected noise along every direction at the minimum, got a D with eigenvalues down to "
            f"{np.linalg.eigvalsh(D)[0]:.1g}: along the others no force D⁻¹(b − ∇·D) balances the drift. Leave parameters out"
        )
    return np.asarray(-np.linalg.solve(D, H), dtype=float)


def _work_on_areas(areas: Areas, matrix: Array) -> Array:
    d = areas.rates.shape[-1]
    if d < 2:
        raise InvalidInput(LINE)
    if matrix.shape != (d, d):
        raise InvalidInput(f"force: expected a matrix of shape {(d, d)}, got {matrix.shape}")
    turning = matrix.T - matrix
    if np.abs(turning).max() <= SYMMETRIC * np.abs(matrix).max():
        raise InvalidInput(
            "force: expected a matrix that is not symmetric, got one that is: a gradient, which does no work"
        )
    return areas.rows @ turning[np.triu_indices(d, 1)]


def _along_lines(grid: Grid, force: Any) -> list[Array]:
    """∫ f·dx between the centres on both sides of every face; zero on walls, beyond which there is none."""
    if isinstance(force, (Solution, Force)):
        if force.grid != grid:
            raise InvalidInput(
                f"force: expected one on the grid of the run, {grid.shape} in {grid.box}, got {force.grid.shape} in "
                f"{force.grid.box}. Simulate with grid=solution.grid"
            )
        vectors = force.force if isinstance(force, Solution) else force.omega
        if vectors is None:
            raise InvalidInput(
                "force: expected a solution with an invertible diffusion tensor, got one that is singular in some cell, where "
                "the force D⁻¹(b − ∇·D) is not defined"
            )
        return _integrated(grid, np.asarray(vectors), FaceField.from_centers(grid, vectors))
    if isinstance(force, FaceField):
        if force.grid != grid:
            raise InvalidInput(f"force: expected a field on the grid of the run {grid.shape}, got {force.grid.shape}")
        return _integrated(grid, force.centered(), force)
    if not callable(force):
        raise InvalidInput(f"force: expected a Solution, Force, FaceField or a function, got {type(force).__name__}")
    at_centers = np.asarray(force(grid.cell_points()), dtype=float)
    if at_centers.shape != (grid.dim, *grid.shape):
        raise InvalidInput(f"force: expected values of shape {(grid.dim, *grid.shape)}, got {at_centers.shape}")
    faces = tuple(np.asarray(force(grid.face_points(a)), dtype=float)[a] for a in range(grid.dim))
    return _integrated(grid, at_centers, FaceField(grid, faces))


def _integrated(grid: Grid, centers: Array, faces: FaceField) -> list[Array]:
    """Simpson's rule from the two centres and the face between them."""
    out = []
    for axis, face in enumerate(faces.components):
        f, c = np.moveaxis(face, axis, 0), np.moveaxis(centers[axis], axis, 0)
        line = np.zeros_like(f)
        line[1:-1] = grid.spacing[axis] / 6.0 * (c[:-1] + 4.0 * f[1:-1] + c[1:])
        out.append(np.moveaxis(line, 0, axis))
    return out


def _remarks(run: Run, work: list[Array]) -> list[str]:
    remarks = []
    turning = _turning(run, work)
    if turning < GRADIENT:
        remarks.append(
            f"The force is a gradient to {turning:.0e} where the chains are: its work telescopes, and what is left is that of "
            "the ends of the chains and of the grid. This test says nothing here."
        )
    if run.outside > LOST:
        remarks.append(
            f"{run.outside:.2g} of the samples lie outside the grid, where no work is counted. Take a larger box."
        )
    return remarks + settling(as_areas(run))


def _turning(run: Run, work: list[Array]) -> float:
    """Circulation round the squares of four neighbouring centres over the sum of the sides, rms over the samples."""
    d = run.grid.dim
    samples = run.histogram.sum(axis=0).astype(float)
    turn = sides = 0.0
    for i in range(d):
        for j in range(i + 1, d):
            # (i, j) last: lines along i are between centres k and k + 1 of axis i
            along, across = np.moveaxis(work[i], (i, j), (-2, -1)), np.moveaxis(work[j], (i, j), (-2, -1))
            a, b = along[..., 1:-1, :], across[..., :, 1:-1]
            low = np.moveaxis(samples, (i, j), (-2, -1))
            weight = np.minimum(low[..., :-1, :-1], low[..., 1:, 1:])
            loop = a[..., :-1] + b[..., 1:, :] - a[..., 1:] - b[..., :-1, :]
            total = np.abs(a[..., :-1]) + np.abs(b[..., 1:, :]) + np.abs(a[..., 1:]) + np.abs(b[..., :-1, :])
            turn += float(np.sum(weight * loop**2))
            sides += float(np.sum(weight * total**2))
    return sqrt(turn / sides) if sides > 0.0 else 0.0
