"""Docstrings as Sphinx should read them: numpydoc in, reStructuredText out, with |x| and *args left as they are."""

import re
from itertools import groupby

from sphinx.ext.napoleon import Config, NumpyDocstring

NUMPYDOC = Config(napoleon_google_docstring=False, napoleon_use_ivar=True, napoleon_use_rtype=False)


def restructured(text: str) -> str:
    """A whole docstring, for pages that are not written by autodoc."""
    return "\n".join(plain(str(NumpyDocstring(text, NUMPYDOC)).split("\n")))


def plain(lines: list[str]) -> list[str]:
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
        out += (_escaped(text) if is_prose else text).split("\n")
    return out


def _escaped(text: str) -> str:
    pieces = re.split(r"(``.*?``|`.*?`)", text, flags=re.DOTALL)
    starred = re.compile(r"(?:(?<=, )|(?<=\())\*(?=[\w.]+(\([^)]*\))?[,)])")
    pieces[::2] = [starred.sub(r"\\*", piece.replace("|", r"\|")) for piece in pieces[::2]]
    return "".join(pieces)
