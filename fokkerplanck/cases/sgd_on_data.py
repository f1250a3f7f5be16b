"""SGD on the data sets that come with the package.

``trustworthy`` says up to which learning rate the covariance of the diffusion is within 5 % of the chain's, by their moments
without a grid, and how far the densities are apart, by the transfer operator of the chain. What reads tables and simulates is
loaded by the functions: the gallery can be listed without.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import Chebyshev

from ..errors import InvalidInput
from ..grid import Array, Box
from ..process import DiffusionProcess
from .case import Case, Equation, Exact, boltzmann, from_sgd, moments_by_quadrature

if TYPE_CHECKING:
    from ..sgd import Dataset


def breast_cancer(
    *, learning_rate: float = 0.5, batch_size: int = 8, sampling: str = "with_replacement", l2: float = 0.1
) -> Case:
    r"""Logistic regression of benign (+1) against malignant (−1) on two standardised features.

    :math:`L = \tfrac1n\sum_i \log(1 + e^{-y_i\theta\cdot x_i}) + \tfrac{\lambda}{2}|\theta|^2`, n = 569.
    """
    from .. import sgd

    data = _shipped("breast_cancer.csv", ("mean_radius", "mean_texture")).standardised()
    model = sgd.logistic_regression(data.X, data.y, l2=l2, names=data.feature_names)
    return from_sgd(
        sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="breast-cancer",
        title="Logistic regression on breast-cancer data",
        description="Benign or malignant from mean radius and mean texture of 569 tumours. The gradient noise is over five "
        "times stronger along one weight than along the other while the loss is nearly round, so a current circulates.",
        reason="SGD on data whose noise is strong along one weight: the size of a current that a practitioner meets.",
        trustworthy="For η ≤ 0.43 at B = 8 (at the default of 0.5 the covariance is 6 % off). The total variation is 0.06 "
        "there and 0.025 at η = 0.1: skewed noise, whose share falls as the root of η/B.",
        degenerate="Nothing, for λ > 0. Without a penalty, separable classes have no minimum.",
        source="W. Wolberg, O. Mangasarian, N. Street, W. Street, 1993, doi:10.24432/C5DW2B",
    )


def diabetes(
    *, learning_rate: float = 0.1, batch_size: int = 4, sampling: str = "with_replacement", l2: float = 0.0
) -> Case:
    r"""Linear regression of disease progression on two features, the second scaled to a standard deviation of ½.

    :math:`L = \tfrac1{2n}\sum_i (\theta\cdot x_i - y_i)^2 + \tfrac{\lambda}{2}|\theta|^2`, n = 442.
    """
    from .. import sgd

    data = _shipped("diabetes.csv", ("bmi", "s5")).standardised(scales=(1.0, 0.5), target=True)
    model = sgd.linear_regression(data.X, data.y, l2=l2, names=data.feature_names)
    return from_sgd(
        sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="diabetes",
        title="Linear regression on diabetes data",
        description="Disease progression from body mass index and a blood serum value of 442 patients. The noise grows with "
        "the residuals, so the density has power-law tails; the features' scales differ, so a current circulates.",
        reason="SGD on data whose noise grows with the residuals: heavy tails from a quadratic loss.",
        trustworthy="For η ≤ 0.13 at B = 4. The total variation is 0.043 there and 0.009 at η = 0.02. High moments exist "
        "neither of the diffusion nor of the chain, and not the same ones.",
        degenerate="Nothing: no line fits all patients, so the noise vanishes nowhere.",
        source="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, Ann. Statist. 32, 407 (2004), doi:10.1214/009053604000000067",
    )


def tanh_neuron(
    *, learning_rate: float = 0.1, batch_size: int = 8, sampling: str = "with_replacement", l2: float = 0.05
) -> Case:
    r"""One hidden neuron that tells malignant (+1) from benign (−1) by one standardised feature.

    :math:`L = \tfrac1{2n}\sum_i (a\tanh(wx_i) - y_i)^2 + \tfrac{\lambda}{2}|\theta|^2`, n = 569; the well with a > 0.
    """
    from .. import sgd

    data = _shipped("breast_cancer.csv", ("mean_concave_points",)).standardised()
    model = sgd.tanh_neuron(data.X, 1.0 - 2.0 * data.y, l2=l2)
    return from_sgd(
        sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="tanh-neuron",
        title="A tanh neuron on breast-cancer data",
        description="The two parameters are noisy together, a hundred times more than apart, and neither along nor across the "
        "valley of the loss: of the cases on data the one driven most strongly. The mirror well at (−a, −w) is out of reach.",
        reason="A network, the smallest: nearly singular noise, askew to the valley of the loss, drives it hard.",
        trustworthy="For η ≤ 0.17 at B = 8. The total variation is 0.051 there and 0.016 at η = 0.02.",
        degenerate="Nearly: the noise has eigenvalues in the ratio 94 at the minimum, rank one on the axes, and none at "
        "the origin, where a chain would stay. One of two mirror wells is solved.",
        source="W. Wolberg, O. Mangasarian, N. Street, W. Street, 1993, doi:10.24432/C5DW2B",
    )


def phase_retrieval(
    *, learning_rate: float = 0.002, batch_size: int = 4, sampling: str = "with_replacement", l2: float = 0.0
) -> Case:
    r"""Two weights from noisy squares of projections of 150 irises, sepal and petal length.

    :math:`L = \tfrac1{2n}\sum_i ((\theta\cdot x_i)^2 - y_i)^2 + \tfrac{\lambda}{2}|\theta|^2` with
    :math:`y_i = (x_i\cdot(1, \tfrac12))^2 + \tfrac1{\sqrt2}\sin(12.9898\,i)`, i = 1, …, 150; the minimum with positive θ.
    """
    from .. import sgd

    data = _shipped("iris.csv", ("sepal_length", "petal_length"), "species").standardised()
    noise = np.sqrt(0.5) * np.sin(12.9898 * np.arange(1, 151))
    model = sgd.phase_retrieval(data.X, (data.X @ [1.0, 0.5]) ** 2 + noise, l2=l2, names=data.feature_names)
    return from_sgd(
        sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="phase-retrieval",
        title="Phase retrieval on iris data",
        description="Curvature and noise grow with θ, and the features go together: steep across the valley, flat along it. "
        "Currents of both senses cancel, so the area rate says little; learning rates above 0.01 make chains run away.",
        reason="A loss of fourth degree: the area rate may vanish where detailed balance is broken.",
        source="R. A. Fisher, Ann. Eugenics 7, 179 (1936), doi:10.1111/j.1469-1809.1936.tb02137.x",
        trustworthy="For η ≤ 0.0042 at B = 4. The total variation is 0.027 at η = 0.002; the area rate, small by "
        "cancellation, is wrong by its own size there.",
        degenerate="The noise vanishes at the origin, and would at the minimum if the measurements were exact: the law "
        "were a point then. The chain has no stationary law: in the end it runs away, at η = 0.02 and B = 1 half of all "
        "within a thousand steps.",
        widths=8.0,
    )


def iris(
    *, learning_rate: float = 0.5, batch_size: int = 8, sampling: str = "with_replacement", l2: float = 0.1
) -> Case:
    r"""Logistic regression of Iris virginica (+1) against versicolor (−1) on two standardised features and an intercept.

    :math:`L = \tfrac1n\sum_i \log(1 + e^{-y_i\theta\cdot x_i}) + \tfrac{\lambda}{2}|\theta|^2`, n = 100, three parameters.
    """
    from .. import sgd

    table = _shipped("iris.csv", ("petal_length", "petal_width"), "species")
    rows = table.y > 0.0
    data = sgd.Dataset(table.X[rows], table.y[rows], table.feature_names, "species").standardised()
    X = np.column_stack([data.X, np.ones(len(data.X))])
    model = sgd.logistic_regression(X, data.y, l2=l2, names=(*data.feature_names, "intercept"))
    return from_sgd(
        sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="iris",
        title="Logistic regression on iris data",
        description="Two species from petal length, petal width and an intercept, in three dimensions. The noise of the "
        "intercept is ten times stronger than that of the weights, and nearly in proportion to the curvature: a weak current.",
        reason="Three parameters, and a current so weak that only its error tells it from none.",
        trustworthy="For η ≤ 0.42 at B = 8 (at the default of 0.5 the covariance is 6 % off).",
        degenerate="Nothing, for λ > 0.",
        source="R. A. Fisher, Ann. Eugenics 7, 179 (1936), doi:10.1111/j.1469-1809.1936.tb02137.x",
    )


def deep_linear(*, learning_rate: float = 0.1, batch_size: int = 4, l2: float = 0.05) -> Case:
    r"""Two linear layers of one weight each, on the line :math:`w_1 = w_2 = w` to which they go: disease progression from bmi.

    :math:`L = \tfrac1{4n}\sum_i (w^2x_i - y_i)^2 + \tfrac\lambda2 w^2`,
    :math:`D = \tfrac\eta{2B}w^2\,\mathrm{Var}_i[(w^2x_i - y_i)x_i]`,
    n = 442; :math:`p \propto D^{-1}\exp(-\int L'/D)`. In the plane of the two weights the noise has rank one and
    :math:`w_1^2 - w_2^2` decays: there is no density there, but on this line, which a chain that is on it never leaves.
    """
    from .. import sgd

    if not (learning_rate > 0.0 and batch_size >= 1 and l2 >= 0.0):
        raise InvalidInput(
            f"expected learning_rate > 0, batch_size ≥ 1 and l2 ≥ 0, got {(learning_rate, batch_size, l2)}"
        )
    data = _shipped("diabetes.csv", ("bmi",)).standardised(target=True)

    def gradient(theta: Array, row: Array, out: Array) -> None:
        out[0] = (theta[0] ** 2 * row[0] - row[1]) * theta[0] * row[0]

    square, product = data.X[:, 0] ** 2, data.X[:, 0] * data.y
    spread = np.cov(square, product, bias=True)
    temperature = 0.5 * learning_rate / batch_size

    def drift(w: Array) -> Array:
        return -w * (w**2 * square.mean() - product.mean() + l2)

    def diffusion(w: Array) -> Array:
        variance = w**4 * spread[0, 0] - 2.0 * w**2 * spread[0, 1] + spread[1, 1]
        return np.asarray(temperature * w**2 * variance)

    depth = product.mean() - l2
    if not depth > 0.0:
        raise InvalidInput(
            f"l2: expected less than {product.mean():.4g}, beyond which both weights die out, got {l2!r}"
        )
    lowest = np.sqrt(depth / square.mean())
    width = np.sqrt(diffusion(lowest) / (2.0 * depth))
    low, high = lowest - 8.0 * width, lowest + 8.0 * width
    if not low > 0.0:
        raise InvalidInput(
            f"learning_rate / batch_size: expected less noise, got {learning_rate / batch_size:g}: at w = 0, within eight "
            "standard deviations of the minimum, there is none, and the density is singular"
        )
    model = sgd.custom_loss(gradient, np.column_stack([data.X[:, 0], data.y]), start=[lowest], l2=l2, names=("w",))
    exponent = Chebyshev.interpolate(lambda w: drift(w) / diffusion(w), 120, domain=[low, high]).integ()
    box = Box([low], [high])
    density, _ = boltzmann(lambda w: np.log(diffusion(w[0])) - exponent(w[0]), box)
    return Case(
        name="deep-linear",
        title="Two linear layers on diabetes data",
        description="One weight after another, balanced: noise that dies out with the weights. In the plane "
        "of the two there is no density, because the noise has rank one and their difference of squares decays.",
        process=DiffusionProcess(drift, lambda w: diffusion(w)[None], dim=1, names=("w",)),
        box=box,
        equation=Equation(
            ("-w*(s*w**2 - c + λ)",),
            "ε*w**2*(p*w**4 - 2*q*w**2 + r)",
            {"ε": temperature, "λ": l2, "s": float(square.mean()), "c": float(product.mean())}
            | dict(zip("pqr", map(float, (spread[0, 0], spread[0, 1], spread[1, 1])), strict=True)),
        ),
        sgd=sgd.SGD(model, learning_rate=learning_rate, batch_size=batch_size),
        exact=Exact(density, np.zeros_like, {"entropy_production": 0.0}),
        moments=moments_by_quadrature(density, box),
        settings={"learning_rate": learning_rate, "batch_size": batch_size, "l2": l2},
        reason="What overparametrisation does to a density: find the line it lives on before solving for it.",
        trustworthy="For η ≤ 0.079 at B = 4 (at the default of 0.1 the variance is 6 % off). The total variation is 0.025 "
        "there and 0.007 at η = 0.02.",
        degenerate="In the plane: D has rank one everywhere, and none at w = 0, where both weights may die out.",
        source="B. Efron, T. Hastie, I. Johnstone, R. Tibshirani, Ann. Statist. 32, 407 (2004), doi:10.1214/009053604000000067",
        balanced=True,
        finest=(256,),
    )


def _shipped(name: str, features: tuple[str, ...], target: str = "target") -> Dataset:
    from ..sgd import read_csv

    with as_file(files("fokkerplanck.cases") / "data" / name) as path:
        return read_csv(path, target=target, features=features)
