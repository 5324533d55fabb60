"""Attacks: packets that a pod with CAP_NET_RAW makes itself do not get past policy."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from twinway_conformance import frames
from twinway_conformance.attacks import OUTSIDE, WRONG, Emitter, hearing, right, wrong
from twinway_conformance.cast import CLIENT, DOG, FAR, GATE, NEAR, NODES, VAULT, pod_addresses
from twinway_conformance.frames import TCP, UDP, marked
from twinway_conformance.objects import both, family_of
from twinway_conformance.policies import labels, namespaces, policy, source
from twinway_conformance.stage import Stage

pytestmark = pytest.mark.policy

EXTERNAL = "external"
HEARD = "6000"
"""A UDP port that no pod of the cast declares."""
PORT = int(HEARD)
SEALED = policy("shop/sealed", labels(name="near"), ingress=[], egress=[])
"""shop/near sends to nobody and hears nobody."""
MUTE = policy("shop/mute", labels(name="near"), egress=[])
"""shop/near sends to nobody."""
GUARDED = policy("bank/guarded", labels(name="vault"), ingress=[source(namespaces(labels(team="yard")))])
"""bank/vault hears pods of `yard` alone."""
ODD_PROTOCOLS = (2, 4, 41, 47, 50, 51, 89, 103, 112, 115, 132, 136, 137, 253)
ODD_FLAGS = (0, 1, 2, 3, 4, 6, 8, 16, 17, 18, 0x29, 0xFF)


def each(stage: Stage, *names: str) -> Iterator[tuple[str, ...]]:
    """The addresses of these pods of the cast, family by family."""
    yield from zip(*(pod_addresses(name, stage.families) for name in names), strict=True)


@contextmanager
def attack(
    stage: Stage, hearer: str, *how: str, denied: str, allowed: str, until: Collection[str] = ()
) -> Iterator[tuple[Emitter, Emitter]]:
    """
    Emit from a place that policy denies and from one that it allows, while `hearer` listens (see `hearing`).

    The block gets both emitters. Afterwards, what was marked wrong must not have been heard.
    """
    with (
        hearing(stage, hearer, *how, until=until) as heard,
        Emitter(stage, denied) as denied_emitter,
        Emitter(stage, allowed) as allowed_emitter,
    ):
        yield denied_emitter, allowed_emitter
    assert not wrong(heard)


@pytest.mark.row("raw-bypass")
def test_qdisc_bypass(stage: Stage) -> None:
    """A packet socket that asks to bypass its device's traffic control sends nothing that policy denies."""
    stage.hold(SEALED)
    with attack(stage, FAR, "udp", HEARD, denied=NEAR, allowed=CLIENT) as (shut, free):
        for near, far, client in each(stage, NEAR, FAR, CLIENT):
            shut.datagram(near, far, PORT, f"{WRONG}-bypass", bypass=True)
            shut.datagram(client, far, PORT, f"{WRONG}-bypass-as-client", bypass=True)
            free.datagram(client, far, PORT, right(family_of(far)), bypass=True)


@pytest.mark.row("raw-bypass-ingress")
def test_qdisc_bypass_into_a_guarded_pod(stage: Stage) -> None:
    """Such a socket reaches no guarded pod of its own node, under whatever address it sends."""
    stage.hold(GUARDED)
    with attack(stage, VAULT, "udp", HEARD, denied=FAR, allowed=DOG) as (rogue, friend):
        for vault, far, dog in each(stage, VAULT, FAR, DOG):
            rogue.datagram(dog, vault, PORT, f"{WRONG}-as-dog", bypass=True)
            rogue.datagram(far, vault, PORT, f"{WRONG}-as-itself", bypass=True)
            friend.datagram(dog, vault, PORT, right(family_of(vault)), source_port=40001)


@pytest.mark.row("raw-ethertype")
def test_ethertype_of_the_socket(stage: Stage) -> None:
    """A frame is judged by its own header, whatever protocol the sending socket declares."""
    stage.hold(SEALED)
    with attack(stage, FAR, "udp", HEARD, denied=NEAR, allowed=CLIENT) as (shut, free):
        for near, far, client in each(stage, NEAR, FAR, CLIENT):
            other = 0x86DD if family_of(near) == 4 else 0x0800
            for ethertype in (0x0806, 0x1234, 0x88A8, other):
                shut.datagram(near, far, PORT, f"{WRONG}-{ethertype:04x}", ethertype=ethertype)
            free.datagram(client, far, PORT, right(family_of(far)))


@pytest.mark.row("raw-source")
def test_source_of_another(stage: Stage) -> None:
    """A pod without a policy cannot send under the address of a pod that is let in."""
    stage.hold(GUARDED)
    with (
        hearing(stage, VAULT, "udp", HEARD) as heard,
        Emitter(stage, FAR) as beside,
        Emitter(stage, CLIENT) as elsewhere,
        Emitter(stage, GATE) as friend,
    ):
        for vault, gate, dog in each(stage, VAULT, GATE, DOG):
            for name, rogue in (("beside", beside), ("elsewhere", elsewhere)):
                rogue.datagram(dog, vault, PORT, f"{WRONG}-{name}-as-dog")
                rogue.datagram(gate, vault, PORT, f"{WRONG}-{name}-as-gate")
            friend.datagram(gate, vault, PORT, right(family_of(vault)), source_port=40001)
    assert not wrong(heard)


@pytest.mark.row("forged-accept")
def test_connection_that_nobody_began(stage: Stage) -> None:
    """A pod that forges a connection to its own listener over its loopback cannot speak to the alleged client."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        with attack(stage, EXTERNAL, "frames", denied=NEAR, allowed=CLIENT) as (forger, free):
            for near, client in each(stage, NEAR, CLIENT):
                peer = OUTSIDE[family_of(near)]
                forger.accept(near, peer, f"{WRONG}-accepted")
                assert free.accept(client, peer, right(family_of(near)))


@pytest.mark.row("icmp-error-tunnel")
def test_icmp_errors(stage: Stage) -> None:
    """An ICMP error leaves a shut pod only for the sender of what it quotes, about a connection that exists."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        with attack(stage, EXTERNAL, "frames", denied=NEAR, allowed=CLIENT) as (sender, free):
            for near, far, client in each(stage, NEAR, FAR, CLIENT):
                out = OUTSIDE[family_of(near)]
                quotes = {"strangers": (out, out), "own": (near, far), "answer": (out, near), "peer": (far, near)}
                for name, ends in quotes.items():
                    sender.raw(_error(near, out, ends, f"{WRONG}-quotes-{name}"), out)
                free.raw(_error(client, out, (out, out), right(family_of(out))), out)


@pytest.mark.row("icmp-error-ingress")
def test_icmp_errors_in(stage: Stage) -> None:
    """An ICMP error about no connection of a guarded pod does not reach it from those whom policy shuts out."""
    stage.hold(GUARDED)
    with attack(stage, VAULT, "ip", denied=CLIENT, allowed=GATE) as (rogue, friend):
        for vault, client, gate in each(stage, VAULT, CLIENT, GATE):
            for name, ends in {"own": (vault, client), "strangers": (client, vault)}.items():
                rogue.raw(_error(client, vault, ends, f"{WRONG}-quotes-{name}"), vault)
            friend.frame(frames.ip(gate, vault, 253, marked(right(family_of(vault)))), vault)


def _error(sender: str, to: str, quoted: tuple[str, str], text: str) -> bytes:
    segment = frames.tcp(quoted[0], 1000, quoted[1], 80, frames.ACK) + marked(text)
    return frames.icmp_error(sender, to, frames.ip(*quoted, TCP, segment))


@pytest.mark.row("echo-reply-tunnel")
def test_echo_replies(stage: Stage) -> None:
    """An echo reply that nobody asked for does not leave a pod that may send to nobody."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        with attack(stage, EXTERNAL, "frames", denied=NEAR, allowed=CLIENT) as (sender, free):
            for near, client in each(stage, NEAR, CLIENT):
                out = OUTSIDE[family_of(near)]
                sender.raw(frames.echo_reply(near, out, marked(f"{WRONG}-reply")), out)
                free.raw(frames.echo_reply(client, out, marked(right(family_of(out)))), out)


@pytest.mark.row("neighbour-tunnel")
def test_neighbour_discovery_off_the_link(stage: Stage) -> None:
    """Neighbour discovery of a shut pod does not leave its link."""
    if 6 not in stage.families:
        pytest.skip("neighbour discovery is IPv6's")
    stage.hold(SEALED)
    (near,), (client,) = pod_addresses(NEAR, [6]), pod_addresses(CLIENT, [6])
    with attack(stage, EXTERNAL, "frames", until=[right(6)], denied=NEAR, allowed=CLIENT) as (sender, free):
        sender.frame(frames.neighbour_advertisement(near, OUTSIDE[6], marked(f"{WRONG}-nd")), OUTSIDE[6])
        free.frame(frames.ip(client, OUTSIDE[6], 253, marked(right(6))), OUTSIDE[6])


def zoo(sender: str, to: str, text: str) -> Iterator[bytes]:
    """One packet of each odd kind: combinations of TCP flags, and protocols without ports."""
    for flags in ODD_FLAGS:
        body = frames.tcp(sender, 1000 + flags, to, 80, flags, marked(f"{text}-tcp-{flags:02x}"))
        yield frames.ip(sender, to, TCP, body)
    for protocol in ODD_PROTOCOLS:
        yield frames.ip(sender, to, protocol, bytes(12) + marked(f"{text}-protocol-{protocol}"))
    yield frames.ip(sender, to, UDP, frames.udp(sender, 1, to, 0, marked(f"{text}-udp-0")))
    if family_of(to) == 4:
        yield frames.ip("0.0.0.0", to, UDP, frames.udp("0.0.0.0", 68, to, 67, marked(f"{text}-dhcp")))
        first, more = frames.udp(sender, 1, to, 9, bytes(8)), frames.MORE_FRAGMENTS
        yield frames.ip(sender, to, UDP, first + marked(f"{text}-first-fragment"), fragment=more)
        yield frames.ip(sender, to, UDP, marked(f"{text}-later-fragment"), fragment=2)
    else:
        body = marked(f"{text}-later-fragment")
        yield frames.fragment6(sender, to, UDP, body, offset=16, more=False)


@pytest.mark.row("odd-egress")
def test_odd_packets_out(stage: Stage) -> None:
    """A pod that may send to nobody, and that all may reach, sends no packet of any kind of its own accord."""
    stage.hold(MUTE)
    with attack(stage, FAR, "frames", denied=NEAR, allowed=CLIENT) as (mute, free):
        for near, far, client in each(stage, NEAR, FAR, CLIENT):
            for packet in zoo(near, far, WRONG):
                mute.frame(packet, far)
            free.frame(frames.ip(client, far, 253, marked(right(family_of(far)))), far)


@pytest.mark.row("odd-ingress")
def test_odd_packets_in(stage: Stage) -> None:
    """A guarded pod is given no packet of any kind by those whom policy shuts out, its raw sockets included."""
    stage.hold(GUARDED)
    with attack(stage, VAULT, "ip", denied=CLIENT, allowed=GATE) as (rogue, friend):
        for vault, client, gate in each(stage, VAULT, CLIENT, GATE):
            for packet in zoo(client, vault, WRONG):
                rogue.frame(packet, vault)
            friend.frame(frames.ip(gate, vault, 253, marked(right(family_of(vault)))), vault)


@pytest.mark.row("ack-scan")
def test_ack_scan(stage: Stage) -> None:
    """A segment of no connection is answered by a reset where policy allows it, and elsewhere by nothing."""
    stage.hold(GUARDED)
    with (
        hearing(stage, CLIENT, "frames") as silence,
        hearing(stage, GATE, "frames", until=[f"reset {2000 + family}" for family in stage.families]),
        Emitter(stage, CLIENT) as rogue,
        Emitter(stage, GATE) as friend,
    ):
        for vault, client, gate in each(stage, VAULT, CLIENT, GATE):
            family = family_of(vault)
            for address, emitter in ((client, rogue), (gate, friend)):
                segment = frames.tcp(address, 2000 + family, vault, 80, frames.ACK)
                emitter.frame(frames.ip(address, vault, TCP, segment), vault)
            friend.datagram(gate, client, PORT, right(family))
    assert not [word for word in silence if word.startswith("reset")]


@pytest.mark.row("tagged-syn")
def test_beginning_behind_tags(stage: Stage) -> None:
    """A SYN behind VLAN tags, which the receiver takes off after its hooks have run, opens no connection."""
    stage.hold(GUARDED)
    with (
        hearing(stage, FAR, "frames") as silence,
        hearing(stage, DOG, "frames", until=[f"syn-ack {2010 + family}" for family in stage.families]),
        Emitter(stage, FAR) as rogue,
        Emitter(stage, DOG) as friend,
    ):
        for vault, far, dog in each(stage, VAULT, FAR, DOG):
            family = family_of(vault)
            for tags in ((0,), (0, 0), (5, 0)):
                syn = frames.tcp(far, 2010 + family, vault, 80, frames.SYN)
                rogue.frame(frames.ip(far, vault, TCP, syn), vault, tags=tags)
            syn = frames.tcp(dog, 2010 + family, vault, 80, frames.SYN)
            friend.frame(frames.ip(dog, vault, TCP, syn), vault)
            friend.datagram(dog, far, PORT, right(family))
    assert not [word for word in silence if word.startswith("syn-ack")]


@pytest.mark.row("split-syn")
def test_beginning_in_fragments(stage: Stage) -> None:
    """A SYN whose flags stand in its second fragment opens no connection, whatever follows the first one."""
    if 4 not in stage.families:
        pytest.skip("no IPv4 in an IPv6 cluster")
    stage.hold(GUARDED)
    (vault,), (far,), (dog,) = (pod_addresses(name, [4]) for name in (VAULT, FAR, DOG))
    segment = frames.tcp(far, 2004, vault, 80, frames.SYN)
    first = frames.ip(far, vault, TCP, segment[:8], fragment=frames.MORE_FRAGMENTS)
    behind = bytes(4) + bytes((0x50, frames.ACK)) + bytes(12)
    with (
        hearing(stage, FAR, "frames", until=[right(4)]) as heard,
        Emitter(stage, FAR) as rogue,
        Emitter(stage, DOG) as friend,
    ):
        rogue.frame(first + behind, vault)
        rogue.frame(frames.ip(far, vault, TCP, segment[8:], fragment=1), vault)
        friend.datagram(dog, far, PORT, right(4))
    assert not [word for word in heard if word.startswith("syn-ack")]


@pytest.mark.row("broadcast-ingress")
def test_broadcast(stage: Stage) -> None:
    """Broadcast and multicast are judged like any packet for the pod that would hear them."""
    stage.hold(GUARDED)
    with attack(stage, VAULT, "udp", HEARD, denied=FAR, allowed=DOG) as (rogue, friend):
        rogue.shout(PORT, f"{WRONG}-broadcast")
        for vault, dog in each(stage, VAULT, DOG):
            friend.datagram(dog, vault, PORT, right(family_of(vault)))


@pytest.mark.row("posing-node")
def test_posing_as_the_node(stage: Stage) -> None:
    """The network cannot reach a guarded pod under the address of that pod's own node."""
    stage.hold(GUARDED)
    nodes = both(NODES["n2"], stage.families)
    with attack(stage, VAULT, "udp", HEARD, denied=EXTERNAL, allowed=GATE) as (network, friend):
        for node, (vault, gate) in zip(nodes, each(stage, VAULT, GATE), strict=True):
            body = frames.udp(node, 40000, vault, PORT, marked(f"{WRONG}-as-node"))
            network.raw(frames.ip(node, vault, UDP, body), vault)
            friend.datagram(gate, vault, PORT, right(family_of(vault)), source_port=40001)


@pytest.mark.row("other-station")
def test_frame_for_another_station(stage: Stage) -> None:
    """A frame that the network sends to another station's MAC is delivered to no pod."""
    stage.hold()
    with hearing(stage, FAR, "udp", HEARD) as heard, Emitter(stage, EXTERNAL) as network:
        for (far,) in each(stage, FAR):
            address = network.source(far)
            network.datagram(address, far, PORT, f"{WRONG}-station", mac="02:00:00:00:99:99")
            network.datagram(address, far, PORT, right(family_of(far)), source_port=40001)
    assert not wrong(heard)
