"""The gallery: problems with exact answers, and SGD on real data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import InvalidInput
from .case import Case, Exact, from_sgd
from .four_vortices import four_vortices
from .label_noise import label_noise
from .ornstein_uhlenbeck import ornstein_uhlenbeck
from .sgd_on_data import breast_cancer, diabetes, iris, phase_retrieval, tanh_neuron

__all__ = ["Case", "Exact", "from_sgd", "get", "names", "parameters"]

GALLERY: dict[str, Callable[..., Case]] = {
    "breast-cancer": breast_cancer,
    "diabetes": diabetes,
    "tanh-neuron": tanh_neuron,
    "phase-retrieval": phase_retrieval,
    "iris": iris,
    "ornstein-uhlenbeck": ornstein_uhlenbeck,
    "four-vortices": four_vortices,
    "label-noise": label_noise,
}


def names() -> tuple[str, ...]:
    """Names of all cases."""
    return tuple(GALLERY)


def parameters(name: str) -> dict[str, Any]:
    """The parameters of a case with their defaults.

    Raises
    ------
    InvalidInput
        If there is no such case.
    """
    if name not in GALLERY:
        raise InvalidInput(f"expected the name of a case, one of {', '.join(GALLERY)}; got {name!r}")
    return {key: p.default for key, p in inspect.signature(GALLERY[name]).parameters.items()}


def get(name: str, **changes: Any) -> Case:
    """A case by name, with some of its parameters changed.

    Raises
    ------
    InvalidInput
        If there is no such case, it has no such parameter, or the value does not fit.

    Examples
    --------
    >>> get("four-vortices", noise=0.5).process.dim
    2
    """
    accepted = parameters(name)
    unknown = sorted(set(changes) - set(accepted))
    if unknown:
        raise InvalidInput(f"case {name!r}: expected parameters among {', '.join(accepted)}; got {', '.join(unknown)}")
    return GALLERY[name](**changes)
