"""Losses of the user's own in PyTorch, differentiated by it (needs the package torch)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from .custom import NumpyLoss, check_given

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class TorchLoss(NumpyLoss):
    """A loss given by a PyTorch function of one sample; made by `torch_loss`.

    Parameters
    ----------
    gradients : callable
        ``gradients(theta, rows)`` → shape (len(rows), d), of arrays.
    data : ndarray, shape (n, m)
    l2, names, start
        As of `LossModel`.
    steps : ndarray, shape (2, d)
        Unused by the derivatives, which are exact.
    values : callable
        ``values(theta, rows)`` → shape (len(rows),), of arrays.
    sample_loss : callable
        ``sample_loss(theta, row)``, of tensors.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> if find_spec("torch"):  # (θ − y)²/2
    ...     loss = torch_loss(lambda theta, row: (theta[0] - row[0]) ** 2 / 2, [[1.0], [2.0], [6.0]], start=[0.0])
    ...     assert isinstance(loss, TorchLoss) and abs(loss.minimum[0] - 3.0) < 1e-9
    """

    sample_loss: Any = None
    kind: str = field(default="torch", init=False)

    @cached_property
    def _rows(self) -> Any:
        return _tensor(self.data)

    @cached_property
    def _on_points(self) -> tuple[Callable[[Any, Any], Any], ...]:
        """Gradient, second and third derivatives of every sample at every point."""
        from torch.func import grad, jacrev, vmap

        derivatives = [grad(self.sample_loss)]
        for _ in range(2):
            derivatives.append(jacrev(derivatives[-1]))
        return tuple(vmap(vmap(each, in_dims=(None, 0)), in_dims=(0, None)) for each in derivatives)

    def _gradients(self, points: Array) -> Array:
        return _array(self._on_points[0](_tensor(points), self._rows))

    def _derivatives(self, points: Array, order: int) -> tuple[Array, Array, Array]:
        d, shape = self.dim, (len(points), self.n, self.dim)
        g = self._gradients(points)
        self._refuse(points, g)
        at = _tensor(points)
        h, t = np.zeros((*shape, 0)), np.zeros((*shape, d, 0))
        if order > 1:
            h = _array(self._on_points[1](at, self._rows))
        if order > 2:
            t = _array(self._on_points[2](at, self._rows))
        return g, h, t


def torch_loss(
    loss: Callable[[Any, Any], Any],
    data: ArrayLike,
    *,
    start: ArrayLike,
    l2: float = 0.0,
    names: Sequence[str] | None = None,
) -> TorchLoss:
    r"""A loss :math:`L = \frac1n\sum_k\ell(\theta, \mathrm{row}_k) + \frac\lambda2|\theta|^2`, given by ℓ in PyTorch.

    Needs PyTorch (``pip install 'fokkerplanck[torch]'``). Gradients of all samples, Hessians and third derivatives are those of
    ``torch.func``, in double precision and without differences. A simulation calls PyTorch once a step for every chain, some
    hundred µs each: `custom_loss` is a thousand times faster there.

    Parameters
    ----------
    loss : callable
        ``loss(theta, row)`` → the loss of one sample, a scalar tensor, of tensors of float64 of shapes (d,) and (m,), without
        the penalty. It has to go through ``torch.func.vmap``: no branches on values, no randomness, no changes in place. For a
        module, ``torch.func.functional_call`` with parameters cut from ``theta``, after ``module.double()``.
    data : array_like, shape (n, m)
        Features and target as one likes.
    start : array_like, shape (d,)
        From where the minimum is looked for.
    l2 : float
        λ ≥ 0.
    names : sequence of str, optional
        Names of the parameters; by default theta0, theta1, …

    Returns
    -------
    TorchLoss

    Raises
    ------
    InvalidInput
        If PyTorch is missing; for a function that PyTorch cannot map or differentiate, that returns anything but one number of
        float64, NaN, or two answers to one question; and for data of the wrong shape.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> data = [[1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 1.0, 4.0]]
    >>> if find_spec("torch"):  # (θ·x − y)²/2 with rows (x0, x1, y)
    ...     model = torch_loss(lambda theta, row: (theta @ row[:2] - row[2]) ** 2 / 2, data, start=[0.0, 0.0])
    ...     assert model.minimum.round(6).tolist() == [1.333333, 2.333333]
    """
    try:
        import torch
        from torch.func import grad, vmap
    except ImportError as error:
        raise InvalidInput(
            f"torch_loss: expected the package torch, which cannot be imported ({error}). pip install "
            "'fokkerplanck[torch]', or give the gradient to custom_loss or numpy_loss"
        ) from error
    if not callable(loss):
        raise InvalidInput(f"loss: expected a function loss(theta, row), got {loss!r}")
    rows, first, labels, steps = check_given(data, start, l2, names, 1.0)
    try:
        once = loss(_tensor(first), _tensor(rows[0]))
        fits = isinstance(once, torch.Tensor) and once.shape == () and once.dtype == torch.float64
        if fits:
            vmap(grad(loss), in_dims=(None, 0))(_tensor(first), _tensor(rows))
    except Exception as error:  # whatever PyTorch or the function raise
        raise InvalidInput(
            f"loss(theta, row): expected a function of tensors of shapes ({first.size},) and ({rows.shape[1]},) that "
            f"torch.func maps and differentiates, got {type(error).__name__}: {str(error).strip()[:200]}. No branches on "
            "values (torch.where instead), no randomness, no .item(), nothing changed in place; or give the gradient to "
            "numpy_loss"
        ) from error
    if not fits:
        got = f"shape {tuple(once.shape)} and {once.dtype}" if isinstance(once, torch.Tensor) else repr(once)
        raise InvalidInput(
            f"loss(theta, row): expected one number, a tensor of shape () and torch.float64, got {got}. Return the loss of one "
            "sample, in double precision (module.double())"
        )
    gradients, values = (vmap(each, in_dims=(None, 0)) for each in (grad(loss), loss))
    model = TorchLoss(
        lambda theta, some: _array(gradients(_tensor(theta), _tensor(some))),
        rows,
        float(l2),
        labels,
        first,
        steps,
        lambda theta, some: _array(values(_tensor(theta), _tensor(some))),
        loss,
    )
    model._check_function()
    return model


def _tensor(values: Array) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def _array(tensor: Any) -> Array:
    return np.asarray(tensor.detach().numpy())
