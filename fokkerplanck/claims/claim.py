r"""What a claim is, what a check finds, and the verdict that findings support.

A finding compares a number that was measured with one that some statement predicts. Three statements can be on trial:

=========== =====================================================================================================
``claim``   what the claim says, where it says so
``beyond``  what the claim says, where a condition is broken that it needs and does not mention, or mentions and needs
``correct`` what the correct statement says
=========== =====================================================================================================

The verdict follows from which of them hold: *undecided* if one of ``correct`` fails, *false* if one of ``claim`` fails, *true
if* one of ``beyond`` fails, *true* otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import FokkerPlanckError, InvalidInput

TRUE, TRUE_IF, FALSE, UNDECIDED = "true", "true if", "false", "undecided"
VERDICTS = (TRUE, TRUE_IF, FALSE)
ROLES = ("claim", "beyond", "correct")
RELATIONS = ("=", "<", ">")


@dataclass(frozen=True, eq=False)
class Finding:
    r"""One comparison: :math:`\max|m - e| \le \text{tolerance}\cdot\max|e|`, absolute where e = 0.

    Attributes
    ----------
    quantity : str
    measured, expected : float, array_like, bool or str
        What was computed, and what the statement on trial predicts, from its formula or from ``expected.json``. Words and
        truth values are compared as they are.
    tolerance : float
        Relative to the largest \|expected\|; absolute where that is zero.
    reason : str
        Why the tolerance is what it is.
    of : {"claim", "beyond", "correct"}
        Which statement predicts it.
    relation : {"=", "<", ">"}
        ``<``: every measured number is smaller than the expected one.

    Raises
    ------
    InvalidInput
        For an unknown statement or relation, numbers of different shapes, and a negative tolerance.

    Examples
    --------
    >>> found = Finding("variance", 1.0526, 1.0526315789, 1e-4, "four digits are printed")
    >>> found.holds, found.scaled(1.02).holds
    (True, False)
    """

    quantity: str
    measured: Any
    expected: Any
    tolerance: float = 0.0
    reason: str = ""
    of: str = "claim"
    relation: str = "="

    def __post_init__(self) -> None:
        if self.of not in ROLES:
            raise InvalidInput(f"of: expected one of {ROLES}, got {self.of!r}")
        if self.relation not in RELATIONS:
            raise InvalidInput(f"relation: expected one of {RELATIONS}, got {self.relation!r}")
        if not self.tolerance >= 0.0:
            raise InvalidInput(f"tolerance: expected a number of at least 0, got {self.tolerance!r}")
        if self.numeric and np.shape(self.measured) != np.shape(self.expected):
            raise InvalidInput(
                f"{self.quantity}: expected measured and expected numbers of one shape, got {np.shape(self.measured)} and "
                f"{np.shape(self.expected)}"
            )

    @property
    def numeric(self) -> bool:
        """Whether numbers are compared, and not words."""
        return not isinstance(self.expected, (str, bool, np.bool_))

    @property
    def deviation(self) -> float:
        """The largest difference in units of the tolerance's scale; zero or one for words."""
        if not self.numeric:
            return float(self.measured != self.expected)
        measured, expected = np.asarray(self.measured, dtype=float), np.asarray(self.expected, dtype=float)
        return float(np.abs(measured - expected).max()) / (float(np.abs(expected).max()) or 1.0)

    @property
    def holds(self) -> bool:
        """Whether the statement predicted this."""
        if not self.numeric or self.relation == "=":
            return self.deviation <= self.tolerance  # False for NaN
        difference = np.asarray(self.measured, dtype=float) - np.asarray(self.expected, dtype=float)
        return bool((difference < 0.0).all() if self.relation == "<" else (difference > 0.0).all())

    @property
    def has_number(self) -> bool:
        """Whether a change of the predicted number by a factor must be noticed."""
        return self.numeric and self.relation == "=" and self.of != "beyond" and bool(np.any(self.expected))

    def scaled(self, factor: float) -> Finding:
        """The same measurement beside the prediction times a factor."""
        if not self.numeric:
            return self
        return replace(self, expected=factor * np.asarray(self.expected, dtype=float))


Check = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, eq=False)
class Claim:
    """A claim, where it was made, and a check that decides it.

    Attributes
    ----------
    id, title : str
    source : str
        Text and equation, or a reference.
    statement : str
        The claim in plain words.
    formula : str
        In Unicode; on the page ``_x`` and ``_{xy}`` are subscripts, ``^x`` and ``^{xy}`` superscripts, in every text.
    conditions : str
        Under which it is claimed, or, of a claim that is true under conditions, those.
    verdict : {"true", "true if", "false"}
        As declared; `decide` computes its own.
    correct : str
        The correct statement, of a claim that is not simply true.
    check : callable
        Takes nothing and returns findings.
    slow : bool
        Simulates or solves on several grids, and is left out of a fast audit.
    picture : callable or None
        Takes nothing and returns an artist of a new figure, as `fp.plot` does: for claims that a picture decides.

    Raises
    ------
    InvalidInput
        For an unknown verdict, or a claim that is not simply true and says nothing correct instead.

    Examples
    --------
    >>> def check():
    ...     yield Finding("half of the variance at T = 2", 0.5 * 2.0, 1.0, 1e-12, "by hand")
    >>> claim = Claim("X1", "Equipartition", "a textbook", "The variance is T.", "⟨x²⟩ = T", "U = x²/2", "true", check)
    >>> claim.decide().verdict, claim.decide(factor=1.02).verdict
    ('true', 'false')
    """

    id: str
    title: str
    source: str
    statement: str
    formula: str
    conditions: str
    verdict: str
    check: Check
    correct: str = ""
    slow: bool = False
    picture: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise InvalidInput(f"{self.id}: expected a verdict among {VERDICTS}, got {self.verdict!r}")
        if self.verdict != TRUE and not self.correct:
            raise InvalidInput(
                f"{self.id}: expected the correct statement of a claim that is {self.verdict!r}, got none"
            )

    def decide(self, *, factor: float = 1.0) -> Decision:
        """Run the check.

        Parameters
        ----------
        factor : float
            By which every predicted number is multiplied first: a check that deserves its name notices 1.02.

        Raises
        ------
        InvalidInput
            If the check finds nothing.
        """
        start = time.perf_counter()
        try:
            findings = tuple(finding.scaled(factor) for finding in self.check())
        except FokkerPlanckError as failure:  # recorded: the others are still to be decided
            return Decision(self, (), UNDECIDED, time.perf_counter() - start, f"{type(failure).__name__}: {failure}")
        if not findings:
            raise InvalidInput(f"{self.id}: expected a check that returns findings, got none")
        return Decision(self, findings, verdict(findings), time.perf_counter() - start)


@dataclass(frozen=True, eq=False)
class Decision:
    """What became of a claim.

    Attributes
    ----------
    claim : Claim
    findings : tuple of Finding
    verdict : {"true", "true if", "false", "undecided"}
    seconds : float
    failure : str
        Why there are no findings, where there are none.

    Examples
    --------
    >>> from fokkerplanck import claims
    >>> decision = claims.get("C36").decide()
    >>> decision.verdict, decision.as_declared, len(decision.findings) > 0
    ('true', True, True)
    """

    claim: Claim
    findings: tuple[Finding, ...]
    verdict: str
    seconds: float
    failure: str = ""

    @property
    def as_declared(self) -> bool:
        """Whether the findings support the verdict that the claim was declared with."""
        return self.verdict == self.claim.verdict


def verdict(findings: Iterable[Finding]) -> str:
    """The verdict that findings support.

    Examples
    --------
    >>> verdict([Finding("x", 1.0, 1.0), Finding("x, elsewhere", 2.0, 1.0, of="beyond")])
    'true if'
    """
    found = tuple(findings)
    failed = {finding.of for finding in found if not finding.holds}
    on_trial = {finding.of for finding in found}
    if "correct" in failed or not on_trial & {"claim", "correct"}:
        return UNDECIDED
    if "claim" in failed:
        return FALSE
    return TRUE_IF if "beyond" in failed else TRUE
