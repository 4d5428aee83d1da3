"""report.html in a real browser: clicks and keys, at the widths of a phone and of a desktop, without network access."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[2]
EMOJI = ROOT / "fixtures" / "emoji"
# Texts that a careless page would run or break at. Catalogs resolve entities, so these arrive as markup.
NASTY = (
    "&lt;/script&gt;&lt;script&gt;window.hacked=1&lt;/script&gt; "
    '&lt;img src=x onerror="window.hacked=1"&gt; \'"{{data}} 🦊'
)
ITEMS = 240
SIZES = {"phone": (390, 844), "desk": (1440, 900)}
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    # Without reduced motion the page scrolls smoothly, and a click would come before its target has arrived.
    *("--disable-background-networking", "--disable-component-update", "--force-prefers-reduced-motion"),
]
KEYS = {"Down": "\ue015", "Up": "\ue013", "Left": "\ue012", "Right": "\ue014", "Home": "\ue011", "Enter": "\ue007"}


def program(*names: str) -> str:
    """The path of the first existing program. Skips the test, with the list of names, if there is none."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"THE REPORT IS NOT TESTED IN A BROWSER: none of {', '.join(names)} is installed here")
    return found


@pytest.fixture(scope="module")
def driver() -> Iterator[str]:
    """The address of a chromedriver."""
    program("chromium", "google-chrome", "chrome")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([program("chromedriver"), f"--port={port}"], stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(100):
            try:
                with urllib.request.urlopen(f"{address}/status", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def report(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an index of some emoji and one item with hostile texts, built by the binary."""
    binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "catalex"
    models = os.environ.get("CATALEX_MODELS")
    if not binary.is_file() or models is None:
        pytest.skip(f"THE REPORT IS NOT TESTED: {binary} or CATALEX_MODELS is missing; run through make")
    folder = tmp_path_factory.mktemp("report")
    rows = pq.read_table(EMOJI / "catalog.parquet").to_pylist()[:ITEMS]
    items = [{"id": r["id"], "text": r["label"], "image": str(EMOJI / r["image"])} for r in rows]
    items.append({"id": "nasty", "text": NASTY, "image": ""})
    catalog = folder / "emoji.jsonl"
    catalog.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    text, image = Path(models) / "minilm", ROOT / "fixtures" / "mobilenet_v2"
    columns = ["--id", "id", "--text", "text", "--image", "image"]
    encoders = ["--text-encoder", str(text), "--image-encoder", str(image)]
    training = ["--levels", "3", "--codebook-size", "24", "--epochs", "2", "--seed", "1"]
    command: list[str | Path] = [binary, "build", catalog, *columns, *encoders, *training, "--out", folder / "index"]
    subprocess.run(command, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return folder / "index" / "report.html"


class Page:
    """A page in the browser, through the WebDriver protocol."""

    def __init__(self, driver: str, size: str, profile: Path) -> None:
        width, height = SIZES[size]
        options: dict[str, Any] = {
            "args": [*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"],
            "binary": program("chromium", "google-chrome", "chrome"),
        }
        if size == "phone":
            metrics = {"width": width, "height": height, "pixelRatio": 2, "mobile": True, "touch": True}
            options["mobileEmulation"] = {"deviceMetrics": metrics}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.address = f"{driver}/session"
        session = self.call("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        self.address += f"/{session}"

    def call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:500]) from error

    def open(self, path: Path) -> None:
        self.call("POST", "/url", {"url": path.as_uri()})
        self.until("return document.querySelector('#details h3') !== null")

    def run(self, script: str) -> Any:
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def until(self, script: str) -> None:
        for _ in range(100):
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"never came true: {script}")

    def element(self, css: str) -> str:
        (reference,) = self.call("POST", "/element", {"using": "css selector", "value": css}).values()
        return f"/element/{reference}"

    def click(self, css: str) -> None:
        self.call("POST", f"{self.element(css)}/click", {})

    def press(self, *keys: str) -> None:
        """Sends keys to the element with the focus."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, css: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(css)}).textContent"))

    def focused(self, name: str) -> Any:
        return self.run(f"return document.activeElement.getAttribute({json.dumps(name)})")


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, driver: str, report: Path, tmp_path: Path) -> Iterator[Page]:
    page = Page(driver, request.param, tmp_path / "profile")
    page.open(report)
    yield page
    messages = [entry["message"] for entry in page.call("POST", "/se/log", {"type": "browser"})]
    page.call("DELETE", "")
    assert messages == [], "the browser's console"


def test_the_report_is_self_contained_and_fits_the_window(page: Page, report: Path) -> None:
    assert report.stat().st_size < 5_000_000
    assert "http" not in report.read_text(encoding="utf-8").replace("http-equiv", "")
    fetched = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []
    width, window = page.run("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= window, "the page is wider than the window"
    assert page.text("h1") == "emoji"
    assert f"{ITEMS + 1} items" in page.text(".subtitle")


def test_the_page_is_not_wider_than_a_phone(page: Page) -> None:
    assert page.run("return !navigator.maxTouchPoints || document.documentElement.scrollWidth <= screen.width")


def test_clicks_walk_down_the_tree(page: Page) -> None:
    row = "#tree > li:nth-child(2)"
    token = page.text(f"{row} > .row code")
    page.click(f"{row} > .row")
    assert page.run(f"return document.querySelector('{row}').getAttribute('aria-expanded')") == "true"
    assert page.text("#details h3") == token
    count = int(page.text(f"{row} > .row .size"))
    assert page.run("return document.querySelectorAll('#details .item').length") == count
    # An item's image is drawn next to its text and its complete ID.
    picture = page.run("return getComputedStyle(document.querySelector('#details .item .picture')).backgroundImage")
    assert picture.startswith('url("data:image/jpeg')
    assert page.text("#details .item code").startswith(token)
    page.click("#details .chips button")
    assert page.text("#details h3").startswith(token + "<b_")
    page.click("#details .path button")
    assert page.text("#details h3") == "All items"
    # A second click on a selected row closes it.
    page.click(f"{row} > .row")
    page.click(f"{row} > .row")
    assert page.run(f"return document.querySelector('{row}').getAttribute('aria-expanded')") == "false"


def test_keys_walk_down_the_tree(page: Page) -> None:
    page.run("document.querySelector('#tree [tabindex=\"0\"]').focus()")
    page.press("Home", "Down")
    assert (page.focused("role"), page.focused("aria-level"), page.focused("aria-posinset")) == ("treeitem", "1", "2")
    outline = "return getComputedStyle(document.activeElement.firstElementChild).outlineStyle"
    assert page.run(outline) == "solid", "the focus is seen"
    page.press("Right", "Right")
    assert (page.focused("aria-level"), page.focused("aria-selected")) == ("2", "true")
    assert "<b_" in page.text("#details h3")
    page.press("Left")
    assert page.focused("aria-level") == "1"
    page.press("Left")
    assert page.focused("aria-expanded") == "false"
    page.press("Enter")
    assert page.focused("aria-expanded") == "true"
    assert page.run("return document.querySelectorAll('#tree [tabindex=\"0\"]').length") == 1


def test_tab_reaches_every_part(page: Page) -> None:
    page.run("document.body.focus()")
    met = []
    for _ in range(60):
        page.press("\ue004")
        met.append(page.run("return document.activeElement.id || document.activeElement.getAttribute('role')"))
        if met[-1] == "map-canvas":
            break
    wanted = ["search-text", "tree-order", "treeitem", "map-canvas"]
    assert [name for name in met if name in wanted] == wanted


def test_items_are_found_and_strange_texts_stay_texts(page: Page) -> None:
    page.click("#search-text")
    page.press(*"nasty")
    page.until("return document.querySelectorAll('#search-results button').length === 1")
    page.press("Down", "Enter")
    assert page.text("#details h3").count("<") == 3, "the whole ID"
    shown = page.text("#details .item b")
    assert "</script><script>window.hacked=1</script>" in shown and "{{data}} 🦊" in shown
    assert page.run("return window.hacked === undefined")
    assert page.run("return document.activeElement.getAttribute('aria-selected')") == "true", "the tree went along"
    # The address contains the selection, so the page opens with it again.
    heading = page.text("#details h3")
    page.call("POST", "/refresh", {})
    page.until("return document.querySelector('#details h3') !== null")
    assert page.text("#details h3") == heading


def test_the_map_answers_to_fingers_and_keys(page: Page) -> None:
    page.click("#map-canvas")
    page.press("Right", "Down", "+", "+", "Left")
    page.until("return document.querySelector('#map-item .item') !== null")
    first_code = page.text("#map-item code").split(">")[0] + ">"
    page.press("Enter")
    assert page.text("#details h3") == first_code
    # The image is not blank: it has more than one colour.
    colours = """
        const { width, height } = document.getElementById("map-canvas");
        const { data } = document.getElementById("map-canvas").getContext("2d").getImageData(0, 0, width, height);
        return new Set(new Uint32Array(data.buffer)).size"""
    assert page.run(colours) > 10
    page.click("#map-whole")


def test_the_figures_are_there(page: Page) -> None:
    headlines = page.text(".headlines")
    assert "unique IDs100%" in headlines and "neighbour recall" in headlines
    assert page.run("return document.querySelectorAll('#codebooks svg').length") == 3
    assert page.run("return document.querySelectorAll('#training svg').length") == 2
    assert page.run("return document.querySelectorAll('#depths tbody tr').length") == 3
    assert "items" in page.text("#collisions")
