"""Senders of forged packets and listeners for them, at places of a lab."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from twinway_conformance import frames
from twinway_conformance.running import Running, running
from twinway_conformance.sockets import Remote
from twinway_conformance.stage import Stage

OUTSIDE = {4: "203.0.113.9", 6: "2001:db8:9::9"}
"""Addresses outside of the cluster: `external` sees what is sent to them. Source: RFC 5737, RFC 3849."""
WRONG = "wrong"
"""The prefix of the payloads of denied packets."""
_ACCEPTING_PORT = 7777
_forged_ports = count(5555)


class Emitter(Remote):
    """A program at a place that sends the packets that it is given. It needs CAP_NET_RAW alone."""

    program = "emit.py"

    def __init__(self, stage: Stage, place: str) -> None:
        super().__init__(stage.lab, place)

    def frame(self, packet: bytes, to: str, **how: Any) -> None:
        """Send a frame for the next hop to `to`; `how` has the options of `programs/emit.py`."""
        self.call("frame", packet=packet.hex(), to=to, **how)

    def raw(self, packet: bytes, to: str) -> None:
        """Send a packet through a raw IP socket; the kernel finds its route."""
        self.call("raw", packet=packet.hex(), to=to)

    def source(self, to: str) -> str:
        """The source address that this place uses towards `to`."""
        return str(self.call("source", to=to))

    def hop(self, to: str) -> str:
        """The MAC address of this place's next hop to `to`."""
        return str(self.call("hop", to=to))

    def datagram(self, source: str, to: str, port: int, text: str, **how: Any) -> None:
        """Send a UDP datagram in a frame, from any source address."""
        body = frames.udp(source, how.pop("source_port", 40000), to, port, frames.marked(text))
        self.frame(frames.ip(source, to, frames.UDP, body), to, **how)

    def accept(self, own: str, peer: str, text: str) -> bool:
        """Whether a listener here accepted a connection that was forged over its loopback, and sent `text`."""
        ends = peer, next(_forged_ports), own, _ACCEPTING_PORT
        syn, finish = frames.tcp(*ends, frames.SYN), frames.tcp(*ends, frames.ACK, number=2)
        packets = [frames.ip(peer, own, frames.TCP, segment).hex() for segment in (syn, finish)]
        return bool(self.call("accept", peer=peer, text=f"<{text}>", syn=packets[0], finish=packets[1]))

    def shout(self, port: int, text: str) -> None:
        """Send datagrams to the broadcast and multicast addresses of the device."""
        self.call("shout", port=port, text=f"<{text}>")


@contextmanager
def hearing(stage: Stage, place: str, *how: str, until: Collection[str] = ()) -> Iterator[set[str]]:
    """
    The payloads that reached `place` while the block ran, complete after it.

    `how` has the options of `programs/hear.py`. Fails if `until`, the payloads of allowed packets, did not arrive,
    because the absence of others would then prove nothing. By default `until` is `right()` of every family.
    """
    awaited = set(until or map(right, stage.families))
    heard: set[str] = set()
    with running([Running(stage.lab, place, "hear.py", *how, *sorted(awaited))]) as (ear,):
        yield heard
        heard |= set(json.loads(ear.end()))
    assert awaited <= heard, f"{sorted(awaited - heard)} did not reach {place}; heard: {sorted(heard)}"


def right(family: int) -> str:
    """The payload of an allowed packet."""
    return f"right-{family}"


def wrong(heard: set[str]) -> list[str]:
    """The heard payloads that policy denies."""
    return sorted(word for word in heard if word.startswith(WRONG))
