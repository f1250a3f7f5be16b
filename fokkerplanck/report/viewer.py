"""Lines and fields that answer to the pointer: zoom, and the values under it. The only module that knows Bokeh."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Array, Grid
from ..helmholtz import HelmholtzSplit
from ..measured import current_fields, density_error
from ..nonequilibrium import production_map
from ..plotting import colours
from ..plotting.planes import plane
from ..results import Solution
from .blocks import Viewer
from .markup import number

FINEST = 160  # pixels along an axis: five fields of 160² numbers of four bytes are less than half of Bokeh's own script
LONGEST = 4096  # points of a line
WINDOW = 1e-5  # share of the largest density below which nothing is shown, as in the other pictures
ARROWS = 22  # along an axis
FAINT = 1e-3  # share of the largest |J| below which there is no arrow
LEVELS = 21  # of the stream function
# The grey and the blue are read on white and on black: colour bars and lines take no colours from the page.
WHITE, GREY, BLUE = "#ffffff", "#82868b", "#3d8ec4"
POINT = "Point at a place for its numbers"
TOOLS = "The tools above a panel zoom and move; with a mouse, drag a rectangle or turn the wheel with Ctrl held."


@dataclass(frozen=True, eq=False)
class Raster:
    """Fields on equal pixels.

    Attributes
    ----------
    names : tuple of two str
    lower, upper : tuple of two float
    fields : dict of str to ndarray, shape (n, m)
        By the name of their column.
    note : str
        What a pixel is.
    """

    names: tuple[str, str]
    lower: tuple[float, float]
    upper: tuple[float, float]
    fields: Mapping[str, Array]
    note: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.fields["p"].shape

    def centers(self, axis: int) -> Array:
        step = (self.upper[axis] - self.lower[axis]) / self.shape[axis]
        return np.asarray(self.lower[axis] + step * (np.arange(self.shape[axis]) + 0.5), dtype=float)


def raster(grid: Grid, names: tuple[str, str], fields: Mapping[str, Array]) -> Raster:
    """Fields on the cells of a grid as pixels: cut to where there is density, no more than a screen shows, equal in size.

    Where cells are equal, pixels are cells or means over blocks of them, so that integrals stay what they are. On a stretched
    axis a pixel has the values of the cell that its centre lies in.
    """
    p = fields["p"]
    cut, windows = [], []
    for axis in range(2):
        inside = np.flatnonzero((p > WINDOW * p.max()).any(axis=1 - axis))
        start, stop = (0, p.shape[axis]) if grid.periodic[axis] else (int(inside[0]), int(inside[-1]) + 1)
        cut.append((start, stop))
        windows.append((float(grid.edges(axis)[start]), float(grid.edges(axis)[stop])))
    lower, upper = zip(*windows, strict=True)
    if not grid.uniform:
        picks = []
        for axis, (low, high) in enumerate(windows):
            centres = low + (high - low) * (np.arange(FINEST) + 0.5) / FINEST
            picks.append(np.searchsorted(grid.edges(axis), centres) - 1)
        chosen = {name: values[np.ix_(*picks)] for name, values in fields.items()}
        note = f"{FINEST} × {FINEST} pixels; the axes are stretched, and a pixel shows the cell that its centre lies in"
        return Raster(names, lower, upper, chosen, note)
    blocks = [math.ceil((stop - start) / FINEST) for start, stop in cut]
    counts = [(stop - start) // k for (start, stop), k in zip(cut, blocks, strict=True)]
    upper = tuple(
        low + (high - low) * n * k / (stop - start)
        for (low, high), n, k, (start, stop) in zip(windows, counts, blocks, cut, strict=True)
    )
    (a, _), (b, _) = cut
    (n, m), (k, q) = counts, blocks
    means = {
        name: values[a : a + n * k, b : b + m * q].reshape(n, k, m, q).mean(axis=(1, 3))
        for name, values in fields.items()
    }
    note = (
        "every pixel is a cell of the grid"
        if k == q == 1
        else f"every pixel is the mean of {k} × {q} cells of the grid"
    )
    return Raster(names, (lower[0], lower[1]), (upper[0], upper[1]), means, note)


def solved(solution: Solution, split: HelmholtzSplit | None) -> Raster:
    """Density, current, stream function and entropy production of a solution in two dimensions."""
    fields = {"p": solution.density.values}
    if solution.current_error < 1.0:
        jx, jy = solution.current.values
        fields |= {"jx": jx, "jy": jy}
        if split is not None and split.stream_function is not None:
            psi = split.stream_function.values
            fields["psi"] = 0.25 * (psi[1:, 1:] + psi[:-1, 1:] + psi[1:, :-1] + psi[:-1, :-1])  # nodes to cells
        if solution.force is not None:
            fields["rate"] = production_map(solution).values
    return raster(solution.grid, (solution.names[0], solution.names[1]), fields)


def marginals(solution: Solution) -> dict[str, Raster]:
    """Density and current of a solution in three dimensions integrated over one variable, by that variable.

    Where what there is of a current is not larger than its error, there is none in the plane.
    """
    out = {}
    for gone in solution.names[::-1]:
        shown = plane(solution, over=gone, rooms=(2,))
        fields = {"p": shown.scalar(solution.density).values}
        jx, jy = shown.vector(solution.current).values
        least = solution.current_error * shown.strongest(solution.current)
        if solution.current_error < 1.0 and float(np.hypot(jx, jy).max()) > least:
            fields |= {"jx": jx, "jy": jy}
        out[gone] = raster(shown.grid, (shown.kept[0], shown.kept[1]), fields)
    return out


def points(solution: Solution) -> tuple[dict[str, Array], str]:
    """Columns of a solution on a line at its cells, cut to where there is density, with errors where they are known.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``x`` and ``p``, with a resolved current ``j``, and their errors ``dp`` and ``dj``.
    str
        What a point is.
    """
    grid = solution.grid
    columns = {"x": grid.centers(0), "p": solution.density.values, "dp": density_error(solution).values}
    if solution.current_error < 1.0:
        found = current_fields(solution)
        columns |= {"j": solution.current.values[0], "dj": found.current_error.values}
    inside = np.flatnonzero(columns["p"] > WINDOW * columns["p"].max())
    start, stop = (0, grid.shape[0]) if grid.periodic[0] else (int(inside[0]), int(inside[-1]) + 1)
    step = math.ceil((stop - start) / LONGEST)
    known = {name: values[start:stop:step] for name, values in columns.items() if np.isfinite(values).all()}
    return (
        known,
        "every point is a cell of the grid" if step == 1 else f"every point is one of {step} cells of the grid",
    )


def viewer(solution: Solution, split: HelmholtzSplit | None) -> tuple[Viewer, str]:
    """Panels of what was solved: lines, fields on the plane, or the marginals of every two variables.

    Returns
    -------
    Viewer
    str
        ``<script>`` elements: Bokeh itself, and the fields.
    """
    from bokeh.embed import components  # half a second to import, and needed by pages alone
    from bokeh.resources import Resources

    dim = solution.grid.dim
    panels, note = _lines(solution) if dim == 1 else _plane(solution, split) if dim == 2 else _space(solution)
    script, divs = components(tuple(panels))
    library = Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn").render_js()
    return Viewer(tuple(divs), note), f"{library}\n{script}"


def _lines(solution: Solution) -> tuple[list[Any], str]:
    """Density and current, which zoom along the line together; what is read is the same in both."""
    from bokeh.models import ColumnDataSource, HoverTool, Range1d

    columns, each = points(solution)
    x, name = columns["x"], solution.names[0]
    source = ColumnDataSource(columns)
    left, right = (
        (solution.grid.box.lower[0], solution.grid.box.upper[0]) if solution.grid.periodic[0] else (x[0], x[-1])
    )
    across = Range1d(float(left), float(right), bounds="auto")
    rows = [(name, "@x{%.4g}"), ("p", _valued("p", columns))] + (
        [("J", _valued("j", columns))] if "j" in columns else []
    )
    forms = dict.fromkeys((f"@{column}" for column in columns), "printf")
    panels = []
    for column, title in (("p", "probability density p"), ("j", "probability current J")):
        if column not in columns:
            continue
        y, off = columns[column], columns.get(f"d{column}", np.zeros_like(x))
        low, high = min(0.0, float((y - off).min())), max(0.0, float((y + off).max()))
        room = 0.08 * (high - low)
        up = Range1d(low - room * (low < 0.0), high + room * (high > 0.0), bounds="auto")
        panel = _figure(title, (name, ""), across, up, aspect=1.5)
        if f"d{column}" in columns:
            panel.varea(x, y - off, y + off, fill_color=BLUE, fill_alpha=0.3)
        drawn = panel.line("x", column, source=source, line_color=BLUE, line_width=2)
        panel.add_tools(HoverTool(renderers=[drawn], tooltips=rows, formatters=forms, mode="vline"))
        panels.append(panel)
    held = " and ".join(label for label, _ in rows[1:])
    shown = f"Shown is where p exceeds {number(WINDOW, 1)} of its maximum; {each}."
    return panels, f"{POINT}: {held}, with errors where they are known. {TOOLS} {shown}"


def _valued(column: str, columns: Mapping[str, Array]) -> str:
    return f"@{column}{{%.4g}}" + (f" ± @d{column}{{%.1g}}" if f"d{column}" in columns else "")


def _plane(solution: Solution, split: HelmholtzSplit | None) -> tuple[list[Any], str]:
    """The density with the current over it, and the stream function; what is read is the same in both."""
    from bokeh.models import ColumnDataSource

    fields = solved(solution, split)
    source = ColumnDataSource(_images(fields))
    ranges = _ranges([fields])
    panels = [_panel(fields, source, "p", "probability density p", ranges)]
    if "jx" in fields.fields:
        _arrows(panels[0], fields)
    reach = float(np.abs(fields.fields["psi"]).max()) if "psi" in fields.fields else 0.0
    if reach > 0.0:
        panel = _panel(fields, source, "psi", "stream function ψ", ranges)
        levels = [
            v for v in np.linspace(-reach, reach, LEVELS + 1) if abs(v) > 0.05 * reach
        ]  # none at zero: noise of tails
        at = fields.centers(0), fields.centers(1)
        panel.contour(*at, fields.fields["psi"].T, levels, line_color="#404040", line_width=0.8)
        panels.append(panel)
    held = ["p", "J", "ψ", "the entropy production"] if "psi" in fields.fields else ["p"]
    note = f"{POINT}: {', '.join(held)}. {TOOLS} Shown is where p exceeds {number(WINDOW, 1)} of its maximum; {fields.note}."
    return panels, note


def _space(solution: Solution) -> tuple[list[Any], str]:
    """The marginals of every two variables, with the current integrated in the same way; they zoom together."""
    from bokeh.models import ColumnDataSource

    found = marginals(solution)
    ranges = _ranges(list(found.values()))
    panels = []
    for fields in found.values():
        panel = _panel(fields, ColumnDataSource(_images(fields)), "p", "marginal density p", ranges)
        if "jx" in fields.fields:
            _arrows(panel, fields)
        panels.append(panel)
    held = "p and J" if any("jx" in fields.fields for fields in found.values()) else "p"
    pixels = " or ".join(sorted({fields.note for fields in found.values()}))
    note = (
        f"{POINT}: {held}, integrated over the variable that a panel does not have. {TOOLS} Panels with the same variable "
        f"zoom together. Shown is where the integral of p exceeds {number(WINDOW, 1)} of its maximum; {pixels}."
    )
    return panels, note


def _images(fields: Raster) -> dict[str, list[Array]]:
    return {name: [np.ascontiguousarray(values.T, dtype=np.float32)] for name, values in fields.fields.items()}


def _ranges(shown: Sequence[Raster]) -> dict[str, Any]:
    """What is shown of every variable, by its name: one object, so that panels that share it zoom together."""
    from bokeh.models import Range1d

    sides: dict[str, list[float]] = {}
    for fields in shown:
        for name, low, high in zip(fields.names, fields.lower, fields.upper, strict=True):
            sides.setdefault(name, []).extend((low, high))
    return {name: Range1d(min(ends), max(ends), bounds="auto") for name, ends in sides.items()}


def _figure(title: str, names: tuple[str, str], across: Any, up: Any, *, aspect: float) -> Any:
    """An empty panel with what zooms and moves it."""
    from bokeh.models import BoxZoomTool, PanTool, PlainText, ResetTool, SaveTool, WheelZoomTool
    from bokeh.plotting import figure

    panel = figure(
        x_range=across,
        y_range=up,
        sizing_mode="stretch_width",
        aspect_ratio=aspect,
        min_width=200,
        tools=[],
        toolbar_location="above",
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        outline_line_color=None,
        output_backend="canvas",
    )
    panel.grid.visible = False
    # Names are those of the user: plain text, in which nothing is a formula.
    panel.title.text = PlainText(text=title)
    panel.xaxis.axis_label, panel.yaxis.axis_label = (PlainText(text=name) for name in names)
    panel.add_tools(BoxZoomTool(), WheelZoomTool(modifiers={"ctrl": True}), PanTool(), ResetTool(), SaveTool())
    panel.toolbar.active_drag, panel.toolbar.active_scroll = None, None  # a page is scrolled by the same gestures
    panel.toolbar.logo = None
    return panel


def _panel(fields: Raster, source: Any, column: str, title: str, ranges: Mapping[str, Any]) -> Any:
    """A field as an image; ψ, which has a sign, in colours symmetric about zero."""
    from bokeh.models import ColorBar, HoverTool, LinearColorMapper

    (left, bottom), (right, top) = fields.lower, fields.upper
    panel = _figure(title, fields.names, *(ranges[name] for name in fields.names), aspect=1.0)
    signed, reach = column == "psi", float(np.abs(fields.fields[column]).max())
    palette = (colours.DIVERGING if signed else colours.SEQUENTIAL)(np.arange(256))
    rgb = np.rint(255.0 * palette[:, :3]).astype(int)
    mapper = LinearColorMapper(
        palette=["#" + bytes(c.tolist()).hex() for c in rgb], low=-reach if signed else 0.0, high=reach
    )
    image = panel.image(column, x=left, y=bottom, dw=right - left, dh=top - bottom, color_mapper=mapper, source=source)
    rows = [(fields.names[0], "$x{%.4g}"), (fields.names[1], "$y{%.4g}"), ("p", "@p{%.4g}")]
    if "jx" in fields.fields:
        rows.append(("J", "(@jx{%.3g}, @jy{%.3g})"))
    if "psi" in fields.fields:
        rows.append(("ψ", "@psi{%.4g}"))
    if "rate" in fields.fields:
        rows.append(("entropy production", "@rate{%.3g}"))
    forms = dict.fromkeys(("$x", "$y", *(f"@{name}" for name in fields.fields)), "printf")
    panel.add_tools(HoverTool(renderers=[image], tooltips=rows, formatters=forms, point_policy="follow_mouse"))
    bar = ColorBar(
        color_mapper=mapper,
        height=9,
        padding=4,
        location=(0, 0),
        background_fill_alpha=0.0,
        bar_line_color=None,
        major_tick_line_color=None,
        major_label_text_color=GREY,
    )
    panel.add_layout(bar, "below")
    return panel


def _arrows(panel: Any, fields: Raster) -> None:
    """The direction of the current, in lengths that grow as the square root of its size."""
    jx, jy = fields.fields["jx"], fields.fields["jy"]
    strides = [max(1, math.ceil(n / ARROWS)) for n in fields.shape]
    at = np.ix_(*(np.arange(k // 2, n, k) for n, k in zip(fields.shape, strides, strict=True)))
    x, y = np.meshgrid(fields.centers(0)[at[0].ravel()], fields.centers(1)[at[1].ravel()], indexing="ij")
    sides = np.subtract(fields.upper, fields.lower)
    u, v = jx[at] / sides[0], jy[at] / sides[1]  # in shares of the panel, so that heads are what they should be
    size = np.hypot(u, v)
    longest = float(size.max())
    keep = size > FAINT * longest
    if not keep.any():
        return
    length = np.sqrt(size[keep] / longest) / ARROWS
    u, v = u[keep] / size[keep] * length, v[keep] / size[keep] * length
    path = [(-0.5, 0.0), (0.5, 0.0), (0.15, 0.2), (0.5, 0.0), (0.15, -0.2)]  # along and across, in lengths
    xs = np.stack([x[keep] + sides[0] * (a * u - b * v) for a, b in path], axis=1)
    ys = np.stack([y[keep] + sides[1] * (a * v + b * u) for a, b in path], axis=1)
    panel.multi_line(list(xs), list(ys), line_color=WHITE, line_width=1.2, line_alpha=0.9)
