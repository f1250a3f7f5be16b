"""The table of all public names: those in ``__all__`` of the package and of its public rooms."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

# The rooms whose ``__all__`` is public, by what they are called in examples.
ROOMS = {
    "fp": "fokkerplanck",
    "fp.sgd": "fokkerplanck.sgd",
    "fp.sgd.quadratic": "fokkerplanck.sgd.quadratic",
    "fp.solvers": "fokkerplanck.solvers",
    "fp.cases": "fokkerplanck.cases",
    "fp.claims": "fokkerplanck.claims",
    "fp.plot": "fokkerplanck.plotting",
    "fp.studies": "fokkerplanck.studies",
}


def public() -> dict[str, list[str]]:
    """Names of functions and classes by room; a room that is itself a name of another is not one."""
    found = {}
    for room, module in ROOMS.items():
        home = import_module(module)
        found[room] = [name for name in home.__all__ if not isinstance(getattr(home, name), ModuleType)]
    return found


def write(target: Path) -> None:
    """Write the tables, to be included in the index of the reference."""
    lines: list[str] = []
    for room, names in public().items():
        lines += [
            f".. rubric:: ``{room}``",
            "",
            f".. currentmodule:: {ROOMS[room]}",
            "",
            ".. autosummary::",
            "   :nosignatures:",
            "",
        ]
        lines += [f"   {name}" for name in sorted(names, key=str.lower)] + [""]
    target.write_text("\n".join(lines), encoding="utf-8")


def example(thing: object) -> str:
    """The example of a docstring, or nothing."""
    text = inspect.getdoc(thing) or ""
    return text[text.index(">>>") :] if ">>>" in text else ""
