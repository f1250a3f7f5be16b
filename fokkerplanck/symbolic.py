"""Coefficients given as formulas: exact derivatives, and whether the force is a gradient, by algebra (needs SymPy)."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput

DIGITS = 40  # at which a formula that does not simplify to zero is evaluated
TRIALS = 8  # points at which it is: one where it does not vanish settles the matter


@dataclass(frozen=True, eq=False)
class Formulas:
    r"""Drift b, noise σ or tensor D, the velocity u of :math:`J = u p - D\nabla p`, as SymPy matrices.

    Attributes
    ----------
    symbols : tuple of sympy.Symbol
    drift, velocity : sympy.Matrix, shape (d, 1)
    diffusion : sympy.Matrix, shape (d, d)
    noise : sympy.Matrix or None, shape (d, k)
    """

    symbols: tuple[Any, ...]
    drift: Any
    diffusion: Any
    noise: Any
    velocity: Any

    @cached_property
    def raw_force(self) -> Any:
        """ω = D⁻¹u as it comes, shape (d, 1); None where the determinant of D is identically zero."""
        import sympy

        determinant = self.diffusion.det()
        return None if sympy.simplify(determinant) == 0 else self.diffusion.adjugate() * self.velocity / determinant

    @cached_property
    def raw_curl(self) -> dict[tuple[int, int], Any]:
        """∂_i ω_j − ∂_j ω_i for i < j as it comes; empty in one dimension and where D is singular."""
        import sympy

        omega, x, d = self.raw_force, self.symbols, len(self.symbols)
        pairs = [(i, j) for i in range(d) for j in range(i + 1, d)] if omega is not None else []
        return {(i, j): sympy.diff(omega[j], x[i]) - sympy.diff(omega[i], x[j]) for i, j in pairs}

    @cached_property
    def force(self) -> Any:
        """ω, simplified."""
        import sympy

        return None if self.raw_force is None else sympy.simplify(self.raw_force)

    @cached_property
    def curl(self) -> dict[tuple[int, int], Any]:
        """The curl of ω, simplified."""
        import sympy

        return {pair: sympy.simplify(formula) for pair, formula in self.raw_curl.items()}

    def rotates(self, lower: Sequence[float], upper: Sequence[float]) -> tuple[float, tuple[float, ...]] | bool | None:
        """Whether ω has a curl: its value and a point between the corners where it does not vanish, or False if it is zero.

        A value counts if it is there at 40 digits; zero is what simplifies to zero. None where neither is so, or D is singular.
        """
        import sympy

        if self.raw_force is None:
            return None
        rng = np.random.default_rng(20110)  # any points will do; the same ones every time
        for shares in rng.uniform(0.2, 0.8, size=(TRIALS, len(self.symbols))):
            point = [float(a + s * (b - a)) for a, b, s in zip(lower, upper, shares, strict=True)]
            place = {x: sympy.Rational(v) for x, v in zip(self.symbols, point, strict=True)}
            for formula in self.raw_curl.values():
                value = sympy.N(formula.subs(place), DIGITS)
                if value.is_number and value.is_finite and abs(value) > sympy.Float(10) ** (-DIGITS // 2):
                    return float(value), tuple(point)
        return False if all(formula == 0 for formula in self.curl.values()) else None


def formulas(
    drift: Sequence[Any],
    diffusion: Any,
    noise: Any,
    symbols: Sequence[Any],
    interpretation: str,
    parameters: Mapping[Any, Any] | None = None,
) -> Formulas:
    """Check what was given, put in the parameters, and differentiate it."""
    try:
        import sympy
    except ImportError as error:
        raise InvalidInput(
            f"from_sympy: expected the package sympy, which cannot be imported ({error}). pip install "
            "'fokkerplanck[symbolic]', or give the coefficients as functions"
        ) from error
    for name, given in (("drift", drift), ("symbols", symbols)):
        if not hasattr(given, "__iter__") and not isinstance(given, sympy.MatrixBase):  # which iterates by its items
            raise InvalidInput(
                f"{name}: expected a sequence with one entry per state variable, got {given!r} alone; try [{given}]"
            )
    x = tuple(symbols)
    d = len(x)
    if not d or not all(isinstance(s, sympy.Symbol) for s in x) or len(set(x)) != d:
        raise InvalidInput(f"symbols: expected different SymPy symbols, one per state variable, got {symbols!r}")
    if (diffusion is None) == (noise is None):
        raise InvalidInput(
            f"expected either diffusion (D) or noise (σ), got {'neither' if diffusion is None else 'both'}"
        )

    def exact(
        entries: Any,
    ) -> Any:  # decimal numbers as the fractions they stand for: algebra with rounded ones is none
        return sympy.Matrix(entries).applyfunc(lambda entry: sympy.nsimplify(entry, rational=True))

    def matrix(given: Any) -> Any:
        scalar = not isinstance(given, (list, tuple)) and not hasattr(given, "shape")
        return exact(sympy.sympify(given) * sympy.eye(d) if scalar else given)

    b = exact(list(drift))
    sigma = None if noise is None else matrix(noise)
    D = matrix(diffusion) if sigma is None else sigma * sigma.T / 2
    if b.shape != (d, 1) or D.shape != (d, d):
        raise InvalidInput(
            f"expected a drift of {d} formulas and a tensor of shape {(d, d)}, got shapes {b.shape} and {D.shape}"
        )
    variables = ", ".join(map(str, x))
    unknown = (b.free_symbols | D.free_symbols | (set() if sigma is None else sigma.free_symbols)) - set(x)
    values: dict[Any, Any] = {}
    for key, value in (parameters or {}).items():
        found = [symbol for symbol in unknown if key in (symbol, str(symbol))]
        if not found:
            raise InvalidInput(
                f"parameters: expected values of symbols in the formulas other than {variables}, which are "
                f"{', '.join(sorted(map(str, unknown))) or 'none'}; got {key}. A symbol is told by its assumptions, too; its "
                "name as a text is enough"
            )
        values |= dict.fromkeys(found, exact([value])[0])
    b, D = b.subs(values, simultaneous=True), D.subs(values, simultaneous=True)
    sigma = None if sigma is None else sigma.subs(values, simultaneous=True)
    free = unknown - set(values) | set().union(*(value.free_symbols for value in values.values())) - set(x)
    if free:
        names = ", ".join(sorted(map(str, free)))
        raise InvalidInput(f"expected formulas in {variables} only, got {names}. Give numbers for them as parameters=")
    if interpretation == "isothermal":
        u = b
    elif interpretation == "ito":
        u = b - _divergence(D, x)
    elif sigma is not None:
        u = b - sigma * _divergence(sigma.T, x) / 2
    elif d == 1:
        u = b - _divergence(D, x) / 2
    else:
        raise InvalidInput(
            "interpretation='stratonovich' in more than one dimension: expected noise=σ, got diffusion=D"
        )
    return Formulas(x, b, D, sigma, u)


def manufactured(
    log_density: Any, diffusion: Any, stream_function: Any, symbols: Sequence[Any]
) -> tuple[Any, Any, Any, Any]:
    """ln p, D, J/p and the Itô drift ∂_j D_ij + D_ij ∂_j ln p + J_i/p, as SymPy formulas; see :func:`cases.manufactured`.

    ``stream_function`` is ψ/p, in three dimensions the three components of a vector potential over p, or None.
    """
    try:
        import sympy
    except ImportError as error:
        raise InvalidInput(
            f"manufactured: expected the package sympy, which cannot be imported ({error}). pip install "
            "'fokkerplanck[symbolic]'"
        ) from error
    x = tuple(symbols)
    d = len(x)
    f = sympy.sympify(log_density)
    scalar = not isinstance(diffusion, (list, tuple)) and not hasattr(diffusion, "shape")
    D = sympy.sympify(diffusion) * sympy.eye(d) if scalar else sympy.Matrix(diffusion)
    if D.shape != (d, d):
        raise InvalidInput(f"diffusion: expected formulas of shape {(d, d)}, got shape {D.shape}")
    components = {2: 1, 3: 3}.get(d, 0)
    given = [] if stream_function is None else list(sympy.Matrix([stream_function]))
    if given and len(given) != components:
        raise InvalidInput(
            f"stream_function: expected {components or 'none'} in {d} dimension(s) (one formula in two, three in three), "
            f"got {len(given)}"
        )
    unknown = set().union(*(entry.free_symbols for entry in (f, D, *given))) - set(x)
    if unknown:
        raise InvalidInput(
            f"expected formulas in {', '.join(map(str, x))} only, got {', '.join(sorted(map(str, unknown)))}. "
            "Substitute numbers first"
        )

    def through(formula: Any, axis: int) -> Any:  # ∂(ψ)/p for ψ = formula × p
        return sympy.diff(formula, x[axis]) + formula * sympy.diff(f, x[axis])

    velocity = sympy.zeros(d, 1)
    if given and d == 2:
        velocity = sympy.Matrix([through(given[0], 1), -through(given[0], 0)])
    elif given:
        velocity = sympy.Matrix(
            [through(given[(i + 2) % 3], (i + 1) % 3) - through(given[(i + 1) % 3], (i + 2) % 3) for i in range(3)]
        )
    slope = sympy.Matrix([sympy.diff(f, s) for s in x])
    return f, D, velocity, _divergence(D, x) + D * slope + velocity


def _divergence(F: Any, x: tuple[Any, ...]) -> Any:
    """∂_j F_ij."""
    import sympy

    return sympy.Matrix([sum(sympy.diff(F[i, j], x[j]) for j in range(len(x))) for i in range(F.rows)])


def numeric(expressions: Any, symbols: tuple[Any, ...]) -> Callable[[Any], NDArray[np.float64]]:
    """A SymPy matrix as a function of points (d, ...); a column of d formulas gives shape (d, ...)."""
    import sympy

    matrix = sympy.Matrix(expressions)
    function = sympy.lambdify(symbols, list(matrix), modules=["scipy", "numpy"], cse=True)
    lead = (matrix.rows,) if matrix.cols == 1 else matrix.shape

    def field(x: Any) -> NDArray[np.float64]:
        entries = [np.broadcast_to(np.asarray(entry, dtype=float), x.shape[1:]) for entry in function(*x)]
        return np.stack(entries).reshape(*lead, *x.shape[1:])

    return field


def mathml(expressions: Any) -> str:
    """A SymPy matrix in presentation MathML, which browsers draw by themselves.

    Examples
    --------
    >>> import sympy
    >>> mathml(sympy.Matrix([sympy.Symbol("x") ** 2])).count("<msup>")
    1
    """
    import sympy

    matrix = sympy.Matrix(expressions)
    # SymPy writes the names of symbols as they are.
    names = {symbol: sympy.Symbol(html.escape(symbol.name)) for symbol in matrix.free_symbols}
    return str(sympy.mathml(matrix.xreplace(names), printer="presentation"))
