"""The page: sections in the order in which they are read, and the file."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from ..area import AreaTest
from ..balance import DetailedBalance, detailed_balance
from ..cases import Case
from ..compare import Comparison
from ..errors import InvalidInput
from ..helmholtz import HelmholtzSplit, helmholtz
from ..io import provenance, write_whole
from ..nonequilibrium import NonEquilibrium, nonequilibrium
from ..process import DiffusionProcess
from ..results import Solution
from ..sgd import Run
from ..sgd.simulation import draw_seed
from . import numbers, pictures
from .blocks import Block, Section, Table, Text
from .markup import plus_minus, style
from .problem import box_rows, stated
from .viewer import viewer

DRAWN_WITH = ("matplotlib", "bokeh")


def write_report(
    path: str | Path,
    solution: Solution | None,
    *,
    problem: Case | DiffusionProcess | None = None,
    title: str | None = None,
    description: str | None = None,
    split: HelmholtzSplit | None = None,
    balance: DetailedBalance | None = None,
    run: Run | None = None,
    comparison: Comparison | None = None,
    area: AreaTest | None = None,
    rng: int | None = None,
    remarks: Sequence[str] = (),
    failure: str = "",
    command: str = "",
) -> None:
    r"""Write a solution of :math:`0 = -\nabla\cdot J` as one HTML page that needs nothing else.

    It has the problem and the settings, density and current, stream function, Helmholtz shares, entropy production and the
    verdict on detailed balance, the simulation where there is one, errors with their meaning, and versions. Pictures are in the
    page, and a view that zooms and shows the values under the pointer: of lines, of the plane, or in three dimensions of the
    marginals of every two variables. No network is needed, and the page
    itself forbids its use. A page that was there before is replaced when the new one is complete.

    Parameters
    ----------
    path : str or Path
        Of the file; its directory has to exist.
    solution : Solution or None
        None where nothing was solved, which ``failure`` then has to explain.
    problem : Case or DiffusionProcess, optional
        What was solved: its equation is written out, formulas and constants as such, functions as their program text.
    title, description : str, optional
        By default those of the case.
    split, balance : optional
        From :func:`helmholtz` and :func:`detailed_balance`; computed where they are not given.
    run, comparison, area : optional
        Simulated SGD, what :func:`compare` says of it, and the :func:`area_test` of its chains.
    rng : int, optional
        The seed that the simulation was asked for with, which repeats it; ``run.seed`` was drawn from it.
    remarks : sequence of str
        What a reader has to know.
    failure : str
        Why the accuracy asked for was not reached: put in a box of warning, with what was reached below.
    command : str
        The command line that made it.

    Raises
    ------
    InvalidInput
        If the arguments do not fit each other, or there is no such directory.

    Examples
    --------
    >>> import tempfile
    >>> import fokkerplanck as fp
    >>> well = fp.DiffusionProcess(lambda x: -(x**3), 1.0, dim=1)
    >>> sol = fp.solve_stationary(well, fp.Box([-4], [4]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "report.html"
    ...     fp.write_report(path, sol, problem=well, title="A quartic well")
    ...     "Detailed balance holds" in path.read_text(encoding="utf-8")
    True
    """
    _check(solution, problem, run, comparison, rng, failure)
    case, process = (problem, None) if isinstance(problem, Case) else (None, problem)
    heading = title or (case.title if case is not None else "Stationary state of a Fokker–Planck equation")
    words = description if description is not None else case.description if case is not None else ""
    sections, scripts, judged = [], "", balance
    names = _names(solution, problem)
    sections.append(_problem(case, process, names, words, solution))
    if solution is not None:
        if judged is None and solution.force is not None:
            judged = detailed_balance(solution)
        found = nonequilibrium(solution)
        parts = helmholtz(solution) if split is None else split
        sections.append(
            Section("settings", "Settings", [Table("What was asked for", numbers.settings(solution, run, rng))])
        )
        state, scripts = _state(solution, parts, found, case, judged)
        sections.append(state)
        sections += _split(solution, parts, found)
        sections.append(_balance(solution, judged))
        if run is not None:
            sections.append(_simulation(solution, run, comparison, area))
        sections.append(Section("diagnostics", "Diagnostics", numbers.diagnostics(solution)))
    sections.append(_provenance(run, rng, command))
    page = _template().render(
        title=heading,
        style=style(),
        lead=_lead(solution, judged),
        badge=None if judged is None else numbers.ENDED[judged.verdict],
        failure=failure,
        nothing=solution is None,
        remarks=remarks,
        sections=sections,
        scripts=scripts,
        created=provenance()["created"],
    )
    write_whole(path, partial(Path.write_text, data=page, encoding="utf-8"))


def _check(
    solution: object, problem: object, run: Run | None, comparison: object, rng: int | None, failure: str
) -> None:
    if not isinstance(solution, Solution | None):
        raise InvalidInput(
            f"solution: expected a Solution, or None where nothing was solved, got {type(solution).__name__}"
        )
    if not isinstance(problem, Case | DiffusionProcess | None):
        raise InvalidInput(f"problem: expected a Case or a DiffusionProcess, got {type(problem).__name__}")
    if solution is None and not failure:
        raise InvalidInput("failure: expected the reason why there is no solution, got none")
    if comparison is not None and run is None:
        raise InvalidInput("run: expected the simulation that the comparison is of, got none")
    if rng is not None and (run is None or draw_seed(rng) != run.seed):
        why = "there is no run" if run is None else "the streams of this run began from another one"
        raise InvalidInput(f"rng: expected the seed that the simulation was asked for with, got {rng!r}, but {why}")
    if solution is not None and problem is not None:
        names = _names(None, problem)
        if names != solution.names:
            raise InvalidInput(
                f"problem: expected the one with the variables {solution.names} of the solution, got {names}"
            )


def _names(solution: Solution | None, problem: Case | DiffusionProcess | None) -> tuple[str, ...]:
    if solution is not None:
        return solution.names
    process = problem.process if isinstance(problem, Case) else problem
    return () if process is None else process.names


def _problem(
    case: Case | None, process: DiffusionProcess | None, names: tuple[str, ...], words: str, solution: Solution | None
) -> Section:
    """With the walls, where they are known."""
    section = stated(case, process, names, words)
    box = solution.grid.box if solution is not None else None if case is None else case.box
    if box is None:
        return section
    walls = Table("The box", box_rows(box, names), ("variable", "from", "to", "boundary"))
    return Section(section.id, section.title, [*section.blocks, walls])


def _state(
    solution: Solution, parts: HelmholtzSplit, found: NonEquilibrium, case: Case | None, judged: DetailedBalance | None
) -> tuple[Section, str]:
    view, scripts = viewer(solution, parts)
    blocks: list[Block] = [pictures.state(solution), view, numbers.moments(solution), *numbers.current(solution, found)]
    if case is not None:
        blocks += numbers.exact(case, solution, judged)
    return Section("state", "Density and current", blocks), scripts


def _split(solution: Solution, parts: HelmholtzSplit, found: NonEquilibrium) -> list[Section]:
    """Stream function and shares, where there is a current."""
    if not solution.current_error < 1.0:
        words = "No current is resolved, so there is nothing to split: the parts would be those of numerical errors."
        return [Section("split", "Helmholtz shares", [Text(words)])]
    sections = []
    if solution.grid.dim == 2:
        sections.append(Section("stream", "Stream function", [pictures.streams(parts), numbers.stream(found)]))
    words = "J = gradient part + curl part + harmonic part, orthogonal to each other; their shares add up to one."
    blocks: list[Block] = [Text(words), numbers.shares(parts, found), pictures.parts(parts)]
    if solution.grid.dim == 3:
        blocks.append(Text("In three dimensions the curl part has a vector potential, which is in the result file."))
    return [*sections, Section("split", "Helmholtz shares", blocks)]


def _balance(solution: Solution, judged: DetailedBalance | None) -> Section:
    name = "Entropy production and detailed balance"
    if judged is None:
        words = (
            "The diffusion tensor is singular in some cell: entropy production is not defined by JᵀD⁻¹J/p, and nothing "
            "was judged."
        )
        return Section("balance", name, [Text(words)])
    total = plus_minus(judged.entropy_production, judged.entropy_production_error)
    blocks: list[Block] = [Text(f"{_verdict(judged)}: {judged.reasoning}"), numbers.balance(judged)]
    if judged.verdict == "broken":
        blocks.append(pictures.production(solution, total))
    return Section("balance", name, blocks)


def _simulation(solution: Solution, run: Run, comparison: Comparison | None, area: AreaTest | None) -> Section:
    blocks: list[Block] = [] if comparison is None else numbers.simulation(run, comparison)
    blocks.append(pictures.simulated(solution, run, comparison))
    if area is not None:
        blocks += [Text(f"Area test: {area.sentence}"), *(Text(remark, tone="small") for remark in area.remarks)]
    return Section("simulation", "Simulation against solution", blocks)


def _provenance(run: Run | None, rng: int | None, command: str) -> Section:
    known = provenance()
    rows = [("command line", command)] if command else []
    rows += [
        ("date", known["created"]),
        ("fokkerplanck", known["version_fokkerplanck"]),
        ("Python", f"{known['python']} ({platform.python_implementation()})"),
        ("platform", f"{platform.system()} {platform.release()}, {known['machine']}"),
    ]
    rows += [(key.removeprefix("version_"), value) for key, value in known.items() if key.startswith("version_")][1:]
    rows += [(name, version(name)) for name in DRAWN_WITH]
    rows.append(("seed of the simulation", "no simulation" if run is None else numbers.seed(run, rng)))
    return Section("provenance", "Provenance", [Table("Made with", rows)])


def _lead(solution: Solution | None, judged: DetailedBalance | None) -> tuple[str, str]:
    """The verdict in a few words, and in a sentence."""
    if solution is None:
        return "Not solved", "No density was found."
    if judged is None:
        return "Not judged", "The diffusion tensor is singular in some cell, where detailed balance is not judged."
    return _verdict(judged), judged.reasoning[:1].upper() + judged.reasoning[1:]


def _verdict(judged: DetailedBalance) -> str:
    return {"holds": "Detailed balance holds", "broken": "Detailed balance is broken"}.get(
        judged.verdict, "Detailed balance is undecided"
    )


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("fokkerplanck.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")
