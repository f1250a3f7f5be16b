"""What a case is: a process in a box, where it comes from, and what is known exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..grid import Array, Box
from ..process import DiffusionProcess
from ..sgd import SGD


@dataclass(frozen=True)
class Exact:
    """Exact answers of a case.

    Attributes
    ----------
    density, current : callable
        Points of shape (d, ...) to p of shape (...), normalised on the whole space, and J of shape (d, ...).
    scalars : mapping of str to float
        Exact numbers by name: ``entropy_production``, ``circulation`` (A_01), ``total_current`` (∫|J|), …
    """

    density: Callable[[Array], Array]
    current: Callable[[Array], Array]
    scalars: Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """A problem of the gallery.

    Attributes
    ----------
    name, title, description : str
    process : DiffusionProcess
    box : Box
        Holds the density to better than 1e-4.
    sgd : SGD or None
        The chain behind the process, for cases on data.
    exact : Exact or None
    settings : mapping
        The parameters it was built with.
    """

    name: str
    title: str
    description: str
    process: DiffusionProcess
    box: Box
    sgd: SGD | None = None
    exact: Exact | None = None
    settings: Mapping[str, object] = field(default_factory=dict)


def from_sgd(sgd: SGD, *, name: str, title: str, description: str, widths: float = 7.0) -> Case:
    """The case of SGD on a loss: its diffusion limit, in a box of ± ``widths`` standard deviations round the minimum.

    Under epoch shuffling the batches are not independent, and the process is that of independent batches drawn without
    replacement: what the simulation is compared with, not what describes it.

    Raises
    ------
    InvalidInput
        If the model has more parameters than can be gridded, or the batches carry no noise.
    """
    independent = SGD(
        sgd.model,
        learning_rate=sgd.learning_rate,
        batch_size=sgd.batch_size,
        sampling="without_replacement" if sgd.sampling == "epoch" else sgd.sampling,
    )
    settings = {
        "model": sgd.model.kind,
        "samples": sgd.model.n,
        "l2": sgd.model.l2,
        "learning_rate": sgd.learning_rate,
        "batch_size": sgd.batch_size,
        "sampling": sgd.sampling,
    }
    return Case(
        name=name,
        title=title,
        description=description,
        box=independent.box(widths=widths),
        process=independent.process(),
        sgd=sgd,
        settings=settings,
    )
