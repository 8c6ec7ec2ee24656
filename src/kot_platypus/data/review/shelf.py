"""Drafts that stay on disk: memory holds each one's place, key and checks."""

from __future__ import annotations

import os
from array import array
from collections.abc import Container
from itertools import chain
from pathlib import Path

from pydantic import ValidationError

from kot_platypus.artifacts import describe_bad_line
from kot_platypus.data.pipeline.drafts import Draft


class Shelf:
    """The drafts in a file, by number from 0; one with a key in ``but``, or seen before, is not.

    The file stays open until ``close``. Raises DataError when a line cannot be read.
    """

    def __init__(self, path: Path, but: Container[str] = ()) -> None:
        self._path = path
        self._file = path.open("rb")
        self._places = array("q")
        self.keys: dict[str, None] = {}
        self.checks: list[frozenset[str]] = []
        """Of each draft, those that found something."""
        seen: dict[frozenset[str], frozenset[str]] = {}  # few combinations: one object for each
        place = 0
        for line_number, line in enumerate(self._file, start=1):
            if line.strip():
                draft = self._parse(line, line_number)
                key = draft.key
                if key not in self.keys and key not in but:
                    self.keys[key] = None
                    self._places.append(place)
                    checks = frozenset(finding.check for finding in draft.findings)
                    self.checks.append(seen.setdefault(checks, checks))
            place += len(line)
        self._places.append(place)
        self.names = list(dict.fromkeys(chain.from_iterable(map(sorted, seen))))
        """All checks that found something."""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self.keys)

    def read_line(self, number: int) -> bytes:
        """A draft as it is written."""
        start, end = self._places[number], self._places[number + 1]
        # Blank lines and drafts that are not here lie before the next one's place.
        line, _, _ = os.pread(self._file.fileno(), end - start, start).partition(b"\n")
        return line

    def read(self, number: int) -> Draft:
        """A draft."""
        return self._parse(self.read_line(number), number + 1)

    def _parse(self, line: bytes, line_number: int) -> Draft:
        try:
            return Draft.model_validate_json(line)
        except ValidationError as error:
            raise describe_bad_line(self._path, line_number, Draft, error) from error
