"""Every exception and warning the package raises: what was expected, what came, why, what to try."""

from __future__ import annotations

from typing import Any


class FokkerPlanckError(Exception):
    """Parent of every exception raised on purpose by this package.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> try:
    ...     fp.Box([1], [0])
    ... except fp.FokkerPlanckError as error:
    ...     print(type(error).__name__)
    InvalidInput
    """


class InvalidInput(FokkerPlanckError, ValueError):
    """An argument cannot be used; the message names what was expected and what came.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> try:
    ...     fp.Box([1], [0])
    ... except fp.InvalidInput as error:
    ...     print(error)
    expected finite lower < upper on every axis, got lower = [1.0], upper = [0.0]
    """


class BoxNotFound(FokkerPlanckError, RuntimeError):
    """No box was found that holds the density; the message says what was tried.

    Attributes
    ----------
    history : tuple of dict
        Boxes tried, each with ``lower``, ``upper`` and ``wall_mass``; empty where it did not come to that.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> try:
    ...     fp.find_box(fp.DiffusionProcess(lambda x: -(x**3), 0.0, dim=1))
    ... except fp.BoxNotFound as error:
    ...     print(type(error).__name__, len(error.history))
    BoxNotFound 0
    """

    def __init__(self, message: str, *, history: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.history = history


class NoStationaryState(BoxNotFound):
    """The process does not confine itself: on the whole space it has no density that stays.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> try:
    ...     fp.find_box(fp.DiffusionProcess(lambda x: x, 0.5, dim=1))  # pushed away from the origin
    ... except fp.NoStationaryState as error:
    ...     print(str(error)[:38])
    the process does not confine itself: d
    """


class HeavyTails(BoxNotFound):
    """The density decays like a power of the distance; no affordable box of uniform cells holds it as asked for.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> try:
    ...     fp.find_box(fp.DiffusionProcess(lambda x: -x, lambda x: 1 + x[None] ** 2, dim=1))
    ... except fp.HeavyTails as error:
    ...     print(str(error)[:11], len(error.history) > 0)
    heavy tails True
    """


class NotConverged(FokkerPlanckError, RuntimeError):
    """The accuracy asked for was not reached.

    Attributes
    ----------
    best : Solution or None
        The best result there was when the solver stopped, with its own (too large) error estimates;
        None when not even the coarsest grid was solved.

    Examples
    --------
    >>> import fokkerplanck as fp
    >>> case = fp.cases.get("double-well")
    >>> try:
    ...     fp.solve_stationary(case.process, case.box, rtol=1e-9, max_cells=64)
    ... except fp.NotConverged as error:
    ...     print(error.best.grid.shape, bool(error.best.error > 1e-9))
    (64,) True
    """

    def __init__(self, message: str, *, best: Any = None) -> None:
        super().__init__(message)
        self.best = best


class BoxWarning(UserWarning):
    """A wall of the box runs through the density: the solution describes the box, which may not be what was meant.

    Examples
    --------
    >>> import warnings
    >>> import fokkerplanck as fp
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     sol = fp.solve_stationary(fp.DiffusionProcess(lambda x: -x, 0.5, dim=1), fp.Box([-1], [5]), shape=(64,))
    >>> print(str(caught[0].message)[:24])
    the box cuts the density
    """


class MismatchWarning(UserWarning):
    """A simulation is not of what the solution is the diffusion limit of; the message says what differs.

    Examples
    --------
    >>> import warnings
    >>> import fokkerplanck as fp
    >>> model = fp.sgd.linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0])
    >>> solved, simulated = (fp.sgd.SGD(model, learning_rate=eta, batch_size=1) for eta in (0.05, 0.1))
    >>> sol = fp.solve_stationary(solved.process(), simulated.box(), shape=(64,))
    >>> run = simulated.simulate(grid=sol.grid, chains=64, steps=500, rng=7)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     comparison = fp.compare(sol, run)
    >>> issubclass(caught[0].category, fp.MismatchWarning)
    True
    """


class DivergedWarning(UserWarning):
    """Some chains of a simulation ran away and were left out; the message says how many, when, and what to change.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> import fokkerplanck as fp
    >>> rng = np.random.default_rng(1861)
    >>> X = rng.normal(size=(30, 2))
    >>> model = fp.sgd.phase_retrieval(X, (X @ [1.0, 0.5]) ** 2 + rng.normal(size=30))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     run = fp.sgd.SGD(model, learning_rate=0.026, batch_size=2).simulate(chains=64, steps=500, burn_in=10, rng=19)
    >>> issubclass(caught[0].category, fp.DivergedWarning), run.diverged.size > 0
    (True, True)
    """


class FailedPointsWarning(UserWarning):
    """Some points of a study failed; the message has the first error, the dataset all of them.

    Examples
    --------
    >>> import warnings
    >>> import fokkerplanck as fp
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     found = fp.study(lambda x: 1 / x, {"x": [0.0, 2.0]}, lambda y: {"inverse": y}, workers=0)
    >>> issubclass(caught[0].category, fp.FailedPointsWarning), found.failure.values[0]
    (True, np.str_('ZeroDivisionError: float division by zero'))
    """
