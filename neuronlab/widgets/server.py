"""Whom the web server answers, and what a page of it may do in a browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import cli_util, config
from streamlit.web.server import server_util
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from neuronlab.models import folders
from neuronlab.widgets.address import MISSING

# Everything comes from this server, or from the page itself: Streamlit's page and the frame of a 3D
# view have scripts and styles of their own, and the latter evaluates what a pointer on a residue
# does. So this keeps what a page holds from going elsewhere, more than it keeps scripts out.
_CONTENT = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob: data:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' blob: data:",
    "font-src": "'self' data:",
    "media-src": "'self' blob: data:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _CONTENT.items()),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
_REFUSED = (
    "NeuronLab does not answer to this name, or to pages of this origin: name it in "
    "server.allowedHosts or server.corsAllowedOrigins, as its guide says (docs/guide.md).\n"
)


class Doorkeeper:
    """ASGI middleware: refuses what another site's page asks, and sets the headers of answers.

    A request is let in if its Host is one of `server.allowedHosts`, which keeps out a page that
    has its own name point at this machine, and its Origin, where it has one, is that same host or
    one of `server.corsAllowedOrigins`. Streamlit by itself asks the first of its websocket alone,
    and lets in every origin on this machine, on whatever port.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it with status 403."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        if _welcome(headers.get("host"), headers.get("origin")):
            await self.app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(_REFUSED, 403)(scope, receive, send_with_headers)


class Addresses:
    """ASGI middleware: nobody who asks for an address with no page stands before a closed door.

    A page's former address leads to where it is now, and one that is no page's to Home, which
    says so: ``MISSING`` in its query names it.

    Args:
        pages: the addresses of pages, without slashes.
        former: former address -> address.
    """

    def __init__(self, app: ASGIApp, pages: Collection[str], former: Mapping[str, str]) -> None:
        self.app = app
        self.pages = pages
        self.former = former

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: with status 308 where the page has moved, 307 where there is none."""
        elsewhere = self._elsewhere(scope) if scope["type"] == "http" else None
        if elsewhere is None:
            await self.app(scope, receive, send)
        else:
            await elsewhere(scope, receive, send)

    def _elsewhere(self, scope: Scope) -> RedirectResponse | None:
        address, query = scope["path"].strip("/"), scope["query_string"].decode("latin-1")
        if address in self.former:
            return RedirectResponse(f"/{self.former[address]}{query and f'?{query}'}", 308)
        # What a browser asks for by itself, as the files of a page, is no address of a person's.
        typed = "text/html" in Headers(scope=scope).get("accept", "")
        a_file = "." in address or address.startswith("_")
        if not typed or a_file or not address or address in self.pages:
            return None
        return RedirectResponse(f"/?{urlencode({MISSING: address})}", 307)


def _welcome(host: str | None, origin: str | None) -> bool:
    if host is None or not is_host_allowed(host):
        return False
    if origin is None or server_util.is_allowed_origin(origin):
        return True
    if server_util.allow_all_cross_origin_requests():
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def for_this_machine() -> bool:
    """Whether the server listens on this machine only, and answers to no other machine's name."""
    hosts = config.get_option("server.allowedHosts")
    return bool(hosts) and all(map(_loopback, [config.get_option("server.address"), *hosts]))


def _loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def opened(app: object) -> AsyncIterator[None]:
    """While the server runs: no folder of this machine is named by others, and a browser opens."""
    if not for_this_machine():
        os.environ.setdefault(folders.VARIABLE, "")
    if not config.get_option("server.headless"):  # Streamlit leaves that to an `st.App`
        address = config.get_option("server.address") or "localhost"
        cli_util.open_browser(server_util.get_url(server_util.get_display_address(address)))
    yield
