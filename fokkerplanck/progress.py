"""Progress of long work on stderr; silent when stderr is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta


@contextmanager
def progress_bar(description: str, total: float, *, show: bool | None = None) -> Iterator[Callable[[float], None]]:
    """Yield ``advance(amount)``, which moves a bar of length ``total``.

    Parameters
    ----------
    show : bool, optional
        None (default) shows the bar only when stderr is a terminal; False never; True always.
    """
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield lambda amount: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda amount: bar.advance(task, amount)


@contextmanager
def points_bar(total: int, *, show: bool | None = None) -> Iterator[Callable[[bool], None]]:
    """Yield ``finished(failed)`` for the points of a study: a bar with how many are done and failed, and the expected end.

    Parameters
    ----------
    show : bool, optional
        As of :func:`progress_bar`.
    """
    if show is None:
        show = sys.stderr.isatty()
    if not show:
        yield lambda failed: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    started, done_failed = time.monotonic(), [0, 0]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(points_text(0, 0, total, 0.0), total=total)

        def finished(failed: bool) -> None:
            done_failed[failed] += 1
            text = points_text(done_failed[0], done_failed[1], total, time.monotonic() - started)
            bar.update(task, advance=1, description=text)

        yield finished


def points_text(done: int, failed: int, total: int, elapsed: float, *, now: datetime | None = None) -> str:
    """What stands before the bar; the end is expected at the pace so far.

    Examples
    --------
    >>> points_text(30, 2, 64, 60.0, now=datetime(2030, 5, 1, 12, 0))
    '30 of 64 points done, 2 failed, end expected 12:01:00'
    """
    text = f"{done} of {total} points done, {failed} failed"
    if not 0 < done + failed < total:
        return text
    end = (now or datetime.now()) + timedelta(seconds=elapsed * (total - done - failed) / (done + failed))
    return f"{text}, end expected {end:%H:%M:%S}"
