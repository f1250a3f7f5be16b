"""Every exception and warning the package raises: what was expected, what came, why, what to try."""

from __future__ import annotations

from typing import Any


class FokkerPlanckError(Exception):
    """Parent of every exception raised on purpose by this package."""


class InvalidInput(FokkerPlanckError, ValueError):
    """An argument cannot be used; the message names what was expected and what came."""


class BoxNotFound(FokkerPlanckError, RuntimeError):
    """No box was found that holds the density; the message says what was tried.

    Attributes
    ----------
    history : tuple of dict
        Boxes tried, each with ``lower``, ``upper`` and ``wall_mass``; empty where it did not come to that.
    """

    def __init__(self, message: str, *, history: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.history = history


class NoStationaryState(BoxNotFound):
    """The process does not confine itself: on the whole space it has no density that stays."""


class HeavyTails(BoxNotFound):
    """The density decays like a power of the distance; no affordable box of uniform cells holds it as asked for."""


class NotConverged(FokkerPlanckError, RuntimeError):
    """The accuracy asked for was not reached.

    Attributes
    ----------
    best : Solution or None
        The best result there was when the solver stopped, with its own (too large) error estimates;
        None when not even the coarsest grid was solved.
    """

    def __init__(self, message: str, *, best: Any = None) -> None:
        super().__init__(message)
        self.best = best


class BoxWarning(UserWarning):
    """A wall of the box runs through the density: the solution describes the box, which may not be what was meant."""


class MismatchWarning(UserWarning):
    """A simulation is not of what the solution is the diffusion limit of; the message says what differs."""


class DivergedWarning(UserWarning):
    """Some chains of a simulation ran away and were left out; the message says how many, when, and what to change."""
