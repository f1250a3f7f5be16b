"""Every message a user can meet, read from the source: what is raised or warned of, where, when and in which words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import fokkerplanck

PACKAGE = Path(fokkerplanck.__file__).parent
PUBLIC = {
    "InvalidInput": "An argument cannot be used. The message says what was expected and what came: change it.",
    "NotConverged": "The accuracy was not reached, or an answer failed a check. What there is, is in `error.best`.",
    "BoxNotFound": "No box was found that holds the density. `error.history` has what was tried; give one of your own.",
    "NoStationaryState": "The process does not hold itself together. Check the sign of the drift, or close it in by a box.",
    "HeavyTails": "The density decays like a power. Give a wide box and stretch its axes: [](../howto/stretched_axes.md).",
    "BoxWarning": "The box cuts the density. [](../howto/choose_a_box.md).",
    "MismatchWarning": "The simulation is of another SGD than the solution. Solve or simulate again, with the same settings.",
    "FailedPointsWarning": "Points of a study failed; the dataset has the error of each. [](../howto/studies.md).",
    "DivergedWarning": "Some chains ran away. Lower the learning rate, or raise the batch size.",
}
# Raised and caught inside the package, where another way is tried; what reaches a user of them is part of NotConverged.
INSIDE = {"Stalled", "SingularSystem", "TooFar"}
NAMED = {"NoForce": "InvalidInput"}  # a private kind of a public one

Given = dict[str, list[ast.expr]]  # expressions that a name may stand for


@dataclass(frozen=True)
class Message:
    """One message: where it comes from, its kind, its words with ⟨what is filled in⟩, and the condition it stands under."""

    module: str
    function: str
    kind: str
    text: str
    when: str
    line: int

    @property
    def room(self) -> str:
        """The part of the package, as in docs/architecture.md."""
        return self.module.split(".")[0]


def messages(package: Path = PACKAGE) -> list[Message]:
    """All of them, by module and line."""
    trees = {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted(package.rglob("*.py"))
    }
    returned: Given = {}
    for tree in trees.values():
        returned |= _returned(tree)
    return [message for module, tree in trees.items() for message in _in_module(tree, module, returned)]


def kinds(package: Path = PACKAGE) -> set[str]:
    """Names of all exceptions and warnings that the package defines."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in package.rglob("*.py")]
    classes = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return {name for name in classes if _is_error(name, classes)} - {"FokkerPlanckError"}


def write(target: Path) -> None:
    """Write the page."""
    found = messages()
    parts = [
        "# Messages",
        "",
        "Every message the package can end or warn with, read from its source when this page was built: find yours by "
        "searching for a few of its words. What is filled in stands in ⟨brackets⟩. A message names what was expected, what "
        "came, and what to try.",
        "",
        "| | in general |",
        "|---|---|",
        *(f"| {{class}}`~fokkerplanck.{kind}` | {what} |" for kind, what in PUBLIC.items()),
        "",
        "The command line prints `kind: message` on stderr and ends with exit code 2 for `InvalidInput` and 1 for the other "
        "exceptions.",
    ]
    for room, group in groupby(sorted(found, key=lambda m: (m.room, m.module, m.line)), key=lambda m: m.room):
        parts += ["", f"## {room}"]
        for module, same in groupby(group, key=lambda m: m.module):
            parts += ["", f"### {module}", "", _about(module)] if module != room else ["", _about(module)]
            for message in same:
                where = f" *when* `{message.when}`" if message.when else ""
                parts += ["", f"**{message.kind}**: {_escaped(message.text)}", "", f": in `{message.function}`{where}"]
    target.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _about(module: str) -> str:
    """The first line of a module's docstring."""
    path = PACKAGE.joinpath(*module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.sub(r":math:`(.*?)`", r"$\1$", text.split("\n")[0])


def _in_module(tree: ast.Module, module: str, returned: Given) -> Iterator[Message]:
    constants = returned | _assigned(step for step in tree.body if isinstance(step, ast.Assign)) | _returned(tree)

    def visit(node: ast.AST, names: tuple[str, ...], local: Given, when: str) -> Iterator[Message]:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = (*names, node.name)
            local = local | _assigned(ast.walk(node)) if isinstance(node, ast.FunctionDef) else local
            when = ""
        if isinstance(node, ast.Call):
            kind = _kind(node)
            if kind:
                yield Message(module, _public(names), kind, _text(node.args[0], local, whole=True), when, node.lineno)
        for field, value in ast.iter_fields(node):
            inside = when
            if isinstance(node, ast.If) and field == "body":
                inside = ast.unparse(node.test)
            elif isinstance(node, ast.If) and field == "orelse":
                inside = f"not ({ast.unparse(node.test)})"
            elif isinstance(node, ast.ExceptHandler):
                inside = f"{ast.unparse(node.type)}" if node.type else when
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from visit(child, names, local, inside)

    yield from visit(tree, (), constants, "")


def _kind(call: ast.Call) -> str:
    """The public kind of what this call makes or warns of, or nothing."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "warn":
        return next((node.id for node in ast.walk(call) if isinstance(node, ast.Name) and node.id in PUBLIC), "")
    name = NAMED.get(name, name)
    return name if name in PUBLIC and not name.endswith("Warning") and call.args else ""


def _text(node: ast.expr, local: Given, depth: int = 0, *, whole: bool = False) -> str:
    """The words of a message, with ⟨expressions⟩ for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, local, depth) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, local, depth)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left, local, depth) + _text(node.right, local, depth)
    if isinstance(node, ast.IfExp):
        ways = [_text(way, local, depth) for way in (node.body, node.orelse)]
        return ways[0] or ways[1] if "" in ways else f"⟨{ways[0]} | {ways[1]}⟩"
    name = getattr(node, "id", "")
    if not name and whole and isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
    if name and depth < 2:  # words that were put together above, or by a function of this module
        given = [value for value in local.get(name, []) if _is_words(value)]
        if given:
            return " | ".join(dict.fromkeys(_text(value, local, depth + 1) for value in given))
    return f"⟨{ast.unparse(node)}⟩"


def _is_words(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_words(node.left) or _is_words(node.right)
    if isinstance(node, ast.IfExp):
        return _is_words(node.body) or _is_words(node.orelse)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _assigned(nodes: Iterable[ast.AST]) -> Given:
    """What is assigned to each name."""
    out: Given = {}
    for node in nodes:
        for target in (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign) else []
        ):
            if isinstance(target, ast.Name):
                out.setdefault(target.id, []).append(node.value)
    return out


def _returned(tree: ast.Module) -> Given:
    """What the functions of a module return at their end."""
    return {
        step.name: [last.value for last in step.body if isinstance(last, ast.Return) and last.value]
        for step in tree.body
        if isinstance(step, ast.FunctionDef)
    }


def _public(names: tuple[str, ...]) -> str:
    return ".".join(name for name in names if name not in ("__init__", "__post_init__"))


def _is_error(name: str, classes: dict[str, ast.ClassDef]) -> bool:
    if name in ("FokkerPlanckError", "UserWarning"):
        return True
    bases = [base.id for base in classes[name].bases if isinstance(base, ast.Name)] if name in classes else []
    return any(_is_error(base, classes) for base in bases)


def _escaped(text: str) -> str:
    """As it is printed; nothing in it is Markdown."""
    return "".join("\\" + character if character in "\\`*_{}[]<>#|$~" else character for character in text)
