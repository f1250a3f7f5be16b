"""A result as one page that needs nothing else: no network, no fonts, no other files."""

from .page import write_report

__all__ = ["write_report"]
