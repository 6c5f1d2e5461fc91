"""A server that runs for long: memory after many runs, and what an idle one costs.

    python benchmarks/server.py [--runs 20,100,200] [--idle 60]

Starts the app in a home of its own, with the models of this one, and opens its page of attribution
in Chromium (which has to be installed). Each run asks another short prompt by another single pass,
as a person does: type, press Run, wait for the last figure. Every tenth has a new tab, the old one
is closed. Prints the server's resident memory after so many runs, and what share of a core it takes
while nobody touches the tab: from the processor time of its process, so that other work on the
machine changes it little.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

from neuronlab import home

# Runs of one tab.
PER_TAB = 10
# Seconds before memory is read, for what a run leaves to be cleaned up.
REST = 5
PATIENCE = 180_000  # ms
RUNS = [20, 100, 200]
_WORDS = ["capital", "river", "colour", "mother", "winter", "number", "garden", "letter", "window"]


@contextmanager
def server(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A server in that home; gives its process and address."""
    for made in ("models", "assets", "corpora"):
        (folder / made).symlink_to(home.folder() / made)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    settings = {"NEURONLAB_HOME": str(folder), "STREAMLIT_SERVER_HEADLESS": "true"}
    process = subprocess.Popen(
        [sys.executable, "-m", "neuronlab", "app", "--port", str(port)],
        cwd=Path(__file__).parents[1],
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://localhost:{port}"
        while process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of this machine."""
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        browser.close()


def tab(browser: Browser) -> Page:
    """A new tab of a person of its own."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(PATIENCE)
    return page


def settled(page: Page) -> None:
    """Wait until the page's script has ended and stays ended."""
    quiet = 0
    while quiet < 3:
        page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
        page.wait_for_timeout(100)
        quiet = quiet + 1 if page.locator('[data-test-script-state="notRunning"]').count() else 0


def opened(browser: Browser, address: str) -> Page:
    """A new tab with a finished result, set to the method of a single pass."""
    page = tab(browser)
    page.goto(f"{address}/attribution")
    page.get_by_text("Copy as command").wait_for()
    settled(page)
    page.locator('[class*="st-key-method_"] input').first.click()
    page.get_by_role("option", name="Gradient x activation").first.click()
    settled(page)
    return page


def typed(page: Page, prompt: str) -> None:
    """Type a prompt into the form of attribution."""
    area = page.locator('[class*="st-key-text_"] textarea').first
    area.fill(prompt)
    area.press("Control+Enter")
    settled(page)


def ask(page: Page, number: int) -> None:
    """Type a prompt that nobody has asked, press Run and wait for all of its result."""
    typed(page, f"The {_WORDS[number % 9]} of {_WORDS[number // 9 % 9]} {number} is")
    before = page.url
    page.locator(".st-key-run button").first.click()
    page.wait_for_url(lambda url: url != before)
    page.get_by_text("Copy as command").wait_for()
    settled(page)


def idle(process: psutil.Process, seconds: float) -> float:
    """The share of a core that the server takes while nobody does anything."""
    time.sleep(REST)
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    time.sleep(seconds)
    return (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", default=",".join(map(str, RUNS)), help="memory is read after so many"
    )
    parser.add_argument("--idle", type=float, default=60, help="seconds")
    arguments = parser.parse_args()
    looks = sorted({int(count) for count in arguments.runs.split(",")})
    with (
        tempfile.TemporaryDirectory() as folder,
        server(Path(folder)) as (process, address),
        chromium() as browser,
    ):
        page = opened(browser, address)
        print(f"idle, one tab: {idle(process, arguments.idle):.2%} of a core", flush=True)
        first = 0.0
        for number in range(1, looks[-1] + 1):
            if number % PER_TAB == 0:
                page.context.close()
                page = opened(browser, address)
            ask(page, number)
            if number in looks:
                time.sleep(REST)
                memory = process.memory_info().rss / 2**20
                first = first or memory
                print(
                    f"after {number} runs: {memory:.0f} MB ({memory / first - 1:+.1%}), "
                    f"{process.num_threads()} threads, {process.num_fds()} files",
                    flush=True,
                )
        print(f"idle, one tab: {idle(process, arguments.idle):.2%} of a core", flush=True)


if __name__ == "__main__":
    main()
