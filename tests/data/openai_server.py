"""A server that speaks OpenAI's chat completions and "translates" the last message."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.data.loopback import JsonHandler, serve


@dataclass
class Reply:
    """What one request gets. Without ``text`` the "translation"; ``drops`` is silence.

    ``content`` is sent in place of a text, ``parts`` sends it as a list of typed ones, ``body``
    is all of the answer.
    """

    status: int = 200
    text: str | None = None
    content: object = ""
    parts: bool = False
    finish_reason: str = "stop"
    refusal: str | None = None
    body: object = None
    code: str | None = None
    retry_after: str | None = None
    drops: bool = False


@dataclass
class OpenAIService:
    """What the server was asked, and what it will answer next."""

    replies: deque[Reply] = field(default_factory=deque)
    translation: Callable[[str], str] = "옮김 {}".format
    choose: Callable[[str], Reply | None] = lambda text: None
    """What a text gets when no reply is planned; None: its translation."""
    latency_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(JsonHandler):
    service: OpenAIService

    def do_POST(self) -> None:  # noqa: N802
        assert self.path == "/v1/chat/completions"
        body = json.loads(self.read_body())
        text = body["messages"][-1]["content"]
        service = self.service
        with service.lock:
            service.times.append(time.monotonic())
            service.bodies.append(body)
            service.under_way += 1
            service.most_under_way = max(service.most_under_way, service.under_way)
            reply = (
                service.replies.popleft() if service.replies else service.choose(text) or Reply()
            )
            if reply.status == 200:
                service.asked.append(text)
        time.sleep(service.latency_s)
        with service.lock:
            service.under_way -= 1
        if reply.drops:
            return self.drop()
        if reply.status != 200:
            sent = self.headers.get("Authorization", "")
            headers = {"Retry_After": reply.retry_after} if reply.retry_after else {}
            error = {"message": f"planted ({sent})", "code": reply.code}
            return self.reply(reply.status, {"error": error}, **headers)
        if reply.body is not None:
            return self.reply(200, reply.body)
        content = reply.text or service.translation(text)
        if reply.parts:
            content = [{"type": "thinking", "thinking": []}, {"type": "text", "text": content}]
        elif reply.content != "":
            content = reply.content
        message = {"role": "assistant", "content": content, "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
        return self.reply(
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            },
        )


@contextmanager
def serve_openai(**settings: object) -> Iterator[tuple[str, OpenAIService]]:
    """Yield the base URL of an OpenAI-compatible server, and what it did."""
    service = OpenAIService(**settings)  # type: ignore[arg-type]
    with serve(_Handler, service) as url:
        yield f"{url}/v1", service
