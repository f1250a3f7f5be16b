"""The audit as one page that needs nothing else: no network, no fonts, no scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable

from ..plotting import svg
from ..report.markup import embedded, formula, style
from .audit import show
from .claim import FALSE, TRUE, TRUE_IF, Decision, Finding

# Pictures keep their own paper by night: their letters are black.
STYLE = """
body { max-width: 60rem; }
table { width: 100%; }
img { background: #fff; padding: 0.3rem; }
"""
COLOURS = {TRUE: "yes", TRUE_IF: "if", FALSE: "no"}
ON_TRIAL = {"claim": "the claim", "beyond": "the claim, beyond its conditions", "correct": "the correct statement"}


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
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Audit of the theory</title>'
        f"<style>{style()}{STYLE}</style></head><body>\n<h1>What is true of the stationary state of SGD</h1>\n"
        f"<p>{count} of {len(given)} claims are decided as declared. Every number was computed when this page was made. "
        "A claim is <em>false</em> where its prediction fails, <em>true if</em> where it fails once a condition is broken, and "
        "<em>undecided</em> where the correct statement fails.</p>\n"
        f'<div class="table"><table><tr><th></th><th>claim</th><th>verdict</th></tr>{rows}</table></div>\n'
        + "\n".join(_section(decision) for decision in given)
        + "\n</body></html>\n"
    )


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
        parts.append(f'<div class="table"><table>{head}{"".join(map(_row, decision.findings))}</table></div>')
    if claim.picture is not None:
        parts.append(f'<img alt="{_text(claim.title)}" src="{embedded(svg(claim.picture()))}">')
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
