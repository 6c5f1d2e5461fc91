"""A chat server in this process, which replies as a test says."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def completion(*texts):
    choices = [
        {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        for i, text in enumerate(texts)
    ]
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}


def fault(status, message="no", code=None, **headers):
    return status, {"error": {"message": message, "code": code, "type": "x"}}, headers


class Server:
    """Replies with what ``script(request, number)`` gives: a body, or (status, body, headers)."""

    def __init__(self):
        self.requests = []
        self.script = lambda request, number: completion(*["Zinc fingers."] * request.get("n", 1))
        lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    number = len(server.requests)
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    server.requests.append((self.path, headers, body))
                reply = server.script(body, number)
                status, content, headers = reply if isinstance(reply, tuple) else (200, reply, {})
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                headers = {"Content-Type": "application/json"} | headers
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name.replace("_", "-"), str(value))
                    self.send_header("Content-Length", str(len(raw)))
                    self.end_headers()
                    self.wfile.write(raw)
                except OSError:
                    pass  # the client has gone

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # a client that left
        self.address = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def naming_a_token(request, number):
    """An explainer that names the token at which a neuron is most active, and takes itself at it.

    It answers both questions of ``neuronlab.labels.context_prompts``.
    """
    text = request["messages"][1]["content"]
    named = re.search(r"active: (?:.*; )?(\S+) 10(?:;|$)", text, re.MULTILINE)
    if named:
        return completion(f"It is active at {named[1]}.")
    token = re.search(r"at (\S+)\.$", text, re.MULTILINE)[1]
    places = re.findall(rf"^(\d+): {re.escape(token)}$", text, re.MULTILINE)
    return completion("\n".join(f"{place}=10" for place in places) or "none")
