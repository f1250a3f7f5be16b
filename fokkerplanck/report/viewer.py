"""Fields of two variables that answer to the pointer: zoom, and the values under it. The only module that knows Bokeh."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..grid import Array, Grid
from ..helmholtz import HelmholtzSplit
from ..nonequilibrium import production_map
from ..plotting import colours
from ..results import Solution
from .blocks import Viewer

FINEST = 160  # pixels along an axis: five fields of 160² numbers of four bytes are less than half of Bokeh's own script
WINDOW = 1e-5  # share of the largest density below which nothing is shown, as in the other pictures
ARROWS = 22  # along an axis
FAINT = 1e-3  # share of the largest |J| below which there is no arrow
LEVELS = 21  # of the stream function
WHITE, GREY = "#ffffff", "#82868b"  # the grey is read on white and on black: colour bars take no colours from the page


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


def viewer(solution: Solution, split: HelmholtzSplit | None) -> tuple[Viewer, str]:
    """Panels of the fields of a solution in two dimensions, and the scripts that they need.

    Returns
    -------
    Viewer
    str
        ``<script>`` elements: Bokeh itself, and the fields.
    """
    from bokeh.embed import components  # half a second to import, and needed by pages alone
    from bokeh.models import ColumnDataSource
    from bokeh.resources import Resources

    fields = solved(solution, split)
    columns = {name: [np.ascontiguousarray(values.T, dtype=np.float32)] for name, values in fields.fields.items()}
    source = ColumnDataSource(columns)
    first = _panel(fields, source, "p", "probability density p", colours.SEQUENTIAL(np.arange(256)), 0.0)
    panels = [first]
    if "jx" in fields.fields:
        _arrows(first, fields)
    if "psi" in fields.fields:
        reach = float(np.abs(fields.fields["psi"]).max())
        if reach > 0.0:
            panel = _panel(fields, source, "psi", "stream function ψ", colours.DIVERGING(np.arange(256)), -reach)
            panel.x_range, panel.y_range = first.x_range, first.y_range
            levels = [
                v for v in np.linspace(-reach, reach, LEVELS + 1) if abs(v) > 0.05 * reach
            ]  # none at zero, where tails are noise
            panel.contour(
                fields.centers(0),
                fields.centers(1),
                fields.fields["psi"].T,
                levels,
                line_color="#404040",
                line_width=0.8,
            )
            panels.append(panel)
    script, divs = components(tuple(panels))
    library = Resources(mode="inline", components=["bokeh"], minified=True, log_level="warn").render_js()
    held = ["p", "J", "ψ", "the entropy production"] if "psi" in fields.fields else ["p"]
    note = (
        f"Point at a place for its numbers: {', '.join(held)}. The tools above a panel zoom and move; with a mouse, drag a "
        f"rectangle or turn the wheel with Ctrl held. Shown is where p exceeds {WINDOW:g} of its maximum; {fields.note}."
    )
    return Viewer(tuple(divs), note), f"{library}\n{script}"


def _panel(fields: Raster, source: Any, column: str, title: str, palette: Array, low: float) -> Any:
    from bokeh.models import (
        BoxZoomTool,
        ColorBar,
        HoverTool,
        LinearColorMapper,
        PanTool,
        PlainText,
        Range1d,
        ResetTool,
        SaveTool,
        WheelZoomTool,
    )
    from bokeh.plotting import figure

    (left, bottom), (right, top) = fields.lower, fields.upper
    panel = figure(
        x_range=Range1d(left, right, bounds="auto"),
        y_range=Range1d(bottom, top, bounds="auto"),
        sizing_mode="stretch_width",
        aspect_ratio=1.0,
        min_width=200,
        tools=[],
        toolbar_location="above",
        title=title,
        background_fill_alpha=0.0,
        border_fill_alpha=0.0,
        outline_line_color=None,
        output_backend="canvas",
    )
    panel.grid.visible = False
    # Names are those of the user: plain text, in which nothing is a formula.
    panel.xaxis.axis_label, panel.yaxis.axis_label = (PlainText(text=name) for name in fields.names)
    values = fields.fields[column]
    rgb = np.rint(255.0 * palette[:, :3]).astype(int)
    mapper = LinearColorMapper(
        palette=["#" + bytes(c.tolist()).hex() for c in rgb], low=low, high=float(values.max()) if low == 0.0 else -low
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
    zoom, wheel = BoxZoomTool(), WheelZoomTool(modifiers={"ctrl": True})
    hover = HoverTool(renderers=[image], tooltips=rows, formatters=forms, point_policy="follow_mouse")
    panel.add_tools(zoom, wheel, PanTool(), ResetTool(), SaveTool(), hover)
    panel.toolbar.active_drag, panel.toolbar.active_scroll = None, None  # a page is scrolled by the same gestures
    panel.toolbar.logo = None
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
