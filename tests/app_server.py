"""The app as `make app` starts it, on a free port and a home of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ROOT = Path(__file__).parents[1]
PATIENCE = 90  # s; only a hang reaches it


def started(home, python=sys.executable, folder=ROOT):
    """The server's process and port; what it prints goes to ``log.txt`` in its home."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    settings = {
        "NEURONLAB_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "STREAMLIT_SERVER_HEADLESS": "true",
    }
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [python, "-m", "neuronlab", "app", "--port", str(port)],
            cwd=folder,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process, port


def wait_for(process, port, home):
    """Return once the server says that it is well; fails with what it printed."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(
                f"http://localhost:{port}/_stcore/health", timeout=5
            ) as answer:
                assert answer.read() == b"ok"
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"The server did not start: {(home / 'log.txt').read_text()[-2000:]}")


def websocket(port, host, origin=None):
    """An open connection to the app, by that name."""
    return connect(
        f"ws://{host}/_stcore/stream",
        sock=socket.create_connection(("127.0.0.1", port)),
        origin=origin,
        max_size=None,
    )


def visit(port, address=""):
    """Every message of the server to a browser that opens a page, until its script has ended."""
    request = BackMsg()
    request.rerun_script.query_string = ""
    request.rerun_script.page_name = address
    with websocket(port, f"localhost:{port}", f"http://localhost:{port}") as connection:
        connection.send(request.SerializeToString())
        while True:
            message = ForwardMsg.FromString(connection.recv(timeout=PATIENCE))
            yield message
            if message.WhichOneof("type") == "script_finished":
                return
