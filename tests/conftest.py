"""What several test files draw on."""

import pytest


@pytest.fixture
def ax():
    """Axes that pyplot knows nothing of, drawn in the end."""
    import matplotlib.pyplot as plt  # slow to import, and most tests draw nothing
    from matplotlib.figure import Figure

    axes = Figure(layout="constrained").add_subplot()
    yield axes
    axes.figure.draw_without_rendering()
    assert plt.get_fignums() == []


@pytest.fixture
def closed():
    """No figure is left for the next test."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")
