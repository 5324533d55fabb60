"""What a probe is asked for: one command's words or one line of a batch, checked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from twinway.errors import LabError
from twinway.model.net import Protocol
from twinway_lab.names import Place, parse_place
from twinway_lab.probe.talk import LARGEST
from twinway_lab.usage import WrongUsage

DEFAULT_TIMEOUT = 3.0
_MOST = 100_000


@dataclass(frozen=True, slots=True)
class Target:
    """HOST:PORT; the host is an address, or the name of a Service."""

    host: IPv4Address | IPv6Address | str
    port: int

    @classmethod
    def parsed(cls, text: str) -> Target:
        """`10.0.0.1:80`, `[fd00::1]:80` or `NAME.NAMESPACE:80`; raises `WrongUsage`."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise WrongUsage(f"{text!r} is not HOST:PORT")
        if host.startswith("[") and host.endswith("]"):
            return cls(_six(host[1:-1], text), int(port))
        if ":" in host:
            raise WrongUsage(f"{text!r}: write an IPv6 address in brackets: [{host}]:{port}")
        try:
            return cls(ip_address(host), int(port))
        except ValueError:
            if host.count(".") != 1 or host.startswith(".") or host.endswith("."):
                raise WrongUsage(
                    f"{text!r}: the host is neither an address nor NAME.NAMESPACE of a Service"
                ) from None
            return cls(host, int(port))


def _six(host: str, text: str) -> IPv6Address:
    try:
        return IPv6Address(host)
    except ValueError:
        raise WrongUsage(f"{text!r}: what is in brackets is no IPv6 address") from None


@dataclass(frozen=True, slots=True)
class Query:
    """One probe, `count` times. `asked` repeats what answers give back: from, to, protocol."""

    place: Place
    target: Target
    protocol: Protocol
    asked: tuple[str, str, str]
    count: int = 1
    payload_size: int = 32
    timeout: float = DEFAULT_TIMEOUT
    source: IPv4Address | IPv6Address | None = None


def query_of(words: Mapping[str, Any]) -> Query:
    """The query that these words are, spelled as the command's options; raises `WrongUsage`."""
    known = {"from", "to", "protocol", "count", "payload-size", "timeout", "source"}
    words = {key.replace("_", "-"): value for key, value in words.items() if value is not None}
    if unknown := sorted(set(words) - known):
        raise WrongUsage(f"{unknown[0]}: unknown; known are {', '.join(sorted(known))}")
    place, to = _text(words, "from"), _text(words, "to")
    protocol = _text({"protocol": "tcp", **words}, "protocol")
    if protocol.upper() not in Protocol.__members__:
        raise WrongUsage(f"protocol: {protocol!r} is none of tcp, udp, sctp")
    source = words.get("source", "")
    try:
        address = ip_address(str(source)) if source else None
    except ValueError:
        raise WrongUsage(f"source: {source!r} is no address") from None
    return Query(
        place=parse_place(place),
        target=Target.parsed(to),
        protocol=Protocol[protocol.upper()],
        asked=(place, to, protocol),
        count=int(_number(words, "count", 1, (1, _MOST))),
        payload_size=int(_number(words, "payload-size", 32, (0, LARGEST))),
        timeout=_number(words, "timeout", DEFAULT_TIMEOUT, (0.001, 3600)),
        source=address,
    )


def batch(path: Path) -> Iterator[Query]:
    """The queries in a file of JSON lines; raises `LabError` by file and line."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            words = json.loads(line)
            if not isinstance(words, dict):
                raise WrongUsage("must be one JSON object")
            yield query_of(words)
        except (LabError, ValueError) as error:
            raise LabError(f"{path}:{number}: {error}") from error


def _text(words: Mapping[str, Any], key: str) -> str:
    value = words.get(key)
    if not isinstance(value, str) or not value:
        raise WrongUsage(f"{key}: is required" if value is None else f"{key}: must be a text, not {value!r}")
    return value


def _number(words: Mapping[str, Any], key: str, default: float, bounds: tuple[float, float]) -> float:
    value = words.get(key, default)
    low, high = bounds
    kinds = (int,) if isinstance(default, int) else (int, float)
    if type(value) not in kinds or not low <= value <= high:
        kind = "a whole number" if kinds == (int,) else "a number"
        raise WrongUsage(f"{key}: must be {kind} from {low:g} to {high:g}, not {value!r}")
    return float(value)
