"""Lines with labels, and figures as text."""

from __future__ import annotations

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.lines import Line2D

import fokkerplanck as fp

matplotlib.use("Agg")


def test_lines_are_what_was_given_and_labelled() -> None:
    x = np.geomspace(0.1, 10.0, 5)
    first, second = fp.plot.curves(
        x, {"x²": x**2, "one": np.ones(5)}, xlabel="x", ylabel="y", xscale="log", yscale="log"
    )
    assert np.array_equal(first.get_ydata(), x**2)
    assert (first.get_linestyle(), second.get_linestyle()) == ("-", "--")
    legend = first.axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["x²", "one"]
    plt.close(first.axes.figure)


def test_lines_of_another_length() -> None:
    with pytest.raises(fp.InvalidInput, match=r"lines: expected the shape \(3,\) of x, got \(2,\) for 'short'"):
        fp.plot.curves([1, 2, 3], {"short": [1, 2]}, xlabel="x", ylabel="y")


def test_svg_is_text_without_fonts_and_the_same_twice() -> None:
    def drawn() -> str:
        return fp.plot.svg(fp.plot.curves([0, 1], {"η": [0, 1]}, xlabel="x", ylabel="y")[0])

    text = drawn()
    assert text.startswith("<svg")
    assert text.rstrip().endswith("</svg>")
    assert "<text" not in text
    assert drawn() == text
    assert not plt.get_fignums()


def test_svg_of_an_artist_without_a_figure() -> None:
    with pytest.raises(fp.InvalidInput, match="artist: expected one that is in a figure"):
        fp.plot.svg(Line2D([0, 1], [0, 1]))
