"""Formulas, numbers and pictures as HTML."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from importlib.resources import files

from ..plotting import numbers

SUBSCRIPT = re.compile(r"_(?:\{([^{}]*)\}|([^\W_])(?!\w))")  # not with_replacement
SUPERSCRIPT = re.compile(r"\^(?:\{([^{}]*)\}|([^\W_])(?!\w))")
POWER = re.compile(r"\$\\times10\^\{([-\d]+)\}\$")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def formula(text: str) -> str:
    """A formula in Unicode as HTML, with its subscripts and superscripts; what means something in HTML is escaped.

    Examples
    --------
    >>> formula("S^2 = Σ_{ij}")
    'S<sup>2</sup> = Σ<sub>ij</sub>'
    >>> formula("with_replacement")
    'with_replacement'
    """
    text = SUBSCRIPT.sub(lambda m: f"<sub>{m[1] or m[2]}</sub>", html.escape(text))
    return SUPERSCRIPT.sub(lambda m: f"<sup>{m[1] or m[2]}</sup>", text)


def number(value: float, digits: int = 4) -> str:
    """A number as it is read.

    Examples
    --------
    >>> number(-4.56789e-20), number(0.65572)
    ('−4.568×10⁻²⁰', '0.6557')
    """
    return _raised(numbers.written(value, digits))


def plus_minus(value: float, error: float) -> str:
    """A number with one digit of its error.

    Examples
    --------
    >>> plus_minus(0.0071638, 2.2e-6), plus_minus(1.0, float("inf"))
    ('(7.164 ± 0.002)×10⁻³', '1 (error unknown)')
    """
    return _raised(numbers.plus_minus(value, error))


def percent(share: float) -> str:
    """A share of one.

    Examples
    --------
    >>> percent(0.12345), percent(2e-31)
    ('12.3 %', '2×10⁻²⁹ %')
    """
    return f"{number(100.0 * share, 3 if share >= 0.0005 else 1)} %"


def embedded(svg: str) -> str:
    """The address of a picture that is written out in it. Apart from the page, its ids stay its own."""
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def style() -> str:
    """What pages look like: by day and by night, on paper and on a phone."""
    return (files(__package__) / "style.css").read_text(encoding="utf-8")


def _raised(text: str) -> str:
    """Powers of ten without a formula."""
    return POWER.sub(lambda m: "×10" + m[1].translate(RAISED), text)
