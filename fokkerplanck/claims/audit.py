"""Run checks, and report what became of the claims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..io import to_json
from ..progress import progress_bar
from . import registry
from .claim import Claim, Decision, Finding


@dataclass(frozen=True, eq=False)
class AuditReport:
    """Decisions on claims, from `audit`.

    Attributes
    ----------
    decisions : tuple of Decision

    Examples
    --------
    >>> report = audit(["C11", "C36"])
    >>> report.passed, report["C36"].verdict
    (True, 'true')
    """

    decisions: tuple[Decision, ...]

    @property
    def passed(self) -> bool:
        """Whether every claim was decided as declared."""
        return all(decision.as_declared for decision in self.decisions)

    def __getitem__(self, id: str) -> Decision:
        for decision in self.decisions:
            if decision.claim.id == id:
                return decision
        raise InvalidInput(f"expected a claim of this audit, got {id!r}")

    def rows(self) -> list[tuple[str, ...]]:
        """Id, title, verdict, and the finding that decides, measured against expected: what a table shows."""
        return [
            (
                decision.claim.id,
                decision.claim.title,
                decision.verdict if decision.as_declared else f"{decision.verdict}, declared {decision.claim.verdict}",
                comparison(decision),
            )
            for decision in self.decisions
        ]

    @property
    def table(self) -> str:
        """The rows as text, one claim a line."""
        rows = self.rows()
        widths = [max((len(row[k]) for row in rows), default=0) for k in range(3)]
        return "\n".join(
            "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]])
            for row in rows
        )

    def to_json(self) -> str:
        """Everything in the report, as JSON."""
        return to_json({"passed": self.passed, "claims": [_plain(decision) for decision in self.decisions]}, indent=1)

    def to_html(self) -> str:
        """One page that needs nothing else: statements, verdicts, numbers and pictures."""
        from .page import page  # loads matplotlib

        return page(self.decisions)


def audit(ids: Iterable[str | Claim] | None = None, *, fast: bool = False, progress: bool | None = None) -> AuditReport:
    """Decide claims.

    Parameters
    ----------
    ids : iterable of str or Claim, optional
        Which, by id; claims of one's own are given as they are. All by default.
    fast : bool
        Leave out the slow ones of all; any that ``ids`` names is decided.
    progress : bool, optional
        A bar on stderr; by default when stderr is a terminal.

    Returns
    -------
    AuditReport

    Raises
    ------
    InvalidInput
        For an id that does not exist, and if there is nothing to decide.

    Examples
    --------
    >>> print(audit(["C11"]).table)
    C11  The increment of the chain, eq. 14  false  covariance of the increment / covariance of SGD's: 4, claimed 1
    """
    if isinstance(ids, (str, Claim)):
        raise InvalidInput(f"ids: expected a list of ids or claims, got {ids!r}; write [{ids!r}]")
    given = registry.ids() if ids is None else tuple(ids)
    claims = [item if isinstance(item, Claim) else registry.get(item) for item in given]
    chosen = [claim for claim in claims if ids is not None or not (fast and claim.slow)]
    if not chosen:
        raise InvalidInput(f"ids: expected at least one claim, got {list(given)!r}")
    decisions = []
    with progress_bar("audit", total=len(chosen), show=progress) as advance:
        for claim in chosen:
            decisions.append(claim.decide())
            advance(1)
    return AuditReport(tuple(decisions))


def comparison(decision: Decision) -> str:
    """The finding that decides, in one line."""
    if not decision.findings:
        return decision.failure
    found = telling(decision)
    word = "expected" if found.of == "correct" else "claimed"
    relation = "" if found.relation == "=" else f"{found.relation} "
    return f"{found.quantity}: {show(found.measured)}, {word} {relation}{show(found.expected)}"


def telling(decision: Decision) -> Finding:
    """The finding behind the verdict: one that fails if any does, otherwise the first with a number."""
    order = ("correct", "claim", "beyond")
    failed = [finding for of in order for finding in decision.findings if finding.of == of and not finding.holds]
    numbers = [finding for finding in decision.findings if finding.has_number]
    return (failed or numbers or list(decision.findings))[0]


def show(value: Any, *, digits: int = 7) -> str:
    """A number, array or word, short enough for a table."""
    if isinstance(value, (str, bool, np.bool_)):
        return str(value)
    array = np.asarray(value, dtype=float)
    if array.ndim == 0:
        return f"{float(array):.{digits}g}"
    if array.size > 9:
        return f"{array.shape} from {array.min():.4g} to {array.max():.4g}"
    return "[" + ", ".join(show(row, digits=min(digits, 5)) for row in array) + "]"


def _plain(decision: Decision) -> dict[str, Any]:
    claim = decision.claim
    words = ("id", "title", "source", "statement", "formula", "conditions", "correct")
    return {key: getattr(claim, key) for key in words} | {
        "declared": claim.verdict,
        "verdict": decision.verdict,
        "as_declared": decision.as_declared,
        "seconds": round(decision.seconds, 3),
        "failure": decision.failure,
        "findings": [
            {
                "quantity": finding.quantity,
                "of": finding.of,
                "relation": finding.relation,
                "measured": finding.measured,
                "expected": finding.expected,
                "tolerance": finding.tolerance,
                "reason": finding.reason,
                "holds": finding.holds,
            }
            for finding in decision.findings
        ],
    }
