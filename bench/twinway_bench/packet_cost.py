"""What one packet costs at a pod's veth under tc, by how many policies its pods are under."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

from twinway.compute.desired import Memo
from twinway.driver import Change
from twinway.model.net import NodeName, ObjectRef
from twinway.model.node import Attachment
from twinway.sources.decode.registry import cluster, decode
from twinway_bench import shop
from twinway_bench.apart import Node, apart
from twinway_bench.pairs import percentile
from twinway_bench.places import output
from twinway_bench.policy_packets import policies
from twinway_bench.programs import program_at
from twinway_bench.results import Effort, Figure, Section
from twinway_testing import frames, site, testrun
from twinway_testing.frames import ACK, SYN, End, end

COUNTS = (0, 1, 120)
TC_ACT_REDIRECT = 7  # Source: include/uapi/linux/pkt_cls.h
PACKETS = 1_000
SETTLED = ("later packet", "answer")
CLIENT, SERVER, SERVICE = "10.244.1.2", "10.244.1.3", "10.96.0.80"
METHOD = (
    "The tc program at the host side of a veth, run by the kernel on packets of a pod that asks a Service, whose "
    f"server is under so many policies. Medians over {PACKETS:,} packets: the first packets of as many "
    "connections, then the answer to each, the packet that follows it, a later one, and a later answer."
)


def measure(effort: Effort) -> Section:
    """Nanoseconds, on this machine."""
    found = apart("packet_cost", "run", effort.out, counts=COUNTS)
    return Section("cost", "A packet's nanoseconds", METHOD, tuple(figures(found, "ns")), found)


def figures(found: Mapping[str, Mapping[str, Sequence[int]]], unit: str) -> Iterator[Figure]:
    """The median of each kind of packet, by number of policies."""
    for count, kinds in found.items():
        for kind, each in kinds.items():
            policy = "policy" if count == "1" else "policies"
            yield Figure(f"{kind}, {count} {policy}", percentile(each, 0.5), unit)


def run(node: Node, *, counts: Sequence[int]) -> dict[int, dict[str, list[int]]]:
    """Measure, apart: by number of policies and kind of packet, what each packet took."""
    with devices() as attachments, node.driver("tc") as driver:
        found, memo, previous = {}, Memo(), None
        for count in counts:
            state = memo.desired(_cluster(count), NodeName("n1"), attachments)
            driver.apply(Change(state, previous))
            previous = state
            program = program_at(node.context.bpffs, "tw_host_from")
            found[count] = dict(_packets(program, 1024 + PACKETS * counts.index(count)))
            os.close(program)
    return found


@contextmanager
def devices() -> Iterator[dict[ObjectRef, Attachment]]:
    """A client and a server on veth; the host sides are `hclient` and `hserver`."""
    with site.namespace("pods") as inside:
        attachments = {}
        for name, address in (("client", CLIENT), ("web", SERVER)):
            for words in (
                f"ip link add h{name} type veth peer name {name} netns {inside.name}",
                f"ip link set h{name} up",
                f"ip -n {inside.name} link set {name} up",
                f"ip route add {address}/32 dev h{name}",
            ):
                output(words.split())
            ref = ObjectRef("Pod", shop.NAMESPACE, name)
            attachments[ref] = Attachment(ref, name, str(inside), name, (ip_address(address),))
        yield attachments


def _cluster(count: int) -> Any:
    pods = [_at(shop.pod("client"), CLIENT), _at(shop.pod("web"), SERVER)]
    web = shop.service("web", {"name": "web"}, SERVICE, 80, 8080)
    documents = [shop.NODE, *pods, web, shop.endpoints("web", 8080, SERVER), *policies("web", "client", count)]
    decoded = decode(documents)
    assert not decoded.rejected, decoded.rejected
    return cluster(str(count), decoded.values.values())


def _at(pod: shop.Object, address: str) -> shop.Object:
    return {**pod, "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"}}


def _packets(program: int, first: int) -> Iterator[tuple[str, list[int]]]:
    clients = [end(CLIENT, port) for port in range(first, first + PACKETS)]
    service, server = end(SERVICE, 80), end(SERVER, 8080)
    asks = [(client, service) for client in clients]
    answers = [(server, client) for client in clients]
    kinds: Mapping[str, tuple[str, list[tuple[End, End]], int]] = {
        "first packet of a connection": ("hclient", asks, SYN),
        "its answer": ("hweb", answers, SYN | ACK),
        "first packet after the answer": ("hclient", asks, ACK),
        "later packet": ("hclient", asks, ACK),
        "answer": ("hweb", answers, ACK),
    }
    for kind, (device, ends, flags) in kinds.items():
        context = testrun.Context(ifindex=socket.if_nametoindex(device))
        packets = [frames.tcp(source, to, flags) for source, to in ends]
        if kind in SETTLED:
            # the second within a unit of the tables' time is one of many
            yield kind, [min(timed(program, packet, context) for _ in range(2)) for packet in packets]
        else:
            yield kind, [timed(program, packet, context) for packet in packets]


def timed(program: int, packet: bytes, context: testrun.Context) -> int:
    """Nanoseconds that a program took for a packet, by the kernel's clock."""
    ran = testrun.run(program, packet, context)
    assert ran.action == TC_ACT_REDIRECT, f"a packet was not delivered: {ran.action}"
    return ran.duration
