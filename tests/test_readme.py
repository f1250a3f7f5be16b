"""The first screen of the README runs, and prints what it says it prints."""

import re
from pathlib import Path

import matplotlib
import pytest

import fokkerplanck as fp

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_first_script_runs_and_prints_what_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    script, shown = blocks("python")[0], blocks("text")[0]
    names: dict[str, object] = {"__name__": "__main__"}
    try:
        exec(compile(script, str(README), "exec"), names)
    finally:
        pyplot.close("all")
    assert (tmp_path / "vortices.png").stat().st_size > 10_000  # a blank figure has 3 kB
    assert capsys.readouterr().out == shown


def test_counts_of_the_readme_are_those_of_the_package() -> None:
    words = " ".join(README.read_text(encoding="utf-8").split())
    assert f"A gallery of {spelled(len(fp.cases.names()))} problems" in words
    assert f"An audit of {spelled(len(fp.claims.ids()))} claims" in words
    assert len(list((README.parent / "notebooks").glob("*.md"))) == 10
    assert "Ten notebooks tell one" in words


def test_citations_have_the_version_of_the_package() -> None:
    home = README.parent
    for path, pattern in (("CITATION.cff", r"^version: (\S+)$"), ("docs/howto/cite.md", r"^ +version = \{(\S+)\},$")):
        assert re.findall(pattern, (home / path).read_text(encoding="utf-8"), re.MULTILINE) == [fp.__version__]
    assert f"## [{fp.__version__}] –" in (home / "CHANGELOG.md").read_text(encoding="utf-8")


def spelled(number: int) -> str:
    tens = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
    ones = ("", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine")
    return tens[number // 10] + ones[number % 10]
