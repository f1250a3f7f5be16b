"""A study from a file: TOML that names a case of the gallery, parameters, and what is measured."""

from __future__ import annotations

import inspect
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import xarray as xr

from .. import cases
from ..errors import InvalidInput
from ..solvers.stationary import solve_stationary
from .driver import study
from .measurements import MEASUREMENTS, Values, Work, measure
from .points import Points

SIMULATED = ("simulation", "comparison")
KEYS = {
    "title": str,
    "question": str,
    "case": str,
    "measure": list,
    "seed": int,
    "parameters": dict,
    "points": dict,
    "settings": dict,
    "solve": dict,
    "simulate": dict,
}
REFERENCE = "$"
TAKEN = ("process", "box", "maps", "grid", "rng", "progress", "executor")  # options that the study sets itself


@dataclass(frozen=True)
class Specification:
    """What a file says.

    Attributes
    ----------
    name : str
        Of the file.
    title, question : str
    case : str
        Of the gallery.
    measurements : tuple of str
    parameters : dict
        Values by name, a grid; or a list of points.
    attributes : dict
        Units and descriptions of the parameters.
    settings : dict
        Parameters of the case that are the same everywhere; ``"$name"`` in them stands for a parameter of the study.
    solving, simulating : dict
        Options of :func:`fokkerplanck.solve_stationary` and :func:`fokkerplanck.sgd.simulate`.
    seed : int or None

    Examples
    --------
    >>> from fokkerplanck import studies
    >>> study = studies.specification("scaling-law")
    >>> study.name, study.case
    ('scaling-law', 'diabetes')
    """

    name: str
    title: str
    question: str
    case: str
    measurements: tuple[str, ...]
    parameters: Any
    attributes: Mapping[str, Mapping[str, str]]
    settings: Mapping[str, Any]
    solving: Mapping[str, Any]
    simulating: Mapping[str, Any]
    seed: int | None

    def run(
        self,
        store: str | Path | None = None,
        *,
        workers: int = 2,
        scheduler: Any = None,
        retry: bool = True,
        progress: bool | None = None,
    ) -> xr.Dataset:
        """:func:`fokkerplanck.study` of it; its functions are told from others by what the file says beside the parameters."""
        said = (self.case, self.measurements, self.settings, self.solving, self.simulating)
        found = study(
            self.work,
            self.parameters,
            self.measured,
            store=store,
            workers=workers,
            scheduler=scheduler,
            seed=self.seed,
            retry=retry,
            identity=json.dumps(said),
            attributes=self.attributes,
            progress=progress,
        )
        return found.assign_attrs(title=self.title, question=self.question)

    def work(self, **point: Any) -> Work:
        """The case at a point."""
        used: set[str] = set()
        settings = {name: _filled(value, point, used) for name, value in self.settings.items()}
        settings |= {name: value for name, value in point.items() if name not in used}
        return Work(cases.get(self.case, **settings), self.solving, self.simulating, "comparison" in self.measurements)

    def measured(self, work: Work, *, rng: int | None = None) -> Values:
        """All measurements of it."""
        return measure(replace(work, rng=rng), self.measurements)


def names() -> tuple[str, ...]:
    """Of the studies that come with the package.

    Examples
    --------
    >>> "scaling-law" in names()
    True
    """
    return tuple(
        sorted(entry.name.removesuffix(".toml") for entry in _ready().iterdir() if entry.name.endswith(".toml"))
    )


def specification(source: str | Path) -> Specification:
    """Of a file, or of a study that comes with the package, by name.

    Raises
    ------
    InvalidInput
        If there is neither, the file is no TOML, or what it says does not fit; the key is named.

    Examples
    --------
    >>> specification("scaling-law").case
    'diabetes'
    """
    path = Path(source)
    ready = str(source) in names()
    if not ready and not path.is_file():
        raise InvalidInput(f"study: expected a TOML file, or one of {', '.join(names())}; got {str(source)!r}")
    file = _ready() / f"{source}.toml" if ready else path
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"study: expected TOML in {source}, got {error}") from error
    try:
        return _read(str(source) if ready else path.stem, said)
    except InvalidInput as error:
        raise InvalidInput(f"{source}: {error}") from error


def _read(name: str, said: Mapping[str, Any]) -> Specification:
    for key, value in said.items():
        if key not in KEYS:
            raise InvalidInput(f"expected keys among {', '.join(KEYS)}; got {key!r}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise InvalidInput(f"{key}: expected {_toml(KEYS[key])}, got {value!r}")
    for key in ("case", "measure"):
        if key not in said:
            raise InvalidInput(f"expected the key {key!r}, got none")
    if ("parameters" in said) == ("points" in said):
        raise InvalidInput("expected either a table [parameters], all combinations, or [points], lists taken together")
    for wanted in said["measure"] or [None]:
        if not isinstance(wanted, str) or wanted not in MEASUREMENTS:
            raise InvalidInput(f"measure: expected some of {', '.join(MEASUREMENTS)}; got {wanted!r}")
    if ("seed" in said) != any(wanted in SIMULATED for wanted in said["measure"]):
        raise InvalidInput("seed: expected a whole number if, and only if, something simulated is measured")
    _check_options("solve", said, solve_stationary)
    if "simulate" in said:
        from ..sgd import simulate  # with all of SGD slow to load

        _check_options("simulate", said, simulate)
    values, attributes = _parameters(said.get("parameters", said.get("points", {})))
    parameters: Any = values
    if "points" in said:
        if len({len(value) for value in values.values()}) > 1:
            raise InvalidInput(f"points: expected lists of equal length, got {[len(v) for v in values.values()]}")
        parameters = [dict(zip(values, point, strict=True)) for point in zip(*values.values(), strict=True)]
    found = Specification(
        name=name,
        title=said.get("title", name),
        question=said.get("question", ""),
        case=said["case"],
        measurements=tuple(said["measure"]),
        parameters=parameters,
        attributes=attributes,
        settings=said.get("settings", {}),
        solving=said.get("solve", {}),
        simulating=said.get("simulate", {}),
        seed=said.get("seed"),
    )
    used: set[str] = set()
    point = next(iter(Points.of(parameters)))
    given = {
        *(name for name, value in found.settings.items() if _filled(value, point, used) is not None),
        *point,
    } - used
    accepted = cases.parameters(found.case)
    if not given <= set(accepted):
        raise InvalidInput(
            f"expected parameters of {found.case!r}, {', '.join(accepted)}; got {sorted(given - set(accepted))}"
        )
    return found


def _check_options(table: str, said: Mapping[str, Any], function: Callable[..., Any]) -> None:
    accepted = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in TAKEN
    ]
    for name in said.get(table, {}):
        if name not in accepted:
            raise InvalidInput(f"{table}: expected options among {', '.join(accepted)}; got {name!r}")


def _parameters(table: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, dict[str, str]]]:
    """Values and attributes, of ``name = [values]`` or ``name = {values = […], units = "…", long_name = "…"}``."""
    values, attributes = {}, {}
    for name, given in table.items():
        own = given if isinstance(given, dict) else {"values": given}
        if not isinstance(own.get("values"), list) or not set(own) <= {"values", "units", "long_name"}:
            raise InvalidInput(f"{name}: expected a list, or a table with values, units and long_name; got {given!r}")
        values[name] = own["values"]
        attributes[name] = {key: text for key, text in own.items() if key != "values"}
    return values, attributes


def _filled(value: Any, point: Mapping[str, Any], used: set[str]) -> Any:
    """With the values of parameters in place of references to them."""
    if isinstance(value, list):
        return [_filled(item, point, used) for item in value]
    if isinstance(value, str) and value.startswith(REFERENCE):
        name = value.removeprefix(REFERENCE)
        if name not in point:
            raise InvalidInput(
                f"settings: expected a parameter after {REFERENCE}, one of {', '.join(point)}; got {value!r}"
            )
        used.add(name)
        return point[name]
    return value


def _toml(kind: type) -> str:
    return {str: "a text", int: "a whole number", list: "a list", dict: "a table"}[kind]


def _ready() -> Any:
    return files(__package__) / "ready"
