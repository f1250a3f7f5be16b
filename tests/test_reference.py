"""The reference has every public name, with an example, and every message, with its way out."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import fokkerplanck

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))

from pages import messages, names  # noqa: E402

PUBLIC = [(module, name) for room, module in names.ROOMS.items() for name in names.public()[room]]


def described() -> list[object]:
    """What the auto directives on the pages of the reference describe."""
    found: list[object] = []
    for page in (DOCS / "reference").glob("*.md"):
        module, lines = "", page.read_text(encoding="utf-8").splitlines()
        for line, following in pairwise([*lines, ""]):
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match[1]
            elif match := re.match(r"\.\. auto(?:class|function|exception):: (?:(\S+)\.)?(\S+)", line):
                found.append(getattr(import_module(match[1] or module), match[2]))
            elif (match := re.match(r"\.\. automodule:: (\S+)", line)) and ":no-members:" not in following:
                home = import_module(match[1])
                own = [name for name, thing in vars(home).items() if getattr(thing, "__module__", "") == match[1]]
                found += [getattr(home, name) for name in getattr(home, "__all__", own)]
    return found


def test_no_public_name_is_missing() -> None:
    there = described()
    public = [(f"{module}.{name}", getattr(import_module(module), name)) for module, name in PUBLIC]
    missing = [path for path, thing in public if not any(thing is each for each in there)]
    assert not missing, f"add .. autofunction:: or .. autoclass:: to a page of docs/reference: {missing}"


def test_a_name_that_is_missing_would_be_noticed() -> None:
    there = described()
    assert any(each is fokkerplanck.solve_stationary for each in there)
    assert not any(each is messages.messages for each in there)


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=lambda part: str(part).removeprefix("fokkerplanck"))
def test_every_public_name_has_an_example(module: str, name: str) -> None:
    assert names.example(getattr(import_module(module), name)), f"{module}.{name}: give its docstring an example"


# --- messages --------------------------------------------------------------------------------------------------------

# A message that says what was expected, or one that tells what to do, has a way out.
WAY_OUT = re.compile(
    r"expected|\b(pass|give|take|use|raise|lower|set|solve|simulate|shrink|enlarge|check|add|drop|leave|change|refine|accept|"
    r"move|mend|ask for|look at|build|install|write|choose|smooth|multiply|start|see)\b",
    re.IGNORECASE,
)
# What stops an answer that would be wrong by no fault of the user: the general way out of its kind has to do, docs say which.
INTERNAL = (
    "the density integrates to",
    "the face current is not divergence-free",
    "the stationary law leaves an imbalance",
    "the generator holds non-finite entries",
    "the chain cannot be factorised",
    "rates of the chain underflow",
    "a solve with a step of",
    "no density was found on ⟨hierarchy",  # its .best is the answer
    "⟨finest.shape⟩ cells were not reached",  # the same
    "FiPy's density lost",  # the same
)


def passed_on(message: messages.Message) -> bool:
    """Whether it only says where another message of ours comes from."""
    return message.when in messages.PUBLIC and message.text.endswith("⟨error⟩")


def test_every_message_has_a_way_out() -> None:
    without = [
        f"{message.module}:{message.line}: {message.text}"
        for message in messages.messages()
        if not WAY_OUT.search(message.text) and not message.text.startswith(INTERNAL) and not passed_on(message)
    ]
    assert not without, "say what was expected, or what to try:\n" + "\n".join(without)


def test_the_exceptions_are_still_there() -> None:
    texts = [message.text for message in messages.messages()]
    assert [start for start in INTERNAL if not any(text.startswith(start) for text in texts)] == []


def test_every_kind_of_exception_is_on_the_page() -> None:
    assert messages.kinds() == set(messages.PUBLIC) | messages.INSIDE | set(messages.NAMED)


def test_messages_are_read_with_what_is_filled_in(tmp_path: Path) -> None:
    (tmp_path / "room.py").write_text(
        "def box(lower, upper):\n"
        "    if not lower < upper:\n"
        "        what = f'lower < {upper}'\n"
        "        raise InvalidInput(f'expected {what}, got {lower!r}. ' 'Swap them' + (' or not' if lower else ''))\n"
        "    warnings.warn('the box cuts the density', BoxWarning, stacklevel=2)\n"
        "    raise SystemExit(1)\n",
        encoding="utf-8",
    )
    refusal, warning = messages.messages(tmp_path)
    assert refusal.text == "expected lower < ⟨upper⟩, got ⟨lower⟩. Swap them or not"
    assert (refusal.module, refusal.function, refusal.kind, refusal.when) == (
        "room",
        "box",
        "InvalidInput",
        "not lower < upper",
    )
    assert (warning.kind, warning.text, warning.when) == ("BoxWarning", "the box cuts the density", "")
