"""The page on every claim that the package audits, with its verdict."""

from pathlib import Path

from fokkerplanck import claims
from fokkerplanck.claims import registry
from fokkerplanck.claims.page import formula

TEXTS = {
    registry.NOTES: "lecture notes, both versions",
    registry.NOTES_A: "lecture notes, first version",
    registry.NOTES_B: "lecture notes, second version",
    registry.PAPER: "a paper",
    registry.BLOG: "a blog post",
    registry.TALK: "a conversation",
}

HEAD = """# Audit table

{count} claims about the stationary state of SGD: {tally}. *True if* means true under a condition that the claim needs.
Each verdict is the one on record; the tests and `fokkerplanck audit` compute it anew and complain where it comes out
otherwise. [](claims.md) says how a claim is decided, and {{func}}`fokkerplanck.claims.audit` does it:

```bash
fokkerplanck audit {first}
```
"""


def write(target: Path) -> None:
    """Write the page."""
    records = [claims.get(id) for id in claims.ids()]
    verdicts = [claim.verdict for claim in records]
    tally = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("true", "true if", "false"))
    parts = [
        HEAD.format(count=len(records), tally=tally, first=records[0].id),
        "| | claim | verdict |",
        "|---|---|---|",
    ]
    parts += [f"| [{c.id}](#claim-{c.id.lower()}) | {_text(c.title)} | {c.verdict} |" for c in records]
    parts += ["", "## Claim by claim"]
    for claim in records:
        parts += ["", f"(claim-{claim.id.lower()})=", f"### {claim.id}: {_text(claim.title)}", ""]
        parts += [f"**{claim.verdict.capitalize()}.** {_text(claim.statement)}", "", f"> {_text(claim.formula)}", ""]
        parts += [f"*Conditions.* {_text(claim.conditions)}"]
        parts += ["", f"*Correct.* {_text(claim.correct)}"] if claim.correct else []
        parts += ["", f"*From* {_text(_titled(claim.source))}."]
    target.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _titled(source: str) -> str:
    for name, title in TEXTS.items():  # both versions first: their name contains the others
        source = source.replace(name, title)
    return source


def _text(text: str) -> str:
    """Unicode formulas with their sub- and superscripts; nothing in them is Markdown."""
    marked = formula(text)
    for character in "\\*_[]|$`":
        marked = marked.replace(character, "\\" + character)
    return marked
