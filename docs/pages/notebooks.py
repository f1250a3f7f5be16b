"""Notebooks beside the pages: executed ones where `make notebooks` left them, so that nothing runs twice."""

import shutil
from pathlib import Path


def collect(sources: Path, executed: Path, target: Path) -> list[str]:
    """Copy each notebook into ``target``, executed if it is newer than its text; names of those that need not run again.

    Links to pages are written as seen from the repository, ``../docs/theory/claims.md``, and made to fit here.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    done = []
    for text in sorted(sources.glob("[a-z]*.md")):
        ready = executed / f"{text.stem}.ipynb"
        use = text
        if ready.exists() and ready.stat().st_mtime >= text.stat().st_mtime:
            use = ready
            done.append(ready.name)
        content = use.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (target / use.name).write_text(content, encoding="utf-8")
    return done
