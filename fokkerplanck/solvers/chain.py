"""A Markov chain given by its generator: whether it holds together, its factorisation, its stationary law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..errors import InvalidInput, NotConverged
from ..grid import Array, Grid
from ..kernels import elimination
from ..kernels import flux as dense
from .linear import dissection

LARGEST_VOLUME = 40_000  # cells in three dimensions; the factors of more take tens of gigabytes
SMALLEST_CHAIN = 1000  # states up to which the dense elimination without subtraction takes a second
# A pivot is what flows out of an eliminated part; computed by subtraction it loses digits when parts exchange little. The law
# is as wrong as the columns of the lower factor fail to sum to −1.
LEAK = 1e-6
BALANCE = 1e-10  # |G P| allowed, as a share of Σ|G_ii|P_i, the one-way fluxes: round-off of long sums, times a thousand
NO_SUM = 1e-10  # columns of a generator sum to zero to this share of the diagonal
PINS = 4  # factorisations before giving up; the second already starts from the likeliest state


def stationary_distribution(generator: Any, *, grid: Grid | None = None) -> Array:
    r"""The stationary law of a Markov chain: :math:`G P = 0`, :math:`\sum P = 1`, :math:`P > 0`.

    The generator is factorised without pivoting, which for this kind of matrix keeps all signs, and the law follows from the
    upper factor by sums of positive terms in logarithms: no entry of P is lost to cancellation. Pivots may lose digits where
    the chain has parts that hardly exchange probability; that is measured, and refused above 1e-6. Small chains are eliminated
    without any subtraction (Grassmann, Taksar and Heyman).

    Parameters
    ----------
    generator : sparse matrix, shape (n, n)
        Entry (i, j) is the rate from state j to state i; columns sum to zero. 1/time.
    grid : Grid, optional
        Where the states are cells of a grid: takes the order of elimination from it (much faster in three dimensions), and
        messages then say where.

    Returns
    -------
    ndarray, shape (n,)
        Probabilities. Below 1e-308 they are zero; :func:`fokkerplanck.solve_stationary` has the logarithm.

    Raises
    ------
    InvalidInput
        If the matrix is not a generator, or not every state can be reached from every other.
    NotConverged
        If double precision cannot resolve how the parts of the chain exchange probability.

    References
    ----------
    W. K. Grassmann, M. I. Taksar and D. P. Heyman, Oper. Res. 33, 1107 (1985), doi:10.1287/opre.33.5.1107.

    Examples
    --------
    >>> stationary_distribution(sp.csc_array([[-2.0, 1.0], [2.0, -1.0]])).round(12).tolist()
    [0.333333333333, 0.666666666667]
    """
    return np.exp(log_stationary(generator, grid))


def log_stationary(generator: Any, grid: Grid | None) -> Array:
    """ln P, finite where P itself would underflow; see :func:`stationary_distribution`."""
    G = checked(generator, grid)
    check_irreducible(G, grid)
    pin = _likely_state(G)
    log_p = _eliminate(G, pin) if G.shape[0] <= SMALLEST_CHAIN else _factorise(G, pin, grid)
    top = log_p.max()
    log_p -= top + np.log(np.exp(log_p - top).sum())
    p = np.exp(log_p)
    imbalance, one_way = float(np.abs(G @ p).sum()), float(np.abs(G.diagonal()) @ p)
    if not imbalance <= BALANCE * one_way:
        raise NotConverged(
            f"the stationary law leaves an imbalance of {imbalance:.1e} where probability flows at {one_way:.1e} both ways"
        )
    return log_p


@dataclass(frozen=True)
class Pinned:
    """G − e eᵀ factorised, e the unit vector of the pinned state, which is eliminated last.

    For a right-hand side that sums to zero the solution has no entry at the pin and solves G x = b itself.
    """

    factor: Any
    order: NDArray[np.intp]

    @property
    def leak(self) -> float:
        """Relative error of the worst pivot: by how much a column of the lower factor misses its exact sum."""
        return float(np.abs(self.factor.L.sum(axis=0)[:-1]).max())

    def solve(self, b: Array, *, transposed: bool = False) -> Array:
        out = np.empty_like(b)
        out[self.order] = self.factor.solve(b[self.order], "T" if transposed else "N")
        return out


def pinned(G: Any, pin: int, grid: Grid | None) -> Pinned:
    order = np.asarray(elimination_order(G, grid), dtype=np.intp)
    order = np.concatenate([order[order != pin], [pin]])
    matrix = G[order][:, order].tocsc()
    last = sp.coo_array(([1.0], ([G.shape[0] - 1], [G.shape[0] - 1])), shape=G.shape)
    return Pinned(factorised((matrix - last).tocsc(), "NATURAL"), order)


def factorised(matrix: Any, permutation: str) -> Any:
    """LU without pivoting; the matrix has to be diagonally dominant by columns, and the factors then have its signs.

    Raises
    ------
    NotConverged
        If a pivot vanishes: in double precision, parts of the chain exchange nothing.
    """
    if not np.isfinite(matrix.data).all():  # a factorisation of these would not return
        raise NotConverged("the generator holds non-finite entries")
    try:
        return spla.splu(matrix, permc_spec=permutation, diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    except RuntimeError as error:
        raise NotConverged(
            f"the chain cannot be factorised in double precision ({error}); its parts exchange too little"
        ) from error


def elimination_order(G: Any, grid: Grid | None) -> NDArray[np.intp]:
    """Nested dissection in three dimensions; else minimum degree, which also knows how far the offsets reach."""
    if grid is not None and grid.dim == 3:
        if grid.size > LARGEST_VOLUME:
            raise InvalidInput(
                f"grid: expected at most {LARGEST_VOLUME} cells in three dimensions, got {grid.size}; a direct "
                "factorisation of more takes tens of gigabytes. Use a coarser grid"
            )
        return np.asarray(dissection(grid.shape, grid.periodic))
    # an incomplete factorisation that drops everything: only its column order is wanted, and scipy has no other way to it
    dominant = sp.eye_array(G.shape[0], format="csc") * (2.0 * float(np.abs(G.diagonal()).max()) + 1.0) + abs(G)
    factor = spla.spilu(dominant.tocsc(), drop_tol=1.0, fill_factor=1.0, permc_spec="MMD_AT_PLUS_A")
    return np.argsort(factor.perm_c)


def checked(generator: Any, grid: Grid | None) -> Any:
    """The generator as a CSC array, or a refusal."""
    if not sp.issparse(generator) or generator.ndim != 2 or generator.shape[0] != generator.shape[1]:
        shape = getattr(generator, "shape", None)
        raise InvalidInput(
            f"generator: expected a square sparse matrix, got {type(generator).__name__} of shape {shape}"
        )
    G = sp.csc_array(generator)
    if grid is not None and grid.size != G.shape[0]:
        raise InvalidInput(f"generator: expected one row per cell of the grid ({grid.size}), got shape {G.shape}")
    if G.shape[0] < 2 or not np.isfinite(G.data).all():
        raise InvalidInput(f"generator: expected finite rates between at least two states, got shape {G.shape}")
    diagonal = G.diagonal()
    negative = (G - sp.diags_array(diagonal)).min()
    if negative < 0.0:
        raise InvalidInput(
            f"generator: expected rates ≥ 0 off the diagonal, got {negative:g}. A matrix that acts on probabilities "
            "from the left has its columns, not its rows, sum to zero; pass it transposed if need be"
        )
    total = float(np.abs(G.sum(axis=0)).max())
    if total > NO_SUM * float(np.abs(diagonal).max()):
        raise InvalidInput(
            f"generator: expected columns that sum to zero (dP/dt = G P conserves ΣP), got sums up to {total:.3g}. "
            "Pass the transposed matrix if rows sum to zero"
        )
    return G


def check_irreducible(G: Any, grid: Grid | None) -> None:
    """Refuse a chain in which some state cannot be reached from some other, naming two regions."""
    count, label = connected_components(G, directed=True, connection="strong")
    if count == 1:
        return
    edges = G.tocoo()
    across = label[edges.row] != label[edges.col]
    leaves = np.zeros(count, dtype=bool)
    leaves[label[edges.col[across]]] = True
    closed = np.flatnonzero(~leaves)
    sizes = np.bincount(label)
    if closed.size > 1:
        first, second = closed[np.argsort(-sizes[closed], kind="stable")][:2]
        raise InvalidInput(
            f"the state space is disconnected: {closed.size} regions are never left, among them "
            f"{_place(label == first, grid)} and {_place(label == second, grid)}. Each has a stationary law of its own and any "
            "mixture of them is one too. Check that the noise does not vanish between them, or solve in a box around one"
        )
    inside, outside = label == closed[0], label != closed[0]
    raise InvalidInput(
        f"some states are left and never entered again: {_place(outside, grid)}; all probability ends in "
        f"{_place(inside, grid)}. The stationary density is zero outside: solve in a box around that region, or "
        "give the noise a floor"
    )


def _place(where: NDArray[np.bool_], grid: Grid | None) -> str:
    """How many states, and one of them: the one nearest to their middle."""
    size = int(where.sum())
    if grid is None:
        return f"{size} states such as number {int(np.flatnonzero(where)[0])}"
    points = grid.cell_points().reshape(grid.dim, -1)[:, where]
    offset = (points - points.mean(axis=1, keepdims=True)) / grid.spacing[:, None]
    nearest = points[:, int(np.argmin((offset**2).sum(axis=0)))]
    return f"{size} cells around ({', '.join(f'{c:.4g}' for c in nearest)})"


def _likely_state(G: Any) -> int:
    """Where most states end up that follow their largest rate."""
    rates = G.tocsc()
    n = rates.shape[0]
    column = np.repeat(np.arange(n), np.diff(rates.indptr))
    value = np.where(rates.indices == column, -np.inf, rates.data)
    order = np.lexsort((value, column))
    target = rates.indices[order[rates.indptr[1:] - 1]]
    for _ in range(int(np.ceil(np.log2(n)))):  # each round doubles the number of moves
        target = target[target]
    return int(np.argmax(np.bincount(target, minlength=n)))


def _eliminate(G: Any, pin: int) -> Array:
    """Dense elimination, the likely states last."""
    n = G.shape[0]
    order, log_p, out = np.arange(n), np.empty(n), np.empty(n)
    order[[0, pin]] = order[[pin, 0]]
    rates = G.T.toarray()[np.ix_(order, order)]
    np.fill_diagonal(rates, 0.0)
    if not dense.gth(np.ascontiguousarray(rates), log_p):
        raise NotConverged("rates of the chain underflow in double precision: some states cannot be left")
    out[order] = log_p
    return out


def _factorise(G: Any, pin: int, grid: Grid | None) -> Array:
    n = G.shape[0]
    for _ in range(PINS):
        chain = pinned(G, pin, grid)
        upper = chain.factor.U.tocsc()
        in_order, log_p = np.empty(n), np.empty(n)
        leak = chain.leak
        # −G has positive pivots; what was factorised is G, whose upper factor has the opposite signs
        unreached = elimination.null_vector(upper.indptr, upper.indices, -upper.data, in_order)
        if unreached >= 0:
            raise NotConverged("rates of the chain underflow in double precision: some states are never reached")
        log_p[chain.order] = in_order
        likeliest = int(np.argmax(log_p))
        if leak <= LEAK:
            return log_p
        if likeliest == pin:
            break
        pin = likeliest
    raise NotConverged(torn(leak))


def torn(leak: float) -> str:
    return (
        f"the pivots of the chain lose {leak:.1e} of their value: parts of the state space exchange so little probability that "
        "double precision cannot resolve it. Solve in a box around one of them, or raise the noise"
    )
