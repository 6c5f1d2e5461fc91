"""Explanations by a language model behind an address; a server on this machine needs no key.

Answers are kept on disk, so that nothing is paid for twice; the key is in no file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Annotated

from pydantic import AfterValidator

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.labels.chat_server import ChatServer, Stopped
from neuronlab.labels.prompts import COUNT, TEMPERATURE, Messages, clean
from neuronlab.progress import Check, Progress, unheard

ADDRESS, MODEL, KEY = (f"NEURONLAB_LLM_{name}" for name in ("ADDRESS", "MODEL", "KEY"))
# The paper's explainer ran in 32 threads; most accounts allow fewer.
WORKERS = 8
_POLL = 0.1


@dataclass(frozen=True)
class Endpoint(ChatServer):
    """A chat server that is asked for explanations, each once."""

    @property
    def source(self) -> str:
        """What a result may say of where its labels come from."""
        return f"{self.model} at {self.address}"

    def explain(
        self,
        messages: Messages,
        *,
        count: int = COUNT,
        temperature: float = TEMPERATURE,
        check: Check = unheard,
    ) -> list[str]:
        """Labels of one neuron; see ``explain_many``."""
        return self.explain_many([messages], count=count, temperature=temperature, check=check)[0]

    def explain_many(
        self,
        many: Sequence[Messages],
        *,
        count: int = COUNT,
        temperature: float = TEMPERATURE,
        workers: int = WORKERS,
        check: Check = unheard,
        progress: Progress | None = None,
    ) -> list[list[str]]:
        """At most ``count`` labels for each request, in the order of the requests.

        Fewer where the model says nothing of use; see ``answers``.
        """
        every = self.answers(
            many,
            count=count,
            temperature=temperature,
            workers=workers,
            check=check,
            progress=progress,
        )
        return [[text for text in map(clean, each) if text] for each in every]

    def answers(
        self,
        many: Sequence[Messages],
        *,
        count: int = 1,
        temperature: float = TEMPERATURE,
        workers: int = WORKERS,
        check: Check = unheard,
        progress: Progress | None = None,
    ) -> list[list[str]]:
        """What the model says to each request, ``count`` times, in the order of the requests.

        Answers that were given before are not asked for again. ``check`` is called in this thread
        all the while, and may raise to cancel.

        Raises:
            UserError: the endpoint is down, refuses, or does not speak the protocol.
        """
        answers: dict[int, list[str]] = {}
        for i, messages in enumerate(many):
            if (kept := self._kept(messages, count, temperature)) is not None:
                answers[i] = kept
        stop = Event()
        pool = ThreadPoolExecutor(max(1, min(workers, len(many) - len(answers))))
        try:
            asked = {
                pool.submit(self._answer, many[i], count, temperature, stop): i
                for i in range(len(many))
                if i not in answers
            }
            waiting = set(asked)
            while waiting:
                check()
                done, waiting = wait(waiting, timeout=_POLL, return_when=FIRST_COMPLETED)
                for future in done:
                    # One that stopped did so because another failed: that one's error follows.
                    if not isinstance(future.exception(), Stopped):
                        answers[asked[future]] = future.result()
                if done and progress:
                    progress(len(answers) / len(many), f"{len(answers)} of {len(many)} answers")
        finally:
            # Requests on their way end on their own: a person who cancels must not wait for them.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return [answers[i] for i in range(len(many))]

    def _answer(self, messages: Messages, count: int, temperature: float, stop: Event) -> list[str]:
        """The answers as the model gave them, asked for until there are enough; then kept.

        A failure is final for all: none begins what would be paid for and not kept.
        """
        try:
            answers = self._enough(messages, count, temperature, stop)
        except UserError:
            stop.set()
            raise
        self._keep(messages, count, temperature, answers)
        return answers

    def _enough(self, messages: Messages, count: int, temperature: float, stop: Event) -> list[str]:
        import openai

        answers: list[str] = []
        together = True
        while len(answers) < count:
            # In one request the prompt is paid for once; not every server knows that.
            n = count - len(answers) if together else 1
            try:
                answers += self.request(messages, n, temperature, stop)[:n]
            except openai.BadRequestError as error:
                if n == 1:
                    raise self.refused(error) from None
                together = False
        return answers

    def _file(self, messages: Messages, count: int, temperature: float) -> Path:
        facts = [self.address, self.model, messages, float(temperature), count]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return home.folder() / "answers" / f"{digest}.json"

    def _kept(self, messages: Messages, count: int, temperature: float) -> list[str] | None:
        try:
            content = json.loads(self._file(messages, count, temperature).read_text("utf-8"))
            answers = content["answers"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = isinstance(answers, list) and all(isinstance(text, str) for text in answers)
        return answers if whole and len(answers) == count else None

    def _keep(self, messages: Messages, count: int, temperature: float, answers: list[str]) -> None:
        path = self._file(messages, count, temperature)
        content = json.dumps({"model": self.model, "answers": answers}, indent=1)
        try:
            with home.publish(path) as made:
                made.write_text(content, "utf-8")
        except OSError as error:
            raise UserError(
                f"The answers cannot be kept in {path.parent}: check the free disk space and your "
                "rights.",
                details=str(error),
            ) from error


def without_secrets(address: str) -> str:
    """The address, as a spec may hold it, which is stored and shown.

    Raises:
        ValueError: it may hold a password.
    """
    if any(mark in address for mark in "@?#"):
        raise ValueError("the address must hold no password and no query: give the key apart")
    return address


# As a field of a spec.
Address = Annotated[str, AfterValidator(without_secrets)]
_keys: dict[str, str] = {}


def keep_key(run: str, key: str) -> None:
    """Hold a person's key for one run, in memory alone: no result and no other run has it."""
    _keys[run] = key


def for_run(address: str, model: str, run: str) -> Endpoint:
    """The endpoint of a run, with the key held for it, else that of the environment.

    The environment's key goes to the environment's address only.

    Raises:
        UserError: address or model is missing or not usable.
    """
    if run in _keys:
        return Endpoint(address, model, _keys[run])
    same_address = os.environ.get(ADDRESS, "").strip().rstrip("/") == address.strip().rstrip("/")
    return Endpoint(address, model, os.environ.get(KEY, "") if same_address else "")


def from_environment() -> Endpoint:
    """The endpoint of $NEURONLAB_LLM_ADDRESS, _MODEL and _KEY (which may be missing).

    Raises:
        UserError: address or model is not set, or not usable.
    """
    address, model = os.environ.get(ADDRESS, ""), os.environ.get(MODEL, "")
    if not address.strip() or not model.strip():
        raise UserError(
            f"No endpoint is set: set {ADDRESS} and {MODEL}, and {KEY} if it needs one."
        )
    return Endpoint(address, model, os.environ.get(KEY, ""))
