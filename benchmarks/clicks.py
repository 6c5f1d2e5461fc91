"""How long a person waits: every page until its last figure, and clicks until something answers.

    python benchmarks/clicks.py [--turns 5] [--part pages] [--part clicks] [--part runs]

Starts the app in a home of its own, with the models of this one, and opens in Chromium (which has
to be installed) what pages open on, to warm the server, then in turns: by a click in the
navigation. Times are the browser's own: from the click to the first change of what the page says,
and to the last change before it stands still for a second; what happens inside a 3D view is no
change of the page. Prints tables for docs/results.md: median and range in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page
from server import chromium, server, settled, tab, typed

from pages import HOME, PAGES

# What the browser notes: when it was clicked, and the first and last change of the page since.
WATCH = """() => {
  window.noted = {clicked: 0, first: 0, last: 0};
  const note = () => {
    const now = performance.now();
    if (!noted.clicked) return;
    noted.first ||= now;
    noted.last = now;
  };
  const clicked = () => { noted.clicked = performance.now(); noted.first = noted.last = 0; };
  const text = (node) => node.nodeType === Node.TEXT_NODE
    ? node.data : [...(node.shadowRoot ?? node).childNodes].map(text).join(" ");
  window.canvases = (node) => node === null ? [] : [...(node.shadowRoot ?? node).children].flatMap(
    (child) => child.tagName === "CANVAS" ? [child] : canvases(child));
  window.words = (selector) => text(document.querySelector(selector));
  addEventListener('pointerdown', clicked, true);
  addEventListener('keydown', clicked, true);
  document.addEventListener('DOMContentLoaded', () => new MutationObserver((changes) => {
    const main = document.querySelector('[data-testid="stMain"]');
    if (main && changes.some(({target}) => main.contains(target))) note();
  }).observe(document, {subtree: true, childList: true, characterData: true}));
}"""
QUIET = 1000  # ms
PARTS = ("pages", "clicks", "runs")
# Prompts of five tokens that nobody has asked before.
PROMPTS = [
    f"The {what} of {country} is"
    for what in ("capital", "president", "history", "population", "language")
    for country in ("Italy", "Spain", "Japan", "Egypt", "Russia", "China", "Cuba", "Greece")
]
# The maps that stand there now, and whether others, with all their panels, have taken their place.
MAPS = "canvases(document.querySelector('.st-key-map_layers'))"
NOTED = f"() => {{ window.earlier = {MAPS} }}"
OTHERS = f"{MAPS}.length >= 4 && !{MAPS}.some((canvas) => earlier.includes(canvas))"
PREVIEW = "words('[data-testid=stMain]').includes('will replace it')"


def still(page: Page) -> tuple[float, float]:
    """Milliseconds from the click to the first and to the last change, once nothing changes."""
    settled(page)
    page.wait_for_function(f"() => performance.now() - noted.last > {QUIET}")
    noted = page.evaluate("noted")
    return noted["first"] - noted["clicked"], noted["last"] - noted["clicked"]


def opened(page: Page, title: str) -> tuple[float, float]:
    """A click in the navigation."""
    link = page.get_by_test_id("stSidebarNavLink").filter(has_text=title).first
    link.click()
    page.wait_for_function("title => document.title.startsWith(title)", arg=title)
    return still(page)


def answered(page: Page, click: Callable[[], None], useful: str) -> float:
    """Milliseconds from a click until an expression about the page is true."""
    click()
    handle = page.wait_for_function(f"() => ({useful}) && performance.now()")
    return handle.json_value() - page.evaluate("noted.clicked")


def row(name: str, *columns: list[float]) -> None:
    cells = (f"{statistics.median(c):.0f} ({min(c):.0f} to {max(c):.0f})" for c in columns)
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--part", action="append", choices=PARTS, help="only this")
    arguments = parser.parse_args()
    turns, parts = range(arguments.turns), arguments.part or PARTS
    titles = [page.title for page in PAGES if page is not HOME]
    with (
        tempfile.TemporaryDirectory() as folder,
        server(Path(folder)) as (_, address),
        chromium() as browser,
    ):
        page = tab(browser)
        page.add_init_script(f"({WATCH})()")
        page.goto(f"{address}/models")
        settled(page)
        if "pages" in parts:
            by_page(page, titles, turns)
        if "clicks" in parts:
            clicks(page, address, turns)
        if "runs" in parts:
            runs(page, address, turns)


def by_page(page: Page, titles: list[str], turns: range) -> None:
    """Every page by a click in the navigation, in turns."""
    for title in [*titles, *titles]:  # what is loaded and computed once, is
        opened(page, title)
    times: dict[str, list[tuple[float, float]]] = {title: [] for title in titles}
    for _ in turns:
        for title in titles:
            times[title].append(opened(page, title))
    print("| page | first change | last change |")
    print("|---|---|---|")
    for title, pairs in times.items():
        row(title, [first for first, _ in pairs], [last for _, last in pairs])
    print()


def clicks(page: Page, address: str, turns: range) -> None:
    """Clicks that people make most."""
    print("| click | until it answers |")
    print("|---|---|")
    page.goto(address)
    settled(page)
    page.get_by_text("The same switch").wait_for()
    bars = "words('.st-key-bars_choices')"
    switch = page.locator(".st-key-home_off label").first
    row("home: ten neurons off or on", repeated(page, turns, switch.click, bars))

    page.goto(f"{address}/attribution")
    settled(page)
    page.get_by_text("Copy as command").wait_for()
    card = "words('[class*=st-key-neuron_panel]')"
    canvas = page.locator(".st-key-map_layers canvas").first

    def next_cell() -> None:
        canvas.focus()
        canvas.press("ArrowRight")
        canvas.press("Enter")

    row("attribution: a cell, its neuron's card", repeated(page, turns, next_cell, card))
    slider = page.locator(".st-key-factor").get_by_role("slider").first
    proof = "words('[data-testid=stMetricValue]')"

    def more() -> None:
        slider.focus()
        slider.press("ArrowRight")

    row("attribution: the factor, its proof", repeated(page, turns, more, proof))


def runs(page: Page, address: str, turns: range) -> None:
    """Run, for prompts that nobody has asked: the maps of one pass, and the final ones."""
    page.goto(f"{address}/attribution")
    page.get_by_text("Copy as command").wait_for()
    settled(page)
    previews, finals, pages = [], [], []
    for prompt in PROMPTS[: len(turns) + 1]:  # the first warms up
        typed(page, prompt)
        page.evaluate(NOTED)
        run = page.locator(".st-key-run button").first
        previews.append(answered(page, run.click, f"{PREVIEW} && {OTHERS}"))
        page.evaluate(NOTED)
        final = page.wait_for_function(f"() => !{PREVIEW} && {OTHERS} && performance.now()")
        finals.append(final.json_value() - page.evaluate("noted.clicked"))
        pages.append(still(page)[1])
    print("| attribution of all four components, after Run | ms |")
    print("|---|---|")
    row("maps of a single pass", previews[1:])
    row("final maps", finals[1:])
    row("the page's last change", pages[1:])
    print()


def repeated(page: Page, turns: range, click: Callable[[], None], shown: str) -> list[float]:
    """Times of the same click, each until what an expression shows is another."""
    times = []
    for _ in [-1, *turns]:  # the first warms up
        page.evaluate(f"() => {{ window.before = {shown} }}")
        times.append(answered(page, click, f"{shown} !== before"))
        settled(page)
    return times[1:]


if __name__ == "__main__":
    main()
