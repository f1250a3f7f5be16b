"""The rule by which a chain moves: the options of an SGD, checked, and in the form that the kernels take."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import cfunc
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidInput
from ..kernels.chain_state import Rule
from ..kernels.chains import GAUSSIAN, MINIBATCH, STABLE
from .custom import CustomLoss, NumpyLoss
from .models import KINDS, LossModel

if TYPE_CHECKING:
    from .descent import SGD
    from .loss import Loss

Array = NDArray[np.float64]

NOISES = {"minibatch": MINIBATCH, "gaussian": GAUSSIAN, "stable": STABLE}
RESIDUALS = ("linear", "phase_retrieval", "tanh_neuron", "deep_linear")  # losses e²/2 of a prediction less the target
# gradients(theta, rows, indices, out): one gradient in each row of out
GRADIENTS = "void(float64[::1], float64[:, ::1], int32[::1], float64[:, ::1])"


def check_options(sgd: SGD) -> None:
    """Refuse options that are out of range or do not fit each other.

    Raises
    ------
    InvalidInput
    """
    for name, top in (("momentum", 1.0), ("label_noise", math.inf), ("injected_noise", math.inf)):
        value = getattr(sgd, name)
        if not _real(value) or not 0.0 <= value < top:
            limit = "" if top == math.inf else f" and below {top:g}"
            raise InvalidInput(f"{name}: expected a finite number of at least 0{limit}, got {value!r}")
    if sgd.nesterov and sgd.momentum == 0.0:
        raise InvalidInput("nesterov: expected with momentum > 0, got momentum = 0, where it changes nothing")
    if sgd.noise not in NOISES:
        raise InvalidInput(f"noise: expected one of {tuple(NOISES)}, got {sgd.noise!r}")
    if sgd.noise != "minibatch" and sgd.sampling == "epoch":
        raise InvalidInput(
            f"noise={sgd.noise!r}: expected batches that are independent from step to step, got sampling='epoch'. Use "
            "sampling='without_replacement'"
        )
    if (sgd.noise == "stable") != (sgd.alpha is not None):
        raise InvalidInput(
            f"alpha: expected with noise='stable', and only then, got alpha = {sgd.alpha!r} and {sgd.noise!r}"
        )
    if sgd.alpha is not None and not (_real(sgd.alpha) and 0.0 < sgd.alpha <= 2.0):
        raise InvalidInput(f"alpha: expected a number above 0 and at most 2, got {sgd.alpha!r}")
    if sgd.label_noise > 0.0 and sgd.model.kind not in RESIDUALS:
        raise InvalidInput(
            f"label_noise: expected a loss e²/2 of a prediction less a target, one of {RESIDUALS}, got "
            f"{sgd.model.kind!r}, which has no target to add to. Use injected_noise"
        )


def check_diffusion(sgd: SGD) -> None:
    """Refuse options with which SGD is not close to a diffusion in θ with D = ηΣ/2B.

    Raises
    ------
    InvalidInput
    """
    check_noise(sgd)
    if sgd.momentum > 0.0:
        raise InvalidInput(
            f"momentum: expected 0 for a diffusion in θ alone, got {sgd.momentum:g}: the velocity remembers its past. With "
            f"little memory, SGD without momentum and learning_rate = η/(1 − β) = {sgd.learning_rate / (1 - sgd.momentum):g} "
            "is close; otherwise take position and velocity as state (Underdamped), linearise (quadratic.linearise), or "
            "simulate"
        )


def check_noise(sgd: SGD) -> None:
    """Refuse options with which the noise of a step is not independent of the past, with a covariance that θ alone decides.

    Raises
    ------
    InvalidInput
    """
    if sgd.sampling == "epoch":
        ratio = sgd.learning_rate * sgd.model.n / (sgd.batch_size * sgd.relaxation_time)
        raise InvalidInput(
            "sampling='epoch': expected minibatches that are independent from step to step. Those of one epoch add "
            "up to the full gradient, so their noise is anticorrelated, and no diffusion with D = ηΣ/2B describes "
            f"them unless an epoch lasts many relaxation times, η h_min n/B ≫ 1 (here {ratio:.3g}). Simulate this "
            "sampling, or use sampling='without_replacement'"
        )
    if sgd.schedule is not None:
        raise InvalidInput(
            "schedule: expected a constant learning rate, got a schedule: D = ηΣ/2B changes in time and nothing is "
            "stationary. Leave the schedule out, or simulate"
        )
    if sgd.noise == "stable" and sgd.alpha != 2.0:
        raise InvalidInput(
            f"noise='stable': expected noise with a variance, got alpha = {sgd.alpha}: a process with jumps, which no "
            "Fokker–Planck equation of second order describes. Simulate it, or use alpha=2"
        )
    if sgd.label_noise > 0.0 and sgd.model.kind != "linear":
        raise InvalidInput(
            f"label_noise: expected a linear regression, where it adds a constant to D, got {sgd.model.kind!r}. Simulate it, "
            "or use injected_noise"
        )


def settings(sgd: SGD) -> dict[str, Any]:
    """All that decides where the chains of an SGD go, as plain values: by these one SGD is told from another.

    Data and loss are summed up by the minimum, the curvatures and the variance of the gradient there.
    """
    model, minimum = sgd.model, sgd.model.minimum
    return {
        "samples": model.n,
        "minimum": minimum.tolist(),
        "curvatures": np.linalg.eigvalsh(model.hessian(minimum)).tolist(),
        "gradient_variance": float(model.sample_gradients(minimum).var(axis=0).sum()),
        "weight_decay": float(model.l2),
        "learning_rate": sgd.learning_rate,
        "batch_size": sgd.batch_size,
        "sampling": sgd.sampling,
        "momentum": float(sgd.momentum),
        "label_noise": float(sgd.label_noise),
        "injected_noise": float(sgd.injected_noise),
        "alpha": 2.0 if sgd.alpha is None else float(sgd.alpha),
    }


def _real(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def learning_rates(sgd: SGD, first: int, count: int, *, shorter: int = 1) -> Array:
    """η of the steps ``first`` … ``first + count`` − 1, each ``shorter`` times as often and so much smaller, shape (count,).

    Raises
    ------
    InvalidInput
        For a schedule that does not give positive numbers of the right shape.
    """
    steps = np.arange(first, first + count) // shorter
    schedule: Callable[..., ArrayLike] | ArrayLike | None = sgd.schedule
    if schedule is None:
        return np.full(count, sgd.learning_rate / shorter)
    if callable(schedule):
        factors = np.asarray(schedule(steps), dtype=float)
    else:
        values = np.asarray(schedule, dtype=float)
        if values.ndim != 1 or not values.size:
            raise InvalidInput(f"schedule: expected a function of the steps or shape (steps,), got {values.shape}")
        factors = values[np.minimum(steps, values.size - 1)]
    if factors.shape not in ((), steps.shape) or not (np.isfinite(factors).all() and (factors > 0.0).all()):
        raise InvalidInput(
            f"schedule: expected positive factors of the learning rate, of the shape {steps.shape} of the steps, got "
            f"{factors.shape} with values from {factors.min():g} to {factors.max():g}"
        )
    return np.ascontiguousarray(np.broadcast_to(factors, steps.shape) * (sgd.learning_rate / shorter))


def decay(sgd: SGD) -> float:
    """Factor, per step, of what decays slowest towards the minimum: the spectral radius of the linear dynamics."""
    h = np.linalg.eigvalsh(sgd.model.hessian(sgd.model.minimum))
    beta = sgd.momentum
    shrink = 1.0 - sgd.learning_rate * h
    trace = (1.0 + beta) * shrink if sgd.nesterov else beta + shrink
    product = beta * shrink if sgd.nesterov else np.full_like(shrink, beta)
    root = np.sqrt(np.asarray(trace**2 - 4.0 * product, dtype=complex))
    return float(max(np.abs(trace + root).max(), np.abs(trace - root).max()) / 2.0)


def step_rule(sgd: SGD, *, shorter: int = 1) -> Rule:
    """The rule of one step; with ``shorter``, of an Euler–Maruyama step of η/shorter of the diffusion."""
    n, B = sgd.model.n, sgd.batch_size
    whole = (n - B) / (n - 1) if sgd.sampling == "without_replacement" else 1.0
    noise = sgd.noise if shorter == 1 or sgd.noise != "minibatch" else "gaussian"
    return Rule(
        kind=KINDS.get(sgd.model.kind, -1),
        l2=sgd.model.l2,
        batch_size=B,
        period={"with_replacement": 0, "without_replacement": B, "epoch": (n // B) * B}[sgd.sampling],
        momentum=float(sgd.momentum),
        nesterov=bool(sgd.nesterov),
        label_noise=float(sgd.label_noise),
        temperature=float(sgd.injected_noise),
        noise=NOISES[noise],
        share=whole * shorter / B,
        label_share=sgd.label_noise**2 * shorter / B,
        stability=2.0 if sgd.alpha is None else float(sgd.alpha),
    )


def noisy_gradients(sgd: SGD, degree: int) -> tuple[Callable[[Array], Array], Array | None]:
    """Gradients of all samples of a linear regression, each with every label of a quadrature, and the weights of these.

    Moments of the label noise are exact up to the degree. Without such noise, the gradients as they are, all of one weight.
    """
    model = sgd.model
    if sgd.label_noise == 0.0 or not isinstance(model, LossModel):
        return model.sample_gradients, None
    node, weight = hermegauss(degree // 2 + 1)
    shifts = sgd.label_noise * np.multiply.outer(node, model.X)[..., None]

    def gradients(theta: Array) -> Array:
        return np.concatenate(list(model.sample_gradients(theta) - shifts))

    return gradients, np.repeat(weight / weight.sum() / model.n, model.n)


class Gradients:
    """The samples of a loss as rows, and the compiled function that gives their gradients; None for a built-in loss.

    A gradient of the user's own is compiled in every process, once per loss: a cache on disk would not notice that the
    function or what it refers to has changed. The kernels that call it are cached.
    """

    def __init__(self, model: Loss) -> None:
        self.failure: Exception | None = None
        if isinstance(model, LossModel):
            self.rows = np.column_stack([model.X, model.y])
            self.function = None
        elif isinstance(model, CustomLoss):
            self.rows = np.array(model.data)
            self.function = _compiled(model.compiled)
        elif isinstance(model, NumpyLoss):
            self.rows = np.array(model.data)
            self.function, self._callback = self._called_back(model)
        else:
            raise InvalidInput(
                f"model: expected a loss of this package, custom_loss, numpy_loss or torch_loss, got {type(model).__name__}"
            )

    def check(self) -> None:
        """Raise what a NumPy function raised, or what was wrong with its answer."""
        if self.failure is not None:
            raise self.failure

    def _called_back(self, model: NumpyLoss) -> tuple[Any, Any]:
        d, rows = model.dim, self.rows

        def answer_to(theta: int, indices: int, count: int, out: int) -> None:
            point = _view(theta, ctypes.c_double, (d,)).copy()
            answer = _view(out, ctypes.c_double, (count, d))
            answer[:] = np.nan
            if self.failure is not None:
                return
            try:  # an exception cannot pass through compiled code; `check` raises it afterwards
                given = np.asarray(model.gradients(point, rows[_view(indices, ctypes.c_int32, (count,))]))
                if given.shape != (count, d):
                    raise InvalidInput(f"gradients(theta, rows): expected shape {(count, d)}, got {given.shape}")
                answer[:] = given
            except Exception as failure:
                self.failure = failure

        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_void_p)
        call = ctypes.CFUNCTYPE(None, *kinds)(answer_to)

        def gradients(theta: Any, rows: Any, indices: Any, out: Any) -> None:
            call(theta.ctypes, indices.ctypes, indices.size, out.ctypes)

        return cfunc(GRADIENTS)(gradients), call


def _compiled(gradient: Any) -> Any:
    def gradients(theta: Any, rows: Any, indices: Any, out: Any) -> None:
        for k in range(indices.size):
            gradient(theta, rows[indices[k]], out[k])

    return cfunc(GRADIENTS)(gradients)


def _view(address: int, kind: Any, shape: tuple[int, ...]) -> Any:
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(kind)), shape)
