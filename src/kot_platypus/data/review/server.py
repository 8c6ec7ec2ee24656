"""The review page's server: this machine only, this page only.

Other users of this machine and other sites' pages can send requests to 127.0.0.1. So every address
begins with a secret that is drawn anew at each start, as Jupyter's have one, and without it the
answer is 403. A request must also name this machine as its host (another site's name may be made to
resolve to it), and one that changes something must come from this page (Origin).
"""

from __future__ import annotations

import secrets
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from kot_platypus.checks.wording import name_check, say_in_korean
from kot_platypus.data.pipeline.decisions import (
    DECISIONS,
    SETTLED,
    Reason,
    measure_agreement,
    read_votes,
)
from kot_platypus.data.review.store import Action, ReviewStore, Show, find_review, name_reviewer
from kot_platypus.errors import KotError
from kot_platypus.records import Record
from kot_platypus.row_texts import list_texts
from kot_platypus.serving import LOOPBACK, SetHeaders, listen, serve

_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


_REFUSED = "Open the address that kot data review printed: it has a secret in it."


class _Choice(Record):
    """What the page sends when a person decides."""

    key: str
    version: int
    action: Action
    texts: dict[str, str] = Field(default_factory=dict)
    reason: Reason = ""
    note: str = Field("", max_length=2000)


class _Query(Record):
    """What the page asks for a row with."""

    start: int = 0
    step: int = 1
    show: Show = "all"
    check: str = ""
    text: str = ""


class _Guard:
    """Refuses what does not know the secret, or comes from another site's page."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        token = path.removeprefix("/").partition("/")[0]
        is_ours = secrets.compare_digest(token.encode(), self._token.encode())
        if scope["method"] not in ("GET", "HEAD"):
            headers = Headers(scope=scope)
            origin = urlsplit(headers.get("origin", "")).netloc
            is_ours = is_ours and origin == headers.get("host")
        refusal = JSONResponse({"error": "refused", "detail": _REFUSED}, status_code=403)
        await (self._app if is_ours else refusal)(scope, receive, send)


def make_app(folder: Path, reviewer: str | None = None) -> Starlette:
    """The page as an app that can be mounted below any path: all its addresses are relative.

    The page is at ``/TOKEN/``; ``app.state.token`` is that secret. Without a ``reviewer`` it is
    whose login this is. Files are open until ``app.state.store.close()`` or the end of the process.
    Raises UsageError for a name that is not plain, DataError and RunError as ReviewStore does.
    """
    store = ReviewStore(folder, name_reviewer(reviewer))
    token = secrets.token_urlsafe()
    page, assets = _load_page()

    async def send_page(request: Request) -> Response:
        return Response(page, media_type="text/html")

    async def send_asset(request: Request) -> Response:
        content = assets.get(request.path_params["name"])
        if content is None:
            return JSONResponse({"error": "missing"}, status_code=404)
        return Response(content, media_type=_MEDIA_TYPES[Path(request.path_params["name"]).suffix])

    async def send_summary(request: Request) -> Response:
        return JSONResponse(_summarise(store))

    async def find(request: Request) -> Response:
        return await run_in_threadpool(_find, store, request)

    async def decide(request: Request) -> Response:
        return await run_in_threadpool(_decide, store, await request.body())

    pages = [
        Route("/", send_page),
        Route("/api/summary", send_summary),
        Route("/api/find", find),
        Route("/api/decide", decide, methods=["POST"]),
        Route("/{name}", send_asset),
    ]
    app = Starlette(
        routes=[Mount(f"/{token}", routes=pages)],
        middleware=[
            Middleware(SetHeaders, headers=_HEADERS),
            Middleware(_Guard, token=token),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK)),
        ],
        exception_handlers={KotError: _report_unreadable},
    )
    app.state.store, app.state.token = store, token
    return app


def _load_page() -> tuple[str, dict[str, bytes]]:
    folder = files("kot_platypus.data.review") / "page"
    assets = {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if Path(file.name).suffix in _MEDIA_TYPES
    }
    return (folder / "index.html").read_text(encoding="utf-8"), assets


def _find(store: ReviewStore, request: Request) -> Response:
    """The first row from ``start`` on that fits ``show``, ``check`` and ``text``; null: none."""
    try:
        query = _Query.model_validate(dict(request.query_params))
    except ValidationError:
        return JSONResponse({"error": "malformed"}, status_code=400)
    number = store.find(**query.model_dump())
    return JSONResponse({"row": None if number is None else _describe(store, number)})


def _decide(store: ReviewStore, body: bytes) -> Response:
    try:
        choice = _Choice.model_validate_json(body)
    except ValidationError:  # half of a surrogate pair in a text, too: no file can hold it
        return JSONResponse({"error": "malformed"}, status_code=422)
    number = store.find_number(choice.key)
    if number is None:
        return JSONResponse({"error": "missing"}, status_code=404)
    try:
        outcome = store.decide(
            number,
            choice.action,
            choice.texts,
            version=choice.version,
            reason=choice.reason,
            note=choice.note,
        )
    except OSError as error:
        return JSONResponse(
            {"error": "disk", "detail": error.strerror or str(error)}, status_code=507
        )
    if outcome == "empty":
        return JSONResponse({"error": "empty"}, status_code=422)
    return JSONResponse(
        {
            "outcome": outcome,
            "row": _describe(store, number),
            "summary": _summarise(store),
        }
    )


def _summarise(store: ReviewStore) -> dict[str, Any]:
    summary = store.summarise()
    return summary.model_dump() | {"interval": summary.passed.interval}


def _describe(store: ReviewStore, number: int) -> dict[str, Any]:
    """A row as the page shows it: the fields that have a text."""
    entry = store.read(number)
    draft = entry.draft
    originals, translations = list_texts(draft.original), list_texts(draft.translated)
    return {
        "number": number,
        "place": entry.place,
        "total": entry.total,
        "key": draft.key,
        "version": entry.version,
        "action": entry.action,
        "reason": entry.reason,
        "note": entry.note,
        "is_disputed": entry.is_disputed,
        "votes": [
            each.model_dump(include={"action", "reason", "note", "fields", "reviewer"})
            | {"is_settlement": who == SETTLED}
            for who, each in entry.votes.items()
        ],
        "origin": draft.origin.model_dump(include={"source", "id"}),
        "task": draft.original.task,
        "service": draft.translation.service if draft.translation else None,
        "fields": [
            {
                "name": name,
                "source": originals[name],
                "translation": translations.get(name, ""),
                "text": text,
            }
            for name, text in entry.texts.items()
            if originals[name] or translations.get(name)
        ],
        "findings": [
            finding.model_dump()
            | {"name": name_check(finding.check).ko, "korean": say_in_korean(finding)}
            for finding in entry.findings
        ],
    }


async def _report_unreadable(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "unreadable", "detail": str(error)}, status_code=500)


def serve_review(
    folder: Path, port: int, reviewer: str | None = None, *, open_browser: bool = True
) -> None:
    """Serve the page on 127.0.0.1 until Ctrl-C. Port 0: any that is free.

    Raises RunError when the port is taken, and what make_app raises.
    """
    with closing(listen(LOOPBACK[0], port)) as listener:
        app = make_app(folder, reviewer)
        store: ReviewStore = app.state.store
        with closing(store):
            print(f"{store.reviewer}: {store.summarise()}")
            serve(app, listener, open_browser=open_browser, secret=f"{app.state.token}/")
            print(f"\n{store.reviewer}: {store.summarise()}")
            if agreement := measure_agreement(read_votes(store.folder)):
                print(agreement)
            print(f"The decisions lie in {store.folder / DECISIONS}")
            print("Run the same kot data build command again: it takes the decisions in.")


def describe_agreement(folder: Path) -> str:
    """How far the reviewers of a folder agree, in a line or two."""
    found = measure_agreement(read_votes(find_review(folder)))
    if found is None:
        return "One reviewer at most: nothing to compare."
    rows = ", ".join(f"{name} {count:,}" for name, count in found.reviewers.items())
    return f"{found}\nRows decided on: {rows}."
