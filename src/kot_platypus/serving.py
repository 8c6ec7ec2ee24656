"""Serving a page of ours from this machine."""

from __future__ import annotations

import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from kot_platypus.errors import RunError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost")


class SetHeaders:
    """Adds headers to every response that does not bring its own."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app, self._headers = app, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        from starlette.datastructures import MutableHeaders

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    found.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def listen(host: str, port: int) -> socket.socket:
    """A socket that waits for requests. Port 0: any that is free. Raises RunError when taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, else asyncio leaves Nagle's algorithm on and an answer may wait for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # no wait after a restart
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise RunError(
            f"{host}, port {port} is not available ({error.strerror or error})",
            expected="a free port of this machine",
            hint="Choose another with --port, or any free one with --port 0.",
        ) from error
    return listener


def serve(
    app: Any, listener: socket.socket, *, open_browser: bool = False, secret: str = ""
) -> None:
    """Serve an ASGI app until Ctrl-C; its address, which ends in ``secret``, is printed.

    A secret is in no log, and in no command line that others can list.
    """
    import uvicorn

    host, port = listener.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/{secret}"
    with closing(listener), ExitStack() as stack:
        print(f"{address}  (Ctrl-C ends)", flush=True)
        if open_browser and _has_screen():
            shown = stack.enter_context(_hide_address(address)) if secret else address
            webbrowser.open(shown)  # the listener lets it wait until the server runs
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=1
        )
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once it has ended
            _make_server(config).run(sockets=[listener])


@contextmanager
def _hide_address(address: str) -> Iterator[str]:
    """A page that only this user can read, and that leads to an address."""
    with NamedTemporaryFile("w", suffix=".html") as file:  # mode 0600
        file.write(f'<meta http-equiv="refresh" content="0; url={address}">')
        file.flush()
        yield Path(file.name).as_uri()


def _make_server(config: uvicorn.Config) -> uvicorn.Server:
    import uvicorn

    class QuietEnd(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Pages that are open keep a connection, which is cut: that is no error.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

    return QuietEnd(config)


def _has_screen() -> bool:
    """Whether a browser has a window to open; else it may be a text browser in this terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
