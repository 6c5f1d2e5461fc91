"""The web server as others meet it: a real one, asked by names and from origins of all kinds."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from app_server import started, visit, wait_for, websocket
from streamlit import config
from websockets.exceptions import InvalidStatus

from neuronlab.models import folders
from neuronlab.widgets import server

ROOT = Path(__file__).parents[2]
PATHS = ("/", "/_stcore/health", "/_stcore/host-config", "/media/absent.png", "/neurons")


def finish(run):
    """Run a coroutine in a thread of its own: a browser's tests leave a loop behind in this one."""
    with ThreadPoolExecutor(1) as threads:
        threads.submit(lambda: asyncio.run(run())).result()


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Of the app, as `make app` starts it."""
    home = tmp_path_factory.mktemp("home")
    process, port = started(home)
    try:
        wait_for(process, port, home)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def answer(port, path, host, origin=None, method="GET"):
    """Status and headers of what the server answers, and its body."""
    headers = {"Host": host, **({"Origin": origin} if origin else {})}
    try:
        got = urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers, method=method))
    except HTTPError as error:
        got = error
    with got:
        return got.status, got.headers, got.read()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_this_machine_is_let_in_by_its_names(port, name):
    host = f"{name}:{port}"
    for origin in (None, f"http://{host}"):
        for path in PATHS:
            assert answer(port, path, host, origin)[0] in (200, 404)
        websocket(port, host, origin).close()


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", None),
        ("evil.example:{port}", "http://evil.example:{port}"),  # its name was made to point here
        ("localhost.evil.example:{port}", None),
        ("localhost:{port}", "http://evil.example"),
        ("localhost:{port}", "http://evil.example:{port}"),
        ("localhost:{port}", "http://localhost:1"),  # another program of this machine
        ("localhost:{port}", "http://127.0.0.1:{port}"),
        ("localhost:{port}", "null"),  # a file, or a frame without an origin
        ("localhost:{port}", "http://[::1"),
    ],
)
def test_another_site_is_refused(port, host, origin):
    host, origin = host.format(port=port), origin and origin.format(port=port)
    for path, method in [*((path, "GET") for path in PATHS), ("/_stcore/upload_file/a/b", "PUT")]:
        status, _, body = answer(port, path, host, origin, method)
        assert (status, path) == (403, path)
        assert body.count(b"\n") == 1
        assert b"server.allowedHosts" in body
    with pytest.raises(InvalidStatus, match="403"):
        websocket(port, host, origin)


def test_no_name_at_all_is_refused(port):
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 403 " in raw.recv(100)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
def test_no_page_may_be_framed_or_hold_what_is_elsewhere(port, path, host):
    _, headers, _ = answer(port, path, host)
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
    sources = {source for value in policy.values() for source in value.split()}
    assert all(source in ("blob:", "data:") or source.startswith("'") for source in sources)


def test_scripts_are_sent_as_scripts(port):
    """Else no browser would run them, told not to guess."""
    page = answer(port, "/", "localhost")[2].decode()
    (script,) = re.findall(r'<script type="module" crossorigin src="\.(.*?)"', page)
    assert (
        answer(port, script, "localhost")[1]["Content-Type"]
        .partition("/")[2]
        .startswith("javascript")
    )


@pytest.mark.parametrize(
    ("path", "accept", "status", "location"),
    [
        ("/nonsense", "text/html,*/*", 307, "/?missing=nonsense"),
        ("/runs/1?view=a", "text/html", 307, "/?missing=runs%2F1"),
        ("/no page&run=1", "text/html", 307, "/?missing=no+page%26run%3D1"),
        ("/neurons?view=a", "text/html", 308, "/attribution?view=a"),
        ("/home", "text/html", 308, "/"),
        ("/nonsense", "*/*", 200, None),
        ("/runs?view=a", "text/html", 200, None),
        ("/_stcore/health", "text/html", 200, None),
        ("/index.html", "text/html", 200, None),
    ],
)
def test_an_address_without_a_page_leads_home(port, path, accept, status, location):
    connection = HTTPConnection("localhost", port)
    connection.request("GET", path.replace(" ", "%20"), headers={"Accept": accept})
    got = connection.getresponse()
    assert (got.status, got.headers["Location"]) == (status, location)
    connection.close()


@pytest.mark.long
@pytest.mark.parametrize("address", ["attribution", "runs"])  # in a browser every page is asked
def test_no_icon_of_a_page_is_fetched_from_another_host(port, address):
    """A browser fetches a ":material/…:" from Google: that of `st.Page`, too, unless one is set."""
    icons, navigated = [], False
    for message in visit(port, address):
        kind = message.WhichOneof("type")
        if kind == "page_config_changed" and message.page_config_changed.favicon:
            icons.append(message.page_config_changed.favicon)
        if kind == "navigation" and any(page.icon for page in message.navigation.app_pages):
            navigated = True
            assert icons
    assert navigated
    assert len(icons) == 1
    assert icons[0].startswith(("data:image/svg+xml", "/media/"))


@pytest.mark.parametrize(
    ("address", "hosts", "local"),
    [
        ("localhost", ["localhost", "127.0.0.1", "::1"], True),
        ("127.0.0.1", ["localhost"], True),
        (None, ["localhost"], False),
        ("0.0.0.0", ["localhost"], False),
        ("localhost", [], False),
        ("localhost", ["localhost", "lab.example"], False),  # behind a proxy
        ("192.168.0.7", ["192.168.0.7"], False),
    ],
)
def test_a_server_for_others_names_no_folder_unless_told(monkeypatch, address, hosts, local):
    options = {"address": address, "allowedHosts": hosts, "headless": True}
    monkeypatch.setattr(config, "get_option", lambda name: options[name.removeprefix("server.")])
    monkeypatch.setenv(folders.VARIABLE, "/models")  # restored at the end

    async def run():
        async with server.opened(None):
            pass

    finish(run)
    assert os.environ[folders.VARIABLE] == "/models"
    del os.environ[folders.VARIABLE]
    finish(run)
    assert folders.limited() != local
    assert os.environ.get(folders.VARIABLE, "") == ""


def test_who_starts_the_server_waits_for_no_model_library():
    loaded = "import sys, neuronlab.widgets.server; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True)
    assert answer.stdout.split() == [b"False"]


def test_the_app_opens_in_a_browser(monkeypatch):
    opened = []
    monkeypatch.setattr(server.cli_util, "open_browser", opened.append)
    monkeypatch.setattr(server.config, "get_option", {"server.headless": False}.get)
    monkeypatch.setattr(server.server_util, "get_url", lambda address: f"http://{address}:8501")
    monkeypatch.setenv(folders.VARIABLE, "")

    async def run():
        async with server.opened(None):
            assert opened == ["http://localhost:8501"]

    finish(run)
