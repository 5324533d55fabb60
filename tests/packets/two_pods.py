"""
A host that routes between two pods, and connections between them.

    pod a 10.1.0.5 ── eth0 ═ hosta ── host, 10.1.0.1 ── hostb ═ eth0 ── pod b 10.1.0.9
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

from twinway.model.net import NodeName, ObjectRef, Protocol
from twinway.model.node import (
    NO_POLICY,
    Action,
    Attachment,
    ClassId,
    Endpoint,
    NodeState,
    PolicySet,
    PolicySetId,
    PolicyState,
    RuleId,
    Verdict,
    VerdictEntry,
)
from twinway.model.policy import Direction
from twinway_bpf.netlink import netns
from twinway_testing import site

NODE = NodeName("n1")
ADDRESSES = {"a": "10.1.0.5", "b": "10.1.0.9"}
SERVED = ("10.1.0.9", 8080)
OPENING, SILENT = PolicySetId(42), PolicySetId(43)
"""What pod b is under: it may open connections, or may not."""
SECONDS = 5

Conversation = tuple[socket.socket, socket.socket]
"""The ends of a connection that pod a opened to pod b, in this order."""


@dataclass(frozen=True, slots=True)
class Node:
    """Two pods on a host that routes between them."""

    host: Path
    pods: dict[str, Path]
    cgroup: Path

    def socket(self, pod: str) -> socket.socket:
        """A TCP socket of a pod's program."""
        with netns.inside(str(self.pods[pod])):
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(SECONDS)
        return made

    def state(self, version: str, *, server_may_open: bool) -> NodeState:
        """Pod b lets anybody in, and may open connections or not; pod a is under no policy."""
        chosen = OPENING if server_may_open else SILENT
        pods = {ObjectRef("Pod", "shop", name): (name, str(path)) for name, path in self.pods.items()}
        endpoints = {
            ref: Endpoint(
                Attachment(ref, name, path, "eth0", (ip_address(ADDRESSES[name]),)),
                chosen if name == "b" else NO_POLICY,
            )
            for ref, (name, path) in pods.items()
        }
        egress = Action.ALLOW if server_may_open else Action.DENY
        ways = {Direction.INGRESS: Action.ALLOW, Direction.EGRESS: egress}
        entries = tuple(
            VerdictEntry(way, ClassId(0), protocol, 0, 0, Verdict(action, RuleId(9)))
            for way, action in ways.items()
            for protocol in (0, *(each.number for each in Protocol))
        )
        policy = PolicyState(sets={chosen: PolicySet(chosen, entries)}, classes={}, rules={})
        return NodeState(NODE, version, (), MappingProxyType({}), endpoints, policy, ())

    @staticmethod
    def free(state: NodeState) -> NodeState:
        """The same pods under no policy."""
        endpoints = {ref: replace(endpoint, policy=NO_POLICY) for ref, endpoint in state.endpoints.items()}
        return replace(state, version="none", endpoints=endpoints, policy=PolicyState({}, {}, {}))


def wired(name: str, pod: Path) -> tuple[str, ...]:
    """Commands of the host that join a pod to it, as a ptp plugin does."""
    return (
        f"link add host{name} type veth peer name eth0 netns {pod.name}",
        f"link set host{name} up",
        f"addr add 10.1.0.1/32 dev host{name}",
    )


@contextlib.contextmanager
def started_node() -> Iterator[Node]:
    """The node; this process is in its cgroup and in the host's namespace."""
    with contextlib.ExitStack() as stack:
        pods = {name: stack.enter_context(site.namespace(f"take-{name}")) for name in ADDRESSES}
        commands = [command for name, path in pods.items() for command in wired(name, path)]
        host = stack.enter_context(site.namespace("take-host", *commands))
        for name, path in pods.items():
            address = ADDRESSES[name]
            site.ip(path, f"addr add {address}/32 dev eth0", "link set eth0 up")
            site.ip(path, "route add 10.1.0.1 dev eth0", "route add default via 10.1.0.1")
            site.ip(host, f"route add {address} dev host{name}")
        cgroup = stack.enter_context(site.cgroup("take"))
        stack.enter_context(site.member(cgroup))
        stack.enter_context(netns.inside(str(host)))
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        yield Node(host, pods, cgroup)


@contextlib.contextmanager
def conversing(node: Node) -> Iterator[Conversation]:
    """Open a connection from pod a to pod b."""
    with node.socket("b") as listener, node.socket("a") as client:
        listener.bind(SERVED)
        listener.listen()
        client.connect(SERVED)
        server, _ = listener.accept()
        server.settimeout(SECONDS)
        with server:
            yield client, server
