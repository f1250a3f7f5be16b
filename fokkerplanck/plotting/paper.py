"""Files for print: letters that stay letters, lines that stay lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.streamplot import StreamplotSet

from ..errors import InvalidInput

FORMATS = (".pdf", ".svg", ".eps", ".png")
# TrueType instead of outlines drawn one by one (Type 3), which many journals refuse; text in SVG as text.
LETTERS: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none"}
DPI = 300  # of what is an image anyway: fields of colours, and all of a PNG


def save(drawn: Artist | StreamplotSet | Sequence[Artist], path: str | Path, *, dpi: float = DPI) -> Path:
    """Write the figure something is in as PDF, SVG or EPS with its letters as text, or as PNG; no setting stays changed.

    Lines and letters are vectors, in fonts that are embedded as TrueType (in SVG named); fields of colours are images, because
    cells drawn one by one have seams in most viewers. Files carry no date. A figure with a layout keeps its size;
    without one, the page is as large as what is drawn, so that nothing is cut off.

    Parameters
    ----------
    drawn : Artist, StreamplotSet or sequence of Artist
        A figure, axes, or what a function of this module returned.
    path : str or Path
        Ends in .pdf, .svg, .eps or .png.
    dpi : float
        Dots per inch of images.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        For another ending, and something that is in no figure.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> ax = Figure(figsize=(3.4, 2.4), layout="constrained").add_subplot()
    >>> _ = ax.set_xlabel("position (µm)")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     "position (µm)</text>" in save(ax, f"{folder}/figure.svg").read_text(encoding="utf-8")
    True
    """
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise InvalidInput(f"path: expected a name that ends in {', '.join(FORMATS)}, got {target.name!r}")
    first = drawn[0] if isinstance(drawn, (tuple, list)) and drawn else drawn
    artist = first.lines if isinstance(first, StreamplotSet) else first
    figure = artist.get_figure(root=True) if isinstance(artist, Artist) else None
    if figure is None:
        raise InvalidInput(f"drawn: expected a figure, or something that is in one, got {drawn!r:.60}")
    date = {".pdf": "CreationDate", ".svg": "Date"}.get(target.suffix.lower())
    with matplotlib.rc_context(LETTERS):
        page = "tight" if figure.get_layout_engine() is None else None
        figure.savefig(target, dpi=dpi, bbox_inches=page, metadata={} if date is None else {date: None})
    return target
