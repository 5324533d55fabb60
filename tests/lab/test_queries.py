"""The words of a probe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from twinway.errors import LabError
from twinway_lab.probe.queries import Target, batch, query_of
from twinway_lab.usage import WrongUsage

ASKED = {"from": "shop/client", "to": "10.0.0.1:80"}


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("10.0.0.1:80", "10.0.0.1", 80), ("[fd00::1]:53", "fd00::1", 53), ("web.shop:8080", "web.shop", 8080)],
)
def test_targets(text: str, host: str, port: int) -> None:
    """An address, an IPv6 address in brackets, a Service's name."""
    target = Target.parsed(text)
    assert (str(target.host), target.port) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", "80", ":80", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "fd00::1:80", "[x]:80", "web:80"],
)
def test_what_is_no_target(text: str) -> None:
    """Anything else is wrong usage."""
    with pytest.raises(WrongUsage):
        Target.parsed(text)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"to": None}, "to: is required"),
        ({"protocol": "icmp"}, "protocol: 'icmp' is none of tcp, udp, sctp"),
        ({"count": 0}, "count: must be a whole number from 1"),
        ({"count": 1.5}, "count: must be a whole number"),
        ({"count": True}, "count: must be a whole number"),
        ({"timeout": "1"}, "timeout: must be a number"),
        ({"payload_size": 60001}, "payload-size: must be a whole number from 0 to 60000"),
        ({"source": "here"}, "source: 'here' is no address"),
        ({"port": 80}, "port: unknown; known are count, from,"),
    ],
)
def test_wrong_words_are_named(wrong: dict[str, Any], words: str) -> None:
    """By field, with what would be right."""
    with pytest.raises(WrongUsage, match=words):
        query_of({**ASKED, **wrong})


def test_a_batch_is_refused_by_file_and_line(tmp_path: Path) -> None:
    """The second line is no query."""
    path = tmp_path / "batch.jsonl"
    path.write_text('{"from": "a/b", "to": "10.0.0.1:80"}\n{"from": "a/b"}\n')
    with pytest.raises(LabError, match=r"batch\.jsonl:2: to: is required"):
        list(batch(path))


def test_answers_repeat_what_was_asked() -> None:
    """From, to and protocol, letter for letter."""
    assert query_of({**ASKED, "protocol": "udp"}).asked == ("shop/client", "10.0.0.1:80", "udp")
