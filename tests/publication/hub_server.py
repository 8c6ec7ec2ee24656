"""A small Hub on the loopback: what huggingface_hub's client asks when it uploads without Xet.

Repositories, upload modes, the batch endpoint of Git LFS with its uploads, and commits. Content
is kept by hash, as the Hub does; nothing of it is checked for rights beyond the token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.data.loopback import JsonHandler

TOKEN = "hf_" + "t0ken" * 7
LARGE = (".safetensors", ".parquet")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)
    """The paths of each commit."""


@dataclass
class FakeHub:
    """What the tests look at, and how they disturb it."""

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    """SHA-256 -> a large file."""
    puts: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    stall_from: int | None = None
    """The first PUT that is not answered before ``release`` is set."""
    release: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    fail_commit: int = 0


def hash_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubHandler(JsonHandler):
    """Routes by what the path holds."""

    def do_GET(self) -> None:  # noqa: N802
        hub = self.service
        hub.requests.append(f"GET {self.path}")
        name = "/".join(self.path.split("/")[3:5])
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "Invalid token"})
        if name not in hub.repositories:
            return self.reply(404, {"error": "no"}, X_Error_Code="RepoNotFound")
        found = {"id": name, "sha": "a" * 40, "private": hub.repositories[name].private}
        return self.reply(200, {**found, "siblings": [], "tags": []})

    def do_PUT(self) -> None:  # noqa: N802
        hub, oid = self.service, self.path.rsplit("/", 1)[1]
        content = self.read_body()
        hub.puts.append(oid)
        if hub.stall_from is not None and len(hub.puts) >= hub.stall_from:
            hub.stalled.set()
            hub.release.wait(30)
            return self.drop()
        assert hashlib.sha256(content).hexdigest() == oid
        hub.objects[oid] = content
        return self.reply(200, {})

    def do_POST(self) -> None:  # noqa: N802
        body, hub = self.read_body(), self.service
        hub.requests.append(f"POST {self.path}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"error": "Invalid token"})
        if self.path.endswith("/repos/create"):
            return self._create(json.loads(body))
        if self.path.endswith("/validate-yaml"):
            return self.reply(200, {"warnings": []})
        if self.path.endswith("/objects/batch"):
            return self._batch(json.loads(body))
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            return self._preupload(hub.repositories[name], json.loads(body))
        if hub.fail_commit:
            return self.reply(hub.fail_commit, {"error": "no"})
        return self._commit(hub.repositories[name], name, body)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.service.repositories:
            return self.reply(409, {"error": "exists", "url": f"{self.service.address}/{name}"})
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.service.repositories[name] = Repository(private)
        return self.reply(200, {"url": f"{self.service.address}/{name}"})

    def _preupload(self, repository: Repository, asked: dict[str, Any]) -> None:
        files = []
        for each in asked["files"]:
            mode = "lfs" if each["path"].endswith(LARGE) else "regular"
            known = repository.files.get(each["path"])
            oid = None
            if known is not None:
                oid = hashlib.sha256(known).hexdigest() if mode == "lfs" else hash_blob(known)
            files.append(
                {"path": each["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}
            )
        self.reply(200, {"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for each in asked["objects"]:
            found = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.service.objects:
                href = f"{self.service.address}/lfs/{each['oid']}"
                found["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(found)
        self.reply(200, {"objects": objects, "transfer": "basic"})

    def _commit(self, repository: Repository, name: str, body: bytes) -> None:
        paths = []
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.service.objects[value["oid"]]
            else:
                continue
            paths.append(value["path"])
        repository.commits.append(paths)
        address = f"{self.service.address}/{name}/commit/{'b' * 40}"
        self.reply(200, {"commitUrl": address, "commitOid": "b" * 40, "pullRequestUrl": None})
