"""A small Hub on the loopback, of which huggingface_hub's client downloads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.data.loopback import JsonHandler

COMMIT = "c" * 40


@dataclass
class Repository:
    """One repository, ``someone/model``: its files, and which of them were taken."""

    files: dict[str, bytes]
    taken: list[str] = field(default_factory=list)


class FilesHandler(JsonHandler):
    """Answers for one repository."""

    def do_HEAD(self) -> None:  # noqa: N802
        self._send(with_body=False)

    def do_GET(self) -> None:  # noqa: N802
        files: dict[str, bytes] = self.service.files
        path = urlsplit(self.path).path
        if "/tree/" in path:
            found = [describe(name, content) for name, content in files.items()]
            return self.reply(200, found)
        if path.startswith("/api/models/someone/model"):
            siblings = [{"rfilename": name} for name in files]
            return self.reply(200, {"id": "someone/model", "sha": COMMIT, "siblings": siblings})
        return self._send(with_body=True)

    def _send(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).partition(f"/resolve/{COMMIT}/")[2]
        if name not in self.service.files:
            return self.reply(404, {"error": "no"}, X_Error_Code="EntryNotFound")
        content: bytes = self.service.files[name]
        if with_body:
            self.service.taken.append(name)
        self.send_response(200)
        self.send_header("ETag", f'"{hash_blob(content)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)
        return None


def hash_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def describe(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": hash_blob(content)}
