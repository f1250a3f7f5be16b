"""The points of a study: a grid of parameters, or a list of them, and the number that seeds each."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput

Parameters = Mapping[str, ArrayLike] | Sequence[Mapping[str, Any]]
Point = dict[str, Any]

RESERVED = ("point", "status", "failure", "remark", "seconds")  # names that the study uses itself
KINDS = {"f": "numbers", "i": "whole numbers", "b": "true or false", "U": "words"}


@dataclass(frozen=True, eq=False)
class Points:
    """Values of every parameter at every point.

    Attributes
    ----------
    columns : dict of str to ndarray, shape (points,)
        Numbers, whole numbers, truth values or words.
    axes : dict of str to ndarray, or None
        The values along every axis of a grid, whose points are ordered with the last axis fastest; None for a list.
    """

    columns: dict[str, NDArray[Any]]
    axes: dict[str, NDArray[Any]] | None

    @classmethod
    def of(cls, parameters: Any) -> Points:
        """Every combination of values in a mapping of parameters, or a sequence of mappings, one for each point.

        Raises
        ------
        InvalidInput
            If there are none, values that are no finite numbers, words or truth values, or a point comes twice.
        """
        if isinstance(parameters, Mapping):
            axes = {str(name): _values(str(name), values) for name, values in parameters.items()}
            mesh = np.meshgrid(*axes.values(), indexing="ij") if axes else []
            return cls({name: values.ravel() for name, values in zip(axes, mesh, strict=True)}, axes)._checked()
        if isinstance(parameters, str) or not isinstance(parameters, Sequence):
            raise InvalidInput(
                "parameters: expected values for each name, {'a': [1, 2], …}, or a list of points, [{'a': 1}, …]; "
                f"got {type(parameters).__name__}"
            )
        for k, point in enumerate(parameters):
            if not isinstance(point, Mapping) or set(point) != set(parameters[0]):
                raise InvalidInput(
                    f"parameters: expected points with the same names, {sorted(parameters[0])}; got {point!r} at place {k}"
                )
        names = list(parameters[0]) if parameters else []
        return cls({name: _values(name, [point[name] for point in parameters]) for name in names}, None)._checked()

    def _checked(self) -> Points:
        if not len(self):
            raise InvalidInput("parameters: expected at least one point with at least one parameter, got none")
        for name in self.names:
            if name in RESERVED or not name.isidentifier():
                raise InvalidInput(
                    f"parameters: expected names that a function's arguments can have, other than {', '.join(RESERVED)}, "
                    f"which the study uses itself; got {name!r}"
                )
        seen: set[tuple[Any, ...]] = set()
        for key in self.values():
            if key in seen:
                raise InvalidInput(
                    f"parameters: expected every point once, got {dict(zip(self.names, key, strict=True))} twice"
                )
            seen.add(key)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return tuple(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def __iter__(self) -> Iterator[Point]:
        for key in self.values():
            yield dict(zip(self.names, key, strict=True))

    def values(self) -> Iterator[tuple[Any, ...]]:
        """The values of each point, as plain numbers and words."""
        return zip(*(column.tolist() for column in self.columns.values()), strict=True)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the grid, or (points,) of a list."""
        return (len(self),) if self.axes is None else tuple(len(values) for values in self.axes.values())


def _values(name: str, given: Any) -> NDArray[Any]:
    values = np.asarray(given)
    kinds = {isinstance(value, str) for value in given} if values.dtype.kind == "U" else {True}
    if kinds != {True}:
        raise InvalidInput(f"parameters: expected either words or numbers for {name}, got {given!r}")
    if values.dtype.kind == "u" and values.size and values.max() <= np.iinfo(np.int64).max:
        values = values.astype(np.int64)
    if values.ndim != 1 or values.dtype.kind not in KINDS or not values.size:
        raise InvalidInput(
            f"parameters: expected a list of numbers, words or truth values for {name}, got {given!r}. Build what else is "
            "needed from those"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InvalidInput(f"parameters: expected finite numbers for {name}, got {values.tolist()}")
    return values.astype({"f": np.float64, "i": np.int64}.get(values.dtype.kind, values.dtype))


def seed_of(seed: int, point: Point) -> int:
    """A number of 63 bits for a point, from its parameters and not from its place, so that a study can be extended."""
    text = json.dumps([seed, sorted(point.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def described_attributes(given: Any, parameters: Any) -> dict[str, dict[str, Any]]:
    """Attributes by name: those given, and those that labelled values of parameters carry."""
    own = parameters.items() if isinstance(parameters, Mapping) else ()
    carried = {str(name): dict(values.attrs) for name, values in own if hasattr(values, "attrs")}
    if given is not None and not (
        isinstance(given, Mapping) and all(isinstance(attributes, Mapping) for attributes in given.values())
    ):
        raise InvalidInput(f"attributes: expected {{name: {{'units': …, 'long_name': …}}}}, got {given!r}")
    names = itertools.chain(carried, given or ())
    return {name: carried.get(name, {}) | dict((given or {}).get(name, {})) for name in names}
