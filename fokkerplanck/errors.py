"""Every exception and warning the package raises: what was expected, what came, why, what to try."""

from __future__ import annotations

from typing import Any


class FokkerPlanckError(Exception):
    """Parent of every exception raised on purpose by this package."""


class InvalidInput(FokkerPlanckError, ValueError):
    """An argument cannot be used; the message names what was expected and what came."""


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
