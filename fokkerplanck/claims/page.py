"""The audit as one page that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Iterable

from ..plotting import svg
from .audit import show
from .claim import FALSE, TRUE, TRUE_IF, Decision, Finding

STYLE = """
body { font: 16px/1.5 Georgia, serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; font-size: 14px; margin: 0.6rem 0; }
th, td { text-align: left; padding: 0.25rem 0.6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { font-family: monospace; }
h2 { margin-top: 2.5rem; border-top: 2px solid #222; padding-top: 0.8rem; }
.formula { font-size: 18px; margin: 0.5rem 1.5rem; }
.source, .small { color: #666; font-size: 14px; }
.verdict { font: bold 14px sans-serif; padding: 0.1rem 0.5rem; border-radius: 0.2rem; color: white; }
.yes { background: #2b7a4b; } .if { background: #b07810; } .no { background: #a83232; } .open { background: #555; }
img { max-width: 100%; height: auto; }
"""
COLOURS = {TRUE: "yes", TRUE_IF: "if", FALSE: "no"}
ON_TRIAL = {"claim": "the claim", "beyond": "the claim, beyond its conditions", "correct": "the correct statement"}
SUBSCRIPT = re.compile(r"_(?:\{([^{}]*)\}|([^\W_])(?!\w))")  # not with_replacement
SUPERSCRIPT = re.compile(r"\^(?:\{([^{}]*)\}|([^\W_])(?!\w))")


def page(decisions: Iterable[Decision]) -> str:
    """The whole page."""
    given = tuple(decisions)
    count = sum(decision.as_declared for decision in given)
    rows = "".join(
        f'<tr><td><a href="#{_text(d.claim.id)}">{_text(d.claim.id)}</a></td><td>{formula(d.claim.title)}</td>'
        f"<td>{_badge(d.verdict)}</td></tr>"
        for d in given
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Audit of the theory</title>'
        f"<style>{STYLE}</style></head><body>\n<h1>What is true of the stationary state of SGD</h1>\n"
        f"<p>{count} of {len(given)} claims are decided as declared. Every number was computed when this page was made. "
        "A claim is <em>false</em> where its prediction fails, <em>true if</em> where it fails once a condition is broken, and "
        "<em>undecided</em> where the correct statement fails.</p>\n"
        f"<table><tr><th></th><th>claim</th><th>verdict</th></tr>{rows}</table>\n"
        + "\n".join(_section(decision) for decision in given)
        + "\n</body></html>\n"
    )


def formula(text: str) -> str:
    """A formula in Unicode as HTML, with its subscripts and superscripts.

    Examples
    --------
    >>> formula("S^2 = Σ_{ij}")
    'S<sup>2</sup> = Σ<sub>ij</sub>'
    >>> formula("with_replacement")
    'with_replacement'
    """
    text = SUBSCRIPT.sub(lambda m: f"<sub>{m[1] or m[2]}</sub>", _text(text))
    return SUPERSCRIPT.sub(lambda m: f"<sup>{m[1] or m[2]}</sup>", text)


def _section(decision: Decision) -> str:
    claim = decision.claim
    parts = [
        f'<h2 id="{_text(claim.id)}">{_text(claim.id)} · {formula(claim.title)} {_badge(decision.verdict)}</h2>',
        f'<p class="source">{_text(claim.source)}</p>',
        f"<p>{formula(claim.statement)}</p>",
        f'<p class="formula">{formula(claim.formula)}</p>',
        f"<p><strong>Conditions.</strong> {formula(claim.conditions)}</p>",
    ]
    if claim.correct:
        parts.append(f"<p><strong>Correct.</strong> {formula(claim.correct)}</p>")
    if not decision.as_declared:
        parts.append(f"<p><strong>Declared {_text(claim.verdict)}, found {_text(decision.verdict)}.</strong></p>")
    if decision.failure:
        parts.append(f"<p><strong>The check failed.</strong> {_text(decision.failure)}</p>")
    else:
        head = "<tr><th>quantity</th><th>measured</th><th>expected</th><th>of</th><th>tolerance</th><th></th></tr>"
        parts.append(f"<table>{head}{''.join(map(_row, decision.findings))}</table>")
    if claim.picture is not None:
        drawn = b64encode(svg(claim.picture()).encode()).decode()  # apart from the page, so that its ids stay its own
        parts.append(f'<img alt="{_text(claim.title)}" src="data:image/svg+xml;base64,{drawn}">')
    parts.append(f'<p class="small">{decision.seconds:.2f} s</p>')
    return "\n".join(parts)


def _row(finding: Finding) -> str:
    relation = "" if finding.relation == "=" else f"{finding.relation} "
    tolerance = f"{finding.tolerance:g}: {finding.reason}" if finding.tolerance else finding.reason
    return (
        f'<tr><td>{formula(finding.quantity)}</td><td class="number">{_text(show(finding.measured))}</td>'
        f'<td class="number">{_text(relation + show(finding.expected))}</td><td>{ON_TRIAL[finding.of]}</td>'
        f"<td>{formula(tolerance)}</td><td>{'holds' if finding.holds else 'fails'}</td></tr>"
    )


def _badge(verdict: str) -> str:
    return f'<span class="verdict {COLOURS.get(verdict, "open")}">{_text(verdict)}</span>'


def _text(text: str) -> str:
    return html.escape(text)
