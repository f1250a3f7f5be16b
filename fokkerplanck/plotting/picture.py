"""Pictures for a page that is read by day and by night: the colour of their letters and lines is the reader's."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from . import colours

INK = "#1b1c1e"  # axes and letters: a colour that nothing else has
RASTER = 160  # dots per inch of images, at a width of six inches finer than screens need
HEAVY = 400_000  # characters, from which on contours and streamlines of very fine grids become part of the image
# By day and by night; the second column is as far from black as the first is from white.
SCHEMES = {INK: ("#26282b", "#dcdfe3")}
# Of lines on the page itself, not on a field of colours.
LINES = {
    colours.LINE: (colours.LINE, "#74b3dc"),
    colours.SECOND: (colours.SECOND, "#f2808d"),
    "#666666": ("#666666", "#9a9da1"),
    "#262626": ("#262626", "#d3d6da"),
    "#e6e6e6": ("#e6e6e6", "#3a3d41"),
}


def picture(draw: Callable[..., object], *, size: tuple[float, float] = (5.0, 4.0), lines: bool = False) -> str:
    """What is drawn on axes, as an ``<svg>`` element without a background, for light and dark pages alike.

    Letters are outlines: no font is needed. Where it stands as an image, it follows the colour scheme that the reader prefers.

    Parameters
    ----------
    draw : callable
        Draws on the axes it is given as ``ax=``, as the functions here do.
    size : tuple of float
        In inches.
    lines : bool
        Whether there are lines on the page itself, which are recoloured too; on a field of colours they stay as they are.

    Returns
    -------
    str

    Examples
    --------
    >>> text = picture(lambda *, ax: ax.plot([1, 2], [3, 4]))
    >>> text.startswith("<svg"), "prefers-color-scheme: dark" in text
    (True, True)
    """
    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color")
    settings: Any = dict.fromkeys(ink, INK) | {
        "svg.fonttype": "path",
        "svg.hashsalt": "fokkerplanck",
        "axes.facecolor": "none",
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        ax = figure.add_subplot()
        draw(ax=ax)
        text = _svg(figure)
        if len(text) > HEAVY:
            for drawn in ax.collections:
                drawn.set_rasterized(True)
            text = _svg(figure)
    schemes = SCHEMES | LINES if lines else SCHEMES
    light: list[str] = []
    dark: list[str] = []
    for k, (colour, (by_day, by_night)) in enumerate(schemes.items()):
        text = text.replace(colour, f"var(--c{k})")
        light.append(f"--c{k}:{by_day}")
        dark.append(f"--c{k}:{by_night}")
    style = f"<style>svg{{{';'.join(light)}}}@media (prefers-color-scheme: dark){{svg{{{';'.join(dark)}}}}}</style>"
    end = text.index(">") + 1
    return text[:end] + style + text[end:]


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    figure.savefig(written, format="svg", dpi=RASTER, facecolor="none", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
