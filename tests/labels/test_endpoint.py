"""The client against a server in this process that misbehaves in the ways servers do."""

import gzip
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from chat_endpoint import Server, completion, fault

from neuronlab.errors import UserError
from neuronlab.labels import chat_server, endpoint
from neuronlab.labels.endpoint import Endpoint, from_environment
from neuronlab.runs import Cancelled

KEY = "sk-very-secret-0123456789"


def ask(text="why?"):
    return [{"role": "system", "content": "Be short."}, {"role": "user", "content": text}]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-service")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-another-service")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing is there
    monkeypatch.setattr(chat_server, "FIRST_WAIT", 0.01)
    return tmp_path


@pytest.fixture
def client(server):
    return Endpoint(server.address, "tiny", KEY)


def stored(home):
    return b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())


def everything(error):
    """All that an error says, with what caused it."""
    seen = []
    while error is not None:
        seen += [str(error), repr(error), str(getattr(error, "details", "")), repr(vars(error))]
        error = error.__cause__
    return " ".join(seen)


# --- What is asked -------------------------------------------------------------------------------


def test_the_request_is_what_was_given(server, client):
    assert client.explain(ask(), count=2, temperature=0.5) == ["Zinc fingers."] * 2
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["messages"], body["n"]) == ("tiny", ask(), 2)
    assert body["temperature"] == 0.5
    assert "openai-organization" not in headers


def test_without_a_key_none_is_sent(server):
    assert Endpoint(server.address, "tiny").explain(ask(), count=1) == ["Zinc fingers."]
    assert "authorization" not in server.requests[0][1]
    assert "another-service" not in str(server.requests[0][1])


def test_a_server_that_gives_one_answer_at_a_time_is_asked_again(server, client):
    server.script = lambda request, number: completion(f"Answer {'ABC'[number]}.")
    assert client.explain(ask(), count=3) == ["Answer A.", "Answer B.", "Answer C."]
    assert [body.get("n", 1) for _, _, body in server.requests] == [3, 2, 1]


def test_a_server_that_refuses_several_at_once_is_asked_for_each(server, client):
    server.script = lambda request, number: (
        fault(400, "n must be 1") if "n" in request else completion("Kinases.")
    )
    assert client.explain(ask(), count=2) == ["Kinases."] * 2
    assert len(server.requests) == 3


def test_answers_are_cleaned_and_may_be_fewer(server, client):
    server.script = lambda request, number: completion('"**Zinc**"\nmore', None, "")
    assert client.explain(ask(), count=3) == ["Zinc"]


# --- Order, and asking once ----------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_requests(server, client):
    def script(request, number):
        text = request["messages"][1]["content"]
        time.sleep(0.05 * (int(text) % 3))
        return completion(f"neuron {text}")

    server.script = script
    heard = []
    found = client.explain_many(
        [ask(str(i)) for i in range(10)],
        count=1,
        workers=4,
        progress=lambda fraction, words: heard.append(fraction),
    )
    assert found == [[f"neuron {i}"] for i in range(10)]
    assert heard == sorted(heard)
    assert heard[-1] == 1.0


def test_no_more_requests_run_at_once_than_workers(server, client):
    running, most = [], []

    def script(request, number):
        running.append(number)
        most.append(len(running))
        time.sleep(0.03)
        running.remove(number)
        return completion("x y")

    server.script = script
    client.explain_many([ask(str(i)) for i in range(8)], count=1, workers=2)
    assert max(most) == 2


def test_what_was_answered_is_not_asked_again(server, client):
    first = client.explain(ask(), count=2)
    server.script = lambda request, number: fault(500)
    assert client.explain(ask(), count=2) == first
    assert Endpoint(server.address, "tiny", "another key").explain(ask(), count=2) == first
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "text", "settings"),
    [
        ("tiny", "why?", {"count": 1}),
        ("tiny", "why?", {"temperature": 0.1}),
        ("tiny", "what?", {}),
        ("large", "why?", {}),
    ],
)
def test_another_question_is_asked(server, client, model, text, settings):
    client.explain(ask())
    Endpoint(server.address, model, KEY).explain(ask(text), **settings)
    assert len(server.requests) == 2


def test_an_interrupted_run_pays_nothing_twice(server, client):
    def script(request, number):
        return fault(401) if number == 3 else completion("Kinases.")

    server.script = script
    many = [ask(str(i)) for i in range(6)]
    with pytest.raises(UserError):
        client.explain_many(many, count=1, workers=1)
    client.explain_many(many, count=1, workers=1)
    texts = [body["messages"][1]["content"] for _, _, body in server.requests]
    assert sorted(texts) == [*"012", *"33", *"45"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answers": 3}', '{"answers": ["a"]}'])
def test_a_damaged_answer_is_asked_for_again(server, client, home, content):
    client.explain(ask())
    (path,) = (home / "answers").iterdir()
    path.write_text(content)
    assert client.explain(ask()) == ["Zinc fingers."] * 2
    assert len(server.requests) == 2


# --- What goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        fault(429),
        fault(429, retry_after=0.02),
        fault(500),
        fault(503),
        (200, b"{", {}),
        (200, b"", {}),
        (200, b"<html>", {"Content-Type": "text/html"}),
        {"choices": []},
        {"choices": None},
        {},
        [],
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(server, client, bad):
    server.script = lambda request, number: bad if number < 2 else completion("Kinases.")
    assert client.explain(ask(), count=1) == ["Kinases."]
    assert len(server.requests) == 3


@pytest.mark.long
def test_the_server_says_how_long_to_wait(server, client):
    server.script = lambda request, number: (
        fault(429, retry_after=1) if number == 0 else completion("Kinases.")
    )
    start = time.monotonic()
    client.explain(ask(), count=1)
    assert time.monotonic() - start >= 1


def test_waits_double_and_no_server_makes_them_endless(server, client, monkeypatch):
    monkeypatch.setattr(chat_server, "FIRST_WAIT", 0.5)
    monkeypatch.setattr(chat_server, "LONGEST_WAIT", 3.0)
    waits = []

    class Stop(threading.Event):
        def wait(self, timeout=None):
            waits.append(timeout)
            return False

    asked = [0, 1, 1_000, 0, 0]
    server.script = lambda request, number: fault(503, retry_after=asked[number])
    # In a thread, as requests are: this one may have an event loop of its own.
    with ThreadPoolExecutor(1) as pool, pytest.raises(UserError):
        pool.submit(client.request, ask(), 1, 0.5, Stop()).result()
    assert [wait for wait in waits if wait in (0.5, 1, 2, 3, 4)] == [0.5, 1, 3, 3]


@pytest.mark.parametrize(
    ("bad", "told", "tries"),
    [
        (fault(401, f"wrong {KEY}"), "key", 1),
        (fault(403), "key", 1),
        (fault(404, "no such model"), "tiny", 1),
        (fault(400, f"too long {KEY}"), "shorter", 1),
        (fault(429, code="insufficient_quota"), "credit", 1),
        (fault(429), "later", chat_server.TRIES),
        (fault(500, f"oops {KEY}"), "500", chat_server.TRIES),
        ({"choices": [{"message": None}]}, "/v1", chat_server.TRIES),
        ({"choices": "abc"}, "/v1", chat_server.TRIES),
        ((200, b"<html>" + KEY.encode(), {"Content-Type": "text/html"}), "/v1", chat_server.TRIES),
        ((200, b'{"a": ' + KEY.encode(), {}), "/v1", chat_server.TRIES),
    ],
    ids=str,
)
def test_what_does_not_pass_is_one_sentence(server, client, home, bad, told, tries):
    server.script = lambda request, number: bad
    with pytest.raises(UserError, match=told) as caught:
        client.explain(ask(), count=1)
    assert len(server.requests) == tries
    assert str(caught.value).count(". ") == 0
    assert KEY not in everything(caught.value)
    assert not stored(home)


def test_a_server_that_is_down(client, server):
    server.close()
    with pytest.raises(UserError, match="Nothing answers") as caught:
        client.explain(ask())
    assert KEY not in everything(caught.value)


def test_a_server_that_is_too_slow(server, monkeypatch):
    monkeypatch.setattr(chat_server, "TRIES", 2)
    given_up = threading.Event()
    server.script = lambda request, number: given_up.wait(60) and completion("late")
    client = Endpoint(server.address, "tiny", KEY, timeout=1.5)
    with pytest.raises(UserError, match=r"1\.5 seconds, 2 times"):
        client.explain(ask(), count=1)
    given_up.set()
    assert len(server.requests) == 2


def test_a_server_that_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hang_up():
            for _ in range(chat_server.TRIES):
                listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(UserError, match="Nothing answers"):
            Endpoint(f"http://127.0.0.1:{port}", "tiny").explain(ask(), count=1)


def test_answers_that_cannot_be_kept(client, home):
    (home / "answers").write_text("a file")
    with pytest.raises(UserError, match="disk space"):
        client.explain(ask())


# --- Limits on a reply ---------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


@pytest.fixture
def raw():
    """``raw(parts)``: the address of a server that sends these bytes, whatever it is asked."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(parts):
        def talk(connection):
            with connection:
                try:
                    connection.recv(65_536)
                    for part in parts():
                        connection.sendall(part)
                except OSError:
                    pass  # the client has gone

        def accept():
            while True:
                try:
                    threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield serve
    listener.shutdown(socket.SHUT_RDWR)  # wakes who waits, else on whatever gets its number
    listener.close()


@pytest.mark.parametrize("head", [OK, OK[:40]], ids=["body", "headers"])
def test_a_reply_that_trickles_ends_with_the_time_limit(raw, monkeypatch, head):
    def parts():
        yield head
        while True:
            time.sleep(0.05)
            yield b"a"

    monkeypatch.setattr(chat_server, "TRIES", 2)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"0\.3 seconds"):
        Endpoint(raw(parts), "tiny", KEY, timeout=0.3).explain(ask(), count=1)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("status", [b"200 OK", b"500 No", b"307 There\r\nLocation: /v1"])
def test_a_reply_is_not_read_beyond_its_limit(raw, status):
    sent = 0

    def parts():
        nonlocal sent
        yield OK.replace(b"200 OK", status)
        for _ in range(600):
            yield b" " * 1_000_000
            sent += 1

    tracemalloc.start()
    with pytest.raises(UserError, match="larger than 500,000 bytes"):
        Endpoint(raw(parts), "tiny", KEY).explain(ask(), count=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert sent < 50


def test_a_reply_that_is_packed_is_not_unpacked(server, client):
    body = gzip.compress(b" " * 50_000_000)
    server.script = lambda request, number: (200, body, {"Content-Encoding": "gzip"})
    with pytest.raises(UserError, match="packs its replies"):
        client.explain(ask(), count=1)
    assert server.requests[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", [200, 500])
def test_a_reply_that_is_nested_deeply(server, client, status):
    server.script = lambda request, number: (status, b'{"choices":' + b"[" * 100_000, {})
    with pytest.raises(UserError, match=r"no chat completion|error 500"):
        client.explain(ask(), count=1)


def test_many_choices_cost_little(server, client):
    body = b'{"choices":[' + b",".join([b"{}"] * 150_000) + b"]}"
    server.script = lambda request, number: (200, body, {})
    tracemalloc.start()
    with pytest.raises(UserError, match="chat endpoint"):
        client.explain(ask(), count=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000_000


# --- Where requests go ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_within_the_server_is_followed(server, client, status):
    server.script = lambda request, number: (
        (status, b"", {"Location": "/v2/chat/completions"}) if number == 0 else completion("Zinc.")
    )
    assert client.explain(ask(), count=1) == ["Zinc."]
    assert [path for path, _, _ in server.requests] == [f"/v{i}/chat/completions" for i in (1, 2)]


@pytest.mark.parametrize("where", ["port", "host", "scheme"])
def test_a_redirect_elsewhere_is_refused(server, client, where):
    other = Server()
    port = server.http.server_port
    target = {
        "port": other.address,
        "host": f"http://localhost:{port}/v1",
        "scheme": f"https://127.0.0.1:{port}/v1",
    }[where]
    server.script = lambda request, number: (307, b"", {"Location": target})
    with pytest.raises(UserError, match="another server") as caught:
        client.explain(ask(), count=1)
    other.close()
    assert len(server.requests) == 1
    assert not other.requests
    assert KEY not in everything(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.43518",
        "[fe80::1]",
        "[FEBF::1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
    ],
)
def test_link_local_addresses_are_refused(host):
    with pytest.raises(UserError, match="link-local"):
        Endpoint(f"http://{host}/v1", "tiny", KEY)


@pytest.mark.parametrize("host", ["10.0.0.1", "[fd00::1]", "[::ffff:10.0.0.1]", "example.com"])
def test_other_addresses_are_not(host):
    assert Endpoint(f"http://{host}/v1", "tiny", KEY)


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.1.2"])
def test_a_name_that_stands_for_a_link_local_address_is_refused(monkeypatch, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    entry = (family, socket.SOCK_STREAM, 6, "", (address, 80))
    client = Endpoint("http://chat.example/v1", "tiny", KEY)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [entry])
    with pytest.raises(UserError, match="link-local"):
        client.explain(ask(), count=1)


def test_the_address_that_is_connected_to_counts(server, client, monkeypatch):
    """A name may stand for another address a moment after it was looked up."""
    refuse = chat_server._refuse_link_local
    seen = []

    def looked_up(addresses):
        seen.append(list(addresses))
        # What is connected to comes last, and is said to be link-local here.
        refuse(["169.254.169.254"] if len(seen) == 2 else seen[-1])

    monkeypatch.setattr(chat_server, "_refuse_link_local", looked_up)
    with pytest.raises(UserError, match="link-local"):
        client.explain(ask(), count=1)
    assert seen == [["127.0.0.1"]] * 2
    assert not server.requests


# --- Cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", [True, False], ids=["on its way", "waiting to try again"])
def test_a_cancelled_run_ends_at_once(server, client, slow):
    def script(request, number):
        if slow:
            time.sleep(2)
        return fault(429, retry_after=30)

    server.script = script
    start = time.monotonic()

    def check():
        if time.monotonic() - start > 0.3:
            raise Cancelled

    with pytest.raises(Cancelled):
        client.explain_many([ask(str(i)) for i in range(20)], check=check, workers=2)
    assert time.monotonic() - start < 15, "it waited as long as the server asked"
    time.sleep(0.2)
    assert len(server.requests) == 2


# --- The key, and what a person gives ------------------------------------------------------------


def test_the_key_is_nowhere(server, client, home):
    server.script = lambda request, number: completion(f"My key is {KEY}")
    assert client.explain(ask(), count=1) == ["My key is …"]
    assert KEY not in repr(client)
    assert KEY not in str(client)
    assert KEY not in client.source
    assert stored(home)
    assert KEY.encode() not in stored(home)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "api.example.com/v1",
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://:80",
        "http://host:port",
        "http://[::1",
        "https://me:word@example.com/v1",
        "https://example.com/v1?key=1",
        "https://example.com/#a",
    ],
)
def test_addresses_that_are_none(address):
    with pytest.raises(UserError, match="address"):
        Endpoint(address, "tiny")


@pytest.mark.parametrize(
    ("model", "key"), [("", "k"), (" ", "k"), ("m", "a\nb"), ("m", "schlüssel")]
)
def test_a_model_and_a_key_that_are_none(model, key):
    with pytest.raises(UserError):
        Endpoint("http://127.0.0.1:1", model, key)


def test_the_environment_gives_all_three(monkeypatch):
    for name in (endpoint.ADDRESS, endpoint.MODEL, endpoint.KEY):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="NEURONLAB_LLM_ADDRESS"):
        from_environment()
    monkeypatch.setenv("NEURONLAB_LLM_ADDRESS", " http://127.0.0.1:8080/v1/ ")
    with pytest.raises(UserError, match="NEURONLAB_LLM_MODEL"):
        from_environment()
    monkeypatch.setenv("NEURONLAB_LLM_MODEL", "tiny")
    assert from_environment() == Endpoint("http://127.0.0.1:8080/v1", "tiny")
    monkeypatch.setenv("NEURONLAB_LLM_KEY", KEY)
    assert from_environment().key == KEY
