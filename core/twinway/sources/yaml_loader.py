"""YAML as Kubernetes' own tools read it: no dates, no base 60, no key twice. Imported when needed."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

from yaml import CSafeLoader, MappingNode, MarkedYAMLError, YAMLError, load_all
from yaml.constructor import ConstructorError

_DATE = "tag:yaml.org,2002:timestamp"
_INT = "tag:yaml.org,2002:int"


class _Loader(CSafeLoader):
    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        keys = set()
        for key, _ in node.value:
            if key.value in keys and key.tag != "tag:yaml.org,2002:merge":
                raise ConstructorError(None, None, f"key {key.value!r} is given twice", key.start_mark)
            if isinstance(key.value, str):
                keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


# Dates stay the strings that the API has; `12:30` is a string, not a number of base 60.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_DATE, _INT)]
    for first, resolvers in CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _INT, re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$"), list("-+0123456789")
)


def documents(content: str) -> Iterator[Any]:
    """Each document of a YAML text; raises `ValueError(line, problem)`, line 0 where none is known."""
    try:
        yield from load_all(content, Loader=_Loader)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(word for word in (error.context, error.problem) if word)
        raise ValueError(mark.line + 1 if mark else 0, words) from error
    except YAMLError as error:
        raise ValueError(0, str(error).partition("\n")[0]) from error
