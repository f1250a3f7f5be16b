"""Files: NetCDF datasets with provenance, written whole or not at all."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from .errors import InvalidInput
from .maps import described
from .results import Solution


def provenance() -> dict[str, str]:
    """Versions, machine and date that a result depends on."""
    packages = ("fokkerplanck", "numpy", "scipy", "numba", "xarray")
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **{f"version_{name}": version(name) for name in packages},
    }


def solution_dataset(solution: Solution) -> xr.Dataset:
    """Density, log-density, current, face fluxes and force of a solution, with everything needed to restore it."""
    grid = solution.grid
    data: dict[str, Any] = {
        "density": solution.density.assign_attrs(estimated_L1_error=solution.error),
        "current": solution.current.assign_attrs(estimated_relative_L1_error=solution.current_error),
        **_fields(solution),
    }
    others = {f"_coarser_{k}": coarse for k, coarse in enumerate(solution.coarser, 1)}
    if solution.check is not None:
        others["_check"] = solution.check
    for suffix, other in others.items():
        fields = xr.Dataset(_fields(other))
        own = [str(name) for name in fields.variables if name != "component"]
        renamed = fields.rename({name: f"{name}{suffix}" for name in own})
        data |= {str(name): variable for name, variable in renamed.variables.items()}
    meta = {
        "lower": grid.box.lower,
        "upper": grid.box.upper,
        "boundary": grid.box.boundary,
        "shape": grid.shape,
        "maps": [described(curve) for curve in grid.maps],
        "names": solution.names,
        "error": solution.error,
        "current_error": solution.current_error,
        "diagnostics": solution.diagnostics,
        "coarser": [coarse.grid.shape for coarse in solution.coarser],
        "check": solution.check is not None,
    }
    attributes = {"title": "Stationary state of a Fokker-Planck equation", "solution": to_json(meta), **provenance()}
    # Objects, because Zarr has a type for text of any length and none that is agreed on for text of one length.
    return xr.Dataset(data, attrs=attributes).assign_coords(component=np.array(solution.names, dtype=object))


def _fields(solution: Solution) -> dict[str, xr.DataArray]:
    """What a solution consists of, labelled; everything else follows from it."""
    fields = {"log_density": solution.log_density}
    if solution.force is not None:
        fields["force"] = solution.on_cells(solution.force, "thermodynamic force D^-1 u", "1/state")
    for axis, component in enumerate(solution.flux.components):
        dims = tuple(f"{n}_edge" if a == axis else n for a, n in enumerate(solution.names))
        edges = {f"{n}_edge": solution.grid.edges(a) for a, n in enumerate(solution.names) if a == axis}
        attributes = {"long_name": f"face current along {solution.names[axis]}", "units": "density × state / time"}
        fields[f"flux_{axis}"] = xr.DataArray(component, dims=dims, coords=edges, attrs=attributes)
    return fields


def to_json(value: Any, *, indent: int | None = None) -> str:
    """JSON of plain values and NumPy ones; infinities and NaN as Python's json writes them."""

    def plain(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            return item.tolist()
        if isinstance(item, np.generic):
            return item.item()
        raise TypeError(f"cannot write {type(item).__name__} as JSON")

    return json.dumps(value, default=plain, indent=indent)


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path`` and rename it when, and only when, that succeeded."""
    target = Path(path)
    if not target.parent.is_dir():
        raise InvalidInput(f"expected an existing directory to write {target.name} into, got {target.parent}")
    if target.is_dir():
        raise InvalidInput(f"expected the path of a file, got the directory {target}")
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_dataset(dataset: xr.Dataset, path: str | Path) -> None:
    """Write NetCDF-4 through h5netcdf."""
    write_whole(path, lambda temporary: dataset.to_netcdf(temporary, engine="h5netcdf"))


def read_solution(path: str | Path) -> Solution:
    """See :func:`fokkerplanck.load`."""
    if Path(path).is_dir():
        raise InvalidInput(
            f"expected a NetCDF file, got the directory {path}. A Zarr store is read by "
            "Solution.from_dataset(xarray.open_zarr(path))"
        )
    if not Path(path).is_file():
        raise InvalidInput(f"expected a NetCDF file, got no file at {path}")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as dataset:
            return Solution.from_dataset(dataset.load())
    except OSError as error:
        raise InvalidInput(f"expected a NetCDF-4 file, got {path}: {error}") from error
