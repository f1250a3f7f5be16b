"""The command line: ``fokkerplanck run``, ``list``, ``verify``, ``audit`` and ``study``.

Each command loads what it needs when it runs, so that ``--help`` and wrong usage are answered at once.
"""

from __future__ import annotations

import json as json_module
import shlex
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import FailedPointsWarning, FokkerPlanckError, InvalidInput, NotConverged

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from .analysis import Analysis
    from .cases import Case, Convergence, Verification

FAILED, BAD_USAGE = 1, 2
BOOKS = ("status", "failure", "remark", "seconds")  # of a study, beside what it measures
OWN_DATA: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 8, "sampling": "with_replacement"}
MODELS = {"logistic": 0.1, "linear": 0.0}  # with the default of l2
INTERRUPTED = "The work was interrupted; this page has what there was by then."

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Stationary states of Fokker–Planck equations: density, current, detailed balance, and simulated SGD beside them.",
)


@app.command()
def run(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A case of the gallery; see 'fokkerplanck list'.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the case; repeatable."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A CSV file of your own, with a header line.")] = None,
    target: Annotated[str | None, typer.Option(help="Its column to predict.")] = None,
    features: Annotated[str | None, typer.Option(help="Its columns to predict from, separated by commas.")] = None,
    model: Annotated[str | None, typer.Option(help="logistic or linear regression; logistic by default.")] = None,
    l2: Annotated[
        float | None, typer.Option(help="Weight λ of the L2 penalty (λ/2)|θ|²; for --data 0.1 if logistic, else 0.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="η; for --data 0.1.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="B; for --data 8.")] = None,
    sampling: Annotated[str | None, typer.Option(help="with_replacement, without_replacement or epoch")] = None,
    rtol: Annotated[float | None, typer.Option(help="Accuracy of density and current; 1e-3, in 3-D 2e-2.")] = None,
    chains: Annotated[int, typer.Option(help="Simulated chains; 0 for no simulation.")] = 1000,
    steps: Annotated[int, typer.Option(help="Recorded steps of each.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 7,
    output: Annotated[Path, typer.Option(help="Directory for the files; those of an earlier run are replaced.")] = Path(
        "out"
    ),
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html, too: everything on one page that needs no network.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of a table.")] = False,
) -> None:
    """From a data set, or a case of the gallery, to a verdict: a table, result.nc, summary.json and figure.png."""
    from . import cases
    from .analysis import make_directory
    from .io import to_json
    from .sgd.simulation import check_counts

    settings = {"l2": l2, "learning_rate": learning_rate, "batch_size": batch_size, "sampling": sampling}
    given = {key: value for key, value in settings.items() if value is not None}
    if data is not None:
        if name is not None:
            raise InvalidInput(f"expected the name of a case or --data, got both: {name!r} and {str(data)!r}")
        if parameter:
            raise InvalidInput(f"expected -p with a case of the gallery, got {parameter[0]!r} with --data")
        case = _own_case(data, target, features, model or "logistic", given)
    else:
        stray = [
            f"--{key}" for key, v in (("target", target), ("features", features), ("model", model)) if v is not None
        ]
        if stray:
            raise InvalidInput(f"expected --data with {', '.join(stray)}, got no --data")
        if name is None:
            raise InvalidInput(f"expected the name of a case ({', '.join(cases.names())}) or --data FILE, got neither")
        if name.lower().endswith(".csv"):
            raise InvalidInput(
                f"expected the name of a case, got the file {name!r}. Data of your own: --data {name} --target COLUMN "
                "--features COLUMNS"
            )
        case = cases.get(name, **given | _parameters(parameter))
    if case.sgd is not None and chains != 0:
        check_counts(chains=chains, steps=steps)  # before the solve, not after it
    folder = make_directory(output)
    write = partial(_report, case=case, path=folder / "report.html", command=context.obj or "") if report else None
    analysis, files = _work(case, rtol=rtol, chains=chains, steps=steps, seed=seed, folder=folder, write=write)
    if json:
        print(to_json(analysis.summary(), indent=2))
    else:
        _print(analysis, files)


@app.command(name="list")
def list_cases() -> None:
    """The cases of the gallery: dimension, detailed balance, what is exact, and their parameters."""
    from rich.table import Table

    from . import cases

    table = Table("name", "d", "detailed balance", "exact", "parameters")
    table.columns[0].no_wrap = True
    for entry in cases.contents():
        parameters = ", ".join(f"{key}={value}" for key, value in cases.parameters(entry.name).items())
        balance = {True: "yes", False: "no", None: "?"}[entry.balanced]
        table.add_row(entry.name, str(entry.dim), balance, entry.known or "nothing", parameters)
    _wide_console().print(table)


@app.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Cases of the gallery; all of them by default.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="A parameter of the one case; repeatable."),
    ] = None,
    cells: Annotated[int | None, typer.Option(help="Cells per axis of the finest grid, a multiple of 4.")] = None,
) -> None:
    """Solve on three nested grids and compare with the exact answer: errors, ratios, orders; exit code 1 on a miss."""
    from . import cases
    from .progress import progress_bar

    if parameter and len(names or ()) != 1:
        raise InvalidInput(f"expected the name of one case with -p, got {names or 'none'} with {parameter[0]!r}")
    chosen = [cases.get(name, **_parameters(parameter)) for name in names or cases.names()]  # all, before the work
    found = []
    with progress_bar("verifying", len(chosen)) as advance:
        for case in chosen:
            found.append(cases.verify(case, shape=None if cells is None else (cells,) * case.dim))
            advance(1)
    _print_verification(found)
    if any(result.passed is False for result in found):
        raise SystemExit(FAILED)


@app.command()
def audit(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Claims, such as C16; all by default.")] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Leave out the slow ones, unless named.")] = False,
    output: Annotated[Path, typer.Option(help="Directory for audit.html and audit.json.")] = Path("out"),
) -> None:
    """Decide what is claimed of SGD's stationary state; exit code 1 if a claim is not decided as declared."""
    from rich.console import Console
    from rich.table import Table

    from . import claims  # loads every check
    from .analysis import make_directory
    from .io import write_whole

    chosen = ids or None
    for id in chosen or ():
        claims.get(id)  # before the work, not in the middle of it
    folder = make_directory(output)
    report = claims.audit(chosen, fast=fast)
    table = Table("id", "claim", "verdict", "measured")
    for decision, row in zip(report.decisions, report.rows(), strict=True):
        table.add_row(*row, style=None if decision.as_declared else "bold red")
    Console().print(table)
    for name, text in (("audit.json", report.to_json()), ("audit.html", report.to_html())):
        write_whole(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))
        print(f"written: {folder / name}")
    if not report.passed:
        raise SystemExit(FAILED)


@app.command()
def study(
    source: Annotated[
        str | None, typer.Argument(metavar="FILE.toml", help="Or the name of one that is shipped.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show the studies that are shipped.")] = False,
    scheduler: Annotated[str | None, typer.Option(help="A running Dask scheduler, such as tcp://host:8786.")] = None,
    workers: Annotated[int, typer.Option(help="Processes to start without one; 0 for none but this.")] = 2,
    retry: Annotated[bool, typer.Option(help="Try points again that have failed before.")] = True,
    output: Annotated[Path, typer.Option(help="Directory for NAME.zarr, which is gone on with, and NAME.nc.")] = Path(
        "out"
    ),
) -> None:
    """The same measurement at many parameters: a table, a Zarr store that survives interruptions, and a NetCDF file."""
    from . import studies
    from .analysis import make_directory
    from .io import write_dataset

    if list_:
        from rich.table import Table

        table = Table("name", "question", "parameters")
        for name in studies.names():
            ready = studies.specification(name)
            table.add_row(name, ready.question, ", ".join(ready.attributes))
        _wide_console().print(table)
        return
    if source is None:
        raise InvalidInput(f"expected a TOML file or one of {', '.join(studies.names())}; got neither. See --list")
    chosen = studies.specification(source)
    folder = make_directory(output)
    store = folder / f"{chosen.name}.zarr"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FailedPointsWarning)  # the table has them
            found = chosen.run(store, workers=workers, scheduler=scheduler, retry=retry)
    except KeyboardInterrupt:
        print(f"interrupted; what had finished is in {store}, and the same command goes on", file=sys.stderr)
        raise SystemExit(FAILED) from None
    path = folder / f"{chosen.name}.nc"
    write_dataset(found, path)
    _print_study(found)
    print(f"written: {store}\nwritten: {path}")
    failed = int((found.failure != "").sum())
    if failed:
        print(f"{failed} of {found.failure.size} points failed; the same command tries them again", file=sys.stderr)
        raise SystemExit(FAILED)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: errors of ours become one line on stderr and an exit code, 1 for failure and 2 for bad usage."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(given, standalone_mode=True, obj=shlex.join(["fokkerplanck", *given]))
    except InvalidInput as error:
        _complain(error)
        raise SystemExit(BAD_USAGE) from None
    except FokkerPlanckError as error:
        _complain(error)
        raise SystemExit(FAILED) from None


def _parameters(given: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE with a value that is JSON (a number, a list) or else a word."""
    out: dict[str, Any] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not (key and equals and value):
            raise InvalidInput(f"-p: expected KEY=VALUE, got {text!r}")
        try:
            out[key] = json_module.loads(value)
        except ValueError:
            out[key] = value
    return out


def _own_case(path: Path, target: str | None, features: str | None, model: str, given: dict[str, Any]) -> Case:
    from . import sgd
    from .cases import from_sgd
    from .sgd.data import columns

    if model not in MODELS:
        raise InvalidInput(f"--model: expected one of {', '.join(MODELS)}, got {model!r}")
    if target is None or features is None:
        missing = [option for option, value in (("--target", target), ("--features", features)) if value is None]
        raise InvalidInput(f"--data: expected also {' and '.join(missing)}, got none. {columns(path)}")
    wanted = tuple(column.strip() for column in features.split(","))
    table = sgd.read_csv(path, target=target, features=wanted).standardised(target=model == "linear")
    build = {"logistic": sgd.logistic_regression, "linear": sgd.linear_regression}[model]
    settings = OWN_DATA | given
    loss = build(table.X, table.y, l2=settings.pop("l2", MODELS[model]), names=table.feature_names)
    classes = _classes(table.y, loss.y) if model == "logistic" else ""
    return from_sgd(
        sgd.SGD(loss, **settings),
        name=path.stem,
        title=f"{model.capitalize()} regression of {target} in {path.name}{classes}",
        description=f"{len(table.X)} rows; features standardised" + (", target too." if model == "linear" else "."),
    )


def _classes(labels: Any, signs: Any) -> str:
    """Which of two labels is which, unless they are the signs themselves."""
    if set(labels) == set(signs):
        return ""
    less, more = (labels[signs == sign][0] for sign in (-1.0, 1.0))
    return f" (+1: {more}, −1: {less})" if isinstance(more, str) else f" (+1: {more:g}, −1: {less:g})"


def _work(
    case: Case,
    *,
    rtol: float | None,
    chains: int,
    steps: int,
    seed: int,
    folder: Path,
    write: Callable[..., Path] | None,
) -> tuple[Analysis, list[Path]]:
    """Solve, simulate and write; whatever stops the work, what there is by then is saved and named."""
    from .analysis import analyse

    so_far: Any = None
    try:
        so_far = analysis = analyse(case, rtol=rtol)
        if case.sgd is not None and chains != 0:
            so_far = analysis = analysis.simulated(chains=chains, steps=steps, rng=seed)
        return analysis, [*analysis.save(folder), *([write(analysis)] if write is not None else [])]
    except NotConverged as error:
        reached = so_far or error.best  # the error may be about what is solved beside the analysis
        _keep(reached, folder)
        if write is not None:
            print(f"what there is, as a page: {write(reached, failure=str(error))}", file=sys.stderr)
        raise
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        reached = so_far or getattr(error, "best", None)
        _keep(reached, folder)
        if write is not None and reached is not None:
            print(f"what there is, as a page: {write(reached, interrupted=True)}", file=sys.stderr)
        raise SystemExit(FAILED) from None


def _report(
    reached: Any, *, case: Case, path: Path, command: str, failure: str = "", interrupted: bool = False
) -> Path:
    """The page of an analysis; where it did not come to one, of the solution that there is, if there is one."""
    from .analysis import Analysis
    from .report import write_report
    from .results import Solution

    if isinstance(reached, Analysis):
        remarks = (
            *reached.remarks,
            *([f"{INTERRUPTED} What had not ended by then is missing."] if interrupted else []),
        )
        replace(reached, remarks=remarks).report(path, failure=failure, command=command)
    else:
        solution = reached if isinstance(reached, Solution) else None
        words = f"{INTERRUPTED} It may be less accurate than was asked for: its errors are under Diagnostics."
        remarks = (words,) if interrupted else ()
        write_report(path, solution, problem=case, remarks=remarks, failure=failure, command=command)
    return path


def _keep(result: Any, folder: Path) -> None:
    """Save an incomplete result beside where the complete one would have gone."""
    from .io import write_dataset

    if result is None:
        print("nothing was saved: no grid had been solved", file=sys.stderr)
        return
    path = folder / "partial.nc"
    write_dataset(result.to_dataset(), path)
    print(f"saved what there is in {path}", file=sys.stderr)


def _print(analysis: Analysis, files: list[Path]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, title=escape(analysis.case.title), min_width=60)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in analysis.rows()[1:]:
        table.add_row(escape(label), escape(value))  # names of columns and classes, whatever brackets they have
    for path in files:
        table.add_row("written", str(path))
    Console().print(table)


def _print_verification(found: list[Verification]) -> None:
    from rich.table import Table

    table = Table("case", "scheme", "quantity", "h", "error", "ratio", "order", "")
    for column in table.columns:
        column.no_wrap = True
    for result in found:
        for k, row in enumerate(result.rows):
            last = k == len(result.rows) - 1
            _add_convergence(table, result.case.name, row, end=last)
        if not result.rows:
            table.add_row(result.case.name, "", "nothing exact to compare with", end_section=True)
    _wide_console().print(table)
    missed = [result.case.name for result in found if result.passed is False]
    silent = [result.case.name for result in found if result.passed is None]
    verified = len(found) - len(missed) - len(silent)
    print(f"{verified} verified, {len(missed)} missed, {len(silent)} without an exact answer")
    if missed:
        print(f"missed: {', '.join(missed)}", file=sys.stderr)


def _print_study(found: Any) -> None:
    """A line for each point: its parameters and the numbers measured, with errors where there are any."""
    from rich.table import Table

    shared = found.status.dims
    names = [str(name) for name in found.data_vars if found[name].dims == shared and str(name) not in BOOKS]
    numbers = [name for name in names if not name.endswith(("_error", "_low", "_high"))]
    parameters = [str(name) for name in found.coords if set(found[name].dims) <= set(shared)]
    flat = found[[*names, "failure"]].stack(line=shared) if len(shared) > 1 else found
    table = Table(*parameters, *(name.replace("_", " ") for name in numbers), title=found.attrs["title"])
    for k in range(flat.failure.size):
        row = flat.isel({flat.failure.dims[0]: k})
        failure = str(row.failure.values)
        cells = [f"failed: {failure:.60}…"] if failure else [_number(row, name) for name in numbers]
        table.add_row(*(f"{row[name].item()}" for name in parameters), *cells)
    _wide_console().print(table)


def _number(row: Any, name: str) -> str:
    error = f"{name}_error"
    return f"{row[name].item():.5g}" + (f" ± {row[error].item():.1g}" if error in row else "")


def _wide_console() -> Console:
    """As wide as the terminal; in a file wide enough for the tables of the gallery."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 140)


def _add_convergence(table: Table, name: str, row: Convergence, *, end: bool) -> None:
    """Three lines, one per grid; the verdict on the last."""
    ratios = ["", *(f"{ratio:.1f}" if ratio < 1e4 else "> 1e4" for ratio in row.ratios)]
    if row.order >= row.declared:
        verdict = f"≥ {row.declared:g}"
    elif row.passed:
        verdict = f"below {row.level:g}"
    else:
        verdict = f"MISSED {row.declared:g}"
    for k, (h, error, ratio) in enumerate(zip(row.spacing, row.errors, ratios, strict=True)):
        final = k == len(row.errors) - 1
        labels = (name, str(row.scheme), row.quantity) if k == 0 else ("", "", "")
        order = f"{row.order:.2f}" if final and row.errors[-1] > 1e-12 else ""  # ratios of round-off have no order
        table.add_row(
            *labels, f"{h:.4g}", f"{error:.1e}", ratio, order, verdict if final else "", end_section=end and final
        )


def _complain(error: Exception) -> None:
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
