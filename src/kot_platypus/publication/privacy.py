"""What must not leave this machine: keys, addresses, and the names of its user, host and folders.

A search by pattern finds what looks like a secret; one that is encoded (base64, encrypted) or a
password outside the environment it cannot know. A finding names file, line and kind, and
never holds what was found.
"""

from __future__ import annotations

import getpass
import html
import json
import os
import re
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

from kot_platypus.errors import DataError
from kot_platypus.models.weights import read_header
from kot_platypus.publication.plan import Content, Upload, read_upload

ALLOWABLE = ("email", "path", "user", "host")
"""Kinds that may be meant for others; a key never is."""
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_KEYS = {
    "a Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}",
    "an OpenAI or Anthropic key": r"\bsk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret key": r"(?i:aws.{0,20}(?:secret|key)).{0,20}[=:\"' ][A-Za-z0-9/+]{40}(?![\w/+])",
    "a DeepL key": rf"\b{_UUID}:fx\b|(?i:deepl.{{0,30}}){_UUID}",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{30,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a Slack token": r"\bxox[abprs]-[0-9A-Za-z-]{10,}",
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>]+:[^\s/@\"'<>]+@\w",
    "a bearer token": r"(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{20,}",
    "a JSON web token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.",
}
_EMAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[A-Za-z]{2,})\b")
_NOBODYS = re.compile(r"(?:.*\.)?(?:example(?:\.\w+)?|test|invalid|localhost)", re.IGNORECASE)
"""Domains reserved for examples (RFC 2606)."""
_ROOTS = (
    "home|Users|root|mnt|media|srv|scratch|workspace|private|var|tmp|data\\d*|opt|content|Volumes|"
    "nfs|lustre|gpfs|fsx"
)
_PATH = re.compile(
    rf"(?<![\w:/.~<-])/(?:{_ROOTS})/[\w.@+~-]|(?<![\w~/])~/[\w.]"
    r"|\b[A-Za-z]:\\+(?i:users|home|work|data|temp|documents)\\|\bfile:///?[\w.]"
)
_SECRET_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_MIN_SECRET_CHARS = 8
_GENERIC = {
    "root", "user", "admin", "ubuntu", "debian", "home", "runner", "jovyan", "nobody", "data",
    "localhost", "localhost.localdomain", "kot", "test", "work", "model", "python", "none",
}  # fmt: skip
"""Names of accounts and machines that say nothing about anybody."""


@dataclass(frozen=True)
class Finding:
    """Something private: where it stands, and of which kind it is. Not what it is."""

    file: str
    line: int
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.what}"


class Rule(NamedTuple):
    """One thing to look for, and in whose files."""

    kind: str
    what: str
    finds: Callable[[str], object]
    where: frozenset[Content]


def list_rules(repo_id: str, environment: Mapping[str, str] = os.environ) -> list[Rule]:
    """Everything to look for. The Hub's own name of the user (``repo_id``) is public anyway."""
    everywhere = frozenset(Content)
    texts = everywhere - {Content.PUBLIC}
    written = frozenset({Content.WRITTEN, Content.WEIGHTS})
    rules = [Rule("key", what, re.compile(p).search, everywhere) for what, p in _KEYS.items()]
    rules += [
        Rule("key", f"the value of the environment variable {name}", _contains(value), everywhere)
        for name, value in environment.items()
        if _SECRET_NAMES.search(name) and len(value.strip()) >= _MIN_SECRET_CHARS
    ]
    rules.append(Rule("email", "an e-mail address", _has_email, texts))
    rules += [
        Rule("path", "a path of this machine", _contains(str(folder)), texts)
        for folder in _list_folders(environment)
    ]
    rules.append(Rule("path", "a local path", _PATH.search, written))
    public = {*_GENERIC, repo_id.partition("/")[0].lower()}
    # A user's name before or after a slash is an id of the Hub; in a path it is found as a path.
    for kind, what, names, word in (
        ("user", "this machine's user", _list_users(), r"(?<![\w./-]){}(?![\w/-])"),
        ("host", "this machine's name", _list_hosts(), r"(?<![\w-]){}(?![\w-])"),
    ):
        rules += [
            Rule(kind, what, re.compile(word.format(re.escape(name))).search, texts)
            for name in names
            if len(name) > 3 and name.lower() not in public
        ]
    return rules


def _contains(value: str) -> Callable[[str], object]:
    return lambda text: value.strip() in text


def _has_email(text: str) -> bool:
    return any(not _NOBODYS.fullmatch(match[1]) for match in _EMAIL.finditer(text))


def _list_folders(environment: Mapping[str, str]) -> list[Path]:
    named = (environment.get(name) for name in ("KOT_CACHE", "HF_HOME", "TMPDIR", "VIRTUAL_ENV"))
    folders = [Path.home(), Path.cwd(), *(Path(name) for name in named if name)]
    return [folder for folder in dict.fromkeys(folders) if len(folder.parts) > 2]


def _list_users() -> set[str]:
    try:
        return {getpass.getuser(), Path.home().name}
    except (OSError, KeyError, RuntimeError):  # an account without a name, as in some containers
        return set()


def _list_hosts() -> set[str]:
    name = socket.gethostname()
    return {name, name.partition(".")[0]}


# --- searching ---------------------------------------------------------------------------------


def find_private(
    uploads: Iterable[Upload], rules: Collection[Rule], allowed: Collection[str] = ()
) -> list[Finding]:
    """Every line with something private, once a rule. ``allowed`` are kinds to let pass.

    Raises DataError or ModelError for a file that cannot be read as what it is called.
    """
    findings: dict[Finding, None] = {}
    for upload in uploads:
        chosen = [
            rule for rule in rules if upload.content in rule.where and rule.kind not in allowed
        ]
        for line, text in _iter_texts(upload):
            for rule in chosen:
                if rule.finds(text):
                    finding = Finding(upload.destination, line, rule.kind, rule.what)
                    findings[finding] = None
    return list(findings)


def _iter_texts(upload: Upload) -> Iterator[tuple[int, str]]:
    """The texts of a file with their lines, each as it stands and as its format means it."""
    name = upload.destination
    yield 0, name.replace("/", " ")
    if upload.content is Content.WEIGHTS:
        # Of weights the metadata and the names of tensors.
        yield 1, json.dumps(read_header(upload.source, metadata=True), ensure_ascii=False)
        return
    if name.endswith(".parquet"):
        yield from _iter_parquet(upload.source)
        return
    text = read_upload(upload).decode("utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        yield number, line
        yield from ((number, meant) for meant in _decode_line(line, name))
    if name.endswith(".yaml"):
        yield from _iter_yaml(text)


_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')


def _decode_line(line: str, name: str) -> Iterator[str]:
    if name.endswith((".json", ".jsonl")) and "\\" in line:
        for literal in _LITERAL.findall(line):
            try:
                yield json.loads(literal)
            except ValueError:  # half of another literal
                continue
    elif name.endswith((".html", ".md")):
        yield re.sub(r"\\([^\w\s])|\\(?=_)", r"\1", html.unescape(line))


def _iter_yaml(text: str) -> Iterator[tuple[int, str]]:
    try:
        waiting = [yaml.compose(text, yaml.SafeLoader)]
    except yaml.YAMLError:
        return  # refused where paths are cleaned
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.ScalarNode):
            yield node.start_mark.line + 1, node.value
        elif isinstance(node, yaml.CollectionNode):
            waiting += [each for item in node.value for each in (
                item if isinstance(item, tuple) else (item,))]  # fmt: skip


def _iter_parquet(path: Path) -> Iterator[tuple[int, str]]:
    """Line 1 is the file's own metadata; then a line a row."""
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        metadata = file.schema_arrow.metadata or {}
        yield 1, " ".join(f"{key!r} {value!r}" for key, value in metadata.items())
        number = 1
        for batch in file.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield from ((number, text) for text in _iter_values(row))
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise DataError(
            f"{path} is no Parquet file ({type(error).__name__})",
            expected="rows in that format",
            hint="Write it again with the kot command that made it.",
        ) from error


def _iter_values(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from _iter_values(each)
    elif isinstance(value, list):
        for each in value:
            yield from _iter_values(each)
