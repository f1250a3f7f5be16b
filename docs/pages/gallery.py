"""A page and a picture for every case of the gallery, solved when the documentation is built."""

from __future__ import annotations

import inspect
from functools import partial
from hashlib import sha256
from pathlib import Path

from matplotlib.figure import Figure

import fokkerplanck as fp
from fokkerplanck.cases import GALLERY, Case
from fokkerplanck.report.problem import written

from .docstrings import restructured

CELLS = {1: (256,), 2: (128, 128), 3: (32, 32, 32)}  # fine enough to look at; all cases together take half a minute
ROUND_OFF = 1e-12  # of exact numbers that are zero by symmetry and come from quadrature
SHOWN = {"entropy_production": "entropy production", "circulation": "area rate $A_{01}$"}
BALANCE = {True: "holds", False: "is broken", None: "is not known to hold or to be broken before solving"}


def write(folder: Path) -> None:
    """A page per case, its picture, and ``contents.txt`` and ``table.txt`` for the index; nothing if no source has changed."""
    stamp, state = folder / "made-from.txt", _sources()
    if stamp.exists() and stamp.read_text() == state:
        return
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    cards, contents = [], [":::{toctree}", ":hidden:", "", "data"]
    rows = ["| | d | detailed balance | exact |", "|---|---|---|---|"]
    for name in fp.cases.names():
        case = fp.cases.get(name)
        sol = fp.solve_stationary(
            case.process, case.box, shape=CELLS[case.dim], maps=case.maps, max_wall_mass=1, progress=False
        )
        _draw(case, sol).savefig(folder / f"{name}.png", dpi=110)
        _card(case, sol).savefig(folder / f"{name}-card.png", dpi=110)
        (folder / f"{name}.md").write_text(_page(name, case, sol), encoding="utf-8")
        contents.append(f"{name} <cases/{name}>")
        cards += [
            f":::{{figure}} cases/{name}-card.png",
            f":target: cases/{name}.html",
            f":alt: {case.title}",
            "",
            name,
            ":::",
            "",
        ]
        balance = {True: "yes", False: "no", None: "not known"}[case.balanced]
        rows.append(f"| [`{name}`](cases/{name}.md) {case.title} | {case.dim} | {balance} | {case.known or '–'} |")
    for file, lines in (("cards.txt", cards), ("table.txt", rows), ("contents.txt", [*contents, ":::"])):
        (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    stamp.write_text(state)


def _sources() -> str:
    """A digest of all that a page depends on: the package and this file."""
    package = Path(fp.__file__).parent
    files = [*sorted(package.rglob("*.py")), *sorted(package.rglob("*.csv")), Path(__file__)]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _draw(case: Case, sol: fp.Solution) -> Figure:
    """The picture of the page."""
    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    draw = fp.plot.current if case.dim > 1 and _flows(sol) else fp.plot.density
    draw(sol, ax=figure.add_subplot(), over=_over(case))
    return figure


def _card(case: Case, sol: fp.Solution) -> Figure:
    """The picture of the index: nothing but the density and the current in it."""
    figure = Figure(figsize=(2.2, 2.0))
    ax = figure.add_axes((0.02, 0.02, 0.96, 0.96))
    fp.plot.density(sol, ax=ax, over=_over(case), colorbar=False)
    if case.dim > 1:
        if _flows(sol):
            fp.plot.current(sol, ax=ax, over=_over(case), density=0.7)
        ax.set_aspect("auto")
    ax.set(title="", xlabel="", ylabel="", xticks=[], yticks=[])
    return figure


def _flows(sol: fp.Solution) -> bool:
    return sol.current_error < 0.25


def _over(case: Case) -> str | None:
    return case.process.names[2] if case.dim == 3 else None


def _page(name: str, case: Case, sol: fp.Solution) -> str:
    build = GALLERY[name]
    function = build.func if isinstance(build, partial) else build
    source, _, doi = case.source.rpartition(", doi:")
    drawn = {
        1: "The density; a current flows through it, the same everywhere."
        if _flows(sol)
        else "The density; no current flows.",
        2: "The density, and the current in it." if _flows(sol) else "The density; no current flows.",
        3: f"The density of the first two variables, {case.process.names[-1]} integrated over.",
    }[case.dim]
    parts = [f"# {case.title}", "", case.description, "", "```bash", f"fokkerplanck run {name}", "```", ""]
    parts += [f":::{{figure}} {name}.png", f":alt: {case.title}", "", drawn, ":::", ""]
    parts += ["## Equation", "", "```{eval-rst}", restructured(inspect.getdoc(function) or ""), "```", ""]
    if case.equation is not None:
        parts += ["With the default parameters,", "", "```{raw} html"]
        parts += [f"<p>{line}</p>" for line in written(case.equation)] + ["```", ""]
    parts += ["## Why it is here", "", f"{case.reason} [{source}](https://doi.org/{doi})", ""]
    if case.trustworthy:
        parts += ["## Where the diffusion limit holds", "", case.trustworthy, ""]
        parts += [f"**What is degenerate.** {case.degenerate}", ""]
    parts += ["## What is exact", "", f"Detailed balance {BALANCE[case.balanced]}. "]
    parts += [f"Known exactly: {case.known}." if case.known else "Nothing else is known exactly."]
    rows = _numbers(case, sol)
    if rows:
        cells = " × ".join(str(n) for n in sol.grid.shape)
        parts += ["", f"| | exact | solved on {cells} cells |", "|---|---|---|", *rows]
    settings = fp.cases.parameters(name)
    if settings:
        parts += ["", "## Parameters", "", "| | default |", "|---|---|"]
        parts += [f"| `{key}` | `{value!r}` |" for key, value in settings.items()]
        key, value = next(iter(settings.items()))
        parts += ["", "```python", f'case = fp.cases.get("{name}", {key}={value!r})', "```"]
        parts += ["", "```bash", f"fokkerplanck run {name} -p {key}={_word(value)}", "```"]
    return "\n".join(parts) + "\n"


def _numbers(case: Case, sol: fp.Solution) -> list[str]:
    """Exact scalars, and beside them what the solution in the picture has."""
    if case.exact is None or not case.exact.scalars:
        return []
    found = fp.nonequilibrium(sol)
    solved = {"entropy_production": found.entropy_production, "circulation": found.circulation}
    if found.harmonic:
        solved["flux"] = next(iter(found.harmonic.values()))
    rows = []
    for key, value in case.exact.scalars.items():
        exact = value if abs(value) > ROUND_OFF else 0.0
        there = "–" if solved.get(key) is None else solved[key]
        rows.append(f"| {SHOWN.get(key, key.replace('_', ' '))} | {exact:.7g} | {there} |")
    return rows


def _word(value: object) -> str:
    return f"'{list(value)}'" if isinstance(value, tuple) else str(value)
