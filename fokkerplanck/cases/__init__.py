"""The gallery: problems with exact answers, and SGD on real data."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import InvalidInput
from .case import Case, Equation, Exact, from_sgd
from .four_vortices import four_vortices
from .helix import helix
from .label_noise import anisotropic_label_noise, label_noise, label_noise_1d, label_noise_3d
from .linear import brownian_gyrator, linear_3d, ornstein_uhlenbeck, ornstein_uhlenbeck_1d, rank_one_noise
from .manufactured import manufactured
from .rings import blowtorch, ring, tilted_ratchet
from .sgd_on_data import breast_cancer, deep_linear, diabetes, iris, phase_retrieval, tanh_neuron
from .swirls import heavy_swirl, swirl, tangential_noise
from .wells import (
    double_well,
    limit_cycle,
    maier_stein,
    mexican_hat,
    mueller_brown,
    multiplicative_noise,
    underdamped_double_well,
)

if TYPE_CHECKING:
    from .verification import Convergence, Verification, verify

__all__ = [
    "Case",
    "Convergence",
    "Entry",
    "Equation",
    "Exact",
    "Verification",
    "contents",
    "from_sgd",
    "get",
    "manufactured",
    "names",
    "parameters",
    "verify",
]

GALLERY: dict[str, Callable[..., Case]] = {
    "breast-cancer": breast_cancer,
    "diabetes": diabetes,
    "tanh-neuron": tanh_neuron,
    "phase-retrieval": phase_retrieval,
    "deep-linear": deep_linear,
    "iris": iris,
    "ornstein-uhlenbeck-1d": ornstein_uhlenbeck_1d,
    "double-well": double_well,
    "multiplicative-noise": multiplicative_noise,
    "multiplicative-noise-stratonovich": partial(multiplicative_noise, interpretation="stratonovich"),
    "multiplicative-noise-isothermal": partial(multiplicative_noise, interpretation="isothermal"),
    "label-noise-1d": label_noise_1d,
    "ring": ring,
    "tilted-ratchet": tilted_ratchet,
    "blowtorch": blowtorch,
    "ornstein-uhlenbeck": ornstein_uhlenbeck,
    "brownian-gyrator": brownian_gyrator,
    "swirl": swirl,
    "swirl-isothermal": partial(swirl, interpretation="isothermal"),
    "heavy-swirl": heavy_swirl,
    "tangential-noise": tangential_noise,
    "four-vortices": four_vortices,
    "label-noise": label_noise,
    "anisotropic-label-noise": anisotropic_label_noise,
    "mueller-brown": mueller_brown,
    "maier-stein": maier_stein,
    "mexican-hat": mexican_hat,
    "limit-cycle": limit_cycle,
    "rank-one-noise": rank_one_noise,
    "underdamped-double-well": underdamped_double_well,
    "linear-3d": linear_3d,
    "helix": helix,
    "label-noise-3d": label_noise_3d,
}


class Entry(NamedTuple):
    """What a list of the gallery shows of a case: its name, dimension, balance, and what is exact, as in `Case`.

    Examples
    --------
    >>> [entry.name for entry in contents() if entry.dim == 3]
    ['iris', 'linear-3d', 'helix', 'label-noise-3d']
    """

    name: str
    dim: int
    balanced: bool | None
    known: str


# Said here, so that a list need not load the simulator, read tables and look for minima.
_ON_DATA = {
    "breast-cancer": (2, None, ""),
    "diabetes": (2, None, ""),
    "tanh-neuron": (2, None, ""),
    "phase-retrieval": (2, None, ""),
    "deep-linear": (1, True, "p, J, entropy production, moments"),
    "iris": (3, None, ""),
}

_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    float: ((int, float, np.floating, np.integer), "a finite number"),
    int: ((int, np.integer), "a whole number"),
    str: ((str,), "a word"),
    tuple: ((tuple, list, np.ndarray), "a list of finite numbers"),
}


def names() -> tuple[str, ...]:
    """Names of all cases.

    Examples
    --------
    >>> "four-vortices" in names()
    True
    """
    return tuple(GALLERY)


def contents() -> tuple[Entry, ...]:
    """What is in the gallery, with the default parameters.

    Examples
    --------
    >>> contents()[-1]
    Entry(name='label-noise-3d', dim=3, balanced=True, known='p, J, entropy production, variance, gibbs distance')
    """
    entries = []
    for name in GALLERY:
        if name in _ON_DATA:
            entries.append(Entry(name, *_ON_DATA[name]))
            continue
        case = get(name)
        entries.append(Entry(name, case.dim, case.balanced, case.known))
    return tuple(entries)


def parameters(name: str) -> dict[str, Any]:
    """The parameters of a case with their defaults.

    Raises
    ------
    InvalidInput
        If there is no such case.

    Examples
    --------
    >>> parameters("ring")
    {'interpretation': 'ito', 'sine': 0.5, 'cosine': 0.25}
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
    for key, value in changes.items():
        kinds, what = _KINDS[type(accepted[key])]
        if not isinstance(value, kinds) or isinstance(value, bool) or not _like(value, accepted[key]):
            raise InvalidInput(f"case {name!r}: expected {what} for {key}, by default {accepted[key]!r}, got {value!r}")
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"), warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # as of an ill-conditioned matrix
            return GALLERY[name](**changes)
    except InvalidInput:
        raise
    except (
        ArithmeticError,
        RuntimeWarning,
        ValueError,
    ) as error:  # ValueError: linear algebra, roots of negative numbers
        given = ", ".join(f"{key} = {value!r}" for key, value in changes.items()) or "its defaults"
        raise InvalidInput(
            f"case {name!r}: expected parameters of moderate size, with which its exact answer can be computed, got {given}: "
            f"{error}"
        ) from error


def _like(value: Any, default: Any) -> bool:
    """Whether a number is finite, and a list has finite numbers in the shape of the default."""
    if isinstance(value, str):
        return True
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):  # words in a list, rows of different lengths
        return False
    return numbers.shape == np.shape(default) and bool(np.isfinite(numbers).all())


def __getattr__(name: str) -> Any:
    if name not in ("Convergence", "Verification", "verify"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import verification  # loads the solver

    return getattr(verification, name)
