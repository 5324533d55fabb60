"""Files into documents: YAML and JSON, several in one, and what is wrong with them by line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinway.errors import ManifestError
from twinway.sources.manifests.parse import parse

YAML = Path("shop.yaml")
JSON = Path("shop.json")


def data(path: Path, content: str) -> list[Any]:
    """What the documents say."""
    return [dict(document.data) for document in parse(path, content.encode())]


def test_several_documents_in_one_file() -> None:
    """Empty ones are passed over, and still count where a document's place is reported."""
    found = parse(YAML, b"---\n---\nkind: A\n---\n# nothing\n---\nkind: B\n")
    assert [(each.place, each.data["kind"]) for each in found] == [("document 2", "A"), ("document 4", "B")]
    assert str(found[1]) == "shop.yaml: document 4"


def test_json_and_yaml_say_the_same() -> None:
    """JSON is by far the faster of the two to read."""
    whole = {"kind": "A", "metadata": {"labels": {"a": "1"}, "x": None}, "ports": [80, "80", True]}
    assert data(JSON, json.dumps(whole)) == data(YAML, json.dumps(whole)) == [whole]


def test_an_empty_file_holds_nothing() -> None:
    """It is no mistake."""
    assert parse(YAML, b"") == parse(JSON, b"\n") == ()


def test_a_list_of_nothing_and_a_kind_that_ends_so() -> None:
    """Null items are none; an object of a kind such as `AllowList` is one object."""
    assert data(YAML, "kind: PodList\napiVersion: v1\nitems: null") == []
    own = {"kind": "AllowList", "apiVersion": "example.com/v1", "metadata": {"name": "x"}}
    assert parse(JSON, json.dumps(own).encode())[0].data == own


def test_items_of_a_list_are_objects_of_their_own() -> None:
    """Items of a typed list are what the list says."""
    plain = data(YAML, "kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]")
    assert plain == [{"kind": "A"}, {"kind": "B"}]
    typed = parse(JSON, b'{"kind": "ServiceList", "apiVersion": "v1", "items": [{"metadata": {}}]}')
    assert [dict(each.data) for each in typed] == [{"apiVersion": "v1", "kind": "Service", "metadata": {}}]
    assert typed[0].place == "document 1, item 1"


def test_dates_and_clock_times_stay_strings() -> None:
    """As Kubernetes' own YAML reader leaves them; numbers are numbers."""
    assert data(YAML, "enum: [=, '!=', =~]\noperator: =") == [{"enum": ["=", "!=", "=~"], "operator": "="}]
    content = "date: 2024-01-01T00:00:00Z\nday: 2024-01-01\ntime: 12:30:45\nnumber: 0x10\noctal: 010\nport: 80"
    assert data(YAML, content) == [
        {
            "date": "2024-01-01T00:00:00Z",
            "day": "2024-01-01",
            "time": "12:30:45",
            "number": 16,
            "octal": 8,
            "port": 80,
        }
    ]


def test_anchors_and_merge_keys_work() -> None:
    """A key that overrides a merged one is not given twice."""
    assert data(YAML, "base: &b {x: 1, y: 2}\nother: {<<: *b, x: 3}")[0]["other"] == {"x": 3, "y": 2}


@pytest.mark.parametrize(
    ("path", "content", "line"),
    [
        (YAML, b"a: b: c", "shop.yaml:1: mapping values are not allowed in this context"),
        (
            YAML,
            b"kind: A\n---\nkind: B\nspec: {a: [1, 2}\n",
            "shop.yaml:4: while parsing a flow sequence did not find expected ',' or ']'",
        ),
        (YAML, b"kind: A\nspec:\n  ports: 1\n  ports: 2\n", "shop.yaml:4: key 'ports' is given twice"),
        (YAML, b"a: *b", "shop.yaml:1: found undefined alias"),
        (
            YAML,
            b"a: !!python/name:os.system x",
            "shop.yaml:1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:os.system'",
        ),
        (YAML, b"a: \x07", "shop.yaml: unacceptable character #x0007: control characters are not allowed"),
        (
            YAML,
            b"a: !!int x",
            "shop.yaml: a value does not fit its tag: invalid literal for int() with base 10: 'x'",
        ),
        (YAML, b"a: !!bool x", "shop.yaml: a value does not fit its tag: 'x'"),
        (YAML, b"? [a, b]\n: c", "shop.yaml:1: while constructing a mapping found unhashable key"),
        (YAML, b"\xff\xfe", "shop.yaml: byte 0: not UTF-8 text"),
        (
            YAML,
            b"kind: A\n---\n- b\n",
            "shop.yaml: document 2: must be an object with apiVersion, kind and metadata",
        ),
        (YAML, b"just text", "shop.yaml: document 1: must be an object with apiVersion, kind and metadata"),
        (YAML, b"kind: List\n", "shop.yaml: document 1: items: must be a list of objects"),
        (
            YAML,
            b"kind: List\nitems: [1]\n",
            "shop.yaml: document 1, item 1: must be an object with apiVersion, kind and metadata",
        ),
        (JSON, b'{\n"a": 1,\n}', "shop.json:3: expecting property name enclosed in double quotes"),
        (JSON, b'{"a": 1} {"b": 2}', "shop.json:1: extra data"),
        (JSON, b"[1]", "shop.json: document 1: must be an object with apiVersion, kind and metadata"),
        (JSON, b'{"a":' * 100_000, "shop.json: nested too deeply"),
    ],
)
def test_a_broken_file_is_named_with_its_place(path: Path, content: bytes, line: str) -> None:
    """One line: file, line or document, and what is wrong."""
    with pytest.raises(ManifestError) as caught:
        parse(path, content)
    assert str(caught.value) == line


@pytest.mark.parametrize("path", [YAML, JSON])
def test_a_number_that_is_too_long_is_refused(path: Path) -> None:
    """Python refuses to read numbers of more than 4300 digits."""
    with pytest.raises(ManifestError, match=r"^shop\.(yaml|json): .*4300"):
        parse(path, b'{"port": ' + b"9" * 5000 + b"}")


SNIPPETS = [
    "a",
    "b: ",
    "- ",
    "? ",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "&x ",
    "*x",
    "<<: ",
    "!!int ",
    "!!float ",
]
SNIPPETS += [
    "!!bool ",
    "!!timestamp ",
    "!!binary ",
    "!!set ",
    "!!omap ",
    "!!pairs ",
    "!!null ",
    "! ",
    "---",
    "...",
    "#",
]
SNIPPETS += [
    "'",
    '"',
    "|",
    ">",
    "%",
    "@",
    "`",
    "\t",
    "1",
    "-",
    ".",
    "0x",
    "2024-01-01",
    "\ufeff",
    "\ud7ff",
    "kind: List",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SNIPPETS), max_size=12).map("".join), st.sampled_from([YAML, JSON]))
def test_any_text_gives_documents_or_one_line(text: str, path: Path) -> None:
    """Never another exception, never a message of two lines."""
    try:
        lines = [str(document) for document in parse(path, text.encode())]
    except ManifestError as error:
        lines = [str(error)]
    assert all(re.fullmatch(r"shop\.(yaml|json):.+", line) for line in lines)


def test_deeply_nested_yaml_is_refused_too() -> None:
    """It neither ends the process nor shows a traceback."""
    with pytest.raises(ManifestError, match=r"^shop\.yaml"):
        parse(YAML, b"[" * 100_000)
