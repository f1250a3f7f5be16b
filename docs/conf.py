"""Sphinx configuration; needs no network."""

import re
import shutil
from importlib.metadata import version as installed_version
from itertools import groupby
from pathlib import Path
from typing import Any

here = Path(__file__).parent
notebooks = here / "notebooks"
shutil.rmtree(notebooks, ignore_errors=True)  # copies: Sphinx reads nothing outside its own directory
shutil.copytree(here.parent / "notebooks", notebooks, ignore=shutil.ignore_patterns("[!a-z]*", "*.ipynb"))

project = "fokkerplanck"
author = copyright = "The fokkerplanck developers"
version = release = installed_version("fokkerplanck")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "myst_nb"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = f"fokkerplanck {version}"
html_static_path = ["_static"]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

suppress_warnings = ["ref.python"]  # attributes of the same name in two classes

nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

default_role = "code"
autosummary_generate = True
autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


def plain_symbols(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape |x| and (d, *shape), which are neither substitution nor emphasis; leave math, code and directives alone."""
    block: int | None = None  # indent of the directive or example that we are in
    prose: list[bool] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        if block is None and line.lstrip().startswith((".. ", ">>> ")):
            block = indent
        prose.append(block is None)
    out: list[str] = []
    for is_prose, group in groupby(zip(prose, lines, strict=True), key=lambda pair: pair[0]):
        text = "\n".join(line for _, line in group)
        out += (escaped(text) if is_prose else text).split("\n")
    lines[:] = out


def escaped(text: str) -> str:
    pieces = re.split(r"(``.*?``|`.*?`)", text, flags=re.DOTALL)
    starred = re.compile(r"(?:(?<=, )|(?<=\())\*(?=[\w.]+(\([^)]*\))?[,)])")
    pieces[::2] = [starred.sub(r"\\*", piece.replace("|", r"\|")) for piece in pieces[::2]]
    return "".join(pieces)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", plain_symbols, priority=900)  # after napoleon
