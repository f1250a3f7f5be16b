"""Formulas, numbers and pictures as HTML."""

from __future__ import annotations

import ast
import html
import re
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files

from ..plotting import numbers

SUBSCRIPT = re.compile(r"_(?:\{([^{}]*)\}|([^\W_])(?!\w))")  # not with_replacement
SUPERSCRIPT = re.compile(r"\^(?:\{([^{}]*)\}|([^\W_])(?!\w))")
POWER = re.compile(r"\$\\times10\^\{([-\d]+)\}\$")
SUM, PRODUCT, ATOM = range(3)  # how strongly a formula holds together
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


def mathml(text: str) -> str:
    """A formula as Python has it, as the inside of ``<math>``: browsers set it without a script.

    Examples
    --------
    >>> mathml("-2*x")
    '<mo>−</mo><mn>2</mn><mo>\u2062</mo><mi>x</mi>'
    >>> mathml("(1 + x)/2")
    '<mfrac><mrow><mn>1</mn><mo>+</mo><mi>x</mi></mrow><mrow><mn>2</mn></mrow></mfrac>'
    """
    return _set(ast.parse(text, mode="eval").body)


def matrix(rows: Sequence[Sequence[str]]) -> str:
    """Formulas in brackets, as the inside of ``<math>``; a single one without."""
    if len(rows) == len(rows[0]) == 1:
        return mathml(rows[0][0])
    cells = ("".join(f"<mtd>{mathml(entry)}</mtd>" for entry in row) for row in rows)
    return f"<mrow><mo>(</mo><mtable>{''.join(f'<mtr>{row}</mtr>' for row in cells)}</mtable><mo>)</mo></mrow>"


def _set(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=float() | int() as value):
            return f"<mn>{number(value, 6)}</mn>"
        case ast.Name(id=name):
            letters = name.rstrip("0123456789")
            digits, symbol = name.removeprefix(letters), f"<mi>{letters}</mi>"
            return f"<msub>{symbol}<mn>{digits}</mn></msub>" if digits else symbol
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"<mo>−</mo>{_bracketed(operand, PRODUCT)}"
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as sign, right=right):
            return f"{_set(left)}<mo>{'+' if isinstance(sign, ast.Add) else '−'}</mo>{_bracketed(right, PRODUCT)}"
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            said = isinstance(_first(right), ast.Constant) and _binding(right) >= PRODUCT
            times = "⋅" if said else "\u2062"  # which is seen, and which is not
            ahead = _set(left) if isinstance(left, ast.UnaryOp) else _bracketed(left, PRODUCT)
            gap = '<mspace width="0.17em"/>' if isinstance(_first(right), ast.Call) else ""
            return f"{ahead}<mo>{times}</mo>{gap}{_bracketed(right, PRODUCT)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"<mfrac><mrow>{_set(left)}</mrow><mrow>{_set(right)}</mrow></mfrac>"
        case ast.BinOp(left=base, op=ast.Pow(), right=power):
            return f"<msup><mrow>{_bracketed(base, ATOM)}</mrow><mrow>{_set(power)}</mrow></msup>"
        case ast.Call(func=ast.Name(id="exp"), args=[argument], keywords=[]):
            return f"<msup><mi>e</mi><mrow>{_set(argument)}</mrow></msup>"
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            return f"<mi>{name}</mi><mo>\u2061</mo><mrow><mo>(</mo>{_set(argument)}<mo>)</mo></mrow>"
    raise ValueError(
        f"a formula has numbers, letters, + − * / ** and functions of one argument, got {ast.unparse(node)}"
    )


def _bracketed(node: ast.expr, least: int) -> str:
    """In brackets where it binds less than what is around it."""
    return _set(node) if _binding(node) >= least else f"<mrow><mo>(</mo>{_set(node)}<mo>)</mo></mrow>"


def _binding(node: ast.expr) -> int:
    if isinstance(_first(node), ast.UnaryOp) or (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
    ):
        return SUM
    return ATOM if isinstance(node, ast.Name | ast.Constant) else PRODUCT


def _first(node: ast.expr) -> ast.expr:
    """What is set first of sums, products and powers; the whole where that is in brackets."""
    while isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Div):
        inner = node.left
        if isinstance(node.op, ast.Pow) and _binding(inner) < ATOM:
            return node
        if isinstance(node.op, ast.Mult) and not isinstance(inner, ast.UnaryOp) and _binding(inner) < PRODUCT:
            return node
        node = inner
    return node


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
