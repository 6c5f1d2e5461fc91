"""One request to a language model behind any address that speaks OpenAI's chat protocol.

Nothing of a reply is trusted: neither its size, nor its shape, nor where it leads. The key is used
for requests and nothing else: it is in no error and no repr.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from ssl import SSLContext
from threading import Event
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx2  # what openai speaks HTTP with
import tenacity

from neuronlab.errors import UserError
from neuronlab.labels.prompts import Messages

if TYPE_CHECKING:  # most sessions ask no server, and it takes half a second to import
    import openai

TRIES = 5
# Seconds before the second try, doubled before each further one.
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
# Tokens of an answer: far more than a sentence, as some models think first.
_MAX_TOKENS = 500
_MAX_KEPT = 4_000
# Bytes of a reply: some times what five answers of so many tokens can be.
MAX_REPLY = 500_000


class Stopped(Exception):
    """Another request failed or the person cancelled: this one is of no use any more."""


@dataclass(frozen=True)
class _Passing:
    """What is wrong but may pass, and the seconds that the server asks to wait."""

    problem: UserError
    seconds: float = 0.0


@dataclass(frozen=True)
class ChatServer:
    """Where a chat model answers.

    Attributes:
        address: up to the version, such as ``https://api.openai.com/v1``.
        model: its name there.
        key: may be empty, as for a server on this machine.
        timeout: seconds that one request may take, from the name of the server to the last byte.

    Raises:
        UserError: no http or https address, a link-local one, or no model.
    """

    address: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", self.address.strip().rstrip("/"))
        object.__setattr__(self, "model", self.model.strip())
        object.__setattr__(self, "key", self.key.strip())
        try:
            parts = urlsplit(self.address)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and (parts.port is None or parts.port > 0)
        except ValueError:
            parts, usable = urlsplit(""), False
        if not usable:
            raise UserError(
                "The endpoint's address must begin with http:// or https:// and name a server, "
                "such as http://127.0.0.1:8080/v1."
            )
        # It is shown and stored with results, where no password may be.
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UserError(
                "The endpoint's address must hold no password and no query: give the key apart."
            )
        # Such as 0xa9fea9fe, too, which stands for 169.254.169.254; names are looked up when asked.
        with suppress(OSError, UnicodeError):
            _refuse_link_local(
                str(address[4][0])
                for address in socket.getaddrinfo(
                    parts.hostname, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
                )
            )
        if not self.model:
            raise UserError("The endpoint needs the name of a model: give one that it serves.")
        if not (self.key.isascii() and self.key.isprintable()):
            raise UserError("The endpoint's key holds characters no key has: copy it again.")

    def request(self, messages: Messages, count: int, temperature: float, stop: Event) -> list[str]:
        """The answers to one request, tried again where that may help.

        Args:
            count: of answers; a server may give fewer, or more.
            stop: ends the waiting, and begins no further request.

        Raises:
            Stopped: it was set.
            UserError: what is wrong and what to do.
            openai.BadRequestError: the server takes no such request.
        """
        options: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "temperature": temperature,
            "max_completion_tokens": _MAX_TOKENS,
        }
        if count > 1:
            options["n"] = count
        if not self.key:
            import openai

            options["extra_headers"] = {"Authorization": openai.Omit()}
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda outcome: isinstance(outcome, _Passing)),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=_wait,
            sleep=tenacity.sleep_using_event(stop),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        outcome = retrying(self._try, options, stop)
        if isinstance(outcome, _Passing):
            # The client's own errors hold the request, and with it the key: none may be the cause.
            raise outcome.problem from None
        return outcome

    def _try(self, options: dict[str, Any], stop: Event) -> list[str] | _Passing:
        import openai

        if stop.is_set():
            raise Stopped
        seconds = 0.0
        try:
            texts = _texts(json.loads(asyncio.run(self._reply(options))))
            if texts is not None:
                return [self._hide(text)[:_MAX_KEPT] for text in texts]
            problem = UserError(
                f"{self.address} does not answer as a chat endpoint: check its address, which "
                "often ends in /v1."
            )
        except openai.BadRequestError:
            raise
        except openai.APIStatusError as error:
            problem, seconds = self.refused(error), _retry_after(error)
            if not _may_pass(error):
                raise problem from None
        except (openai.APITimeoutError, TimeoutError):
            problem = UserError(
                f"{self.address} did not answer within {self.timeout:g} seconds, {TRIES} "
                "times: try later, or ask fewer at once."
            )
        except openai.APIConnectionError as error:
            problem = UserError(
                f"Nothing answers at {self.address}: start the server or correct the address.",
                details=self._hide(str(error.__cause__ or error)),
            )
        # JSON that is none, or of no shape; or nested deeper than any reply.
        except (openai.OpenAIError, ValueError, RecursionError) as error:
            problem = UserError(
                f"{self.address} answered what is no chat completion: check its address, which "
                "often ends in /v1.",
                details=self._hide(str(error)),
            )
        return _Passing(problem, seconds)

    async def _reply(self, options: dict[str, Any]) -> bytes:
        """The body of the reply to one request, within the limits on bytes and on seconds.

        Raises:
            UserError: the reply is too large or packed, or leads to another server; or the server
                is link-local.
            TimeoutError, openai.APITimeoutError: it takes more than ``timeout`` seconds.
            openai.OpenAIError: no connection, or a status that is no success.
        """
        import openai

        server = urlsplit(self.address)
        local = server.hostname in ("127.0.0.1", "::1", "localhost")
        http = openai.DefaultAsyncHttpxClient(
            # A proxy cannot reach a server on this machine.
            trust_env=not local,
            verify=_certificates(),
            # What is packed may be a thousand times as large as the bytes that come.
            headers={"Accept-Encoding": "identity"},
            event_hooks={"request": [self._before], "response": [_bounded]},
        )
        # In one clock for all: a time limit on each read is none for a server that trickles.
        async with asyncio.timeout(self.timeout), http:
            with suppress(OSError, UnicodeError):
                _refuse_link_local(
                    str(address[4][0])
                    for address in await asyncio.get_running_loop().getaddrinfo(
                        server.hostname, None, type=socket.SOCK_STREAM
                    )
                )
            client = openai.AsyncOpenAI(
                base_url=self.address,
                # None would send the environment's OPENAI_API_KEY to whatever server this is.
                api_key=self.key or "none",
                timeout=self.timeout,
                max_retries=0,  # its own retries sleep where no check can wake them
                http_client=http,
            )
            client.organization = client.project = None
            reply = await client.chat.completions.with_raw_response.create(**options)
            return reply.content

    async def _before(self, request: httpx2.Request) -> None:
        """Called before each request, also before one that a redirect leads to."""
        if _origin(str(request.url)) != _origin(self.address):
            raise UserError(
                f"{self.address} sends requests on to another server, which must not get the key: "
                "give that server's address if you trust it."
            )
        request.extensions["trace"] = _trace

    def refused(self, error: openai.APIStatusError) -> UserError:
        """What is wrong where the server answers with an error, and what to do."""
        status = error.status_code
        details = self._hide(f"{status}: {error.message}")
        if status in (401, 403):
            sentence = (
                f"{self.address} does not accept the key: check it, and what it may be used for."
            )
        elif status == 404:
            sentence = (
                f"{self.address} has no model '{self.model}' or is no chat endpoint: check the "
                "model's name and the address, which often ends in /v1."
            )
        elif status == 429 and error.code == "insufficient_quota":
            sentence = f"The account at {self.address} has no credit left: top it up."
        elif status == 429:
            sentence = (
                f"{self.address} allows no more requests now: try later, or ask fewer at once."
            )
        elif status >= 500:
            sentence = f"{self.address} has a fault of its own (error {status}): try later."
        else:
            sentence = (
                f"{self.address} refuses the request (error {status}): give fewer or shorter "
                "exemplars, or another model."
            )
        return UserError(sentence, details=details)

    def _hide(self, text: str) -> str:
        """Text from the server without the key, should it repeat it."""
        text = text.replace(self.key, "…") if self.key else text
        return text[:_MAX_KEPT]


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds before the next try: what the server asks for, if that is more than we would wait."""
    usual = tenacity.wait_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)(state)
    asked = state.outcome.result().seconds if state.outcome else 0.0
    return min(max(usual, asked), LONGEST_WAIT)


# --- Limits --------------------------------------------------------------------------------------


@cache
def _certificates() -> SSLContext:
    # A tenth of a second, and the same for all requests.
    return httpx2.create_ssl_context()


def _origin(address: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(address)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def _refuse_link_local(addresses: Iterable[str]) -> None:
    """Refuse addresses such as 169.254.169.254, where clouds hand out a machine's credentials."""
    for text in addresses:
        address = ipaddress.ip_address(text)
        if (getattr(address, "ipv4_mapped", None) or address).is_link_local:
            raise UserError(
                "The endpoint's address is link-local (169.254.0.0/16 or fe80::/10), where no chat "
                "model answers: give another address."
            )


async def _trace(event: str, about: dict[str, Any]) -> None:
    """Called on every step of a request; what a name stands for may change after it was looked up,
    so the address is checked that is connected to, before anything is sent.
    """
    if event == "connection.connect_tcp.complete":
        _refuse_link_local([about["return_value"].get_extra_info("server_addr")[0]])


async def _bounded(response: httpx2.Response) -> None:
    """Called with each reply, also with a redirect or an error, before its body is read."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise UserError(
            "The endpoint packs its replies although it was asked not to: check its address, which "
            "often ends in /v1."
        )
    response.stream = _Bounded(cast(httpx2.AsyncByteStream, response.stream))


class _Bounded(httpx2.AsyncByteStream):
    """The body of a reply, which ends in a UserError after ``MAX_REPLY`` bytes."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self.stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self.stream:
            count += len(part)
            if count > MAX_REPLY:
                raise UserError(
                    f"The endpoint's reply is larger than {MAX_REPLY:,} bytes, which no label "
                    "needs: check its address, which often ends in /v1."
                )
            yield part

    async def aclose(self) -> None:
        await self.stream.aclose()


# --- Replies -------------------------------------------------------------------------------------


def _texts(reply: Any) -> list[str] | None:
    """The texts of a reply; None where it has no such thing. Nothing of its shape is trusted."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        return None
    texts = []
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return None
        # A refusal, or an answer that ended while thinking, has no content.
        content = message.get("content")
        texts.append(content if isinstance(content, str) else "")
    return texts


def _may_pass(error: openai.APIStatusError) -> bool:
    if error.status_code == 429:
        return error.code != "insufficient_quota"
    return error.status_code >= 500 or error.status_code in (408, 409)


def _retry_after(error: openai.APIStatusError) -> float:
    with suppress(ValueError):
        seconds = float(error.response.headers.get("retry-after", ""))
        if 0 < seconds < float("inf"):
            return seconds
    return 0.0
