"""The area that chains sweep: a test of detailed balance that needs neither a grid nor a model of the noise."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import currents
from .errors import InvalidInput
from .grid import Array
from .mismatch import warn_of_mismatch
from .replicates import (
    Interval,
    check_rows,
    in_words,
    mean_test,
    needed_noncentrality,
    noncentrality,
    sign_flip,
    standard_error,
)
from .results import Solution
from .sweeps import Areas, as_areas, settling

if TYPE_CHECKING:
    from .sgd import SGD, Run
    from .solvers.hermite import Moments

NULL = "the discrete chain sweeps no area on average, as detailed balance demands"
POWER = 0.8
RELAXATION_TIMES = 10.0  # of burn-in: the start is forgotten to e⁻¹⁰
LIFETIMES = 3.0  # relaxation times of one replicate: with fewer, most of its area is that between its ends
BLIND = 0.05  # share of the sensitivity that the entropy production allows: twenty times as many steps as necessary


@dataclass(frozen=True)
class AreaTest:
    """What the area swept by independent chains says about detailed balance.

    Attributes
    ----------
    pairs : tuple of (int, int)
        The planes i < j of the area rates.
    measured, error : ndarray
        Area rate of every pair, state² per unit time, and its standard error.
    predicted : ndarray or None
        By the solution, or linearised: the diffusion limit; with momentum, the linearised chain.
    finite : ndarray or None
        Exact for the discrete chain at its finite learning rate, where known.
    p_value : float
        Of ``null``.
    method : str
        How the p-value was found.
    null : str
        The hypothesis tested.
    replicates : int
    steps : int or None
        Of all replicates together.
    entropy_production : Interval or None
        Effect size: a lower bound on the entropy production per unit time, in units of k_B, that the area and its scatter
        force, for small steps that depend on θ alone: None with momentum, and under epoch shuffling. A negative estimate says
        that the area is smaller than its noise.
    steps_needed : float or None
        Steps of all replicates together that find the effect in 80 % of all cases: of the predicted entropy production, where a
        prediction was given, and otherwise of the measured bound.
    drift : float or None
        See :class:`Areas`.
    remarks : tuple of str
        What weakens the test: chains that have not settled, an area that is blind to the current, a learning rate that makes
        the area.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> theta = np.random.default_rng(7).normal(size=(64, 501, 2))  # points without any memory sweep no area on average
    >>> test = fp.area_test(fp.swept_areas(theta, time_step=0.1))
    >>> test.p_value > 1e-3, test.replicates, test.method
    (True, 64, "Student's t over 64 chains")
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    measured: Array
    error: Array
    predicted: Array | None
    finite: Array | None
    p_value: float
    method: str
    replicates: int
    steps: int | None
    entropy_production: Interval | None
    steps_needed: float | None
    drift: float | None
    remarks: tuple[str, ...]
    null: str = field(default=NULL, init=False)

    @property
    def z_predicted(self) -> Array | None:
        """(measured − diffusion limit) in standard errors; grows with the run as the finite learning rate shows."""
        return None if self.predicted is None else (self.measured - self.predicted) / self.error

    @property
    def z_finite(self) -> Array | None:
        """(measured − discrete chain) in standard errors; of order one."""
        return None if self.finite is None else (self.measured - self.finite) / self.error

    @property
    def strongest(self) -> int:
        """Index of the pair whose area is the most significant."""
        return int(np.argmax(np.abs(self.measured / self.error)))

    @property
    def sentence(self) -> str:
        """The result in one sentence, without the remarks."""
        k, plane = self.strongest, ""
        if len(self.pairs) > 1:
            i, j = self.pairs[k]
            plane = f" in the plane ({self.names[i]}, {self.names[j]}), the clearest of {len(self.pairs)}"
        words = (
            f"The chains sweep an area rate of {self.measured[k]:.4g} ± {self.error[k]:.1g} per unit time{plane}; "
            f"{in_words(self.p_value)} if {self.null} ({self.method})"
        )
        if self.entropy_production is not None:
            bound = self.entropy_production
            words += (
                f"; their entropy production is at least {bound.value:.3g} [{bound.low:.3g}, {bound.high:.3g}] per unit time"
                if bound.low > 0.0
                else f"; this area forces no entropy production, nor one above {bound.high:.3g} per unit time"
            )
        return words + "."

    def __str__(self) -> str:
        return "\n".join([self.sentence, *self.remarks])


def area_test(
    chains: Run | Areas,
    *,
    predicted: Solution | Moments | ArrayLike | None = None,
    finite: Moments | ArrayLike | None = None,
    sgd: SGD | None = None,
    method: str = "t",
    level: float = 0.05,
    rng: int | np.random.Generator | None = None,
) -> AreaTest:
    r"""Test whether stationary chains sweep area, which they do not in detailed balance.

    .. math::

        A_{ij} = \frac{1}{2\eta}\langle\theta_i\,\Delta\theta_j - \theta_j\,\Delta\theta_i\rangle, \qquad
        T^2 = M\,\bar a^\top C^{-1}\bar a, \qquad
        \sigma \ge \frac{2\delta}{N\eta}

    with the areas a of M independent chains and their covariance C, N steps in all, and δ the noncentrality of T²: the
    thermodynamic uncertainty relation turns the area and its scatter into a bound on the entropy production. A needs only the
    mean step at every point, so skewed noise, which makes every discrete chain irreversible to the letter, does not disturb it.

    Two parameters: Student's t over the chains, two-sided. More: Hotelling's T² on all d(d − 1)/2 areas.

    The null is that *the discrete chain* sweeps no area. A chain of finite steps may sweep a little where its diffusion limit
    is in balance: with steps without limit everything is significant, so look at the size too. Vortices may cancel: then
    :func:`directed_test` sees what the area does not.

    Parameters
    ----------
    chains : Run or Areas
        A simulation, or what :func:`swept_areas` or :func:`extrapolated_areas` made.
    predicted : Solution, Moments or array_like (d, d), optional
        The diffusion limit, for z-scores; a Solution also says what entropy production there is to be found.
    finite : Moments or array_like (d, d), optional
        The discrete chain's own area, as from :meth:`SGD.chain_moments`.
    sgd : SGD, optional
        Whose slowest rate the burn-in is checked with, and whose linearised diffusion (with momentum: chain) predicts where
        nothing else does.
    method : {"t", "sign flip"}
        "sign flip": in balance every chain is as likely to run backwards as forwards. Exact for any distribution of the areas,
        and no p-value below 1/20000.
    level : float
        Of the test that ``steps_needed`` plans.
    rng : int or Generator, optional
        For "sign flip".

    Returns
    -------
    AreaTest

    Raises
    ------
    InvalidInput
        For one parameter, which has no area; for fewer than d(d − 1)/2 + 5 replicates; for areas that depend on one another.

    Warns
    -----
    MismatchWarning
        If the solution ``predicted`` is of another SGD than the run, see :func:`compare`.

    References
    ----------
    J. P. Gonzalez, J. C. Neu, S. W. Teitsworth, Phys. Rev. E 99, 022143 (2019), doi:10.1103/PhysRevE.99.022143 (area);
    A. Dechant, J. Phys. A 52, 035001 (2019), doi:10.1088/1751-8121/aaf3ff (the bound from several currents);
    G. Weiss, J. Appl. Probab. 12, 831 (1975), doi:10.2307/3212735 (reversibility and Gaussian noise).

    Examples
    --------
    >>> from fokkerplanck import swept_areas
    >>> rng = np.random.default_rng(7)
    >>> theta = np.zeros((64, 2001, 2))
    >>> for k in range(2000):  # turns anticlockwise
    ...     x, y = theta[:, k].T
    ...     theta[:, k + 1] = theta[:, k] + 0.1 * np.stack([-x - y, x - y], axis=1) + 0.1 * rng.normal(size=(64, 2))
    >>> test = area_test(swept_areas(theta[:, 200:], time_step=0.1))
    >>> test.p_value < 1e-10, test.measured.round(2).tolist()
    (True, [0.05])
    """
    areas = as_areas(chains)
    d = areas.rates.shape[-1]
    if d < 2:
        raise InvalidInput(
            "expected at least 2 parameters, got 1: on a line nothing sweeps an area, and nothing circulates"
        )
    if method not in METHODS:
        raise InvalidInput(f"method: expected one of {tuple(METHODS)}, got {method!r}")
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"level: expected a probability between 0 and 1, got {level!r}")
    rows = areas.rows
    check_rows(rows, "areas" if d > 2 else "area")
    M, q = rows.shape
    entropy = _entropy_production(predicted)
    unsaid = []
    if predicted is None and sgd is not None:
        try:
            predicted, entropy = linear_circulation(sgd)
        except InvalidInput as reason:  # epochs, schedules and stable noise have no diffusion
            unsaid.append(f"No prediction: {reason}")
    limit, chain = _upper(predicted, d, "predicted"), _upper(finite, d, "finite")
    if isinstance(predicted, Solution) and not isinstance(chains, Areas):
        warn_of_mismatch("area_test", predicted, chains)
    p = mean_test(rows) if method == "t" else sign_flip(rows, np.random.default_rng(rng))
    named = METHODS[method] if method != "t" else ("Student's t" if q == 1 else "Hotelling's T²")
    total = None if areas.steps is None else M * areas.steps
    bound, needed = None, None
    if areas.memory or (sgd is not None and (sgd.momentum > 0.0 or sgd.sampling == "epoch")):
        unsaid.append(
            "No bound on the entropy production: steps with momentum or of shuffled epochs depend on what was before, and the "
            "uncertainty relation behind the bound is one of diffusions in θ alone."
        )
    elif total is not None:
        delta, time = noncentrality(rows), total * areas.time_step
        bound = Interval(*(2.0 * x / time for x in (delta.value, delta.low, delta.high)))
        effect = bound.value if entropy is None else entropy
        if effect > 0.0:
            needed = steps_needed(effect, time_step=areas.time_step, dim=d, level=level)
    return AreaTest(
        names=areas.names,
        pairs=tuple((i, j) for i in range(d) for j in range(i + 1, d)),
        measured=rows.mean(axis=0),
        error=standard_error(rows),
        predicted=limit,
        finite=chain,
        p_value=p,
        method=f"{named} over {M} {areas.kind}",
        replicates=M,
        steps=total,
        entropy_production=bound,
        steps_needed=needed,
        drift=areas.drift,
        remarks=tuple(_settled(chains, areas, sgd) + _sighted(areas, limit, chain, entropy) + unsaid),
    )


METHODS = {"t": "", "sign flip": "sign flips"}


def steps_needed(
    entropy_production: float, *, time_step: float, dim: int = 2, power: float = POWER, level: float = 0.05
) -> float:
    r"""Steps, of all chains together, after which an area test finds a given entropy production.

    .. math:: N = \frac{2\,\delta_q}{\sigma\,\eta}

    with :math:`\delta_q` the noncentrality that q = d(d − 1)/2 areas need: 7.85 in two dimensions, for 80 % at 5 %, hence
    N = 15.7/(ση). No current of the chain can do with fewer; the area comes near it close to equilibrium.

    Parameters
    ----------
    entropy_production : float
        σ per unit time, in units of k_B.
    time_step : float
        η.
    dim : int
        Number of parameters.
    power, level : float
        Probability to find it, and to find what is not there.

    Examples
    --------
    >>> round(steps_needed(0.00716, time_step=0.5))
    4385
    """
    if not (entropy_production > 0.0 and time_step > 0.0 and dim >= 2 and 0.0 < level < power < 1.0):
        raise InvalidInput(
            "expected a positive entropy production and time step, at least 2 parameters and 0 < level < power < 1, got "
            f"{entropy_production!r}, {time_step!r}, {dim!r}, {level!r} and {power!r}"
        )
    needed = needed_noncentrality(dim * (dim - 1) // 2, power=power, level=level)
    return 2.0 * needed / (entropy_production * time_step)


def linear_circulation(sgd: SGD) -> tuple[Array, float | None]:
    r"""Area rate and entropy production of the diffusion linearised at the minimum, in any dimension, per unit of t = kη.

    See `quadratic.ornstein_uhlenbeck`; no entropy production where the noise is singular. With momentum there is no diffusion
    of θ alone: the area is that of the linearised chain (`quadratic.linearise`).

    Raises
    ------
    InvalidInput
        For ``sampling="epoch"``, a schedule, stable noise, or label noise except for linear regression.
    """
    from .sgd import quadratic  # beside compiled loops that take time to load

    if sgd.momentum > 0.0:
        return quadratic.linearise(sgd).area / sgd.learning_rate, None
    minimum = sgd.model.minimum
    diffusion = 0.5 * sgd.learning_rate * sgd.gradient_covariance(minimum)
    state = quadratic.ornstein_uhlenbeck(sgd.model.hessian(minimum), diffusion, names=sgd.model.names)
    return state.area, state.entropy_production


def _upper(given: Any, d: int, name: str) -> Array | None:
    """The entries above the diagonal of a circulation, or of whatever has one."""
    if given is None:
        return None
    tensor = np.asarray(getattr(given, "circulation", given), dtype=float)
    if tensor.shape != (d, d):
        raise InvalidInput(f"{name}: expected an area rate of shape {(d, d)}, got {tensor.shape}")
    return tensor[np.triu_indices(d, 1)]


def _entropy_production(predicted: Any) -> float | None:
    if isinstance(predicted, Solution) and predicted.force is not None:
        return currents.entropy_production(predicted.flux, predicted.force)
    return None


def _settled(chains: Run | Areas, areas: Areas, sgd: SGD | None) -> list[str]:
    """What is to be said of chains that are not stationary, or short."""
    remarks = []
    if sgd is not None:
        from .sgd.rule import decay  # its compiled loops take time to load

        rate = -log(decay(sgd))
        burnt = getattr(chains, "burn_in", None)
        if burnt is not None and burnt * rate < RELAXATION_TIMES:
            remarks.append(
                f"The burn-in of {burnt} steps is {burnt * rate:.2g} relaxation times of the slowest direction; after "
                f"{RELAXATION_TIMES:g} the start is forgotten, and until then chains sweep area."
            )
        if areas.steps is not None and areas.steps * rate < LIFETIMES:
            remarks.append(
                f"Each of the {areas.kind} lasts {areas.steps * rate:.2g} relaxation times only: much of its area is that "
                "between its ends, and noise."
            )
    return remarks + settling(areas)


def _sighted(areas: Areas, limit: Array | None, chain: Array | None, entropy: float | None) -> list[str]:
    """What is to be said of an area that is blind to the current, or made by the finite steps."""
    remarks: list[str] = []
    if limit is None:
        return remarks
    if entropy is not None and entropy > 0.0 and areas.steps is not None:
        time = areas.steps * areas.time_step * len(areas.rates)
        share = _squared(limit, areas) / (0.5 * entropy * time)
        if share < BLIND:
            remarks.append(
                f"The area is blind here: the predicted one has {share:.1g} of the sensitivity that the predicted entropy "
                f"production of {entropy:.3g} allows, because vortices cancel. Use directed_test."
            )
    if chain is not None and _squared(chain - limit, areas) > _squared(limit, areas):
        remarks.append(
            "The finite learning rate makes most of the area: what is found says little about the diffusion limit. Lower the "
            "learning rate, or extrapolate with extrapolated_areas."
        )
    return remarks


def _squared(area: Array, areas: Areas) -> float:
    """An area in standard errors, squared, in the metric of the covariance of all of them."""
    scale = standard_error(areas.rows)
    return float((area / scale) @ np.linalg.solve(np.atleast_2d(np.corrcoef(areas.rows.T)), area / scale))
