"""How many people one server carries: what each of them waits for, when all come at once.

    python benchmarks/people.py [--people 1,10,30]

Starts the app in a home of its own, with the models of this one, and talks to it as so many
browsers do, each in a session of its own, without drawing anything: all open the stored attribution
at the same moment, then the stored labels of a protein model, move their slider five times with a
second or two in between, and then each asks a prompt of its own and presses Run. Prints for each
step the median and the longest wait until the server has sent the last of the page; for the runs
until each person's own result is there, and in how many seconds all were served.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from server import server
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from neuronlab import examples
from neuronlab.models.catalogue import entry
from neuronlab.runs import Store

MOVES = 5
PAUSE = (1.0, 2.0)  # s
PATIENCE = 600.0  # s
MODEL = "smollm2-135m"


class Person:
    """A session: what a browser sends and takes note of, without the drawing."""

    def __init__(self, socket: ClientConnection, number: int) -> None:
        self.socket, self.number = socket, number
        self.page, self.query = "", ""
        self.widgets: dict[str, str] = {}
        self.reruns: dict[str, float] = {}
        self.text = ""

    async def open(self, page: str, **query: str) -> float:
        """Seconds until a page with this query stands."""
        self.page, self.query = page, urlencode(query)
        return await self.send()

    async def send(self, fragment: str = "", automatic: bool = False, **values: object) -> float:
        """Seconds from a change of widgets, by their keys, to the end of the script."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name = self.query, self.page
        state.fragment_id, state.is_auto_rerun = fragment, automatic
        for key, value in values.items():
            widget = state.widget_states.widgets.add(id=self.widgets[key])
            if value is None:
                widget.trigger_value = True
            elif isinstance(value, float):
                widget.double_array_value.data.append(value)
            else:
                widget.string_value = str(value)
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        await asyncio.wait_for(self._finished(), PATIENCE)
        return time.perf_counter() - began

    async def _finished(self) -> None:
        while True:
            message = ForwardMsg.FromString(bytes(await self.socket.recv()))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.reruns.clear()
            elif kind == "page_info_changed":
                self.query = message.page_info_changed.query_string
            elif kind == "auto_rerun":
                self.reruns[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                drawn = getattr(element, element.WhichOneof("type") or "", None)
                if identity := str(getattr(drawn, "id", "") or ""):
                    self.widgets[identity.split("-", 2)[-1]] = identity
                if element.WhichOneof("type") == "markdown":
                    self.text += element.markdown.body
            elif kind == "script_finished" and message.script_finished in (0, 3):
                return

    async def ask(self) -> float:
        """Seconds from pressing Run on a prompt that nobody has asked to its finished result."""
        key = next(k for k in self.widgets if k.startswith("text_"))
        await self.send(**{key: f"The number of visitor {self.number} is"})
        began, self.text = time.perf_counter(), ""
        await self.send(run=None)
        while self.reruns and time.perf_counter() - began < PATIENCE:
            fragment, interval = next(iter(self.reruns.items()))
            await asyncio.sleep(interval)
            await self.send(fragment, automatic=True)
        return time.perf_counter() - began


async def visit(person: Person) -> dict[str, list[float]]:
    """What one person does, and waits for."""
    draw = random.Random(person.number)
    waits = {"open attribution": [await person.open("attribution")]}
    key = examples.first("neuron_labels", entry("esm2-8m")).key
    waits["open labels"] = [await person.open("labels", run=key)]
    waits["move a slider"] = []
    for _ in range(MOVES):
        await asyncio.sleep(draw.uniform(*PAUSE))
        least = round(draw.randrange(0, 10) * 0.05, 2)
        waits["move a slider"].append(await person.send(label_least=least))
    await person.open("attribution", run=examples.example(MODEL).key)
    waits["run of one's own"] = [await person.ask()]
    return waits


async def crowd(address: str, people: int) -> None:
    """All at once, and a row for each step."""
    url = f"{address.replace('http', 'ws')}/_stcore/stream"
    sockets = [await connect(url, subprotocols=["streamlit"], max_size=None) for _ in range(people)]
    persons = [Person(socket, 100 * people + n) for n, socket in enumerate(sockets)]
    waits = await asyncio.gather(*map(visit, persons))
    for step in waits[0]:
        seconds = [second for each in waits for second in each[step]]
        print(
            f"| {people} | {step} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |",
            flush=True,
        )
    for socket in sockets:
        await socket.close()


def main() -> None:
    """Rows for each number of people, of one server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", default="1,10,30")
    counts = [int(n) for n in parser.parse_args().people.split(",")]
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (process, address):
        for key in examples.stored_keys():  # as set-up does
            examples.adopt(key, Store(Path(folder) / "runs"))
        print("| people | step | median, s | longest, s |\n|---|---|---|---|")
        for people in counts:
            asyncio.run(crowd(address, people))
        print(f"\nThe server then has {process.memory_info().rss / 1e9:.1f} GB of memory.")


if __name__ == "__main__":
    main()
