"""Physics only: drift, diffusion tensor or noise matrix, and the stochastic interpretation; no grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .coefficients import (
    Array,
    Field,
    as_field,
    check_arguments,
    check_tensor,
    divergence_by_differences,
    evaluate,
    in_blocks,
)
from .errors import InvalidInput
from .sampled import Samples, sample_axes, sampled
from .symbolic import Formulas

FILE_NAMES = {
    "component",
    "density",
    "log_density",
    "current",
    "force",
    "potential",
    "stream_function",
    "density_difference",
}
INTERPRETATIONS = ("ito", "stratonovich", "isothermal")


class DiffusionProcess:
    r"""A diffusion :math:`d\theta = b(\theta)\,dt + \sigma(\theta)\,dW` with :math:`D = \tfrac12\sigma\sigma^\top`.

    The density obeys :math:`\partial_t p = -\nabla\cdot J`, where the probability current depends on the
    interpretation of the noise term,

    .. math::

        J_i = b_i p - \partial_j(D_{ij}p) \;\text{(Itô)},\qquad
        J_i = b_i p - D_{ij}\,\partial_j p \;\text{(isothermal)},\qquad
        J_i = b_i p - \tfrac12\sigma_{ik}\,\partial_j(\sigma_{jk}p) \;\text{(Stratonovich)}.

    Parameters
    ----------
    drift : callable or array_like
        ``drift(x)`` maps points of shape (d, ...) to b of shape (d, ...), in units of state per time;
        a constant vector of shape (d,) is accepted.
    diffusion : callable, array_like or float
        ``diffusion(x)`` maps (d, ...) to D of shape (d, d, ...), symmetric and positive semidefinite, in units of
        state² per time; also a constant (d, d) array, or a number meaning that multiple of the identity.
    noise : callable, array_like or float, keyword only
        The matrix σ instead of D: ``noise(x)`` maps (d, ...) to (d, k, ...); also a constant (d, k) array, or a number meaning
        that multiple of the identity. Exactly one of the two is given.
    dim : int
        The number of state variables d.
    interpretation : {"ito", "stratonovich", "isothermal"}
        Isothermal is also called Hänggi–Klimontovich or anti-Itô. SGD evaluates its noise before the step: Itô.
        Stratonovich needs σ when d > 1, because the law is not a function of D alone.
    divergence : callable, optional
        ``divergence(x)`` → :math:`\partial_j D_{ij}`, shape (d, ...); computed by differences where it is not given.
    names : sequence of str, optional
        Names of the state variables, used as labels; by default x, y, z.

    Attributes
    ----------
    given : dict
        What it was made of, under ``"b"`` and ``"D"`` or ``"σ"``: functions, arrays or numbers.
    formulas : Formulas or None
        The coefficients as SymPy expressions, of a process made by :meth:`from_sympy`.
    origin : mapping
        The settings of the SGD whose diffusion this is, if it is one; ``diagnostics["origin"]`` of its solutions.

    Raises
    ------
    InvalidInput
        At construction for arguments that do not fit each other, functions of more than x, and a constant tensor that is not
        symmetric or has a negative eigenvalue; on evaluation for functions that fail, values of the wrong shape, complex or
        non-finite values, and for a tensor that is not symmetric or has a negative eigenvalue, naming the point.

    References
    ----------
    H. Risken, *The Fokker–Planck Equation*, Springer 1996, doi:10.1007/978-3-642-61544-3.

    Examples
    --------
    >>> process = DiffusionProcess(lambda x: -x, 0.5, dim=2)
    >>> process.diffusion(np.zeros((2, 3))).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        drift: Field | Any,
        diffusion: Field | Any = None,
        *,
        noise: Field | Any = None,
        dim: int,
        interpretation: str = "ito",
        divergence: Field | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(dim, (int, np.integer)) or isinstance(dim, bool) or dim < 1:
            raise InvalidInput(f"dim: expected a positive whole number of state variables, got {dim!r}")
        if interpretation not in INTERPRETATIONS:
            raise InvalidInput(f"interpretation: expected one of {INTERPRETATIONS}, got {interpretation!r}")
        if (diffusion is None) == (noise is None):
            given = "neither" if diffusion is None else "both"
            raise InvalidInput(f"expected either diffusion (D) or noise (σ, with D = ½σσᵀ), got {given}")
        if interpretation == "stratonovich" and noise is None and dim > 1:
            raise InvalidInput(
                "interpretation='stratonovich' with dim > 1: expected noise=σ, got diffusion=D. Rotating σ leaves D the same "
                "and changes the law, so D alone does not define the process; pass noise=, or convert the drift to Itô"
            )
        if divergence is not None and (noise is not None or interpretation == "stratonovich"):
            raise InvalidInput("divergence: expected only with diffusion=D and interpretation 'ito' or 'isothermal'")
        letters = ("x", "y", "z")[:dim] if dim <= 3 else tuple(f"x{i}" for i in range(dim))
        labels = letters if names is None else tuple(names)
        if len(labels) != dim or len(set(labels)) != dim or not all(isinstance(n, str) and n for n in labels):
            raise InvalidInput(f"names: expected {dim} different non-empty names, got {names!r}")
        _check_names(labels)
        self.dim = int(dim)
        self.interpretation = interpretation
        self.names = labels
        self.given: dict[str, Any] = {"b": drift} | ({"D": diffusion} if noise is None else {"σ": noise})
        self._uniform_noise = not callable(diffusion if noise is None else noise)
        self._drift = as_field(drift, (self.dim,), "drift")
        self._divergence = divergence
        self.formulas: Formulas | None = None  # from_sympy's
        self.origin: Mapping[str, Any] = {}  # SGD.process's
        self._velocity: Field | None = None  # u, where it is known as a formula
        self._noise = None if noise is None else as_field(noise, (self.dim, None), "noise")
        self._diffusion = None if diffusion is None else as_field(diffusion, (self.dim, self.dim), "diffusion")
        if self._diffusion is not None and not callable(diffusion):
            check_tensor(self._diffusion(np.zeros(self.dim)), None)
        if divergence is not None:
            check_arguments(divergence, "divergence", self.dim)

    @classmethod
    def from_sympy(
        cls,
        drift: Sequence[Any],
        diffusion: Any = None,
        *,
        symbols: Sequence[Any],
        parameters: Mapping[Any, Any] | None = None,
        noise: Any = None,
        interpretation: str = "ito",
        names: Sequence[str] | None = None,
    ) -> DiffusionProcess:
        r"""A process given by formulas, with exact derivatives of D or σ.

        Needs SymPy (``pip install 'fokkerplanck[symbolic]'``). What is known of the process is exact then: whether
        :math:`\omega = D^{-1}(b - \nabla\cdot D)` is a gradient, that is whether detailed balance is possible, is decided by
        algebra (:func:`detailed_balance`).

        Parameters
        ----------
        drift : sequence of d SymPy expressions
        diffusion : nested sequence or matrix (d, d) of expressions, or one expression times the identity
        symbols : sequence of d SymPy symbols
            The state variables, in order; by default their names become ``names``.
        parameters : mapping of SymPy symbols, or their names, to numbers or expressions, optional
            What to put in for the other symbols. Decimal numbers count as the fractions they stand for.
        noise, interpretation, names
            As for the class.

        Raises
        ------
        InvalidInput
            If SymPy is missing, shapes do not fit, formulas contain symbols without a value, or there is a value for none of
            them.

        Examples
        --------
        >>> import sympy
        >>> x, y = sympy.symbols("x y", real=True)
        >>> D = sympy.diag(1 + y**2, 1 + x**2)
        >>> process = DiffusionProcess.from_sympy([-x * (1 + y**2), -y * (1 + x**2)], D, symbols=(x, y))
        >>> process.formulas.force.T, process.formulas.curl
        (Matrix([[-x, -y]]), {(0, 1): 0})
        >>> k, T = sympy.symbols("k T", positive=True)
        >>> DiffusionProcess.from_sympy([-k * x], T, symbols=[x], parameters={k: 2, "T": 0.1}).formulas.force
        Matrix([[-20*x]])
        """
        from .symbolic import formulas, numeric

        given = formulas(drift, diffusion, noise, symbols, interpretation, parameters)
        d = len(given.symbols)

        def matrix(entries: Any) -> Field:  # a column of one formula would lose its second axis
            field = numeric(entries, given.symbols)
            return lambda x: field(x).reshape(entries.shape + x.shape[1:])

        process = cls(
            numeric(given.drift, given.symbols),
            matrix(given.diffusion) if given.noise is None else None,
            noise=None if given.noise is None else matrix(given.noise),
            dim=d,
            interpretation=interpretation,
            names=tuple(map(str, given.symbols)) if names is None else names,
        )
        process.formulas = given
        process._velocity = numeric(given.velocity, given.symbols)
        return process

    @classmethod
    def from_samples(
        cls,
        points: Sequence[ArrayLike],
        drift: ArrayLike,
        diffusion: ArrayLike,
        *,
        periodic: bool | Sequence[bool] = False,
        interpretation: str = "ito",
        names: Sequence[str] | None = None,
    ) -> DiffusionProcess:
        r"""A process given by arrays: drift and D at the points of a tensor-product grid, with cubic splines between them.

        The splines pass through the samples. Where b and D are smooth, their errors between the samples fall with the fourth
        power of the distance of these, and that of :math:`\nabla\cdot D`, which is that of the spline exactly, with the third.
        **No error estimate knows of them**: a solution is that of the splines. Solve again with every second sample
        (``points[a][::2]``) to see what they do.

        Parameters
        ----------
        points : sequence of d arrays, shapes (n_0,), (n_1,), ...
            Increasing, at least four along every axis, of any distances. Samples are not extrapolated: they reach the walls of
            the box, or are at the centres of cells, on no finer ones than which the solver is asked for.
        drift : array_like, shape (d, n_0, n_1, ...)
            As ``numpy.meshgrid(*points, indexing="ij")`` orders them; or a constant of shape (d,).
        diffusion : array_like, shape (d, d, n_0, n_1, ...)
            Or a constant of shape (d, d), or a number. Between samples it has to be positive semidefinite as well.
        periodic : bool or sequence of bool
            Axes that close; their last point is the first one again, one period on, with the same values.
        interpretation : {"ito", "isothermal"}
        names : sequence of str, optional

        Raises
        ------
        InvalidInput
            If shapes do not fit each other, points do not increase, samples are not finite, or the ends of a periodic axis
            differ; on evaluation for points outside of the samples.

        References
        ----------
        C. de Boor, *A Practical Guide to Splines*, Springer 1978, doi:10.1007/978-1-4612-6333-3.

        Examples
        --------
        >>> import fokkerplanck as fp
        >>> points = [np.linspace(-4, 4, 41), np.linspace(-4, 4, 41)]
        >>> x, y = np.meshgrid(*points, indexing="ij")
        >>> process = DiffusionProcess.from_samples(points, np.stack([-x + y, -x - y]), 0.5)
        >>> sol = fp.solve_stationary(process, fp.Box([-4, -4], [4, 4]), shape=(32, 32))
        >>> p, J = sol.density.values, sol.current.values
        >>> p.shape, J.shape
        ((32, 32), (2, 32, 32))
        """
        if interpretation == "stratonovich":
            raise InvalidInput(
                "interpretation: expected 'ito' or 'isothermal' of samples, got 'stratonovich'. Add ½σ_jk ∂_j σ_ik to the "
                "drift to make it that of Itô, or give functions"
            )
        axes, closed = sample_axes(points, periodic)
        d = len(axes)
        tensor = sampled(axes, closed, diffusion, (d, d), "diffusion")
        return cls(
            sampled(axes, closed, drift, (d,), "drift"),
            tensor,
            dim=d,
            interpretation=interpretation,
            divergence=tensor.divergence if isinstance(tensor, Samples) else None,
            names=names,
        )

    def __repr__(self) -> str:
        return f"DiffusionProcess(dim={self.dim}, interpretation={self.interpretation!r}, names={self.names})"

    def interpreted(self, interpretation: str) -> DiffusionProcess:
        r"""Another process of the same drift b and the same D or σ: that with the noise evaluated elsewhere.

        Parameters
        ----------
        interpretation : {"ito", "stratonovich", "isothermal"}

        Raises
        ------
        InvalidInput
            For an unknown interpretation, and ``"stratonovich"`` of a process of several variables that was given by D.

        Examples
        --------
        >>> DiffusionProcess(lambda x: -x, lambda x: 1 + x[None] ** 2, dim=1).interpreted("isothermal")
        DiffusionProcess(dim=1, interpretation='isothermal', names=('x',))
        """
        if self.formulas is not None:
            given = self.formulas
            return self.from_sympy(
                given.drift,
                given.diffusion if given.noise is None else None,
                symbols=given.symbols,
                noise=given.noise,
                interpretation=interpretation,
                names=self.names,
            )
        return DiffusionProcess(
            self.given["b"],
            self.given.get("D"),
            noise=self.given.get("σ"),
            dim=self.dim,
            interpretation=interpretation,
            divergence=None if interpretation == "stratonovich" else self._divergence,
            names=self.names,
        )

    def drift(self, x: Array) -> Array:
        """Drift b as given, shape (d, ...), at points of shape (d, ...)."""
        return evaluate(self._drift, x, (self.dim,), "drift")

    def noise(self, x: Array) -> Array:
        """Noise matrix σ, shape (d, k, ...)."""
        if self._noise is None:
            raise InvalidInput(
                "this process was given by its diffusion tensor; it has no noise matrix σ. Build it with noise=σ"
            )
        return evaluate(self._noise, x, (self.dim, None), "noise")

    def diffusion(self, x: Array) -> Array:
        """Diffusion tensor D, shape (d, d, ...), checked to be symmetric and positive semidefinite."""
        return in_blocks(self._checked_diffusion, x)

    def _checked_diffusion(self, x: Array) -> Array:
        tensor = self._tensor(x)
        if self._noise is None:
            check_tensor(tensor, x)
        return tensor

    def _tensor(self, x: Array) -> Array:
        if self._noise is not None:
            sigma = self.noise(x)
            return 0.5 * np.einsum("ik...,jk...->ij...", sigma, sigma)
        assert self._diffusion is not None
        return evaluate(self._diffusion, x, (self.dim, self.dim), "diffusion")

    def current_velocity(self, x: Array, scale: Array) -> Array:
        r"""The velocity u of the form :math:`J = u\,p - D\nabla p` that every interpretation has.

        Itô: :math:`u = b - \nabla\cdot D`; isothermal: :math:`u = b`; Stratonovich:
        :math:`u_i = b_i - \tfrac12\sigma_{ik}\partial_j\sigma_{jk}`.

        Parameters
        ----------
        x : ndarray, shape (d, ...)
        scale : ndarray, shape (d,) or (d, ...)
            Lengths on which the coefficients vary, for the differences: the widths of the box, or one vector per point.

        Returns
        -------
        ndarray, shape (d, ...)
        """
        return self._scaled(self._current_velocity, x, scale)

    def row(self, x: Array, scale: Array, axis: int) -> Array:
        """u_a and D_a1 … D_ad for one axis a, shape (1 + d, ...): all that faces normal to it need, in one pass.

        Parameters
        ----------
        x, scale : ndarray
            As for :meth:`current_velocity`.
        axis : int
        """

        def function(points: Array, lengths: Array) -> Array:
            velocity = self._current_velocity(points, lengths)
            return np.concatenate([velocity[axis : axis + 1], self._checked_diffusion(points)[axis]])

        return self._scaled(function, x, scale)

    def coefficients(self, x: Array, scale: Array) -> tuple[Array, Array]:
        """u and D, shapes (d, ...) and (d, d, ...), at points few enough to stay in the cache (see :meth:`Grid.slabs`).

        Parameters
        ----------
        x, scale : ndarray
            As for :meth:`current_velocity`.
        """
        return self._current_velocity(x, scale), self._checked_diffusion(x)

    def _scaled(self, function: Callable[[Array, Array], Array], x: Array, scale: Array) -> Array:
        """``function`` of points and their lengths, of which there are one or as many."""
        if np.ndim(scale) == 1:
            return in_blocks(lambda points: function(points, scale), x)
        both = np.concatenate([np.asarray(x, dtype=float), scale])
        return in_blocks(lambda pair: function(pair[: self.dim], pair[self.dim :]), both)

    @property
    def differenced(self) -> bool:
        """Whether the velocity of the current contains derivatives of D or σ that are taken by differences."""
        known = self._velocity is not None or self._divergence is not None or self._uniform_noise
        return not known and self.interpretation != "isothermal"

    def _current_velocity(self, x: Array, scale: Array) -> Array:
        if self._velocity is not None:
            return evaluate(self._velocity, x, (self.dim,), "velocity")
        b = self.drift(x)
        if self.interpretation == "isothermal" or self._uniform_noise:
            return b
        if self.interpretation == "ito":
            if self._divergence is not None:
                return b - evaluate(self._divergence, x, (self.dim,), "divergence")
            return b - divergence_by_differences(self._tensor, x, scale)
        if self._noise is None:  # one dimension, D alone: ½ σ σ' = ½ D'
            return b - 0.5 * divergence_by_differences(self._tensor, x, scale)
        spread = divergence_by_differences(lambda y: np.swapaxes(self.noise(y), 0, 1), x, scale)  # ∂_j σ_jk
        return b - 0.5 * np.einsum("ik...,k...->i...", self.noise(x), spread)


def _check_names(names: tuple[str, ...]) -> None:
    """Names become coordinates of result files, where some are taken."""
    taken = [
        n
        for n in names
        if n in FILE_NAMES
        or n.startswith(("current_", "flux_", "simulated_"))
        or "/" in n
        or "_coarser_" in n
        or n == "."
    ]
    taken += [n for n in names if any(n == f"{m}{suffix}" for m in names for suffix in ("_edge", "_bin"))]
    if taken:
        raise InvalidInput(
            f"names: expected names that a result file can hold, got {taken[0]!r}, which contains a slash or is the name of a "
            "field there. Rename the variable (or the column of the data)"
        )
