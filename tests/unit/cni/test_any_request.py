"""Whatever stands on the wire, the runtime gets an answer, and nobody else's pod is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cni.requests import config, environment, message
from twinway.attachments import Attachments
from twinway.cni.request import NetworkConfig, Request, attachment
from twinway.cni.verbs import Answer, Verbs
from twinway.status import Board, Status

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
VERB = st.sampled_from(["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION", ""])
KEYS = [
    "cniVersion", "prevResult", "prevResult.ips", "prevResult.ips.0", "prevResult.ips.0.address",
    "cni.dev/valid-attachments",
]  # fmt: skip
VALUE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


def answer(wire: bytes) -> Answer:
    """The answer of an agent that serves another pod, and that pod must be served afterwards, too."""
    with TemporaryDirectory() as folder:
        registry = Attachments(Path(folder), lambda: None)
        neighbour = environment("ADD", CNI_CONTAINERID="neighbour")
        request = Request.parse(message(neighbour, config()))
        registry.add(attachment(request, NetworkConfig.parse(request.stdin, "ADD")))
        given_back = Verbs(registry, Board(Status(node="n1", driver="fake", pid=1)), wait_seconds=0).answer(wire)
        assert registry.get("neighbour", "eth0") is not None
        assert {path.parent for path in Path(folder).rglob("*")} <= {Path(folder)}
    return given_back


def understood(reply: Answer) -> None:
    """It is a success, or an error result with a code and one line."""
    assert reply.status in (0, 1)
    if reply.status == 1:
        result = json.loads(reply.stdout)
        assert result["code"] > 0
        assert result["msg"]
        assert "\n" not in result["msg"]
        assert re.fullmatch(r"[0-9.]+", result["cniVersion"])


@given(st.binary(max_size=64))
def test_any_bytes(wire: bytes) -> None:
    """Bytes of any kind, with an end of the environment and without one."""
    understood(answer(wire))
    understood(answer(wire + b"\0\0" + wire))


@given(VERB, st.sampled_from(sorted(environment("ADD"))), VALUE)
def test_anything_in_the_environment(verb: str, key: str, value: str) -> None:
    """A runtime, or whoever has its rights, sets a variable to anything."""
    understood(answer(message({**environment(verb), key: value}, config("1.1.0"))))


@given(VERB.filter(lambda verb: verb != "GC"), st.sampled_from(KEYS), JSON)
def test_anything_in_the_config(verb: str, place: str, value: Any) -> None:
    """A plugin before us, or a config file, says anything."""
    whole: Any = json.loads(json.dumps(config("1.1.0")))
    *way, last = [place] if "/" in place else place.split(".")
    inner = whole
    for key in way:
        inner = inner[int(key) if key.isdecimal() else key]
    inner[int(last) if last.isdecimal() else last] = value
    understood(answer(message(environment(verb), whole)))


@given(st.binary(max_size=64), VERB)
def test_any_stdin(stdin: bytes, verb: str) -> None:
    """No JSON, deep JSON, no text at all."""
    understood(answer(message(environment(verb), stdin)))
    understood(answer(message(environment(verb), b"[" * 100_000)))
