"""How fast and in which shapes a density relaxes: eigenvalues and eigenvectors of a generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse.linalg as spla
from numpy.typing import NDArray

from ..errors import InvalidInput, NotConverged
from ..grid import Array, Grid
from ..threads import one_blas_thread
from .chain import LEAK, checked, log_stationary, pinned, torn

Complex = NDArray[np.complex128]

SPARE = 4  # modes computed beyond those asked for, so that a pair or a cluster need not be cut
ARNOLDI = 1e-12  # relative accuracy asked of the Arnoldi iteration
RESIDUAL = 1e-8  # |G r + λ r| allowed, in units of |λ| …
ROUND_OFF = 1e-13  # … plus this share of the largest rate: a few hundred roundings of a product with G
SAME = 1e-6  # relative distance of a right rate from its left counterpart; both come from separate iterations
# Singular values of the matrix of overlaps between left and right modes, in units of the largest, below which it is singular
DEFECTIVE = 1e-10


@dataclass(frozen=True, repr=False)
class RelaxationModes:
    r"""The slowest parts of :math:`P(t) = \sum_k e^{-\lambda_k t}\,r_k\,(l_k\cdot P(0))`.

    Attributes
    ----------
    rates : ndarray of complex, shape (k,)
        λ, sorted by real part, the first 0; 1/time. −λ are the eigenvalues of G. An imaginary part is the angular frequency of
        a damped oscillation.
    right : ndarray of complex, shape (n, k)
        Columns r with :math:`G r = -\lambda r`. The first is the stationary law; the others sum to zero, and their absolute
        values to one.
    left : ndarray of complex, shape (n, k)
        Columns l with :math:`G^\top l = -\lambda l` and :math:`l_i\cdot r_j = \delta_{ij}` (no conjugate). The first is one
        everywhere.
    residuals : ndarray, shape (k,)
        :math:`\sum|G r + \lambda r|`, 1/time.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> ou = fp.DiffusionProcess(lambda x: -x, 0.5, dim=1)
    >>> modes = fp.relaxation_modes(fp.generator(ou, fp.Grid(fp.Box([-5], [5]), (128,))), k=3)
    >>> modes.rates.real.round(1).tolist()  # 0, 1, 2 in the limit of small cells
    [0.0, 1.0, 2.0]
    """

    rates: Complex
    right: Complex
    left: Complex
    residuals: Array

    def __repr__(self) -> str:
        return "<RelaxationModes: " + ", ".join(f"{rate:.4g}" for rate in self.rates) + ">"


@one_blas_thread()
def relaxation_modes(generator: Any, k: int, *, grid: Grid | None = None) -> RelaxationModes:
    r"""The k rates of smallest modulus at which a Markov chain relaxes, with their modes: :math:`G r = -\lambda r`.

    Arnoldi iteration with the inverse of G on vectors that sum to zero, where G has one. The rate zero and its modes, the
    stationary law and a constant, are known and split off exactly, so that slow rates are not confused with it.

    Parameters
    ----------
    generator : sparse matrix, shape (n, n)
        As from :func:`fokkerplanck.generator`; irreducible.
    k : int
        At least 1, at most n − 6. A complex pair is cut if k ends inside one.
    grid : Grid, optional
        As in :func:`fokkerplanck.stationary_distribution`.

    Returns
    -------
    RelaxationModes

    Raises
    ------
    InvalidInput
        If the matrix is no generator of an irreducible chain, or k does not fit.
    NotConverged
        If parts of the chain exchange too little for double precision, the iteration does not converge, a residual is above
        1e-8 |λ| plus round-off, or left and right modes do not match (a generator that cannot be diagonalised).

    References
    ----------
    R. B. Lehoucq, D. C. Sorensen and C. Yang, *ARPACK Users' Guide*, SIAM 1998, doi:10.1137/1.9780898719628.

    Examples
    --------
    >>> from fokkerplanck import Box, DiffusionProcess, Grid, generator
    >>> G = generator(DiffusionProcess(lambda x: -x, 1.0, dim=1), Grid(Box([-6], [6]), (200,)))
    >>> relaxation_modes(G, 3).rates.real.round(2).tolist()
    [0.0, 1.0, 2.0]
    """
    G = checked(generator, grid)
    n = G.shape[0]
    if not isinstance(k, (int, np.integer)) or isinstance(k, bool) or not 1 <= k <= n - SPARE - 2:
        raise InvalidInput(f"k: expected a whole number from 1 to {n - SPARE - 2} (states less {SPARE + 2}), got {k!r}")
    log_p = log_stationary(G, grid)
    law = np.exp(log_p)
    chain = pinned(G, int(np.argmax(log_p)), grid)
    if chain.leak > LEAK:
        raise NotConverged(torn(chain.leak))

    def on_laws(x: Array) -> Array:
        x = x.ravel()
        y = chain.solve(x - law * x.sum())
        return y - law * y.sum()

    def on_functions(x: Array) -> Array:
        x = x.ravel()
        y = chain.solve(x - law @ x, transposed=True)
        return y - law @ y

    count = k - 1 + SPARE
    start = np.random.default_rng(271828).normal(size=n)  # any vector; a fixed one makes the result reproducible
    rates, right = _arnoldi(on_laws, n, count, start)
    left_rates, left = _arnoldi(on_functions, n, count, start)
    rates, right, left = _paired(rates, right, left_rates, left, k - 1)
    scale = np.abs(right).sum(axis=0)
    right, left = right / scale, left * scale
    rates = np.concatenate([[0.0], rates])
    right = np.concatenate([law[:, None], right], axis=1)
    left = np.concatenate([np.ones((n, 1)), left], axis=1)
    residuals = np.abs(G @ right + right * rates).sum(axis=0)
    allowed = RESIDUAL * np.abs(rates) + ROUND_OFF * float(np.abs(G.diagonal()).max())
    if not (residuals <= allowed).all():
        worst = int(np.argmax(residuals / allowed))
        raise NotConverged(
            f"mode {worst} with rate {rates[worst]:.4g} has a residual of {residuals[worst]:.1e}, "
            f"at most {allowed[worst]:.1e} expected"
        )
    return RelaxationModes(rates, right, left, residuals)


def _arnoldi(inverse: Any, n: int, count: int, start: Array) -> tuple[Complex, Complex]:
    operator = spla.LinearOperator((n, n), matvec=inverse, dtype=np.float64)
    try:
        values, vectors = spla.eigs(operator, count, which="LM", v0=inverse(start), tol=ARNOLDI)
    except spla.ArpackNoConvergence as error:
        raise NotConverged(
            f"the Arnoldi iteration found {len(error.eigenvalues)} of {count} modes; ask for fewer"
        ) from error
    rates = -1.0 / values
    order = np.argsort(np.abs(rates), kind="stable")
    return rates[order], vectors[:, order]


def _paired(
    rates: Complex, right: Complex, left_rates: Complex, left: Complex, count: int
) -> tuple[Complex, Complex, Complex]:
    """The first modes, sorted by real part, with left modes matched and scaled to l_i·r_j = δ_ij."""
    if count == 0:
        return rates[:0], right[:, :0], left[:, :0]
    # Cut the spare modes at the widest gap, so that both sets hold the same pairs and clusters.
    modulus = np.abs(rates)
    gaps = modulus[count:] / modulus[count - 1 : -1]
    keep = count + int(np.argmax(gaps))
    rates, right = rates[:keep], right[:, :keep]
    left_rates, left = left_rates[:keep], left[:, :keep]
    overlap = left.T @ right
    size = np.linalg.svd(overlap, compute_uv=False)
    distance = np.abs(rates[:, None] - left_rates).min(axis=1)
    if size[-1] <= DEFECTIVE * size[0] or (distance > SAME * np.abs(rates)).any():
        raise NotConverged(
            "left and right modes do not match: two rates lie so close that double precision cannot separate their modes. "
            "Change k, or the grid"
        )
    left = left @ np.linalg.inv(overlap).T
    real = np.array([float(f"{rate.real:.9e}") for rate in rates[:count]])  # the two of a pair differ by round-off
    order = np.lexsort((rates[:count].imag, real))
    return rates[order], right[:, order], left[:, order]
