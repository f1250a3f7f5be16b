"""Sphinx configuration; neither the build nor the pages need a network. What the build writes is in the modules of `pages`."""

import sys
from importlib.metadata import distribution
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

here = Path(__file__).parent
sys.path.insert(0, str(here))

from pages import audit, docstrings, gallery, messages, names, notebooks  # noqa: E402

outputs = here / "_build" / "outputs"
notebooks.collect(here.parent / "notebooks", here.parent / "build" / "notebooks", here / "notebooks", outputs)
gallery.write(here / "gallery" / "cases")
audit.write(here / "theory" / "audit.md")
messages.write(here / "reference" / "messages.md")
names.write(here / "reference" / "names.txt")

project = "fokkerplanck"
author = copyright = "The fokkerplanck developers"
version = release = installed_version("fokkerplanck")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "sphinx.ext.mathjax", "myst_nb"]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = f"fokkerplanck {version}"
html_css_files = ["pages.css"]

# MathJax in one file, glyphs included, beside the pages, which would ask a network for it by default. The package is there for
# that file only: its own extension copies all of its 24 MB.
mathjax_path = "tex-svg-full.js"
mathjax = distribution("sphinx-mathjax-offline").locate_file(f"sphinx-mathjax-offline/static/mathjax/{mathjax_path}")
html_static_path = ["_static", str(mathjax)]

myst_enable_extensions = ["dollarmath", "amsmath", "deflist", "colon_fence"]
myst_heading_anchors = 3

suppress_warnings = ["ref.python"]  # attributes of the same name in two classes

nb_execution_mode = (
    "cache"  # made anew by every build, with nothing in it but notebooks that `make notebooks` has executed
)
nb_execution_cache_path = str(outputs)
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

default_role = "code"
autosummary_generate = False  # the tables link to what the pages of the reference describe in full
autodoc_typehints = "none"  # shapes and units are in the docstrings
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False


def plain_symbols(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Escape what is neither substitution nor emphasis."""
    lines[:] = docstrings.plain(lines)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", plain_symbols, priority=900)  # after napoleon
