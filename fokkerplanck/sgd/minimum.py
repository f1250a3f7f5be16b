"""The minimum of a loss, by Newton's method; what has none, or none that is a single point, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput, NotConverged

if TYPE_CHECKING:
    from .loss import Loss

Array = NDArray[np.float64]

# Newton's method stops where |∇L| falls below this fraction of the typical gradient of one sample at the start (½√d for
# standardised logistic data at θ = 0); the average of n such gradients carries a round-off of about 1e-16.
GRADIENT = 1e-12
ITERATIONS = 100  # damped Newton needs ~10; more than that means no progress
SUFFICIENT = 1e-4  # Armijo's fraction of the decrease that the slope predicts
SHORTEST = 1e-10  # of the Newton step: ten orders below it there is no descent to be found in double precision
# Smallest eigenvalue of the Hessian scaled to a unit diagonal. Below it the position of the minimum along the flat
# direction is lost: the gradient is known to GRADIENT, so the position to GRADIENT/FLAT of the width of the minimum.
FLAT = 1e-9
# A separating direction found by the linear programme (rows of unit scale, direction in the unit cube) has margins that
# are positive or zero; the programme satisfies its constraints to 1e-7.
SEPARATED = 1e-5
# Of L along a step, from the gradients on the way: exact for polynomials of degree 9, and free of the cancellation that
# hides the decrease of L near its minimum.
_nodes, _weights = np.polynomial.legendre.leggauss(5)
NODES, WEIGHTS = 0.5 * (1.0 + _nodes), 0.5 * _weights


def find_minimum(loss: Loss, start: Array) -> Array:
    """Damped Newton steps from ``start``; where the Hessian is not positive, its eigenvalues count by their size.

    Raises
    ------
    InvalidInput
        If the minimum is not a single point, or the steps end in a saddle point.
    NotConverged
        If the gradient does not fall below ``GRADIENT`` of that of a typical sample at the start.
    """
    theta = np.array(start, dtype=float)
    tolerance = GRADIENT * float(np.sqrt((loss.sample_gradients(theta) ** 2).sum(axis=1).mean()))
    for _ in range(ITERATIONS):
        slope, H = loss.gradient(theta), loss.hessian(theta)
        H = 0.5 * (H + H.T)
        if np.linalg.norm(slope) <= tolerance:
            _check_curvature(loss, theta, H)
            return theta
        theta = theta + _damped(loss, theta, slope, _newton_step(H, slope))
    raise NotConverged(
        f"minimum: expected |∇L| ≤ {tolerance:.3g}, got {np.linalg.norm(loss.gradient(theta)):.3g} "
        f"after {ITERATIONS} Newton steps, at θ = {theta.tolist()}. Features of very different size lose digits in θ·x; "
        "standardise them. A loss that falls for ever has no minimum; set l2 > 0"
    )


def _newton_step(H: Array, slope: Array) -> Array:
    """−|H|⁻¹∇L, with the absolute values of the eigenvalues taken in units in which H has a unit diagonal."""
    size = np.sqrt(np.abs(np.diag(H)))
    size = np.where(size > 0.0, size, max(float(size.max()), 1.0))
    values, vectors = np.linalg.eigh(H / np.outer(size, size))
    if values[0] > FLAT:
        return np.asarray(np.linalg.solve(H, -slope))
    return np.asarray(-(vectors @ ((vectors.T @ (slope / size)) / np.maximum(np.abs(values), FLAT))) / size)


def _damped(loss: Loss, theta: Array, slope: Array, step: Array) -> Array:
    """The longest of step, step/2, step/4, … that lowers the loss enough, and stays where the loss is defined."""
    length = 1.0
    undefined: InvalidInput | None = None
    while length > SHORTEST:
        move = length * step
        try:
            change = float(WEIGHTS @ (move @ loss.gradient(theta[:, None] + move[:, None] * NODES)))
            undefined = None
        except InvalidInput as error:  # a loss of the user's own overflows there
            change, undefined = float("nan"), error
        if change <= SUFFICIENT * length * float(slope @ step):
            return move
        length *= 0.5
    if undefined is not None:
        raise undefined
    return step


def _check_curvature(loss: Loss, theta: Array, H: Array) -> None:
    diagonal, names, l2 = np.diag(H), loss.names, loss.l2
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    lowest = float(np.linalg.eigvalsh(H / np.outer(unit, unit))[0])
    if (diagonal > 0.0).all() and lowest > FLAT:
        return
    if lowest < -FLAT:
        raise InvalidInput(
            f"minimum: expected a Hessian whose eigenvalues (unit diagonal) are positive, got {lowest:.3g} at "
            f"θ = {theta.tolist()}, a saddle point or a maximum of the loss. Start elsewhere with start="
        )
    if loss.kind == "deep_linear":
        raise InvalidInput(
            f"minimum: expected a single point, got a deep linear net with l2 = {l2:g}: its minima are a hyperbola w1 w2 = "
            "const, along which nothing pulls. Reduce it to one weight (see deep_linear), or raise l2"
        )
    if (diagonal > 0.0).all():
        # of linear models; of others, a valley
        linear = loss.kind in ("linear", "logistic")
        why = f"got {lowest:.3g}: " + (
            f"the features of {names} are linearly dependent" if linear else f"a valley at θ = {theta.tolist()}"
        )
    else:
        flat = [name for name, curvature in zip(names, diagonal, strict=True) if not curvature > 0.0]
        why = f"got no curvature at all along {flat}"
    raise InvalidInput(
        f"minimum: expected a Hessian whose smallest eigenvalue (unit diagonal) exceeds {FLAT:g}, {why}. "
        f"The minimum is not a single point; drop a feature or parameter, or raise l2 = {l2:g}"
    )


def check_overlap(X: Array, y: Array) -> None:
    """Refuse classes that a direction w separates, y w·x ≥ 0 for all and > 0 for some: L falls along it for ever.

    Raises
    ------
    InvalidInput
    """
    from scipy.optimize import linprog

    size = np.abs(X).max(axis=0)
    signed = y[:, None] * X / np.where(size > 0.0, size, 1.0)
    answer = linprog(-signed.sum(axis=0), A_ub=-signed, b_ub=np.zeros(len(y)), bounds=(-1.0, 1.0), method="highs")
    if answer.status != 0:
        raise NotConverged(f"minimum: the search for a separating direction failed: {answer.message}. Set l2 > 0")
    margins = signed @ answer.x
    if margins.max() > SEPARATED:
        raise InvalidInput(
            "minimum: expected overlapping classes, got classes that a plane through the origin separates "
            f"(margin ≥ 0 for all {len(y)} samples, > 0 for {int((margins > SEPARATED).sum())}). "
            "The loss falls for ever along its normal; set l2 > 0"
        )
