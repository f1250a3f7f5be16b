"""The report in a real browser: nothing is missing, nothing goes wrong, on a desk and on a phone, by day and by night."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fokkerplanck as fp

webdriver = pytest.importorskip("selenium.webdriver", reason="the tests of the page need selenium")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="no Chromium with its chromedriver is installed: the page is not opened in a browser",
)
PATIENCE = 120.0  # seconds for what takes one on an idle machine
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Everything in the page, inside of Bokeh's elements too, that a selector finds.
FIND = """
const all = (root, selector) => [...root.querySelectorAll(selector),
  ...[...root.querySelectorAll('*')].filter((e) => e.shadowRoot).flatMap((e) => all(e.shadowRoot, selector))];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER or ""
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(PATIENCE)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of a line, a plane and a space, and one with names that try to get out of their place."""
    folder, out = tmp_path_factory.mktemp("reports"), {}
    for name, shape in (("ring", (64,)), ("four-vortices", (32, 32)), ("linear-3d", (16, 16, 16))):
        case = fp.cases.get(name)
        solution = fp.solve_stationary(case.process, case.box, shape=shape, max_wall_mass=1, progress=False)
        out[name] = folder / f"{name}.html"
        fp.write_report(out[name], solution, problem=case)
    names = ('<b onclick="alert(1)">$$\\alpha$$', "a name that is much too long to fit under any axis of a phone " * 2)
    process = fp.DiffusionProcess(lambda x: -x + 0.5 * x[::-1] * [[[1]], [[-1]]], 0.5, dim=2, names=names)
    solution = fp.solve_stationary(process, fp.Box([-4, -4], [4, 4]), shape=(32, 32), progress=False)
    out["names"] = folder / "names.html"
    fp.write_report(
        out["names"], solution, problem=process, title="</title><script>throw 1</script>" * 3, remarks=["x" * 300]
    )
    return out


def opened(browser: Any, page: Path, *, width: int, scheme: str) -> None:
    """Open a page, wait until it is drawn, and insist that it has said nothing wrong and asked for nothing."""
    from selenium.webdriver.support.ui import WebDriverWait

    mobile = width < 600
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    prefer(browser, scheme)
    for kind in ("browser", "performance"):
        browser.get_log(kind)  # what was before
    browser.get(page.as_uri())
    drawn = FIND + (
        "const panels = document.querySelectorAll('.viewer > div').length;"
        "return document.readyState === 'complete' && (!panels || (Bokeh.documents.length > 0 && Bokeh.documents[0].is_idle))"
    )
    WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(drawn))
    assert complaints(browser) == []
    requests = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if url.startswith(("http", "ws", "ftp"))] == []


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] in ("WARNING", "SEVERE")]


def prefer(browser: Any, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 360])
@pytest.mark.parametrize("name", ["four-vortices", "ring", "linear-3d", "names"])
def test_page_is_drawn_without_a_complaint_and_fits(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    opened(browser, pages[name], width=width, scheme=scheme)
    images = browser.execute_script(
        "return [...document.images].map((i) => [i.complete, i.naturalWidth, i.clientWidth])"
    )
    assert images
    assert all(
        complete and natural > 0 and 0.75 * min(width, 400) < shown <= width for complete, natural, shown in images
    )
    wide = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    canvases = browser.execute_script(FIND + "return all(document, 'canvas').filter((c) => c.width > 100).length")
    assert canvases >= {"ring": 2, "four-vortices": 2, "linear-3d": 3, "names": 2}[name]
    paper, ink = (
        sum(map(int, browser.execute_script(f"return getComputedStyle(document.body).{of}.match(/\\d+/g).slice(0, 3)")))
        for of in ("backgroundColor", "color")
    )
    assert (paper < 150 and ink > 600) if scheme == "dark" else (paper > 700 and ink < 150)


def test_pointer_reads_values_and_a_drag_zooms_into_both_panels(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, pages["four-vortices"], width=1100, scheme="light")
    panel = browser.find_element("css selector", ".viewer .bk-Figure")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", panel)
    ActionChains(browser).move_to_element(panel).move_by_offset(20, -30).perform()
    rows = FIND + "return all(document, '.bk-tooltip-row-label').map((e) => e.innerText.trim())"
    labels = WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(rows))
    assert labels == ["x:", "y:", "p:", "J:", "ψ:", "entropy production:"]
    values = browser.execute_script(
        FIND + "return all(document, '.bk-tooltip-row-value').map((e) => e.innerText.trim())"
    )
    x, y, p = map(float, values[:3])
    exact = fp.cases.get("four-vortices").exact
    assert exact is not None
    assert p == pytest.approx(
        float(exact.density([x, y])), abs=0.03
    )  # within half a cell of 0.34 the density moves by that
    ranges = "return Bokeh.documents[0].roots().map((panel) => panel.x_range.end - panel.x_range.start)"
    before = browser.execute_script(ranges)
    ActionChains(browser).click_and_hold().move_by_offset(60, 60).release().perform()
    WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(ranges)[0] < 0.5 * before[0])
    after = browser.execute_script(ranges)
    assert after[0] == after[1]
    assert complaints(browser) == []


def pointed(browser: Any, panel: Any, *, across: int, down: int) -> dict[str, str]:
    """What is read at a place of a panel, from its middle."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", panel)
    ActionChains(browser).move_to_element(panel).move_by_offset(across, down).perform()
    rows = FIND + (
        "const text = (of) => all(document, '.bk-tooltip-row-' + of).map((e) => e.innerText.trim());"
        "return text('label').map((label, k) => [label, text('value')[k]])"
    )
    return dict(WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(rows)))


def dragged(browser: Any) -> list[Any]:
    """The sides of all panels relative to those before, after a rectangle was drawn from where the pointer is."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.ui import WebDriverWait

    sides = "return Bokeh.documents[0].roots().map((p) => [p.x_range, p.y_range].map((r) => r.end - r.start))"
    before = browser.execute_script(sides)
    ActionChains(browser).click_and_hold().move_by_offset(60, 60).release().perform()
    WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(sides)[0][0] < 0.5 * before[0][0])
    after = browser.execute_script(sides)
    return [[new / old for new, old in zip(*pair, strict=True)] for pair in zip(after, before, strict=True)]


@pytest.mark.parametrize("width", [1100, 360])
def test_a_line_is_read_at_every_height_and_zooms(browser: Any, pages: dict[str, Path], width: int) -> None:
    opened(browser, pages["ring"], width=width, scheme="dark")
    panel = browser.find_element("css selector", ".viewer .bk-Figure")
    found = pointed(browser, panel, across=30, down=20)  # the line is elsewhere
    assert list(found) == ["x:", "p:", "J:"]
    exact = fp.cases.get("ring").exact
    assert exact is not None
    p, error = map(float, found["p:"].split(" ± "))
    assert 0.0 < error < 1e-6
    # x is written with four digits, and p changes by less than 0.3 per unit of x.
    assert p == pytest.approx(float(exact.density(np.array([float(found["x:"])]))), abs=3e-4)
    assert float(found["J:"].split(" ± ")[0]) == pytest.approx(exact.scalars["flux"], rel=1e-3)
    (density, current) = dragged(browser)
    assert density[0] == current[0] < 0.5
    assert density[1] < 0.5
    assert current[1] == 1.0
    assert complaints(browser) == []


def test_marginals_zoom_together_where_they_share_a_variable(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["linear-3d"], width=1100, scheme="light")
    panel = browser.find_element("css selector", ".viewer .bk-Figure")
    found = pointed(browser, panel, across=20, down=-30)
    assert list(found) == ["x:", "y:", "p:", "J:"]
    exact = fp.cases.get("linear-3d").moments
    covariance = np.array([[exact[2, 0, 0], exact[1, 1, 0]], [exact[1, 1, 0], exact[0, 2, 0]]])
    # The box has six standard deviations to each side, in 16 cells: the centre of the cell that was pointed at, next to zero.
    place = 0.375 * np.sqrt(np.diag(covariance)) * np.sign([float(found["x:"]), float(found["y:"])])
    peak = 1.0 / (2.0 * np.pi * np.sqrt(np.linalg.det(covariance)))
    there = peak * np.exp(-0.5 * place @ np.linalg.solve(covariance, place))
    assert float(found["p:"]) == pytest.approx(there, rel=5e-3)  # on 16³ cells
    first, second, third = dragged(browser)
    assert first[0] == second[0] < 0.5
    assert first[1] == third[0] < 0.5
    assert second[1] == third[1] == 1.0
    assert complaints(browser) == []


def test_panels_are_painted_again_when_night_falls(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, pages["four-vortices"], width=1100, scheme="light")
    painted = FIND + "return all(document, 'canvas').filter((c) => c.width > 100).map((c) => c.toDataURL()).join()"
    by_day = browser.execute_script(painted)
    prefer(browser, "dark")
    WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(painted) != by_day)
    prefer(browser, "light")
    WebDriverWait(browser, PATIENCE).until(lambda b: b.execute_script(painted) == by_day)
    assert complaints(browser) == []


def test_a_finger_scrolls_the_page(browser: Any, pages: dict[str, Path]) -> None:
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        opened(browser, pages["four-vortices"], width=360, scheme="light")
        active = (
            "return Bokeh.documents[0].roots()[0].toolbar.tools.filter((tool) => tool.active).map((tool) => tool.type)"
        )
        assert browser.execute_script(active) == ["HoverTool"]
    finally:
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_names_are_nothing_but_names(browser: Any, pages: dict[str, Path]) -> None:
    opened(browser, pages["names"], width=1100, scheme="light")
    assert browser.execute_script(FIND + "return all(document, 'b, mjx-container').length") == 0
    assert "<script>throw 1</script>" in browser.title


def test_the_page_forbids_the_network_and_a_complaint_is_heard(browser: Any, pages: dict[str, Path]) -> None:
    """The control of the tests above: what they look for is noticed when it is there."""
    from selenium.webdriver.support.ui import WebDriverWait

    opened(browser, pages["ring"], width=1100, scheme="light")
    browser.execute_script("new Image().src = 'http://127.0.0.1:9/x.png'")
    heard = WebDriverWait(browser, PATIENCE).until(complaints)
    assert "Content Security Policy" in heard[0]
    browser.execute_script("document.body.insertAdjacentHTML('beforeend', '<div style=\"width: 2000px\">wide</div>')")
    assert browser.execute_script("return document.documentElement.scrollWidth > innerWidth")
