"""What a flat picture keeps of a box: the variables it shows, where the others are held, which are integrated over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InvalidInput
from ..force import Force
from ..grid import Array, Box, Grid
from ..helmholtz import HelmholtzSplit
from ..results import Solution
from ..sgd import Run
from . import frame, numbers

At = Mapping[str, float] | None
Over = str | Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Plane:
    """A part of a box with one or two variables.

    Attributes
    ----------
    whole : Grid
    names : tuple of str
        Of all variables.
    cells : dict of str to int
        Where the variables that are held are held.
    over : tuple of str
        The variables that are integrated over.
    """

    whole: Grid
    names: tuple[str, ...]
    cells: Mapping[str, int]
    over: tuple[str, ...]

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.cells and name not in self.over)

    @cached_property
    def grid(self) -> Grid:
        """That of the variables kept."""
        axes, box = [self.names.index(name) for name in self.kept], self.whole.box
        if len(axes) == self.whole.dim:
            return self.whole
        lower, upper = ([side[a] for a in axes] for side in (box.lower, box.upper))
        reduced = Box(lower, upper, boundary=[box.boundary[a] for a in axes])
        return Grid(reduced, tuple(self.whole.shape[a] for a in axes), maps=[self.whole.maps[a] for a in axes])

    @property
    def words(self) -> str:
        """What was done to the other variables."""
        held = []
        for name, cell in self.cells.items():
            label, unit = map(frame.plain, frame.quantity(name))
            place = float(self.whole.centers(self.names.index(name))[cell])
            held.append(f"{label} = {numbers.written(place)} {unit}".strip())
        words = [f"at {', '.join(held)}"] if held else []
        gone = [frame.plain(frame.quantity(name)[0]) for name in self.over]
        return ", ".join(words + ([f"integrated over {', '.join(gone)}"] if gone else []))

    @property
    def note(self) -> str:
        """The words in brackets, as a line of a title."""
        return f"\n({self.words})" if self.words else ""

    def scalar(self, field: xr.DataArray) -> xr.DataArray:
        """Values on the cells kept: those at the cells held, integrals over the rest."""
        out = field.isel(dict(self.cells))
        for name in self.over:
            widths = xr.DataArray(self.whole.widths(self.names.index(name)), dims=name)
            out = (out * widths).sum(name)
        return out.assign_attrs(field.attrs)

    def vector(self, field: xr.DataArray) -> xr.DataArray:
        """The same of the components along the variables kept."""
        return self.scalar(field.isel(component=[self.names.index(name) for name in self.kept]))

    def strongest(self, field: xr.DataArray) -> float:
        """The largest size of a vector, other components and slices included; of integrals the largest of those of its size."""
        size: xr.DataArray = (field**2).sum("component") ** 0.5
        return float(replace(self, cells={}).scalar(size).max())

    def projected(self, run: Run) -> Run:
        """The run as one of the variables kept alone, those that are integrated over not having been recorded."""
        if not self.over:
            return run
        axes = [self.names.index(name) for name in self.kept]
        gone = tuple(1 + self.names.index(name) for name in self.over)
        return replace(
            run,
            counted_on=self.grid,
            names=self.kept,
            histogram=run.histogram.sum(axis=gone),
            crossings=tuple(run.crossings[a].sum(axis=gone) for a in axes),
        )


def plane(
    x: Solution | Run | Force | HelmholtzSplit, at: At = None, over: Over = None, *, rooms: Sequence[int] = (1, 2)
) -> Plane:
    """The part of a box that is asked for; in three dimensions with nothing asked for, the last variable is integrated over.

    Parameters
    ----------
    x : Solution, Run, Force or HelmholtzSplit
    at : mapping of str to float, optional
        Variables that are held, and where: in the cell whose centre is nearest.
    over : str or sequence of str, optional
        Variables that are integrated over.
    rooms : sequence of int
        How many variables may be left.

    Raises
    ------
    InvalidInput
        If names are unknown or given twice, a place is outside the box, or another number of variables is left.
    """
    names, grid = x.names, x.grid
    integrated = (over,) if isinstance(over, str) else tuple(over or ())
    if at is not None and not isinstance(at, Mapping):
        raise InvalidInput(f"at: expected where variables are held, like {{{names[-1]!r}: 0.0}}, got {frame.kind(at)}")
    held = dict(at or {})
    if grid.dim == 3 and not held and not integrated:
        integrated = names[-1:]
    for what, given in (("at", tuple(held)), ("over", integrated)):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise InvalidInput(f"{what}: expected names among {names}, got {unknown[0]!r}")
    if len(set(held) | set(integrated)) < len(held) + len(integrated):
        raise InvalidInput(
            f"expected every variable in at or in over, and once, got at={held!r} and over={integrated!r}"
        )
    left = grid.dim - len(held) - len(integrated)
    if left not in rooms:
        raise InvalidInput(
            f"expected {' or '.join(map(str, rooms))} variables to be left for a flat picture, got {left} of {names}: hold "
            "the others with at={name: value}, or integrate over them with over=name"
        )
    cells = {name: nearest(grid, names.index(name), name, value) for name, value in held.items()}
    return Plane(grid, names, cells, integrated)


def nearest(grid: Grid, axis: int, name: str, value: Any) -> int:
    """The cell with the centre nearest to a place."""
    low, high = grid.box.lower[axis], grid.box.upper[axis]
    try:
        place = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"at: expected a number for {name}, got {frame.kind(value)}") from error
    if not low <= place <= high:
        raise InvalidInput(f"at: expected {name} in the box, {low:g} to {high:g}, got {place:g}")
    return int(np.argmin(np.abs(grid.centers(axis) - place)))


def mode(x: Solution | Run) -> dict[str, float]:
    """The centre of the cell where the density is largest."""
    p: Array = x.density.values
    cell = np.unravel_index(int(np.argmax(p)), p.shape)
    return {name: float(x.grid.centers(a)[int(cell[a])]) for a, name in enumerate(x.names)}
