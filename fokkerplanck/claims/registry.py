"""Every claim by its id, and the numbers they are expected to come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from ..errors import InvalidInput
from .claim import Check, Claim

NOTES_A = "lecture notes, first version (000_3552ff9e3b6804e3.txt)"
NOTES_B = "lecture notes, second version (001_bd3fbde067515256.txt)"
PAPER = "a paper (002_ad7425d4a6972f8f.txt)"
BLOG = "a blog post (003_9a69cc6ca916a5e2.txt)"
TALK = "a conversation (004_b00e09f14dae0d8c.txt)"
NOTES = f"{NOTES_A} and {NOTES_B}"

_CLAIMS: dict[str, Claim] = {}


def declare(
    id: str,
    title: str,
    *,
    source: str,
    statement: str,
    formula: str,
    conditions: str,
    verdict: str,
    correct: str = "",
    slow: bool = False,
    picture: Callable[[], Any] | None = None,
) -> Callable[[Check], Check]:
    """Enter the claim that the decorated check decides.

    Raises
    ------
    InvalidInput
        If there is a claim of that id already.
    """

    def enter(check: Check) -> Check:
        if id in _CLAIMS:
            raise InvalidInput(f"expected a new id, got {id!r}, which is {_CLAIMS[id].title!r}")
        _CLAIMS[id] = Claim(
            id,
            title,
            source,
            statement,
            formula,
            conditions,
            verdict,
            check,
            correct=correct,
            slow=slow,
            picture=picture,
        )
        return check

    return enter


def ids() -> tuple[str, ...]:
    """Ids of all claims, in order.

    Examples
    --------
    >>> from fokkerplanck import claims
    >>> claims.ids()[:3]
    ('C01', 'C02', 'C03')
    """
    return tuple(sorted(_CLAIMS))


def get(id: str) -> Claim:
    """A claim by its id.

    Raises
    ------
    InvalidInput
        If there is no such claim.

    Examples
    --------
    >>> from fokkerplanck import claims
    >>> claims.get("C28").title
    'A current means that the density is not stationary'
    """
    if id not in _CLAIMS:
        raise InvalidInput(f"expected the id of a claim, {ids()[0]} to {ids()[-1]}; got {id!r}")
    return _CLAIMS[id]


@cache
def _numbers() -> Any:
    return json.loads(files(__package__).joinpath("expected.json").read_text(encoding="utf-8"))


def expected(id: str) -> Any:
    """The numbers in ``expected.json`` of a claim (``"C14"``), an example (``"E5"``) or an open question (``"OQ_fOU"``).

    They were computed once, by other programs than this one: algebra, enumeration, quadrature and long simulations.

    Examples
    --------
    >>> [round(value, 6) for value in expected("E1")["S"][0]]
    [0.833333, -0.666667]
    """
    numbers = _numbers()
    if id in numbers["claims"]:
        return numbers["claims"][id]["values"]
    return numbers["examples" if id in numbers["examples"] else "open_questions"][id]


def stored_verdict(id: str) -> str:
    """The verdict on a claim in ``expected.json``, in its words."""
    return str(_numbers()["claims"][id]["verdict"])
