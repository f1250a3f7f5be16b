"""Notebooks beside the pages, with the outputs that `make notebooks` left, so that nothing runs twice."""

import shutil
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn


def collect(sources: Path, executed: Path, target: Path, cache: Path) -> None:
    """Copy the notebooks to ``target``, and their outputs, where they are newer than the text, into a fresh cache of outputs.

    Links to pages are written as seen from the repository, ``../docs/theory/claims.md``, and made to fit here.
    """
    for old in (target, cache):
        shutil.rmtree(old, ignore_errors=True)
    target.mkdir()
    outputs = get_cache(str(cache))
    for text in sorted(sources.glob("[a-z]*.md")):
        copy = target / text.name
        copy.write_text(text.read_text(encoding="utf-8").replace("](../docs/", "](../"), encoding="utf-8")
        ready = executed / f"{text.stem}.ipynb"
        if ready.exists() and ready.stat().st_mtime >= text.stat().st_mtime:
            notebook = nbformat.read(ready, as_version=4)
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)  # times of day; what is left is what the text says
            outputs.cache_notebook_bundle(CacheBundleIn(notebook, str(copy)), check_validity=False, overwrite=True)
