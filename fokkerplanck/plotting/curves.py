"""Pictures for pages: lines that are told apart by their labels, and figures as text."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from ..errors import InvalidInput
from . import frame


def curves(
    x: ArrayLike,
    lines: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
    yscale: str = "linear",
    ax: Axes | None = None,
) -> list[Line2D]:
    """Lines over one axis, labelled; the first is solid, the others are dashed.

    Parameters
    ----------
    x : array_like, shape (n,)
    lines : mapping of str to array_like, shape (n,)
        By label.
    xlabel, ylabel, xscale, yscale : str
    ax : Axes, optional

    Returns
    -------
    list of Line2D

    Raises
    ------
    InvalidInput
        If a line has not as many points as x.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = Figure().add_subplot()
    >>> lines = curves([0, 1, 2], {"measured": [0, 1, 4], "exact": [0, 1, 4]}, xlabel="x", ylabel="x²", ax=ax)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['measured', 'exact']
    """
    points = np.asarray(x, dtype=float)
    for label, y in lines.items():
        if np.shape(y) != points.shape:
            raise InvalidInput(f"lines: expected the shape {points.shape} of x, got {np.shape(y)} for {label!r}")
    shown = frame.axes(ax)
    drawn = [
        shown.plot(points, y, "-" if k == 0 else "--", label=label, linewidth=2.0 if k == 0 else 1.4)[0]
        for k, (label, y) in enumerate(lines.items())
    ]
    shown.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    shown.legend(frameon=False)
    return drawn


def svg(artist: Artist) -> str:
    """The figure an artist is in as an ``<svg>`` element with its letters as outlines, and close it.

    It needs no font and looks the same everywhere.

    Raises
    ------
    InvalidInput
        If the artist is in no figure.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> line = curves([0, 1], {"y": [0, 1]}, xlabel="x", ylabel="y", ax=Figure().add_subplot())[0]
    >>> svg(line)[:4], svg(line).rstrip()[-6:]
    ('<svg', '</svg>')
    """
    import matplotlib.pyplot as plt

    figure = artist.get_figure(root=True)
    if figure is None:
        raise InvalidInput(f"artist: expected one that is in a figure, got {artist!r}")
    text = io.StringIO()
    with plt.rc_context({"svg.fonttype": "path", "svg.hashsalt": "fokkerplanck"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    written = text.getvalue()
    return written[written.index("<svg") :]
