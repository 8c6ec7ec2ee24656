"""YAML that people write, in which no key may stand twice: PyYAML would keep the last of them."""

from __future__ import annotations

from typing import Any

import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _NoneTwice:
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag != _MERGE and isinstance(key.value, str):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} stands there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[misc, no-any-return]


class _Loader(_NoneTwice, yaml.SafeLoader):
    pass


class _TextLoader(_NoneTwice, yaml.BaseLoader):
    pass


class YamlError(ValueError):
    """What is wrong in a text in YAML: one line, which begins with that of the text."""


def parse_yaml(text: str, *, is_text: bool = False) -> Any:
    """What a text in YAML holds; with ``is_text`` every value as it is written: ``no`` is "no".

    Raises YamlError, for a key that stands twice too.
    """
    try:
        return yaml.load(text, _TextLoader if is_text else _Loader)
    except yaml.reader.ReaderError as error:
        line, problem = text.count("\n", 0, error.position), error.reason
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, problem = mark.line if mark else 0, error.problem or error.context
    raise YamlError(f"line {line + 1}: {problem}")
