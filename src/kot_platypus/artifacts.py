"""Files and folders that a kill at any moment leaves whole: writing, reading, fingerprints."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from kot_platypus.encodings import describe_bytes, open_utf8
from kot_platypus.errors import DataError, KotError, RunError

MANIFEST = "manifest.json"
R = TypeVar("R", bound=BaseModel)


# --- writing -----------------------------------------------------------------------------------


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write ``path`` so that a reader sees the old file or the whole new one, never a part."""
    write_lines(path, (text,))


def write_lines(path: Path, lines: Iterable[str]) -> int:
    """Write texts one after the other, atomically as ``write_text`` does; return how many.

    They are written as they are made.
    """
    count = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8", newline="\n") as file:
        for line in lines:
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync(path.parent)
    return count


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_jsonl(path: Path, rows: Iterable[BaseModel]) -> None:
    """Write one JSON object a line, atomically, as they are made."""
    write_lines(path, (row.model_dump_json() + "\n" for row in rows))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path``, replacing it, once the block ends well."""
    path = path.absolute()
    refuse_file(path)
    part = path.with_name(path.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    for file in part.rglob("*"):
        _sync(file)
    _sync(part)
    old = path.with_name(path.name + ".old.part")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)  # moved aside whole: a kill here leaves no half-deleted folder behind
    part.replace(path)
    _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def drop_folder(path: Path) -> None:
    """Remove a folder so that a kill leaves it whole or gone under its name."""
    old = path.with_name(path.name + ".old.part")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.replace(old)
        _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def holds_nothing(folder: Path, *, but: Container[str] = ()) -> bool:
    """Whether a folder has no files, apart from some names and the unfinished part of a write."""
    return not folder.is_dir() or all(
        path.name in but or path.name.endswith(".part") for path in folder.iterdir()
    )


def describe_no_file(path: Path) -> str:
    """What a path is that is no file, for an error."""
    if path.is_dir():
        return "is a folder"
    return "is a pipe or a device" if path.exists() else "does not exist"


def refuse_file(folder: Path) -> None:
    """Raise RunError when a folder, or one that it would lie in, is a file or a broken link."""
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise RunError(
                f"{path} is a link to nothing",
                expected="a folder",
                hint="Remove the link, or choose another folder with --out.",
            )
        if path.exists() and not path.is_dir():
            raise RunError(
                f"{path} is a file", expected="a folder", hint="Choose another folder with --out."
            )


class JsonlLog(Generic[R]):
    """A JSONL file that several processes add rows to, and that survives a kill of any of them.

    ``rows`` are the whole rows that it was seen to have. Whoever opens it, or reads on and then
    appends, must be alone with it meanwhile: see ``stages.lock_folder``.
    """

    def __init__(self, path: Path, record: type[R]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self.rows: list[R] = []
        self._path, self._record, self._size = path, record, 0
        self.read_on()

    @property
    def has_changed(self) -> bool:
        """Whether another process has written since. Needs no lock."""
        return self._path.stat().st_size != self._size

    def read_on(self) -> list[R]:
        """The rows that were added since. A torn last line is cut off, to be done again.

        Raises DataError for any other line that is no row, and where the file was cut.
        """
        with self._path.open("r+b", buffering=0) as file:
            if os.fstat(file.fileno()).st_size < self._size:
                raise DataError(
                    f"{self._path} is shorter than it was",
                    expected="a file that only grows",
                    hint="Look at the file, then run the command again.",
                )
            file.seek(self._size)
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            lines = whole.split(b"\n")
            new = list(_parse_lines(self._path, lines, self._record, first=len(self.rows) + 1))
            if len(whole) < len(content):
                file.truncate(self._size + len(whole))
        self.rows += new
        self._size += len(whole)
        return new

    def append(self, rows: Sequence[R]) -> None:
        """Add ``rows`` and return once they are on disk. None is added when OSError says so."""
        content = "".join(row.model_dump_json() + "\n" for row in rows).encode()
        with self._path.open("ab", buffering=0) as file:
            try:
                while content:
                    content = content[file.write(content) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._size)
                raise
            self._size = file.tell()
        self.rows += rows


def read_log(path: Path, record: type[R]) -> list[R]:
    """The rows of a JsonlLog that others may be writing: a torn last line is not there yet."""
    content = path.read_bytes() if path.is_file() else b""
    return list(_parse_lines(path, content.split(b"\n")[:-1], record))


# --- reading -----------------------------------------------------------------------------------


def read_text(path: Path, error: type[KotError] = DataError) -> str:
    """A user's text file, UTF-8 with or without a byte order mark. Raises ``error`` otherwise."""
    with open_utf8(path, error) as file:
        content = file.read()
    try:
        return content.decode()
    except UnicodeDecodeError as cause:
        line = content[: cause.start].count(b"\n") + 1
        raise describe_bytes(f"{path} line {line}", cause, error) from cause


def read_json(path: Path) -> Any:
    """The JSON value in ``path``. Raises DataError when it is missing or torn."""
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist", expected="a JSON file", hint="Run the stage that writes it."
        ) from error
    except (ValueError, RecursionError) as error:  # nested deeper than Python goes
        raise DataError(
            f"{path} is not JSON ({error})",
            expected="a JSON file",
            hint="Delete it and run the stage that writes it again.",
        ) from error


def read_jsonl(path: Path, record: type[R]) -> list[R]:
    """The rows of a JSONL file. Raises DataError naming the first bad line."""
    if not path.is_file():
        found = describe_no_file(path)
        raise DataError(
            f"{path} {found}", expected="a JSONL file", hint="Check the path's spelling."
        )
    with open_utf8(path) as file:
        return list(_parse_lines(path, file, record))


def iter_jsonl(path: Path, record: type[R]) -> Iterator[R]:
    """The rows of a JSONL file that a stage wrote, one at a time: it need not fit into memory.

    Raises DataError at the first bad line.
    """
    with path.open("rb") as file:
        yield from _parse_lines(path, file, record)


def _parse_lines(
    path: Path, lines: Iterable[bytes], record: type[R], first: int = 1
) -> Iterator[R]:
    """The rows of lines, which end at line feeds alone: a JSON text may hold U+2028 as it is."""
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            row = record.model_validate_json(line.decode())
        except UnicodeDecodeError as error:
            raise describe_bytes(f"{path} line {number}", error, DataError) from error
        except ValidationError as error:
            raise describe_bad_line(path, number, record, error) from error
        yield row


def describe_bad_line(
    path: Path, number: int, record: type[BaseModel], error: ValidationError
) -> DataError:
    """What is wrong with a line that is no ``record``."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"])) or "the row"
    return DataError(
        f"{path} line {number}: {where}: {first['msg']}",
        expected=f"a JSON object with the fields {', '.join(record.model_fields)}",
        hint="Fix that line.",
    )


# --- fingerprints ------------------------------------------------------------------------------


def hash_value(value: object) -> str:
    """SHA-256 of a JSON value, independent of the order of keys."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes; read once per process while size and time stay the same."""
    stat = path.stat()
    return _hash_file(path, stat.st_size, stat.st_mtime_ns)


@cache
def _hash_file(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path, patterns: Iterable[str] = ("*",)) -> str:
    """SHA-256 over the names and contents of the files in ``folder`` that match a pattern."""
    files = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    return hash_value({file.name: hash_file(file) for file in files if file.name != MANIFEST})


# --- manifests ---------------------------------------------------------------------------------


@cache
def describe_machine() -> dict[str, Any]:
    """What a figure was made with: package versions, platform, cores, source commit.

    Read once: what this process has loaded stays what it was.
    """
    versions = {}
    for package in ("kot-platypus", "torch", "transformers", "peft", "accelerate"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "commit": _source_commit(),
        **versions,
    }


def _source_commit() -> str | None:
    """The commit this code runs from, marked when changed; None for an installed package."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def read_manifest(folder: Path) -> dict[str, Any]:
    """A stage folder's manifest. Raises DataError when it is missing or no manifest."""
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or "status" not in manifest:
        raise DataError(
            f"{folder / MANIFEST} is no manifest of a stage",
            expected="an object with a status",
            hint="Delete that folder and run the stage that writes it again.",
        )
    return manifest
