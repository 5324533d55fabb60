"""YAML as Kubernetes' own tools read it: no dates, no base 60, no key twice. Imported when needed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from yaml import CSafeLoader, MappingNode, MarkedYAMLError, ScalarNode, YAMLError, load_all
from yaml.constructor import ConstructorError

from twinway.errors import ManifestError

_DATE = "tag:yaml.org,2002:timestamp"
_INT = "tag:yaml.org,2002:int"
_MERGE = "tag:yaml.org,2002:merge"
_VALUE = "tag:yaml.org,2002:value"


class _Loader(CSafeLoader):
    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        keys = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in keys:
                raise ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


# Dates stay the strings that the API has; `12:30` is a string, not a number of base 60; `=` is a string.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_DATE, _INT, _VALUE)]
    for first, resolvers in CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"), list("-+0123456789")
)


def documents(path: Path, content: str) -> Iterator[Any]:
    """Each document of a YAML text; raises `ManifestError` naming `path` and, where it is known, the line."""
    try:
        yield from load_all(content, Loader=_Loader)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(word for word in (error.context, error.problem) if word)
        raise ManifestError(f"{path}:{mark.line + 1}: {words}" if mark else f"{path}: {words}") from error
    except YAMLError as error:
        raise ManifestError(f"{path}: {_first_line(error)}") from error
    except (ValueError, LookupError, AttributeError) as error:
        # What a scalar's own constructor happens to raise where a tag and its text contradict each other.
        raise ManifestError(f"{path}: a value does not fit its tag: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
