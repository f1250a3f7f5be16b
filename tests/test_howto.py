"""Every page of the how-to runs from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "howto").glob("*.md"))


def cells(page: Path) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```\{code-cell\} python3\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [cell.replace("%matplotlib inline\n", "") for cell in found]


@pytest.mark.parametrize("page", [page for page in PAGES if cells(page)], ids=lambda page: page.stem)
def test_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: None) -> None:
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(page)):
        exec(compile(cell, f"{page.name}, cell {number}", "exec"), names)


def test_all_python_on_the_pages_is_run() -> None:
    for page in PAGES:
        assert not re.search(r"^```python", page.read_text(encoding="utf-8"), re.MULTILINE), page.name
