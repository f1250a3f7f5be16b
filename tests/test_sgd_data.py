"""Tables are read strictly: every defect is named, none is mended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fokkerplanck.errors import InvalidInput
from fokkerplanck.sgd.data import Dataset, read_csv

TABLES = Path(__file__).parents[1] / "fokkerplanck" / "cases" / "data"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_come_in_the_order_asked_for(tmp_path: Path) -> None:
    data = read_csv(write(tmp_path, "a,b,t\n1,2,3\n4,5,6\n\n"), target="t", features=["b", "a"])
    np.testing.assert_array_equal(data.X, [[2, 1], [5, 4]])
    np.testing.assert_array_equal(data.y, [3, 6])
    assert data.feature_names == ("b", "a")
    assert data.target_name == "t"
    assert not data.X.flags.writeable


def test_two_text_labels_are_a_target(tmp_path: Path) -> None:
    data = read_csv(write(tmp_path, '\ufeffa,t\n1," no"\n2,yes\n3,no\n'), target="t", features=["a"])
    assert data.y.tolist() == ["no", "yes", "no"]


def test_breast_cancer_is_the_published_table() -> None:
    data = read_csv(TABLES / "breast_cancer.csv", target="target", features=["mean_radius", "mean_texture"])
    assert data.X.shape == (569, 2)
    assert np.bincount(data.y.astype(int)).tolist() == [212, 357]
    scaled = data.standardised()
    np.testing.assert_allclose(scaled.X.mean(axis=0), 0, atol=1e-14)  # n numbers of size 1 averaged
    np.testing.assert_allclose(scaled.X.std(axis=0), 1, rtol=1e-13)
    assert (scaled.X**2).sum() + len(scaled.y) == pytest.approx(1707, rel=1e-12)


def test_diabetes_is_the_published_table() -> None:
    data = read_csv(TABLES / "diabetes.csv", target="target", features=["bmi", "s5"])
    scaled = data.standardised(scales=(1, 0.5), target=True)
    assert scaled.X.shape == (442, 2)
    assert (scaled.X**2).sum() + (scaled.y**2).sum() == pytest.approx(994.5, rel=1e-12)  # 442 (1 + 1/4 + 1)
    assert (data.y.min(), data.y.max()) == (25, 346)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b,t\n1,2\n3,4\n", r"expected one column 'a', got no such column. The columns are \['b', 't'\]"),
        ("a;t\n1,5;2\n3;4\n", r"got no such column.*separated by semicolons; write the table with commas"),
        ("a\tt\n1\t2\n", r"got no such column.*separated by tabs"),
        ("1.5,2\n3,4\n", r"got no such column.*The first line has numbers; put one with the names"),
        ("a,t\n1,2\nlow,4\n", r"column 'a', line 3: expected a number, got 'low'"),
        ("a,t\n1,2\n\n,4\n", r"column 'a', line 4: expected a number, got an empty entry"),
        ("a,t\n1,2\nnan,4\n", r"column 'a', line 3: expected a finite number, got 'nan'"),
        ("a,t\n1,2\n3,inf\n", r"column 't', line 3: expected a finite number, got 'inf'"),
        ("a,t\n1,2\n1_0,3\n", r"column 'a', line 3: expected a number, got '1_0'"),
        ("a,t\n1,2\n3,\n", r"column 't', line 3: expected a number, got an empty entry"),
        ("a,t\n1,2\n3,yes\n", r"column 't', line 3: expected a number, got 'yes'"),
        ("a,t\n1,x\n2,y\n3,z\n", r"got the text 'x' and 3 different labels in all, \['x', 'y', 'z'\]"),
        ("a,t\n1,2\n", r"expected at least 2 rows of data, got 1"),
        ("", r"expected one column 'a', got no such column"),
        ("a,a,t\n1,2,3\n4,5,6\n", r"expected one column 'a', got 2 columns of that name"),
        ("a,t\n1,2\n3\n", r"line 3: expected 2 entries, got 1"),
        ('a,t\n1,2\n"3,4\n', r"expected comma-separated text in UTF-8, got"),
    ],
)
def test_defects_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_csv(write(tmp_path, text), target="t", features=["a"])


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"nowhere\.csv: expected a readable CSV file, got No such file"):
        read_csv(tmp_path / "nowhere.csv", target="t", features=["a"])


@pytest.mark.parametrize("features", [["a", "a"], ["a", "t"], []])
def test_repeated_features(tmp_path: Path, features: list[str]) -> None:
    with pytest.raises(InvalidInput, match="features: expected different columns, none of them the target 't'"):
        read_csv(write(tmp_path, "a,t\n1,2\n3,4\n"), target="t", features=features)


def test_a_constant_column_cannot_be_scaled() -> None:
    data = Dataset(np.full((3, 1), 0.1), np.arange(3), ("a",), "t")
    with pytest.raises(InvalidInput, match=r"column 'a': expected values that vary, got 0\.1 in every row"):
        data.standardised()


def test_labels_cannot_be_scaled() -> None:
    data = Dataset(np.arange(2.0)[:, None], np.array(["x", "y"]), ("a",), "t")
    assert data.standardised().y.tolist() == ["x", "y"]
    with pytest.raises(InvalidInput, match=r"expected a numerical target, got the labels \['x', 'y'\] in 't'"):
        data.standardised(target=True)


def test_scales_are_positive() -> None:
    data = Dataset(np.arange(2.0)[:, None], np.arange(2), ("a",), "t")
    with pytest.raises(InvalidInput, match="scales: expected 1 positive numbers"):
        data.standardised(scales=[1, 2])


@pytest.mark.parametrize(
    ("X", "y", "names", "message"),
    [
        (np.zeros((3, 1)), np.zeros(2), ("a",), r"expected X of shape \(n, d\), y of shape \(n,\) and d names"),
        (np.zeros((1, 1)), np.zeros(1), ("a",), "expected at least 2 rows"),
        (np.array([[0.0], [np.nan]]), np.zeros(2), ("a",), r"expected finite numbers, got X = \[nan\].* in row 1"),
        (np.zeros((2, 1)), np.zeros(2, complex), ("a",), "y: expected numbers or text labels"),
    ],
)
def test_datasets_are_checked(X: np.ndarray, y: np.ndarray, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Dataset(X, y, names, "t")
