"""Losses of the user's own, given by the gradient of one sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numba import njit
from numba.core.errors import NumbaError, UnsupportedBytecodeError
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..kernels.custom_losses import custom_gradients, custom_values
from ..kernels.losses import averages_of
from .loss import Loss, check_parameters, check_start

Array = NDArray[np.float64]

# Fourth-order differences, steps in units of `scale`. First derivatives: truncation (1e-3)⁴/30 and round-off 2e-16/1e-3 are
# both about 1e-13 of a gradient that varies on that scale. Second ones: (1e-2)⁴/90 and 5e-16/(1e-2)², 1e-10.
STEPS = (1e-3, 1e-2)
# A Jacobian by these differences is symmetric to 1e-12 if the gradient is one; a wrong term shows at order one.
SYMMETRIC = 1e-6
ROOM = 2**18  # numbers in one array of derivatives: 2 MiB, so that a grid's worth is never held at once
NO_VALUE = (
    "loss: expected a loss made with its values, got one made of gradients alone. Pass value= to custom_loss, or values= to "
    "numpy_loss"
)
MIXED = 1e-9  # of the largest gradient: far above round-off, far below what a batch statistic changes
FIRST = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
SECOND = ((-2, -1 / 12), (-1, 16 / 12), (0, -30 / 12), (1, 16 / 12), (2, -1 / 12))


class _Given(Loss):
    """What is common to the two: the data, the start, derivatives by differences, and checks of the user's function."""

    data: Array
    start: Array
    steps: Array

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n={self.n}, l2={self.l2:g}, names={self.names})"

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.data)

    def _start(self) -> Array:
        return self.start

    @abstractmethod
    def _values(self, points: Array) -> Array:
        """Losses of all samples, shape (points, n)."""

    def _fill(self, points: Array, order: int, out: dict[str, Array]) -> None:
        piece = max(1, ROOM // (self.n * self.dim**order))
        for first in range(0, len(points), piece):
            part = slice(first, first + piece)
            g, h, t = self._derivatives(points[part], order)
            averages_of(*(_samples_last(a) for a in (g, h, t)), *(out[name][part] for name in out if name != "loss"))
            if out["loss"].size:
                out["loss"][part, 0] = self._values(points[part]).mean(axis=1)

    def _derivatives(self, points: Array, order: int) -> tuple[Array, Array, Array]:
        """g, ∂g and ∂∂g of every sample, the last two of size 0 unless ``order`` asks for them."""
        d, shape = self.dim, (len(points), self.n, self.dim)
        h, t = np.zeros((*shape, d if order > 1 else 0)), np.zeros((*shape, d, d if order > 2 else 0))
        g = self._gradients(points)
        self._refuse(points, g)
        if order > 1:
            for j, step in enumerate(np.diag(self.steps[0])):
                h[..., j] = sum(w * self._gradients(points + r * step) for r, w in FIRST) / self.steps[0, j]
        if order > 2:
            bend = [np.diag(self.steps[1])[j] for j in range(d)]
            for j, k in combinations_with_replacement(range(d), 2):
                if j == k:
                    second = self._second(points, bend[j])
                else:  # a quarter of the difference between the second derivatives along the two diagonals
                    second = 0.25 * (self._second(points, bend[j] + bend[k]) - self._second(points, bend[j] - bend[k]))
                t[..., j, k] = t[..., k, j] = second / (self.steps[1, j] * self.steps[1, k])
        return g, h, t

    def _second(self, points: Array, step: Array) -> Array:
        return np.asarray(sum(w * self._gradients(points + r * step) for r, w in SECOND))

    def _refuse(self, points: Array, gradients: Array) -> None:
        """Name the first sample whose gradient is not finite, if there is one."""
        finite = np.isfinite(gradients).all(axis=2)
        if not finite.all():
            p, k = (int(i) for i in np.argwhere(~finite)[0])
            raise InvalidInput(
                f"gradient: expected finite numbers, got {gradients[p, k].tolist()} at θ = {points[p].tolist()} for row {k}, "
                f"{self.data[k].tolist()}. Mend the function there, or keep θ away from there"
            )

    def _check_function(self) -> None:
        """Same input, same output; finite; and the gradient of something."""
        start = self.start[None]
        once, again = self._gradients(start), self._gradients(start)
        self._refuse(start, once)
        if not np.array_equal(once, again):
            k = int(np.argwhere((once != again).any(axis=(0, 2)))[0, 0])
            raise InvalidInput(
                f"gradient: expected the same answer for the same θ and row, got {once[0, k].tolist()} and then "
                f"{again[0, k].tolist()} for row {k}. A gradient with hidden state or randomness (dropout, batch statistics, "
                "a counter) is not that of a loss on these samples"
            )
        H = self._at(start, "hessian")["hessian"][0]
        if np.abs(H - H.T).max() > SYMMETRIC * np.abs(H).max():
            i, j = np.unravel_index(int(np.abs(H - H.T).argmax()), H.shape)
            raise InvalidInput(
                f"gradient: expected that of a loss, ∂g_i/∂θ_j = ∂g_j/∂θ_i, got {H[i, j]:.6g} and {H[j, i]:.6g} for "
                f"({self.names[i]}, {self.names[j]}), averaged over the samples at the start. Check indices and signs, or the "
                "scale on which the gradient varies"
            )


@dataclass(frozen=True, eq=False, repr=False)
class CustomLoss(_Given):
    """A loss given by a function that Numba compiled; made by `custom_loss`.

    Parameters
    ----------
    compiled : callable
        ``compiled(theta, row, out)``, the compiled gradient.
    data : ndarray, shape (n, m)
    l2, names, start
        As of `LossModel`.
    steps : ndarray, shape (2, d)
        Of the differences for first and second derivatives of the gradient.
    value : callable or None
        ``value(theta, row)``, the compiled loss of one sample.

    Examples
    --------
    >>> def gradient(theta, row, out):  # of (θ − y)²/2
    ...     out[0] = theta[0] - row[0]
    >>> loss = custom_loss(gradient, [[1.0], [2.0], [6.0]], start=[0.0])
    >>> loss.n, loss.minimum.round(9).tolist(), loss.noise_covariance(loss.minimum).round(6).tolist()
    (3, [3.0], [[4.666667]])
    """

    compiled: Any
    data: Array
    l2: float
    names: tuple[str, ...]
    start: Array
    steps: Array
    value: Any = None
    kind: str = field(default="custom", init=False)

    def _gradients(self, points: Array) -> Array:
        out = np.full((len(points), self.n, self.dim), np.nan)
        custom_gradients(self.compiled, self.data, points, out)
        return out

    def _values(self, points: Array) -> Array:
        if self.value is None:
            raise InvalidInput(NO_VALUE)
        out = np.empty((len(points), self.n))
        custom_values(self.value, self.data, points, out)
        return out


@dataclass(frozen=True, eq=False, repr=False)
class NumpyLoss(_Given):
    """A loss given by a NumPy function on all samples at once; made by `numpy_loss`.

    Parameters
    ----------
    gradients : callable
        ``gradients(theta, rows)`` → shape (len(rows), d).
    data : ndarray, shape (n, m)
    l2, names, start
        As of `LossModel`.
    steps : ndarray, shape (2, d)
        Of the differences for first and second derivatives of the gradient.
    values : callable or None
        ``values(theta, rows)`` → shape (len(rows),), the losses of the samples.

    Examples
    --------
    >>> loss = numpy_loss(lambda theta, rows: theta - rows, [[1.0], [2.0], [6.0]], start=[0.0])  # of (θ − y)²/2
    >>> loss.n, loss.minimum.round(9).tolist()
    (3, [3.0])
    """

    gradients: Callable[[Array, Array], Any]
    data: Array
    l2: float
    names: tuple[str, ...]
    start: Array
    steps: Array
    values: Callable[[Array, Array], Any] | None = None
    kind: str = field(default="numpy", init=False)

    def _gradients(self, points: Array) -> Array:
        out = np.empty((len(points), self.n, self.dim))
        for p, theta in enumerate(points):
            given = np.asarray(self.gradients(theta.copy(), self.data))
            if given.shape != out[p].shape or given.dtype.kind not in "biuf":
                raise InvalidInput(
                    f"gradients(theta, rows): expected real numbers of shape {out[p].shape} for theta of shape ({self.dim},) "
                    f"and rows of shape {self.data.shape}, got {given.shape} of dtype {given.dtype}. One row per sample, "
                    "not their mean"
                )
            out[p] = given
        return out

    def _values(self, points: Array) -> Array:
        if self.values is None:
            raise InvalidInput(NO_VALUE)
        values = np.array([self.values(theta.copy(), self.data) for theta in points], dtype=float)
        if values.shape != (len(points), self.n):
            raise InvalidInput(f"values(theta, rows): expected shape ({self.n},), got {values.shape[1:]}")
        return values


def custom_loss(
    gradient: Callable[[Array, Array, Array], None],
    data: ArrayLike,
    *,
    start: ArrayLike,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
    scale: float | ArrayLike = 1.0,
    value: Callable[[Array, Array], float] | None = None,
) -> CustomLoss:
    r"""A loss of one's own: :math:`L = \frac1n\sum_k\ell(\theta, \mathrm{row}_k) + \frac\lambda2|\theta|^2`, given by ∇ℓ.

    ``gradient(theta, row, out)`` writes the gradient of one sample's loss into ``out``:

    - ``theta``, shape (d,): the parameters. ``row``, shape (m,): one row of ``data``, features and target as one likes.
    - ``out``, shape (d,): every entry has to be set. Nothing is returned.
    - It is plain Python that Numba can compile: numbers, arrays, loops, ``math`` and most of ``numpy``. Constants from
      outside are frozen when it is compiled.
    - It leaves ``theta`` and ``row`` alone, keeps no state and draws no random numbers.
    - The penalty λ is not part of it.

    The gradient noise is exact. Derivatives (Hessian, ∇·Σ) are central differences of fourth order: relative errors of about
    1e-12 for a gradient that varies on the length ``scale``, and of (step/length)⁴ otherwise.

    Parameters
    ----------
    gradient : callable
    data : array_like, shape (n, m)
    start : array_like, shape (d,)
        From where the minimum is looked for; of several minima it is the one that Newton's method leads to.
    l2 : float
        λ ≥ 0.
    names : sequence of str, optional
        Names of the parameters; by default theta0, theta1, …
    scale : float or array_like, shape (d,)
        Lengths on which the gradient varies, in units of the parameters.
    value : callable, optional
        ``value(theta, row)`` → the loss of one sample, for ``loss``; nothing else needs it.

    Returns
    -------
    CustomLoss

    Raises
    ------
    InvalidInput
        For a function that Numba cannot compile, that leaves entries of ``out`` unset, returns NaN, changes its arguments,
        gives two answers to one question, or is no gradient, naming what was found; and for data of the wrong shape.

    Examples
    --------
    >>> def gradient(theta, row, out):  # of (θ·x − y)²/2 with rows (x0, x1, y)
    ...     error = theta[0] * row[0] + theta[1] * row[1] - row[2]
    ...     out[0] = error * row[0]
    ...     out[1] = error * row[1]
    >>> data = [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 4.0]]
    >>> custom_loss(gradient, data, start=[0.0, 0.0]).minimum.round(6).tolist()
    [1.333333, 2.333333]
    """
    if not callable(gradient):
        raise InvalidInput(f"gradient: expected a function gradient(theta, row, out), got {gradient!r}")
    rows, first, labels, steps = check_given(data, start, l2, names, scale)
    compiled = _compile(gradient)
    checked = njit(boundscheck=True)(
        getattr(gradient, "py_func", gradient)
    )  # an index beyond out would write elsewhere
    theta, filled = first.copy(), []
    for background in (np.nan, 0.5):
        out = np.full(first.size, background)
        try:
            checked(theta, rows[0], out)
        except (
            NumbaError,
            UnsupportedBytecodeError,  # which is no NumbaError
            TypeError,
            ValueError,
            IndexError,
            ZeroDivisionError,
        ) as error:
            raise InvalidInput(
                f"gradient(theta, row, out): expected a function that Numba compiles, of theta of shape ({first.size},) and a "
                f"row of shape ({rows.shape[1]},) that it leaves alone, got {type(error).__name__}: {_short(error)}. "
                "A function that Numba cannot compile can be used, more slowly, by numpy_loss"
            ) from error
        filled.append(out)
    if not np.array_equal(theta, first):
        raise InvalidInput(
            f"gradient(theta, row, out): expected theta to be left alone, got {theta.tolist()} instead of {first.tolist()}"
        )
    if not np.array_equal(filled[0], filled[1]) and not np.isnan(filled[1]).any():
        raise InvalidInput(
            f"gradient(theta, row, out): expected every entry of out to be set, and to the same whatever it held, got "
            f"{filled[0].tolist()} in an array of NaN and {filled[1].tolist()} in one of 0.5. "
            "Write out[i] = ..., not out[i] += ..., and no state or randomness"
        )
    loss = CustomLoss(compiled, rows, float(l2), labels, first, steps, None if value is None else _compile(value))
    loss._check_function()
    return loss


def numpy_loss(
    gradients: Callable[[Array, Array], ArrayLike],
    data: ArrayLike,
    *,
    start: ArrayLike,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
    scale: float | ArrayLike = 1.0,
    values: Callable[[Array, Array], ArrayLike] | None = None,
) -> NumpyLoss:
    r"""As `custom_loss`, from a NumPy function that returns the gradients of many samples at one θ.

    Slower: Python is called 1 + 4d times per point of a grid, some 50 µs each, and once per step of a simulation.

    Parameters
    ----------
    gradients : callable
        ``gradients(theta, rows)`` → shape (len(rows), d): the gradient of the loss of every row at θ of shape (d,). The rows
        are some rows of ``data``, in any order and any number.
    data, start, l2, names, scale
        As of `custom_loss`.
    values : callable, optional
        ``values(theta, rows)`` → shape (len(rows),), the losses of the samples; for ``loss``.

    Returns
    -------
    NumpyLoss

    Raises
    ------
    InvalidInput
        For a function that returns the wrong shape or NaN, gives two answers to one question, mixes samples, or is no
        gradient, naming what was found; and for data of the wrong shape.

    Examples
    --------
    >>> def gradients(theta, rows):  # of (θ·x − y)²/2 with rows (x0, x1, y)
    ...     x, y = rows[:, :2], rows[:, 2]
    ...     return (x @ theta - y)[:, None] * x
    >>> data = [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 4.0]]
    >>> numpy_loss(gradients, data, start=[0.0, 0.0]).minimum.round(6).tolist()
    [1.333333, 2.333333]
    """
    if not callable(gradients):
        raise InvalidInput(f"gradients: expected a function gradients(theta, rows), got {gradients!r}")
    rows, first, labels, steps = check_given(data, start, l2, names, scale)
    loss = NumpyLoss(gradients, rows, float(l2), labels, first, steps, values)
    loss._check_function()
    whole = loss._gradients(first[None])[0]
    alone = np.asarray(gradients(first.copy(), rows[-1:]))
    # a matrix product may add in another order for one row than for many
    if alone.shape != (1, first.size) or not np.allclose(
        alone[0], whole[-1], rtol=MIXED, atol=MIXED * np.abs(whole).max()
    ):
        raise InvalidInput(
            f"gradients(theta, rows): expected the gradient of a row whatever the other rows, got {whole[-1].tolist()} for the "
            f"last of all rows and {alone.tolist()} for it alone. Samples must not be mixed (batch normalisation, means)"
        )
    return loss


def check_given(
    data: ArrayLike, start: ArrayLike, l2: float, names: Sequence[str] | None, scale: float | ArrayLike
) -> tuple[Array, Array, tuple[str, ...], Array]:
    given = np.asarray(data)
    if given.dtype.kind not in "biuf" or given.ndim != 2 or len(given) < 2 or not given.shape[1]:
        raise InvalidInput(
            f"data: expected real numbers of shape (n, m), one sample a row and at least 2 of them, got {given.shape} of "
            f"dtype {given.dtype}"
        )
    rows = np.array(given, dtype=float, order="C")
    if not np.isfinite(rows).all():
        row = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise InvalidInput(f"data: expected finite numbers, got {rows[row].tolist()} in row {row}")
    first = check_start(start)
    lengths = np.asarray(scale, dtype=float)
    if lengths.shape not in ((), first.shape) or not (np.isfinite(lengths).all() and (lengths > 0.0).all()):
        raise InvalidInput(
            f"scale: expected a positive length, or one for each of {first.size} parameters, got {scale!r}"
        )
    labels = check_parameters(l2, names, tuple(f"theta{i}" for i in range(first.size)))
    steps = np.multiply.outer(STEPS, np.broadcast_to(lengths, first.shape))
    for array in (rows, first, steps):
        array.setflags(write=False)
    return rows, first, labels, steps


def _samples_last(derivative: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(derivative, 1, -1))


def _compile(function: Any) -> Any:
    return function if hasattr(function, "py_func") else njit(nogil=True, error_model="numpy")(function)


def _short(error: Exception) -> str:
    """What Numba complains about, without its advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("Failed in")), repr(error))[:200]
