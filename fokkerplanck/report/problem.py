"""The problem: which equation, with which drift and noise."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup

from ..cases import Case, Equation
from ..grid import Box
from ..process import DiffusionProcess
from ..sampled import Samples
from ..sgd import SGD
from .blocks import Block, Code, Section, Table, Text
from .markup import formula, mathml, matrix, number

CURRENT = {
    "ito": "J_i = b_i p − ∂_j(D_{ij} p)",
    "stratonovich": "J_i = b_i p − ½ σ_{ik} ∂_j(σ_{jk} p)",
    "isothermal": "J_i = b_i p − D_{ij} ∂_j p",
}
EVALUATED = {
    "ito": "Itô: the noise is evaluated before the step.",
    "stratonovich": "Stratonovich: the noise is evaluated in the middle of the step.",
    "isothermal": "Isothermal (Hänggi–Klimontovich): the noise is evaluated after the step.",
}
LOSSES = {
    "linear": "ℓ_i = ½(θ·x_i − y_i)^2",
    "logistic": "ℓ_i = log(1 + e^{−y_i θ·x_i})",
    "phase_retrieval": "ℓ_i = ½((θ·x_i)^2 − y_i)^2",
    "tanh_neuron": "ℓ_i = ½(a tanh(w x_i) − y_i)^2",
    "deep_linear": "ℓ_i = ½(w_1 w_2 x_i − y_i)^2",
}
DRAWN = {
    "with_replacement": "D = (η/2B) Σ(θ)",
    "without_replacement": "D = (η/2B) (n − B)/(n − 1) Σ(θ)",
    "epoch": "D = (η/2B) (n − B)/(n − 1) Σ(θ)",
}


def stated(case: Case | None, process: DiffusionProcess | None, names: tuple[str, ...], description: str) -> Section:
    """What is solved."""
    blocks: list[Block] = [Text(description)] if description else []
    if case is not None and case.reason:
        blocks.append(Text(case.reason))
    known = process if process is not None else None if case is None else case.process
    sgd = None if case is None else case.sgd
    if sgd is not None:
        blocks += _descent(sgd)
    blocks.append(Text("The stationary density p and its probability current J obey"))
    blocks.append(_formula("∂p/∂t = −∇·J = 0,   dθ = b(θ) dt + σ(θ) dW,   D = ½ σσ^{⊤}"))
    if known is not None:
        blocks.append(_formula(CURRENT[known.interpretation]))
        blocks.append(Text(f"{EVALUATED[known.interpretation]} State θ = ({', '.join(names)})."))
        if case is not None and case.equation is not None:
            blocks += [Text(Markup(line), tone="formula") for line in written(case.equation)]
        elif sgd is None:
            blocks += _coefficients(known)
    if case is not None and case.settings:
        blocks.append(Table("Parameters", parameters(case.settings)))
    if case is not None and case.trustworthy:
        blocks.append(Text(f"Where the diffusion says what the chain does: {case.trustworthy}"))
    if case is not None and case.degenerate:
        blocks.append(Text(f"Where the noise fails to spread it: {case.degenerate}"))
    if case is not None and case.source:
        blocks.append(Text(f"Source: {case.source}", tone="small"))
    return Section("problem", "Problem", blocks)


def written(equation: Equation) -> list[str]:
    """Drift, tensor and what their letters stand for, each as one line of HTML."""
    dim, D = len(equation.b), equation.D
    rows = D if not isinstance(D, str) else ((D if dim == 1 else f"({D})*I",),)
    lines = [_math("b", matrix([[entry] for entry in equation.b])), _math("D", matrix(rows))]
    meant = [
        _math(letter, mathml(value) if isinstance(value, str) else f"<mn>{number(value, 6)}</mn>")
        for letter, value in equation.where.items()
    ]
    return [*lines, "where " + ", ".join(meant)] if meant else lines


def _math(letter: str, value: str) -> str:
    return f'<math display="inline">{mathml(letter)}<mo>=</mo>{value}</math>'


def parameters(settings: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names and values."""
    return [(key.replace("_", " "), _value(value)) for key, value in settings.items()]


def box_rows(box: Box, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Where the walls are, and what they do."""
    sides = zip(names, box.lower, box.upper, box.boundary, strict=True)
    return [(name, number(low, 6), number(high, 6), boundary) for name, low, high, boundary in sides]


def _descent(sgd: SGD) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "Stochastic gradient descent on a loss, and the diffusion that it is close to where the learning rate η is small:"
        ),
        _formula("θ ← θ − η ∇L_B(θ),   b = −∇L,   " + DRAWN[sgd.sampling]),
    ]
    penalty = " + ½λ|θ|^2" if sgd.model.l2 else ""
    kind = str(getattr(sgd.model, "kind", ""))
    each = f",   {LOSSES[kind]}" if kind in LOSSES else ""
    blocks.append(_formula(f"L = (1/n) Σ_i ℓ_i{penalty}{each}"))
    blocks.append(
        Text("Σ is the covariance of the gradient of one sample, B the size of a minibatch, n that of the data.")
    )
    return blocks


def _coefficients(process: DiffusionProcess) -> list[Block]:
    """Drift and noise: as formulas where they are known, as a number where they are constant, as program text otherwise."""
    given = process.formulas
    if given is not None:
        noise = ("D", given.diffusion) if given.noise is None else ("σ", given.noise)
        return [_symbolic("b", given.drift), _symbolic(*noise)]
    blocks: list[Block] = []
    for name, value in process.given.items():
        if not callable(value):
            blocks.append(_formula(f"{name} = {_entries(value, process.dim)}"))
            continue
        text = _source(value)
        if isinstance(value, Samples):
            blocks.append(Text(f"{name} is given by {value}."))
        elif text:
            blocks.append(Code(f"{name} as a function", text))
        else:
            blocks.append(Text(f"{name} is an object of the class {type(value).__name__}, which has no program text."))
    return blocks


def _symbolic(name: str, formulas: Any) -> Text:
    """SymPy's own, which browsers draw without a script."""
    from .. import symbolic

    return Text(Markup(_math(name, symbolic.mathml(formulas))), tone="formula")


def _formula(text: str) -> Text:
    return Text(Markup(formula(text)), tone="formula")


def _entries(values: Any, dim: int) -> str:
    """A constant, a multiple of the identity in short."""
    matrix = np.atleast_2d(np.asarray(values, dtype=float))
    if matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, matrix[0, 0] * np.eye(len(matrix))):
        return number(float(matrix[0, 0])) + (" I" if dim > 1 else "")
    return "(" + "; ".join(", ".join(number(float(v)) for v in row) for row in matrix) + ")"


def _source(function: Any) -> str:
    """The text of a function, or an empty one where Python does not have it."""
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):
        return ""


def _value(value: object) -> str:
    if isinstance(value, (bool, str)):
        return str(value).replace("_", " ") if isinstance(value, str) else str(value)
    if isinstance(value, (int, np.integer)):
        return str(value)
    if isinstance(value, (float, np.floating)):
        return number(float(value), 6)
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(map(_value, value)) + ")"
    return str(value)
