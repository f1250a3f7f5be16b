"""Kernels that work plane by plane, shared between two threads where a grid is large enough for that to pay."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

WORTH_SHARING = 2**16  # cells: a kernel takes about a millisecond there, handing half of it over 50 µs


@lru_cache(maxsize=1)
def _helper() -> ThreadPoolExecutor | None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(1, "fokkerplanck") if cores > 1 else None


def in_planes(kernel: Callable[..., None], planes: int, cells: int, *arguments: Any) -> None:
    """Call ``kernel(*arguments, start, stop)`` on ranges that cover ``planes``; the kernel may write to its own only."""
    helper = _helper() if cells >= WORTH_SHARING else None
    if helper is None or planes < 2:
        kernel(*arguments, 0, planes)
        return
    middle = planes // 2
    other = helper.submit(kernel, *arguments, middle, planes)
    try:
        kernel(*arguments, 0, middle)
    finally:
        other.result()
