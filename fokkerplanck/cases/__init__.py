"""The gallery: problems with exact answers, and SGD on real data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..errors import InvalidInput
from .case import Case, Exact, from_sgd
from .four_vortices import four_vortices
from .helix import helix
from .label_noise import anisotropic_label_noise, label_noise, label_noise_1d, label_noise_3d
from .linear import brownian_gyrator, linear_3d, ornstein_uhlenbeck, ornstein_uhlenbeck_1d, rank_one_noise
from .manufactured import manufactured
from .rings import blowtorch, ring, tilted_ratchet
from .sgd_on_data import breast_cancer, deep_linear, diabetes, iris, phase_retrieval, tanh_neuron
from .swirls import heavy_swirl, swirl, tangential_noise
from .verification import Convergence, Verification, verify
from .wells import (
    double_well,
    limit_cycle,
    maier_stein,
    mexican_hat,
    mueller_brown,
    multiplicative_noise,
    underdamped_double_well,
)

__all__ = [
    "Case",
    "Convergence",
    "Exact",
    "Verification",
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


_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    float: ((int, float, np.floating, np.integer), "a number"),
    int: ((int, np.integer), "a whole number"),
    str: ((str,), "a word"),
    tuple: ((tuple, list, np.ndarray), "a list"),
}


def names() -> tuple[str, ...]:
    """Names of all cases.

    Examples
    --------
    >>> "four-vortices" in names()
    True
    """
    return tuple(GALLERY)


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
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise InvalidInput(f"case {name!r}: expected {what} for {key}, by default {accepted[key]!r}, got {value!r}")
    return GALLERY[name](**changes)
