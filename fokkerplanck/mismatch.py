"""Whether a simulation is of the SGD whose diffusion was solved."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import MismatchWarning
from .grid import Grid
from .results import Solution

if TYPE_CHECKING:
    from .sgd import Run

SAME = 1e-4  # of the box, and of curvatures that differences may have given: less does not show in a comparison
ROUND_OFF = 1e-9  # learning rates are given, or few multiplications away from it


def warn_of_mismatch(what: str, solution: Solution, run: Run) -> None:
    """Warn, in the name of a public function that calls this, of a run that differs from what was solved.

    Warns
    -----
    MismatchWarning
    """
    different = _differences(solution.diagnostics.get("origin") or {}, run, solution.grid)
    if different:
        warnings.warn(
            f"{what}: expected a run of the SGD whose diffusion was solved, got one with {'; '.join(different)}. What differs "
            "shows in the result",
            MismatchWarning,
            stacklevel=3,
        )


def _differences(there: Mapping[str, Any], run: Run, grid: Grid) -> list[str]:
    """What a run has otherwise than the SGD whose process was solved, in words."""
    here = run.origin
    if not (there and here):  # a process of one's own, or chains recorded elsewhere, of which no more is known
        return []
    words, other_loss = [], not _same_loss(here, there, grid)
    if here["momentum"] > 0.0:
        words.append(f"momentum {here['momentum']:g}, where the solution has none")
    if here["samples"] != there["samples"]:
        words.append(f"{here['samples']} samples, where the solution has {there['samples']}")
    elif other_loss and here["weight_decay"] == there["weight_decay"]:
        words.append(
            f"another loss, other data, or another of several minima: {here['minimum']}, where the solution has "
            f"{there['minimum']}"
        )
    for key in ("weight_decay", "label_noise", "injected_noise"):
        if here[key] != there[key] and (
            other_loss or key != "weight_decay"
        ):  # a penalty may be part of a loss of one's own
            words.append(f"{key.replace('_', ' ')} {here[key]:g}, where the solution has {there[key]:g}")
    if here["alpha"] < 2.0:
        words.append(f"stable noise of exponent {here['alpha']:g}, where that of the solution has a variance")
    if here["sampling"] == "epoch":
        words.append("epochs, whose batches cancel one another, where the solution has independent ones")
    return words + _other_steps(here, there, run)


def _same_loss(here: Mapping[str, Any], there: Mapping[str, Any], grid: Grid) -> bool:
    """Whether two losses have the same minimum, curvatures and noise there."""
    same = np.allclose(here["curvatures"], there["curvatures"], rtol=SAME, atol=0.0)
    same = same and bool(np.isclose(here["gradient_variance"], there["gradient_variance"], rtol=SAME, atol=0.0))
    shift = np.subtract(here["minimum"], there["minimum"])
    return same and bool((np.abs(shift) <= SAME * grid.box.widths).all())


def _other_steps(here: Mapping[str, Any], there: Mapping[str, Any], run: Run) -> list[str]:
    """What the steps of a run have otherwise: learning rate, batch size and sampling, or a scheme of the diffusion."""
    known = there["learning_rate"]
    low, high = here["learning_rates"]
    if not np.isclose(low, high, rtol=ROUND_OFF):
        return [f"learning rates from {low:g} to {high:g}, where the solution has {known:g} throughout"]
    words = []
    ours, theirs = (high, here["batch_size"], here["sampling"]), (known, there["batch_size"], there["sampling"])
    # one learning rate and another have the same limit, at one η/B
    same = there["order"] == 1 or bool(np.isclose(high, known, rtol=ROUND_OFF))
    noise, expected = (_noise(settings, there["samples"], there["label_noise"]) for settings in (ours, theirs))
    if here["samples"] == there["samples"] and not (same and np.allclose(noise, expected, rtol=ROUND_OFF, atol=0.0)):
        words.append(
            "learning rate {:g}, batch size {} ({}), where the solution has {:g} and {} ({})".format(*ours, *theirs)
        )
    if there["order"] != 1 and run.time_step < high:
        words.append(
            f"steps of {run.time_step:g} of a scheme for its diffusion, where the solution is of steps of {known:g}"
        )
    return words


def _noise(settings: tuple[float, int, str], n: int, label_noise: float) -> tuple[float, float]:
    """What independent batches and the noise on their labels add to D."""
    rate, batch, sampling = settings
    scale = 0.5 * rate / batch
    return scale * (1.0 if sampling == "with_replacement" else (n - batch) / (n - 1.0)), scale * label_noise**2
