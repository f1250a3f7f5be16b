"""Formulas of the gallery: what is written, and what a browser sets of it, is what the functions compute."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import fokkerplanck as fp
from fokkerplanck.cases.case import combination
from fokkerplanck.report.markup import mathml
from fokkerplanck.report.problem import written

NAMES = [name for name in fp.cases.names() if fp.cases.get(name).sgd is None or name == "deep-linear"]
FUNCTIONS = {"sin": np.sin, "cos": np.cos, "exp": np.exp, "e": math.e, "__builtins__": {}}
SIGNS = {"−": "-", "+": "+", "(": "(", ")": ")", "\u2062": "*", "⋅": "*", "\u2061": ""}


def changed(name: str) -> Any:
    """A case whose parameters are all different, so that no letter can stand for another."""
    found = {}
    for k, (key, value) in enumerate(fp.cases.parameters(name).items()):
        if isinstance(value, float):
            found[key] = value * (1.0 + 0.03 * (k + 1)) + 0.02
        elif isinstance(value, tuple):
            entries = np.asarray(value) + 0.07 * np.arange(np.size(value)).reshape(np.shape(value))
            found[key] = entries.tolist()
    return fp.cases.get(name, **found)


def letters(equation: fp.cases.Equation, places: dict[str, Any]) -> dict[str, Any]:
    out = FUNCTIONS | places
    for letter, value in equation.where.items():
        out[letter] = eval(value, dict(out)) if isinstance(value, str) else value
    return out


def points(case: Any) -> np.ndarray:
    low, high = (np.asarray(side)[:, None] for side in (case.box.lower, case.box.upper))
    return low + (high - low) * np.random.default_rng(271).uniform(size=(case.dim, 40))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_what_the_functions_compute(name: str) -> None:
    case = changed(name)
    equation, x = case.equation, points(case)
    known = letters(equation, dict(zip(case.process.names, x, strict=True)))
    drift, diffusion = case.process.drift(x), case.process.diffusion(x)
    for formula, values in zip(equation.b, drift, strict=True):
        # Sums of terms that cancel: relative to the largest, of about ten operations.
        np.testing.assert_allclose(eval(formula, known) + 0.0 * x[0], values, rtol=0, atol=1e-13 * np.abs(drift).max())
    D = equation.D
    rows = D if not isinstance(D, str) else [[D if i == j else "0" for j in range(case.dim)] for i in range(case.dim)]
    for i, j in np.ndindex(case.dim, case.dim):
        values = eval(rows[i][j], known) + 0.0 * x[0]
        np.testing.assert_allclose(values, diffusion[i, j], rtol=0, atol=1e-13 * np.abs(diffusion).max())


def read(element: ElementTree.Element) -> str:
    """What MathML says, for Python to compute."""
    inner = [read(child) for child in element]
    match element.tag:
        case "mi":
            return element.text or ""
        case "mn":
            text = (element.text or "").replace("−", "-").replace("×10", "e")
            return text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        case "mo":
            return SIGNS[element.text or ""]
        case "mfrac":
            return f"(({inner[0]})/({inner[1]}))"
        case "msup":
            return f"{inner[0]}**({inner[1]})"
        case "msub":
            return "".join(inner)
        case "mtable":
            return f"[{', '.join(inner)}]"
        case "mtr":
            return f"[{', '.join(inner)}]"
    return "".join(inner)


def sides(formula: str) -> tuple[str, str]:
    """Of an equation."""
    letter, _, *rest = ElementTree.fromstring(formula)
    return read(letter), "".join(map(read, rest))


def laid_out(entries: Any, like: np.ndarray) -> np.ndarray:
    if isinstance(entries, list):
        entries = np.array([[np.broadcast_to(entry, like.shape[-1:]) for entry in row] for row in entries])
        return entries.reshape(like.shape)  # a vector is a column
    return np.broadcast_to(entries, like.shape)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_browser_sets_is_what_the_functions_compute(name: str) -> None:
    case = changed(name)
    x = points(case)
    known = letters(case.equation, dict(zip(case.process.names, x, strict=True))) | {"I": np.eye(case.dim)[..., None]}
    drift, tensor, *where = written(case.equation)
    for line, sign, values in ((drift, "b", case.process.drift(x)), (tensor, "D", case.process.diffusion(x))):
        letter, text = sides(line)
        assert letter == sign
        computed = laid_out(eval(text, known), values)
        np.testing.assert_allclose(
            computed, values, rtol=0, atol=1e-5 * np.abs(values).max()
        )  # numbers have six digits
    meant = dict(sides(formula) for line in where for formula in re.findall("<math.*?</math>", line))
    assert list(meant) == list(case.equation.where)
    for letter, text in meant.items():
        np.testing.assert_allclose(eval(text, dict(known)), known[letter], rtol=1e-5, atol=1e-5)


def test_a_wrong_formula_is_noticed() -> None:
    """The control of the tests above: brackets that are missing, and letters that are taken for each other."""
    known = FUNCTIONS | {"x": 2.0, "y": 3.0, "c": 5.0}
    for text in (
        "-(x + y)*c",
        "c - (x - y)",
        "(x + y)**2/c",
        "-x**2",
        "(x/y)**2",
        "exp(-x/y)**2",
        "c*(2*x)",
        "2*(3 - x)*4",
        "x/(y/c)",
        "y + (-x*c - y)*c",
        "(-x)**2 - (-y*c)**2*x",
        "c*(-x*y)",
    ):
        element = ElementTree.fromstring(f"<math>{mathml(text)}</math>")
        assert eval(read(element), dict(known)) == pytest.approx(eval(text, dict(known)), rel=1e-12), text
    assert "<mo>(</mo>" not in mathml("x*y - c*x**2 + 2*x/y")  # and there are no more than it takes
    assert mathml("y + (-x - y)*c").count("<mo>(</mo>") == 1
    with pytest.raises(ValueError, match=r"a formula has numbers, letters, .* got x % y"):
        mathml("x % y")


def test_sums_in_writing() -> None:
    assert combination([(-2.0, "x"), (1.0, "y"), (0.0, "z"), (-0.5, "w")]) == "-2.0*x + y - 0.5*w"
    assert combination([(0.0, "x")]) == "0"


def test_a_report_has_the_formulas_and_not_the_program_text(tmp_path: Path) -> None:
    case = fp.cases.get("swirl")
    solution = fp.solve_stationary(case.process, case.box, shape=(32, 32), progress=False)
    fp.write_report(tmp_path / "report.html", solution, problem=case)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<math ") == 2 + len(case.equation.where)
    assert "<mtable>" in page
    assert "as a function" not in page
    fp.write_report(tmp_path / "report.html", solution, problem=case.process)  # of which nothing is known in writing
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<math " not in page
    assert "b as a function" in page
