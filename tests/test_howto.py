"""Every page of the how-to runs from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import numpy as np
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


def test_the_first_ten_minutes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: None) -> None:
    """With shorter simulations, and a table of one's own where the page has one."""
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(37)
    x = rng.normal(size=(60, 2))
    y = np.where(x @ [1.0, -1.0] + rng.normal(size=60) > 0, 1, -1)
    np.savetxt("mine.csv", np.column_stack([x, y]), delimiter=",", header="a,b,y", comments="")
    page = PAGES[0].parents[1] / "start" / "ten_minutes.md"
    found = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(found):
        shorter = block.replace("chains=1000, steps=20_000", "chains=64, steps=300")
        exec(compile(shorter, f"{page.name}, block {number}", "exec"), names)
    assert len(found) == 6
    assert {path.name for path in tmp_path.iterdir()} >= {"ou.nc", "out", "current.png"}
