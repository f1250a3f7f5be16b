"""SGD on the data sets that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from ..sgd import SGD, Dataset, linear_regression, logistic_regression, read_csv
from .case import Case, from_sgd


def breast_cancer(
    *, learning_rate: float = 0.5, batch_size: int = 8, sampling: str = "with_replacement", l2: float = 0.1
) -> Case:
    r"""Logistic regression of benign (+1) against malignant (−1) on two standardised features.

    :math:`L = \tfrac1n\sum_i \log(1 + e^{-y_i\theta\cdot x_i}) + \tfrac{\lambda}{2}|\theta|^2`, n = 569.
    """
    data = _shipped("breast_cancer.csv", ("mean_radius", "mean_texture")).standardised()
    model = logistic_regression(data.X, data.y, l2=l2, names=data.feature_names)
    return from_sgd(
        SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="breast-cancer",
        title="Logistic regression on breast-cancer data",
        description="Benign or malignant from mean radius and mean texture of 569 tumours. The gradient noise is over five "
        "times stronger along one weight than along the other while the loss is nearly round, so a current circulates.",
    )


def diabetes(
    *, learning_rate: float = 0.1, batch_size: int = 4, sampling: str = "with_replacement", l2: float = 0.0
) -> Case:
    r"""Linear regression of disease progression on two features, the second scaled to a standard deviation of ½.

    :math:`L = \tfrac1{2n}\sum_i (\theta\cdot x_i - y_i)^2 + \tfrac{\lambda}{2}|\theta|^2`, n = 442.
    """
    data = _shipped("diabetes.csv", ("bmi", "s5")).standardised(scales=(1.0, 0.5), target=True)
    model = linear_regression(data.X, data.y, l2=l2, names=data.feature_names)
    return from_sgd(
        SGD(model, learning_rate=learning_rate, batch_size=batch_size, sampling=sampling),
        name="diabetes",
        title="Linear regression on diabetes data",
        description="Disease progression from body mass index and a blood serum value of 442 patients. The noise grows with "
        "the residuals, so the density has power-law tails; the features' scales differ, so a current circulates.",
    )


def _shipped(name: str, features: tuple[str, ...]) -> Dataset:
    with as_file(files("fokkerplanck.cases") / "data" / name) as path:
        return read_csv(path, target="target", features=features)
