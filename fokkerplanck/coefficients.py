"""Coefficients as they are given: functions, arrays or numbers, evaluated on many points, checked, and differentiated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput
from .tensors import BLOCK, ROUND_OFF, plainly_definite, smallest_correlation

Array = NDArray[np.float64]
Field = Callable[[Array], Any]

# Derivatives of D and sigma are taken by the fourth-order central stencil with this step, as a fraction of the box:
# truncation (1e-3)^4 and round-off 1e-16/1e-3 both stay below 1e-12 for coefficients that vary on the box's scale.
DERIVATIVE_STEP = 1e-3
STENCIL = ((1, 8 / 12), (2, -1 / 12))


def in_blocks(function: Field, x: Array) -> Array:
    """``function(x)`` computed on a cache-sized block of points at a time."""
    points = np.asarray(x, dtype=float)
    flat = points.reshape(points.shape[0], -1)
    if flat.shape[1] < 2 * BLOCK:
        return np.asarray(function(points))
    out: Any = None
    for start in range(0, flat.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        values = function(flat[:, block])
        if out is None:
            out = np.empty((*values.shape[:-1], flat.shape[1]))
        out[..., block] = values
    return out.reshape((*out.shape[:-1], *points.shape[1:]))


def as_field(value: Any, shape: tuple[int] | tuple[int, int | None], name: str) -> Field:
    """A callable from a callable, a constant array, or a number: of a matrix that multiple of the identity."""
    if callable(value):
        check_arguments(value, name, shape[0])
        return value
    try:
        constant = np.asarray(value)
        if constant.dtype.kind not in "iufb":
            raise TypeError
        constant = constant.astype(float)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: expected a function of x or real numbers, got {value!r}") from error
    if constant.ndim == 0:
        constant = constant * np.eye(shape[0]) if len(shape) == 2 else np.full(shape[0], constant)
    if not _fits(constant.shape, shape):
        advice = ". Of a number per variable, np.diag makes the matrix of independent noises"
        raise InvalidInput(
            f"{name}: expected a function of x or a constant of shape {_show(shape)}, got shape {constant.shape}"
            + (advice if constant.ndim < len(shape) else "")
        )
    if not np.isfinite(constant).all():
        raise InvalidInput(f"{name}: expected finite numbers, got {constant.tolist()}")

    def constant_field(x: Array) -> Array:
        return np.broadcast_to(constant.reshape(constant.shape + (1,) * (x.ndim - 1)), constant.shape + x.shape[1:])

    return constant_field


def check_arguments(function: Field, name: str, dim: int) -> None:
    """Refuse what cannot be called with the points alone, as far as Python tells."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of functions that are not written in Python
        return
    try:
        signature.bind(None)
    except TypeError as error:
        raise InvalidInput(
            f"{name}: expected a function of x alone, got one of {signature}: {error}. x has the shape ({dim}, ...): its rows "
            f"are the coordinates, x[0] the first; nothing depends on time. Put in what else it needs: lambda x: {name}(x, ...)"
        ) from error


def evaluate(field: Field, x: Array, lead: tuple[int | None, ...], name: str) -> Array:
    """Call a user's function and refuse anything but finite real numbers of the shape promised."""
    x = np.asarray(x, dtype=float)
    try:
        values = np.asarray(field(x.copy()))  # a copy, so that a function that works in place changes nothing of ours
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"{name}(x): failed for x of shape {x.shape}: {error}. The function is called on whole arrays of points, "
            "coordinates first; write it with NumPy and without loops or if"
        ) from error
    tail = x.shape[1:]
    expected = lead + tail
    if not _fits(values.shape, expected):
        raise InvalidInput(
            f"{name}(x): expected shape {_show(expected)} for x of shape {x.shape}, got {values.shape}. "
            "The function is called on whole arrays of points; build its result with np.stack or np.zeros_like(x)"
        )
    if values.dtype.kind not in "iufb":
        raise InvalidInput(f"{name}(x): expected real numbers, got dtype {values.dtype}")
    values = values.astype(float, copy=False)
    bad = ~np.isfinite(values)
    if bad.any():
        where = bad.reshape((-1, *tail)).any(axis=0)
        raise InvalidInput(
            f"{name}(x): expected finite values, got {values[bad].flat[0]} at x = {_point(x, where)} "
            f"({int(where.sum())} of {where.size} points). Shrink the box or mend the function there"
        )
    return values


def check_tensor(tensor: Array, x: Array | None) -> None:
    """Symmetry and semidefiniteness, both in units of √(D_ii D_jj), so that the units of the variables do not matter.

    At points x, or of a constant for which there are none.
    """
    if plainly_definite(tensor):
        return
    diagonal = np.einsum("ii...->i...", tensor)
    root = np.sqrt(np.abs(diagonal))
    unit = np.where(root > 0.0, root, 1.0)
    unit = unit[:, None] * unit[None]
    name = "diffusion" if x is None else "diffusion(x)"
    skew = np.asarray((np.abs(tensor - np.swapaxes(tensor, 0, 1)) > ROUND_OFF * unit).any(axis=(0, 1)))
    if skew.any():
        raise InvalidInput(
            f"{name}: expected a symmetric tensor, got {_matrix(tensor, skew)}{_at(x, skew)}. "
            "D = ½σσᵀ is symmetric; pass σ itself as noise="
        )
    negative: NDArray[np.bool_] = np.asarray(smallest_correlation(tensor) < -ROUND_OFF)
    if negative.any():
        lowest = np.linalg.eigvalsh(np.moveaxis(tensor, (0, 1), (-2, -1)))[..., 0]
        raise InvalidInput(
            f"{name}: expected no negative eigenvalue, got {lowest[negative].flat[0]:.6g}{_at(x, negative)}. "
            "A negative diffusion has no density"
        )


def divergence_by_differences(field: Callable[[Array], Array], x: Array, scale: Array) -> Array:
    """∂_j F_ij from F of shape (d_out, d, ...), by fourth-order central differences."""
    total: Any = 0.0
    for axis in range(x.shape[0]):
        step = DERIVATIVE_STEP * scale[axis]
        for reach, weight in STENCIL:
            ahead, behind = x.copy(), x.copy()
            ahead[axis] += reach * step
            behind[axis] -= reach * step
            total = total + (weight / step) * (field(ahead)[:, axis] - field(behind)[:, axis])
    return np.asarray(total)


def _fits(shape: tuple[int, ...], expected: tuple[int | None, ...]) -> bool:
    """Whether a shape is the expected one, in which None stands for any length."""
    return len(shape) == len(expected) and all(want in (None, got) for want, got in zip(expected, shape, strict=True))


def _show(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("k" if n is None else str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def _at(x: Array | None, where: NDArray[np.bool_]) -> str:
    return "" if x is None else f" at x = {_point(x, where)}"


def _point(x: Array, where: NDArray[np.bool_]) -> str:
    first = tuple(index[0] for index in np.nonzero(where)) if where.ndim else ()
    return "(" + ", ".join(f"{float(c[first]):.6g}" for c in x) + ")"


def _matrix(tensor: Array, where: NDArray[np.bool_]) -> str:
    first = tuple(index[0] for index in np.nonzero(where)) if where.ndim else ()
    return str(tensor[(slice(None), slice(None), *first)].tolist())
