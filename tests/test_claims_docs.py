"""The page on claims runs, and prints what its words say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "theory" / "claims.md"


def test_page_runs_and_a_claim_of_ones_own_is_decided() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = re.findall(
        r"^```\{code-cell\} python3\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    for cell in cells:
        exec(compile(cell, str(PAGE), "exec"), names)
    assert names["mine_and_theirs"].passed
    assert names["mine"].decide(factor=1.02).verdict == "false"
    [own] = [cell for cell in cells if "Claim(" in cell]
    assert len([line for line in own.splitlines() if line.strip()]) <= 10
