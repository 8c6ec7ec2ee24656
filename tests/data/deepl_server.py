"""A server that speaks DeepL's API, translates in its own way, and can fail in DeepL's ways.

It keeps the bill that DeepL would send: the code points outside of tags of every text that it
translated, whether or not anyone got to read the translation.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.data.loopback import JsonHandler, serve

MAX_TEXTS, MAX_BYTES = 50, 128 * 1024
KEY = "c0ffee00-planted-4ey-0000-7e57"
TAG = re.compile(r'<x id="\d+"/>')
Spoil = Callable[[str], str]


def translate(xml: str) -> str:
    """A "translation" that keeps the placeholders and shows what it was made from."""
    return f"옮김 {xml}"


def count(xml: str) -> int:
    """DeepL's count, made apart from the code under test."""
    return sum(map(len, ElementTree.fromstring(f"<t>{xml}</t>").itertext()))


@dataclass
class Fault:
    """What befalls one request for a translation.

    ``bills`` tells whether the work is done and billed; ``answers`` whether the client hears of it.
    ``status`` is a refusal, ``spoil`` takes the place of the translation, ``drop_texts`` loses
    some; ``silences_usage`` lets the counter go unanswered from then on.
    """

    status: int = 200
    bills: bool = True
    answers: bool = True
    retry_after: str | None = None
    wait_before_billing_s: float = 0.0
    wait_before_answer_s: float = 0.0
    spoil: Spoil | None = None
    drop_texts: int = 0
    silences_usage: bool = False


NO_FAULT = Fault()


@dataclass
class DeepLService:
    """What the server did, and what it will do wrong next."""

    faults: deque[Fault] = field(default_factory=deque)
    translation: Spoil = translate
    quota: int | None = None
    silent_usage: float = 0
    """How many questions for the usage get no answer."""
    latency_s: float = 0.0
    bill: int = 0
    counter_before: int = 1000  # other work of the same key
    glossaries: list[dict[str, object]] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    texts: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, object]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add_glossary(self, asked: dict[str, str]) -> dict[str, object]:
        """A glossary as DeepL stores it."""
        made = {
            "glossary_id": f"id-{len(self.glossaries)}",
            "ready": True,
            "name": asked["name"],
            "source_lang": asked["source_lang"].lower(),
            "target_lang": asked["target_lang"].lower(),
            "creation_time": "2026-11-29T00:00:00.000Z",
            "entry_count": len(asked["entries"].splitlines()),
        }
        self.glossaries.append(made)
        self.entries.append(asked["entries"])
        return made

    @property
    def twice(self) -> int:
        """The characters of every translation of a text after its first."""
        return sum(count(text) * (times - 1) for text, times in self.texts.items())


class _Handler(JsonHandler):
    service: DeepLService

    def do_GET(self) -> None:  # noqa: N802
        if self.path == "/v2/glossaries":
            return self.reply(200, {"glossaries": self.service.glossaries})
        if self.service.silent_usage:
            self.service.silent_usage -= 1
            return self.drop()
        assert self.path == "/v2/usage"
        if self.is_known():
            used = self.service.counter_before + self.service.bill
            self.reply(200, {"character_count": used, "character_limit": 1_000_000_000})
        return None

    def do_POST(self) -> None:  # noqa: N802
        content = self.read_body()
        service = self.service
        if self.path == "/v2/glossaries":
            return self.reply(201, service.add_glossary(json.loads(content)))
        assert self.path == "/v2/translate"
        with service.lock:
            service.times.append(time.monotonic())
            service.sizes.append(len(content))
            service.under_way += 1
            service.most_under_way = max(service.most_under_way, service.under_way)
            fault = service.faults.popleft() if service.faults else NO_FAULT
        try:
            if self.is_known():
                self.answer(content, fault)
        finally:
            with service.lock:
                service.under_way -= 1

    def is_known(self) -> bool:
        sent = self.headers.get("Authorization", "")
        if sent == f"DeepL-Auth-Key {KEY}":
            return True
        self.reply(403, {"message": f"Wrong key: {sent}"})  # a server may echo what it was sent
        return False

    def answer(self, content: bytes, fault: Fault) -> None:
        service = self.service
        body = json.loads(content)
        texts = body["text"]
        if len(content) > MAX_BYTES or len(texts) > MAX_TEXTS:
            return self.reply(413, {"message": "Request size exceeds the supported limit."})
        if fault.status != 200 and not fault.bills:
            headers = {"Retry_After": fault.retry_after} if fault.retry_after else {}
            return self.reply(fault.status, {"message": "planted"}, **headers)
        try:
            characters = [count(text) for text in texts]
        except ElementTree.ParseError:
            return self.reply(400, {"message": "Tag handling parsing failed."})
        time.sleep(fault.wait_before_billing_s + service.latency_s)
        with service.lock:
            service.bodies.append(body)
            if service.quota is not None and service.bill + sum(characters) > service.quota:
                return self.reply(456, {"message": "Quota exceeded"})
            if fault.bills:
                service.bill += sum(characters)
                service.texts.update(texts)
        if fault.silences_usage:
            service.silent_usage = math.inf
        time.sleep(fault.wait_before_answer_s)
        if not fault.answers:
            return self.drop()
        translations = [
            {
                "detected_source_language": "EN",
                "text": (fault.spoil or service.translation)(text),
                "billed_characters": paid,
            }
            for text, paid in zip(texts, characters, strict=True)
        ]
        kept = translations[: len(texts) - fault.drop_texts]
        return self.reply(fault.status, {"translations": kept})


@contextmanager
def serve_deepl(**settings: object) -> Iterator[tuple[str, DeepLService]]:
    """Yield the address of a DeepL-compatible server, and what it did."""
    service = DeepLService(**settings)  # type: ignore[arg-type]
    with serve(_Handler, service) as url:
        yield url, service
