"""The law of one SGD step, every sample enumerated or by quadrature, and the transfer operator of the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInput
from ..solvers.collocation import Steps
from ..solvers.transfer_operator import TransferOperator, covariance_root, gaussian_steps, normal_rule
from ..solvers.transfer_operator import transfer_operator as discretise

if TYPE_CHECKING:
    from .descent import SGD

Array = NDArray[np.float64]

# Axes of the noise below this share of the largest carry round-off of the covariance, which is squared: 1e-16
FLAT = 1e-7
# Two ways to sum the same covariance differ by round-off; other noise of a share below this does not matter
SAME = 1e-9
NOISES = ("minibatch", "skewed", "gaussian")


def transfer_operator(
    sgd: SGD, *, noise: str | None = None, nodes: int | None = None, widths: float = 7.0
) -> TransferOperator:
    r"""The discrete chain of SGD on a grid of one or two parameters: what SGD does at this learning rate, in no limit.

    .. math:: (\pi T)(\theta') = \sum_\theta \pi(\theta)\,P\bigl(\theta' = \theta - \eta\,\nabla L_B(\theta)\bigr)

    Parameters
    ----------
    sgd : SGD
    noise : {"minibatch", "skewed", "gaussian"}, optional
        How minibatches are averaged over. "minibatch": every sample enumerated, and B of them added up: exact; the default
        where samples are independent. "skewed": a quadrature with the exact mean, covariance and third moments of a
        minibatch; the default for several drawn without replacement. "gaussian": with the exact mean and covariance only,
        the chain that has normal noise; the default, and all that is possible, for an SGD with ``noise="gaussian"``.
    nodes : int, optional
        Per axis; by default 401 for one parameter and 97 for two.
    widths : float
        Standard deviations from the mean to the rim of the grid.

    Returns
    -------
    TransferOperator

    Raises
    ------
    InvalidInput
        For more than two parameters, ``sampling="epoch"``, whose steps are not independent, momentum, whose chain has a state
        of twice as many, a schedule, stable noise, an unknown noise, "minibatch" where the samples of a batch depend on each
        other, noise other than that of the SGD, or no noise.
    NotConverged
        As :func:`fokkerplanck.solvers.transfer_operator.transfer_operator`.

    Examples
    --------
    >>> from fokkerplanck.sgd import SGD, linear_regression
    >>> sgd = SGD(linear_regression([[1.0], [2.0], [3.0]], [1.0, 2.0, 4.0]), learning_rate=0.1, batch_size=1)
    >>> chain = transfer_operator(sgd)
    >>> bool(abs(chain.moments.covariance / sgd.chain_moments().covariance - 1.0)[0, 0] < 1e-9)
    True
    """
    if sgd.model.dim > 2:
        raise InvalidInput(
            f"transfer operator: expected a model of one or two parameters, got {sgd.model.dim}: {sgd.model.names}. Moments of "
            "more are given by SGD.chain_moments"
        )
    independent = sgd.batch_size == 1 or sgd.sampling == "with_replacement"
    normal = sgd.noise != "minibatch"  # stable noise other than alpha=2, which is normal, is refused with the process
    usual = "gaussian" if normal else "minibatch" if independent else "skewed"
    kind = usual if noise is None else noise
    if kind not in NOISES:
        raise InvalidInput(f"noise: expected one of {NOISES}, got {noise!r}")
    if normal and kind != "gaussian":
        raise InvalidInput(
            f"noise: expected 'gaussian' for an SGD with noise={sgd.noise!r}, got {noise!r}: another chain"
        )
    if kind == "minibatch" and not independent:
        raise InvalidInput(
            f"noise: expected 'skewed' or 'gaussian' for {sgd.batch_size} samples drawn without replacement, got "
            "'minibatch': a sum of samples that depend on each other is no convolution. Draw them with replacement, or one "
            "at a time"
        )
    process = sgd.process()
    if kind == "gaussian":
        steps = gaussian_steps(process, sgd.learning_rate)
    else:
        steps = _samples(sgd) if kind == "minibatch" else _skewed(sgd)
        _check_complete(sgd, steps, sgd.batch_size if kind == "minibatch" else 1, kind)
    return discretise(
        steps,
        draws=sgd.batch_size if kind == "minibatch" else 1,
        mean=sgd.model.minimum,
        covariance=sgd.covariance(),
        time_step=sgd.learning_rate,
        nodes=nodes,
        widths=widths,
    )


def _check_complete(sgd: SGD, steps: Steps, draws: int, kind: str) -> None:
    """Refuse an SGD whose steps have other noise than that of minibatches: its diffusion says so at the minimum."""
    point = sgd.model.minimum[:, None]
    increments, weights = (np.asarray(a) for a in steps(point))
    weights = weights.reshape(len(weights), -1)[:, 0]
    deviation = increments[:, :, 0] - weights @ increments[:, :, 0]
    covariance = draws * (deviation.T * weights) @ deviation
    expected = 2.0 * sgd.learning_rate * sgd.process().diffusion(point)[..., 0]
    if not np.allclose(covariance, expected, rtol=SAME, atol=SAME * float(np.abs(expected).max())):
        raise InvalidInput(
            f"noise={kind!r}: expected an SGD with no noise but that of its minibatches, got steps of covariance "
            f"{expected.tolist()} where minibatches have {covariance.tolist()}. Use noise='gaussian' for all of it"
        )


def _samples(sgd: SGD) -> Steps:
    n, share = sgd.model.n, sgd.learning_rate / sgd.batch_size
    return lambda theta: (-share * sgd.model.sample_gradients(theta), np.full(n, 1.0 / n))


def _skewed(sgd: SGD) -> Steps:
    r"""Normal quadrature with weights times :math:`1 + \frac16\kappa_{ijk}\mathrm{He}_{ijk}`, κ of whitened noise."""
    model, n, B, eta = sgd.model, sgd.model.n, sgd.batch_size, sgd.learning_rate
    spread, skew = 1.0 / B, 1.0 / B**2
    if sgd.sampling == "without_replacement":  # a batch of n − 1 or more has no skewness to speak of where n = 2
        spread *= (n - B) / (n - 1)
        skew *= (n - B) * (n - 2 * B) / ((n - 1) * (n - 2)) if n > 2 else 0.0
    node, weight = normal_rule(model.dim)
    unit = np.eye(model.dim)
    cubic = np.einsum("ik,jk,lk->ijlk", node, node, node)
    for pair in ("ij,lk->ijlk", "il,jk->ijlk", "jl,ik->ijlk"):
        cubic -= np.einsum(pair, unit, node)

    def steps(theta: Array) -> tuple[Array, Array]:
        mean, covariance, _ = model.moments(theta)
        root = covariance_root(spread * covariance)
        size = np.sqrt((root**2).sum(axis=0))  # of the principal axes, the columns of the root
        with np.errstate(divide="ignore", invalid="ignore"):
            axes = np.where(
                size > FLAT * size.max(axis=0), root / size**2, 0.0
            )  # an axis without noise has no skewness
        third = -skew * np.einsum(
            "iam,jbm,lcm,ijlm->abcm", axes, axes, axes, model.noise_third_moment(theta), optimize=True
        )
        increments = eta * (np.einsum("iam,ak->kim", root, node) - mean)
        return increments, weight[:, None] * (1.0 + np.einsum("abcm,abck->km", third, cubic) / 6.0)

    return steps
