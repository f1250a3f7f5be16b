"""The state of a simulation in a file, written whole or not at all."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InvalidInput
from ..io import to_json, write_whole
from .ensemble import Ensemble

FORMAT = 2


def save_checkpoint(path: str | Path, state: Ensemble, settings: dict[str, Any]) -> None:
    """Write the state of an ensemble, and the settings it belongs to."""
    arrays = {**state.chains._asdict(), "start": state.start, "histogram": state.counts.histogram}
    arrays["faces"] = state.counts.faces
    about = to_json({"format": FORMAT, "seed": state.seed, "taken": state.taken, "settings": settings})

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, about=np.array(about), **arrays)

    write_whole(path, write)


def restore_checkpoint(path: str | Path, state: Ensemble, settings: dict[str, Any]) -> bool:
    """Put the state in the file into ``state``; False if there is no file.

    Raises
    ------
    InvalidInput
        If the file is no checkpoint, or one of another simulation; the settings that differ are named.
    """
    if not Path(path).exists():
        return False
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays["about"]))
        saved = about["settings"]
    except (ValueError, OSError, KeyError, EOFError) as error:
        raise InvalidInput(f"checkpoint: expected a file that simulate wrote, got {path}: {error}") from error
    wanted = json.loads(to_json(settings))
    names = {name for name in {*saved, *wanted} if saved.get(name) != wanted.get(name)}
    if names or about["format"] != FORMAT:
        differences = ", ".join(f"{n} = {saved.get(n)!r} there and {wanted.get(n)!r} here" for n in sorted(names))
        raise InvalidInput(
            f"checkpoint: expected the state of this simulation in {path}, got that of another: {differences}. Use another "
            "file, or delete this one to begin anew"
        )
    state.seed, state.taken = about["seed"], about["taken"]
    for name, array in state.chains._asdict().items():
        array[...] = arrays[name]
    state.start[...] = arrays["start"]
    state.counts.histogram[...] = arrays["histogram"]
    state.counts.faces[...] = arrays["faces"]
    return True


@contextmanager
def interruption_deferred(wanted: bool) -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C was pressed, which then does not raise; outside the main thread it cannot."""
    pressed = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.set())
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
