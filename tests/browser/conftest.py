"""The app as people meet it: its own server, its own results, a real browser."""

import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest
from app_server import started, wait_for

import neuronlab.home
from neuronlab.examples import opened
from neuronlab.models.catalogue import EMBEDDED, entry
from neuronlab.runs import Store
from neuronlab.studies import STUDIES

ROOT = Path(__file__).parents[2]
# axe-core, as the package brings it: it is read, not imported.
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
# Milliseconds; far beyond what anything takes, for slow machines: only a hang reaches it.
PATIENCE = 90_000
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# That no script has been under way for a while, since this was asked first.
_QUIET = """wait => {
  if (window.wait !== wait) Object.assign(window, {wait, since: undefined});
  const idle = document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]');
  window.since = idle ? window.since ?? performance.now() : undefined;
  return performance.now() - window.since > 300;
}"""
# Elements that stick out of the viewport, unless something around them scrolls or clips them.
_OVERFLOWING = """() => {
  const wide = document.documentElement.clientWidth, out = [];
  for (const element of document.querySelectorAll('[data-testid="stMain"] *')) {
    const box = element.getBoundingClientRect();
    if (box.width === 0 || box.height === 0 || box.right <= wide + 1) continue;
    let around = element.parentElement, clipped = false;
    while (around && around.dataset.testid !== 'stMain') {
      if (getComputedStyle(around).overflowX !== 'visible') { clipped = true; break; }
      around = around.parentElement;
    }
    if (!clipped) out.push(element.tagName + '.' + element.className + ' ' + box.right);
  }
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) out.push('page ' + page.scrollWidth);
  const main = document.querySelector('[data-testid="stMain"]');
  if (main && main.scrollWidth > main.clientWidth) out.push('main ' + main.scrollWidth);
  return out;
}"""

# Every address that the icon of the page has had, which Chromium fetches without telling.
_ICONS = """() => {
  window.icons = [];
  new MutationObserver(() => {
    const icon = document.querySelector('link[rel="shortcut icon"]');
    if (icon && !window.icons.includes(icon.href)) window.icons.push(icon.href);
  }).observe(document, {subtree: true, childList: true, attributeFilter: ['href']});
}"""


def pytest_collection_modifyitems(items):
    folder = Path(__file__).parent
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium")
    if path is None and os.environ.get("CI"):
        pytest.fail("There is no Chromium here: continuous integration must install it.")
    if path is None:
        pytest.skip("There is no Chromium here.")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Server:
    url: str
    home: Path

    def result(self, key):
        return Store(self.home / "runs").load(key)[1]

    def spec(self, key):
        return Store(self.home / "runs").load(key)[0]

    def shards(self, key):
        """How many finished parts of an unfinished run are kept."""
        return len(Store(self.home / "runs").finished_shards(key))


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, copy_examples):
    """``start_server()``: a fresh server; all are stopped at the end.

    It has the examples that set-up makes.
    """
    processes = []

    def start():
        home = tmp_path_factory.mktemp("home")
        for made in ("models", "assets"):
            (home / made).symlink_to(neuronlab.home.folder() / made)
        shutil.copytree(neuronlab.home.folder() / "corpora", home / "corpora")
        labels = STUDIES["neuron_labels"].example(entry("antiberty"))
        made = [s for model in EMBEDDED if model.default for s in opened(model.name)]
        copy_examples(home / "runs", *made, labels.exemplars)
        process, port = started(home)
        processes.append(process)
        server = Server(f"http://localhost:{port}", home)
        wait_for(process, port, home)
        return server

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def server(start_server, chromium):
    """The server of all tests, with the finished example of the default model.

    Its very first request is for a page's own address: Streamlit treats pages/ specially until the
    app has run once, so nothing may be asked of it before.
    """
    server = start_server()
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    tab = Tab(context, server)
    try:
        tab.open("attribution")
        server.first_look = (tab.page.title(), tab.page.locator(".st-key-model").count())
        tab.results()
    finally:
        tab.context.close()
    return server


@pytest.fixture
def tab(server, chromium):
    """``tab(**context)``: a person's own browser window.

    It may not have logged an error, nor asked anything of another host than the server.
    """
    tabs = []

    def open_tab(width=1280, **context):
        # Without a card, what turns by itself takes a core for as long as it is seen.
        settings = {"viewport": {"width": width, "height": 900}, "reduced_motion": "reduce"}
        tabs.append(Tab(chromium.new_context(**settings | context), server))
        return tabs[-1]

    yield open_tab
    problems = [problem for one in tabs for problem in one.problems]
    for one in tabs:
        one.context.close()
    assert not problems


@dataclass
class Tab:
    """One window and what tests do in it."""

    context: object
    server: Server
    problems: list = field(default_factory=list)
    waits: int = 0

    def __post_init__(self):
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.page.on("pageerror", lambda error: self.problems.append(f"{error}"))
        self.page.on("console", self._logged)
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.add_init_script(f"({_ICONS})()")

    def _logged(self, message):
        # What other hosts do not answer is no fault of the app's; Streamlit tries several bases.
        address = (message.location or {}).get("url", "")
        if "/_stcore/" in address:
            return
        if message.type == "error" and address.startswith((self.server.url, "")):
            if address and not address.startswith(self.server.url):
                return
            self.problems.append(f"{message.text} ({address})")

    def _asked(self, address):
        if not address.startswith((self.server.url, "data:", "blob:", "about:")):
            self.problems.append(f"asked another host: {address}")

    def open(self, path=""):
        url = path if path.startswith("http") else f"{self.server.url}/{path}"
        self.page.goto(url)
        self.page.locator('[data-testid="stSidebar"]').first.wait_for(state="attached")
        self.idle()
        return self

    def idle(self):
        """Wait until the script has ended and stays ended: a click into a run could get lost."""
        self.waits += 1
        self.page.wait_for_function(_QUIET, arg=self.waits, polling=50)
        return self

    def results(self):
        """Wait until the attribution page shows the results of a run."""
        self.page.get_by_text("matched random sets").wait_for()
        return self.idle()

    def finished(self):
        """Wait until any other page shows the results of a run."""
        self.page.get_by_text("Copy as command").wait_for()
        return self.idle().healthy()

    def result(self):
        """The result of the run that the address names, as the server stored it."""
        return self.server.result(self.query("run"))

    def text(self):
        return self.page.locator('[data-testid="stMain"]').inner_text()

    def healthy(self):
        """No error message, no traceback, and no icon from another host."""
        for icon in self.page.evaluate("window.icons"):
            self._asked(icon)
        assert self.page.locator('[data-testid="stException"]').count() == 0
        errors = self.page.locator('[data-testid="stAlertContentError"]')
        assert errors.all_inner_texts() == []
        return self

    def overflowing(self):
        """What sticks out of the page once figures have followed its width, which takes a while."""
        for _ in range(50):
            elements = self.page.evaluate(_OVERFLOWING)
            if not elements:
                break
            self.page.wait_for_timeout(100)
        return elements

    def barriers(self):
        """What axe finds serious or worse: for whom the page is hard to read or to use, and why.

        And headings that leave a level out, by which people who do not see the page go through it.
        """
        self.page.evaluate(AXE)
        report = self.page.evaluate(
            "axe.run(document, {iframes: false, resultTypes: ['violations']})"
        )
        return [
            (barrier["id"], node["html"][:200], node["failureSummary"])
            for barrier in report["violations"]
            if barrier["impact"] in ("serious", "critical") or barrier["id"] == "heading-order"
            for node in barrier["nodes"]
        ]

    def field(self, key):
        """The widget whose key begins like this; keys of the form carry its version."""
        return self.page.locator(f'[class*="st-key-{key}"]').first

    def prompt(self, text):
        area = self.field("text_").locator("textarea")
        area.fill(text)
        area.press("Control+Enter")
        return self.idle()

    def pick(self, key, option):
        """Choose an option of a select box by what it says."""
        self.field(key).locator("input").click()
        self.page.get_by_role("option", name=option, exact=False).first.click()
        return self.idle()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()
        return self

    def look(self, view):
        """Choose a segment of a control by what it says."""
        self.page.get_by_text(view, exact=True).first.click()
        return self.idle()

    def run(self):
        """Press Run and wait for the results of this run."""
        before = self.query("run")
        self.field("run").get_by_role("button").click()
        self.page.wait_for_url(lambda url: _query(url, "run") != before)
        return self.results()

    def query(self, name):
        return _query(self.page.url, name)

    def card(self):
        """The neuron whose card is shown, as its title says: layer, component's name, index."""
        words = self.page.locator("strong", has_text="Neuron ").filter(has_text=" / ").first
        layer, component, index = words.inner_text().removeprefix("Neuron ").split(" / ")
        return int(layer), component.lower(), int(index)

    def probability(self):
        """The target's probability after the intervention, in percent."""
        metric = self.page.get_by_test_id("stMetric").filter(has_text="p(")
        return float(metric.get_by_test_id("stMetricValue").inner_text().rstrip("%"))

    def listening(self):
        """The first 3D view in its sandbox, whose `told` is what it is told from now on."""
        view = self.page.locator("iframe").first.content_frame.locator("iframe").content_frame
        view.locator("canvas").first.wait_for()
        view.locator("body").evaluate(
            "() => { window.told = []; addEventListener('message', ({data}) => told.push(data)); }"
        )
        return view

    def headline(self):
        return self.page.get_by_text("top neurons:").first.inner_text()

    def click_map(self, name, maps, index):
        """Click the cell of that number in heatmaps side by side, which say where cells are."""
        cell = maps.cells.iloc[index]
        panel = maps.data["panels"][cell["panel"]]
        canvas = self.page.locator(f".st-key-map_{name} canvas").nth(int(cell["panel"]))
        canvas.scroll_into_view_if_needed()
        left, wide, high = (
            float(canvas.get_attribute(f"data-{what}")) for what in ("left", "cell", "height")
        )
        row = panel["rows"] - 1 - cell["row"] if panel["rising"] else cell["row"]
        at = {"x": left + (cell["column"] + 0.5) * wide, "y": 1 + (row + 0.5) * high}
        canvas.click(position=at)
        return self

    def click_cell(self, name, grid, index):
        """Click the cell of that number in a map: its place follows from the grid's margins."""
        canvas = self.page.locator(f".st-key-map_{name} canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        margin, data = grid.option["grid"], grid.option["series"][0]["data"]
        x, y, _ = data[index]["value"]
        columns, rows = len(grid.option["xAxis"]["data"]), len(grid.option["yAxis"]["data"])
        if not grid.option["yAxis"].get("inverse"):
            y = rows - 1 - y
        wide = box["width"] - margin["left"] - margin["right"]
        high = box["height"] - margin["top"] - margin["bottom"]
        # A map has canvases on top of one another: the mouse, not an element, is clicked.
        self.page.mouse.click(
            box["x"] + margin["left"] + (x + 0.5) / columns * wide,
            box["y"] + margin["top"] + (y + 0.5) / rows * high,
        )
        return self

    def click_node(self, name, grid, index):
        """Click a node of a graph whose layout is given, and keeps its proportions."""
        canvas = self.page.locator(f".st-key-map_{name} canvas").first
        canvas.scroll_into_view_if_needed()
        box, series = canvas.bounding_box(), grid.option["series"][0]
        xs, ys = ([node[axis] for node in series["data"]] for axis in "xy")
        wide = box["width"] - series["left"] - series["right"]
        high = box["height"] - series["top"] - series["bottom"]
        scale = min(wide / (max(xs) - min(xs)), high / (max(ys) - min(ys)))
        left = series["left"] + (wide - scale * (max(xs) - min(xs))) / 2
        top = series["top"] + (high - scale * (max(ys) - min(ys))) / 2
        self.page.mouse.click(
            box["x"] + left + scale * (xs[index] - min(xs)),
            box["y"] + top + scale * (ys[index] - min(ys)),
        )
        return self

    def wait_until(self, true):
        """Wait for something that is not on the page."""
        until = time.monotonic() + PATIENCE / 1000
        while not true():
            assert time.monotonic() < until
            self.page.wait_for_timeout(200)


def _query(url, name):
    match = re.search(rf"[?&]{name}=([^&]*)", url)
    return match and match[1]
