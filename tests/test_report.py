"""The report as a file: what is on the page, for every kind of problem, and that nothing in it can do harm."""

from __future__ import annotations

import base64
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck import cli
from fokkerplanck.plotting.picture import picture
from fokkerplanck.report import viewer
from fokkerplanck.report.markup import formula, number, percent, plus_minus
from fokkerplanck.solvers.hierarchy import Hierarchy

HOSTILE = '</script><img src=x onerror="alert(1)"> & $$\\alpha$$'


class Page(HTMLParser):
    """Tags and text of a page; refuses anything that would be loaded."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        for name, value in attrs:
            loads = name in {"src", "srcset", "href", "xlink:href"} and not str(value).startswith(("#", "data:"))
            assert not loads, (tag, name, value)

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def headings(self) -> list[str]:
        return [str(attributes["id"]) for attributes in self.all("h2")]


@cache
def solved(name: str, shape: tuple[int, ...]) -> tuple[Any, Any]:
    case = fp.cases.get(name)
    return case, fp.solve_stationary(
        case.process, case.box, shape=shape, maps=case.maps, max_wall_mass=1, progress=False
    )


@cache
def stirred() -> Any:
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]]), 0.5, dim=2)
    return process, fp.solve_stationary(process, fp.Box([-4, -4], [4, 4]), shape=(32, 32), progress=False)


def write(folder: Path, *arguments: Any, **options: Any) -> Page:
    fp.write_report(folder / "report.html", *arguments, **options)
    return Page(folder / "report.html")


def test_a_plane_has_every_section_a_view_and_pictures_with_words(tmp_path: Path) -> None:
    case, solution = solved("four-vortices", (32, 32))
    page = write(tmp_path, solution, problem=case, command="fokkerplanck run four-vortices --report")
    assert page.headings == ["problem", "settings", "state", "stream", "split", "balance", "diagnostics", "provenance"]
    assert "Detailed balance is broken" in page.text
    for words in (
        "∂p/∂t = −∇·J = 0",
        "four-vortices --report",
        "Error estimates",
        "32 × 32",
        "Against the exact answer",
    ):
        assert words in page.text, words
    assert len(page.all("img")) == 3
    assert all(len(str(image["alt"])) > 20 for image in page.all("img"))
    assert "its mean is at x = " in str(page.all("img")[0]["alt"])
    assert all(heading["scope"] in ("row", "col") for heading in page.all("th"))
    assert page.all("html") == [{"lang": "en"}]
    assert "Bokeh" in page.source
    assert 1_300_000 < len(page.source) < 3_000_000
    for left_out in ("bokeh-widgets", "bokeh-tables", "bokeh-gl", "bokeh-mathjax.min.js */"):
        assert f"BEGIN {left_out}" not in page.source


def test_a_line_without_a_current_has_one_of_everything(tmp_path: Path) -> None:
    case, solution = solved("double-well", (64,))
    page = write(tmp_path, solution, problem=case)
    assert len([div for div in page.all("div") if div.get("data-root-id")]) == 1
    assert "Point at a place for its numbers: p, with errors" in page.text
    assert "Detailed balance holds" in page.text
    assert "No current is resolved" in page.text
    assert len(page.all("img")) == 1  # neither a current nor an entropy production is drawn that is not there
    assert len(page.source) < 1_600_000


def test_a_ring_has_the_current_round_it(tmp_path: Path) -> None:
    case, solution = solved("ring", (64,))
    page = write(tmp_path, solution, problem=case)
    assert "flux round x" in page.text
    assert "Point at a place for its numbers: p and J" in page.text
    assert re.search(r"harmonic 100 %", page.text)
    assert len(page.all("img")) == 3


def test_space_has_its_marginals(tmp_path: Path) -> None:
    case, solution = solved("linear-3d", (16, 16, 16))
    page = write(tmp_path, solution, problem=case)
    assert len([div for div in page.all("div") if div.get("data-root-id")]) == 3
    assert len(page.source) < 5_000_000
    assert [f"integrated over {name}" in page.text for name in solution.names] == [True] * 3
    assert "vector potential" in page.text


def test_formulas_constants_and_program_texts_are_written_out(tmp_path: Path) -> None:
    sympy = pytest.importorskip("sympy")
    process, solution = stirred()
    page = write(tmp_path, solution, problem=process, title="Stirred")
    assert "lambda x: np.stack([-x[0] + x[1], -x[1] - x[0]])" in page.text
    assert "D = 0.5 I" in page.text
    x = sympy.Symbol("x", real=True)
    formulas = fp.DiffusionProcess.from_sympy([-(x**3)], sympy.Rational(1, 2), symbols=(x,))
    page = write(tmp_path, solved("double-well", (64,))[1], problem=formulas)
    assert len(page.all("math")) == 2
    assert page.all("mfrac")


def test_names_and_titles_are_text_and_nothing_else(tmp_path: Path) -> None:
    names = ('<b onclick="alert(1)">&$$\\alpha$$', "y")  # a slash is refused before it comes to a page
    sympy = pytest.importorskip("sympy")
    x, y = sympy.Symbol(names[0], real=True), sympy.Symbol("y", real=True)
    process = fp.DiffusionProcess.from_sympy([y - x, -y - x], sympy.Rational(1, 2), symbols=(x, y), names=names)
    solution = fp.solve_stationary(process, fp.Box([-4, -4], [4, 4]), shape=(32, 32), progress=False)
    page = write(
        tmp_path,
        solution,
        problem=process,
        title=HOSTILE,
        description=HOSTILE,
        remarks=[HOSTILE],
        failure=HOSTILE,
        command=HOSTILE,
    )
    assert not {"onerror", "onclick"} & {name for _, attributes in page.tags for name in attributes}
    assert page.all("b") == []
    assert page.text.count(HOSTILE) == 6  # and all of it is there to be read: the title twice
    assert page.text.count(names[0]) > 6
    assert len(page.all("script")) == len(re.findall("</script>", page.source))


def test_a_singular_tensor_is_not_judged(tmp_path: Path) -> None:
    case, solution = solved("underdamped-double-well", (64, 64))
    page = write(tmp_path, solution, problem=case)
    assert "Not judged" in page.text
    assert "entropy production is not defined" in page.text


def test_what_was_reached_is_shown_under_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "double-well", "--rtol", "2e-10", "-p", "barrier=30", "--report", "--output", str(tmp_path)])
    assert stop.value.code == 1
    assert "what there is, as a page" in capsys.readouterr().err
    page = Page(tmp_path / "report.html")
    assert "The accuracy asked for was not reached." in page.text
    assert "beyond double precision" in page.text
    assert [attributes for _, attributes in page.tags if attributes.get("role") == "alert"]
    assert "nested grids" in page.text
    assert "fokkerplanck run double-well --rtol 2e-10 -p barrier=30 --report" in page.text


def interrupt(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Ctrl-C when so many grids have been solved."""
    grade, solved_before = Hierarchy._grade, []

    def interrupted(self: Hierarchy, *given: Any) -> Any:
        if len(solved_before) == after:
            raise KeyboardInterrupt
        solved_before.append(given)
        return grade(self, *given)

    monkeypatch.setattr(Hierarchy, "_grade", interrupted)


def test_an_interruption_leaves_a_page_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, after=2)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "four-vortices", "--rtol", "1e-6", "--report", "--output", str(tmp_path)])
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "partial.nc" in said
    assert f"what there is, as a page: {tmp_path / 'report.html'}" in said
    page = Page(tmp_path / "report.html")
    assert page.text.index("The work was interrupted") < page.text.index("∂p/∂t")
    assert "may be less accurate than was asked for" in page.text
    assert "accuracy asked for was not reached" not in page.text
    shape = fp.load(tmp_path / "partial.nc").grid.shape
    assert f"grid {shape[0]} × {shape[1]} cells" in page.text


def test_an_interrupted_simulation_leaves_the_page_of_the_solution(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        error = KeyboardInterrupt()
        error.best = solved("four-vortices", (32, 32))[1]  # type: ignore[attr-defined]  # of another problem, solved beside
        raise error

    monkeypatch.setattr(fp.sgd.SGD, "simulate", interrupted)
    with pytest.raises(SystemExit):
        cli.main(["run", "diabetes", "--rtol", "0.02", "--report", "--output", str(tmp_path)])
    assert "as a page" in capsys.readouterr().err
    page = Page(tmp_path / "report.html")
    assert (
        "The work was interrupted; this page has what there was by then. What had not ended by then is missing."
        in page.text
    )
    assert "simulation" not in page.headings
    assert "balance" in page.headings
    assert fp.load(tmp_path / "partial.nc").names == fp.cases.get("diabetes").process.names


def test_an_interruption_before_anything_was_solved_leaves_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(monkeypatch, after=0)
    with pytest.raises(SystemExit):
        cli.main(["run", "four-vortices", "--report", "--output", str(tmp_path)])
    assert "nothing was saved: no grid had been solved" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_was_solved_the_page_says_why(tmp_path: Path) -> None:
    page = write(
        tmp_path, None, problem=fp.cases.get("double-well"), failure="no density was found on any of the grids"
    )
    assert page.headings == ["problem", "provenance"]
    assert "Nothing was solved. no density was found" in page.text


def test_a_run_of_sgd_is_compared(tmp_path: Path) -> None:
    options = [
        "--rtol",
        "0.02",
        "--chains",
        "64",
        "--steps",
        "400",
        "--seed",
        "11",
        "--report",
        "--output",
        str(tmp_path),
    ]
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", "breast-cancer", *options])
    assert not stop.value.code
    page = Page(tmp_path / "report.html")
    assert "simulation" in page.headings
    for words in (
        "Where the diffusion says what the chain does",
        "total variation",
        "left after the finite learning rate",
        "chain at this learning rate",
        "Area test",
    ):
        assert words in page.text, words
    assert "ℓ i = log(1 + e −y i θ·x i )" in page.text
    assert "seed 11 " in page.text
    assert "seed of the simulation 11" in page.text
    assert len(page.all("img")) == 5


def test_the_seed_shown_is_the_one_that_repeats_the_run(tmp_path: Path) -> None:
    sgd = fp.sgd.SGD(fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    solution = fp.solve_stationary(sgd.process(), sgd.box(), shape=(32,), progress=False)

    def simulated(rng: int) -> fp.sgd.Run:
        return sgd.simulate(grid=solution.grid, chains=64, steps=50, rng=rng, progress=False)

    run = simulated(23)
    page = write(tmp_path, solution, run=run, rng=23)
    shown = re.search(r"seed of the simulation (\d+)", page.text)
    assert shown is not None
    assert np.array_equal(simulated(int(shown[1])).histogram, run.histogram)
    for wrong in (24, run.seed):
        with pytest.raises(
            fp.InvalidInput, match=r"the seed that the simulation was asked for with.* began from another"
        ):
            fp.write_report(tmp_path / "report.html", solution, run=run, rng=wrong)
    with pytest.raises(fp.InvalidInput, match="got 23, but there is no run"):
        fp.write_report(tmp_path / "report.html", solution, rng=23)
    assert f"not given; the streams of the chains began from {run.seed}" in write(tmp_path, solution, run=run).text


@pytest.mark.parametrize(("dim", "pictures"), [(1, 3), (3, 5)])
def test_a_run_on_a_line_and_in_space_is_compared(tmp_path: Path, dim: int, pictures: int) -> None:
    rng = np.random.default_rng(83)
    X = rng.normal(size=(60, dim))
    model = fp.sgd.linear_regression(X, X.sum(axis=1) + rng.normal(size=60))
    sgd = fp.sgd.SGD(model, learning_rate=0.1, batch_size=8)
    case = fp.cases.from_sgd(sgd, name="mine", title="Mine", description="Made up.")
    solution = fp.solve_stationary(case.process, case.box, shape=(16 if dim == 3 else 64,) * dim, progress=False)
    run = sgd.simulate(grid=solution.grid, chains=64, steps=200, rng=9, progress=False)
    page = write(tmp_path, solution, problem=case, run=run, comparison=fp.compare(solution, run))
    assert len(page.all("img")) == pictures
    assert "Simulated and solved density" in page.text if dim == 1 else "integrated over theta2" in page.text
    assert ("Area rates" in page.text) == (dim > 1)


def test_provenance_names_no_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "a-host-of-mine")
    case, solution = solved("double-well", (64,))
    page = write(tmp_path, solution, problem=case)
    assert "a-host-of-mine" not in page.source
    for words in ("fokkerplanck 0.", "numpy", "bokeh", "matplotlib", "x86_64" if "x86_64" in page.text else "platform"):
        assert words in page.text, words


def test_a_page_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, solution = solved("double-well", (64,))
    before = write(tmp_path, solution, problem=case).source

    def broken(*_: Any, **__: Any) -> int:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", broken)
    with pytest.raises(OSError, match="disk full"):
        fp.write_report(tmp_path / "report.html", solution, problem=case)
    monkeypatch.undo()
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    process, solution = stirred()
    path = tmp_path / "report.html"
    with pytest.raises(fp.InvalidInput, match="expected a Solution, or None where nothing was solved, got str"):
        fp.write_report(path, "solution")  # type: ignore[arg-type]
    with pytest.raises(fp.InvalidInput, match="expected the reason why there is no solution"):
        fp.write_report(path, None)
    with pytest.raises(fp.InvalidInput, match=r"variables \('x', 'y'\) of the solution, got \('x',\)"):
        fp.write_report(path, solution, problem=fp.cases.get("double-well"))
    with pytest.raises(fp.InvalidInput, match="expected an existing directory"):
        fp.write_report(tmp_path / "nowhere" / "report.html", solution, problem=process)
    assert list(tmp_path.iterdir()) == []


def test_pixels_are_means_of_cells_and_keep_integrals() -> None:
    grid = fp.Grid(fp.Box([-5, -4], [5, 4]), (480, 320))
    x, y = grid.cell_points()
    p = np.exp(-0.5 * (x**2 + y**2)) / (2 * np.pi)
    shown = viewer.raster(grid, ("x", "y"), {"p": p})
    assert max(shown.shape) <= viewer.FINEST
    area = np.prod(np.subtract(shown.upper, shown.lower) / shown.shape)
    # What is cut off is below 1e-5 of the maximum: about 1e-5 of the mass, and less than one more pixel at the upper end.
    assert float(shown.fields["p"].sum() * area) == pytest.approx(1.0, abs=1e-4)
    assert "mean of 3 × 2 cells" in shown.note
    centre = shown.centers(0)[np.unravel_index(shown.fields["p"].argmax(), shown.shape)[0]]
    assert abs(centre) < 0.07  # of half a pixel


def test_pixels_of_a_stretched_axis_are_the_cells_under_them() -> None:
    grid = fp.Grid(fp.Box([-8, -8], [8, 8]), (64, 64), maps=[fp.Sinh(scale=2.0), None])
    x, y = grid.cell_points()
    p = np.exp(-0.5 * (x**2 + y**2)) + 1e-3
    shown = viewer.raster(grid, ("x", "y"), {"p": p, "x": x})
    assert shown.shape == (viewer.FINEST, viewer.FINEST)
    wide = grid.widths(0)[np.searchsorted(grid.edges(0), shown.centers(0)) - 1]
    assert np.all(np.abs(shown.fields["x"][:, 0] - shown.centers(0)) <= wide)
    assert "stretched" in shown.note


def test_a_periodic_axis_is_shown_whole() -> None:
    grid = fp.Grid(fp.Box([0, -4], [1, 4], boundary=["periodic", "reflecting"]), (16, 32))
    p = np.zeros((16, 32))
    p[3, 10:20] = 1.0
    shown = viewer.raster(grid, ("a", "b"), {"p": p})
    assert shown.shape == (16, 10)


def test_points_of_a_line_are_those_of_the_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    _, solution = solved("ring", (64,))
    columns, note = viewer.points(solution)
    assert np.array_equal(columns["x"], solution.grid.centers(0))  # a ring is shown whole
    assert np.array_equal(columns["p"], solution.density.values)
    assert np.array_equal(columns["j"], solution.current.values[0])
    exact = fp.cases.get("ring").exact
    assert exact is not None
    assert np.abs(columns["p"] - exact.density(columns["x"][None])).max() <= 3.0 * columns["dp"].max()  # of 64 cells
    assert "every point is a cell" in note
    monkeypatch.setattr(viewer, "LONGEST", 20)
    columns, note = viewer.points(solution)
    assert np.array_equal(columns["p"], solution.density.values[::4])
    assert "one of 4 cells" in note
    assert "j" not in viewer.points(solved("double-well", (64,))[1])[0]  # no current is resolved there


def test_marginals_of_a_space_keep_its_mass_and_its_moments() -> None:
    _, solution = solved("linear-3d", (16, 16, 16))
    found = viewer.marginals(solution)
    assert {gone: fields.names for gone, fields in found.items()} == {"z": ("x", "y"), "y": ("x", "z"), "x": ("y", "z")}
    for fields in found.values():
        cell = np.prod(np.subtract(fields.upper, fields.lower) / fields.shape)
        assert float(fields.fields["p"].sum() * cell) == pytest.approx(
            1.0, abs=1e-4
        )  # of what is cut off below 1e-5 of p
        a, b = (solution.names.index(name) for name in fields.names)
        x, y = np.meshgrid(fields.centers(0), fields.centers(1), indexing="ij")
        circling = 0.5 * float(((x * fields.fields["jy"] - y * fields.fields["jx"]) * cell).sum())
        assert circling == pytest.approx(float(solution.circulation[a, b]), rel=1e-3)


def test_a_plane_in_which_nothing_flows_has_no_arrows() -> None:
    process = fp.DiffusionProcess(lambda x: np.stack([-x[0] + x[1], -x[1] - x[0], -x[2]]), 0.5, dim=3)
    solution = fp.solve_stationary(process, fp.Box([-4] * 3, [4] * 3), shape=(16,) * 3, progress=False)
    found = viewer.marginals(solution)
    assert [gone for gone, fields in found.items() if "jx" in fields.fields] == ["z"]


def test_pictures_follow_the_colours_of_the_reader() -> None:
    text = picture(lambda ax: ax.plot([0, 1], [0, 1], color="#31688e"), lines=True)
    assert "#1b1c1e" not in text
    assert text.count("#31688e") == 1  # where it is given its name
    assert "@media (prefers-color-scheme: dark)" in text
    kept = picture(lambda ax: ax.plot([0, 1], [0, 1], color="#31688e"))
    assert "#31688e" in kept
    assert "--c1" not in kept


def test_embedded_pictures_are_whole(tmp_path: Path) -> None:
    process, solution = stirred()
    page = write(tmp_path, solution, problem=process)
    for image in page.all("img"):
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/svg+xml;base64"
        svg = base64.b64decode(data).decode()
        assert svg.startswith("<svg")
        assert svg.rstrip().endswith("</svg>")
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>', "", svg, flags=re.DOTALL)


def test_numbers_as_they_are_read() -> None:
    assert number(-1.5e-7, 2) == "−1.5×10⁻⁷"
    assert plus_minus(0.65571, 0.0013) == "0.656 ± 0.001"
    assert percent(1.0) == "100 %"
    assert formula("a_{<i>}^2 & b") == "a<sub>&lt;i&gt;</sub><sup>2</sup> &amp; b"
