"""What a study from a file can measure of a case, by name: of its solution, of its simulation, and of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from ..compare import compare
from ..errors import InvalidInput
from ..measured import Measured
from ..nonequilibrium import nonequilibrium
from ..solvers.stationary import solve_stationary

if TYPE_CHECKING:
    from ..cases import Case
    from ..results import Solution
    from ..sgd import SGD, Run

Values = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Work:
    """A case with what is done to it, each when first asked for.

    Attributes
    ----------
    case : Case
    solving : dict
        Options of :func:`fokkerplanck.solve_stationary`.
    simulating : dict
        Those of :func:`fokkerplanck.sgd.simulate`.
    counted : bool
        Whether the simulation counts on the grid of the solution, to be compared with it.
    rng : int or None
    """

    case: Case
    solving: Mapping[str, Any]
    simulating: Mapping[str, Any]
    counted: bool
    rng: int | None = None

    @cached_property
    def solution(self) -> Solution:
        """In the box of the case."""
        case, options = self.case, {"max_wall_mass": 1e-3, **self.solving}
        if "shape" in options:
            options["shape"] = tuple(options["shape"])
        return solve_stationary(case.process, case.box, maps=case.maps, **options)

    @cached_property
    def run(self) -> Run:
        """Of the chain itself."""
        grid = self.solution.grid if self.counted else None
        return self.sgd.simulate(grid=grid, rng=self.rng, progress=False, **self.simulating)

    @property
    def sgd(self) -> SGD:
        """Of the case, if it has one."""
        if self.case.sgd is None:
            raise InvalidInput(
                f"case: expected one of SGD on data to simulate, got {self.case.name!r}, which has no chain"
            )
        return self.case.sgd


def measure(work: Work, names: Sequence[str]) -> Values:
    """All that is asked for, together."""
    values: Values = {}
    for name in names:
        values |= MEASUREMENTS[name](work)
    return values


def moments(work: Work) -> Values:
    """Mean and covariance of the solution, with the estimated errors of density and current."""
    solution = work.solution
    return _moments("", solution.mean, solution.covariance, solution.names) | {
        "density_error": xr.DataArray(solution.error, attrs={"long_name": "estimated L1 error of the density"}),
        "current_error": xr.DataArray(
            solution.current_error, attrs={"long_name": "estimated relative error of the current"}
        ),
    }


def current(work: Work) -> Values:
    """Entropy production, ∫|J|, in the plane the area rate and what goes round the largest vortex, the flux round each periodic
    axis, with numerical errors.

    Where vortices of both senses cancel, the area rate vanishes, and which of two alike is the largest is round-off: no sign.
    """
    found = nonequilibrium(work.solution)
    psi = found.stream_function
    vortex = None if psi is None else Measured(abs(psi.value), psi.error)
    numbers = {
        "entropy_production": (found.entropy_production, "entropy production", "k_B / time"),
        "total_current": (found.total_current, "∫|J|", "state / time"),
        "circulation": (found.circulation, "area rate", "state² / time"),
        "vortex": (vortex, "probability that goes round the largest vortex", "1 / time"),
    }
    for axis, flux in found.harmonic.items():
        numbers[f"flux_{axis}"] = (flux, f"flux round {axis}", "1 / time")
    values: Values = {}
    for name, (number, text, units) in numbers.items():
        if number is not None and np.ndim(number.value) == 0:
            values[name] = xr.DataArray(number.value, attrs={"long_name": text, "units": units})
            error = {"long_name": f"numerical error of the {text}", "units": units}
            values[f"{name}_error"] = xr.DataArray(number.error, attrs=error)
    return values


def fields(work: Work) -> Values:
    """Density and current in every cell, with the cell centres as fields of their own, for boxes differ from point to point."""
    solution = work.solution
    cells = tuple(f"cell_{name}" for name in solution.names)
    values: Values = {
        "density": xr.DataArray(solution.density.values, dims=cells, attrs=solution.density.attrs),
        "current": xr.DataArray(
            solution.current.values,
            dims=("component", *cells),
            coords={"component": list(solution.names)},
            attrs=solution.current.attrs,
        ),
    }
    for axis, name in enumerate(solution.names):
        values[f"{name}_centers"] = xr.DataArray(
            solution.grid.centers(axis), dims=cells[axis], attrs={"long_name": name}
        )
    return values


def simulation(work: Work) -> Values:
    """Mean, covariance and circulation of the simulated chains with standard errors, and the share of chains that was lost."""
    run = work.run
    values = _moments("simulated_", run.mean, run.covariance, run.names)
    values["simulated_mean_error"] = values["simulated_mean"].copy(data=run.mean_error)
    values["simulated_covariance_error"] = values["simulated_covariance"].copy(data=run.covariance_error)
    if run.dim == 2:
        for name, area in (("", run.circulation), ("_error", run.circulation_error)):
            values[f"simulated_circulation{name}"] = xr.DataArray(area[0, 1], attrs={"units": "state² / time"})
    return values | {"lost": run.diverged.size / (run.diverged.size + len(run.start))}


def comparison(work: Work) -> Values:
    """Total variation of the simulated density from the solved one with its 95 % interval, and that of noise alone."""
    found = compare(work.solution, work.run)
    distance = found.total_variation
    values = {"distance": distance.value, "distance_low": distance.low, "distance_high": distance.high}
    return {
        **{name: xr.DataArray(value, attrs={"long_name": "total variation"}) for name, value in values.items()},
        "noise_floor": found.noise_floor,
    }


def linear_theory(work: Work) -> Values:
    """Covariance of the diffusion linearised at the minimum."""
    covariance = work.sgd.covariance()
    return {"linear_covariance": _matrix(covariance, work.sgd.model.names), "linear_spread": _spread(covariance)}


def chain(work: Work) -> Values:
    """Mean and covariance of the discrete chain itself, in no limit, and in the plane its circulation."""
    found = work.sgd.chain_moments()
    values = _moments("chain_", found.mean, found.covariance, work.sgd.model.names)
    if work.sgd.model.dim == 2:
        values["chain_circulation"] = found.circulation[0, 1]
    return values


MEASUREMENTS: dict[str, Callable[[Work], Values]] = {
    "moments": moments,
    "current": current,
    "fields": fields,
    "simulation": simulation,
    "comparison": comparison,
    "linear theory": linear_theory,
    "chain": chain,
}


def _moments(prefix: str, mean: Any, covariance: Any, names: tuple[str, ...]) -> Values:
    first = xr.DataArray(mean, dims="component", coords={"component": list(names)}, attrs={"units": "state"})
    return {
        f"{prefix}mean": first,
        f"{prefix}covariance": _matrix(covariance, names),
        f"{prefix}spread": _spread(covariance),
    }


def _spread(covariance: Any) -> xr.DataArray:
    return xr.DataArray(np.trace(covariance), attrs={"long_name": "trace of the covariance", "units": "state²"})


def _matrix(values: Any, names: tuple[str, ...]) -> xr.DataArray:
    along = {"component": list(names), "other": list(names)}
    return xr.DataArray(values, dims=tuple(along), coords=along, attrs={"units": "state²"})
