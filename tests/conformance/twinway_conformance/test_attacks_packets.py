"""Attacks: packets that a pod with CAP_NET_RAW makes itself do not get past policy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from twinway_conformance import frames
from twinway_conformance.attacks import OUTSIDE, RIGHT, WRONG, Emitter, hearing, wrong
from twinway_conformance.cast import CLIENT, DOG, FAR, GATE, NEAR, NODES, TELLER, VAULT, pod_addresses
from twinway_conformance.frames import TCP, UDP, marked
from twinway_conformance.objects import both, family_of
from twinway_conformance.policies import labels, namespaces, policy, source
from twinway_conformance.stage import Stage

pytestmark = [pytest.mark.policy, pytest.mark.xfail(reason="not every driver holds every row yet", strict=False)]

EXTERNAL = "external"
HEARD = 6000
"""A UDP port that no pod of the cast declares."""
SEALED = policy("shop/sealed", labels(name="near"), ingress=[], egress=[])
"""shop/near sends to nobody and hears nobody."""
MUTE = policy("shop/mute", labels(name="near"), egress=[])
"""shop/near sends to nobody."""
GUARDED = policy("bank/guarded", labels(name="vault"), ingress=[source(namespaces(labels(team="yard")))])
"""bank/vault hears pods of `yard` alone."""
ODD_PROTOCOLS = (2, 4, 41, 47, 50, 51, 89, 103, 112, 115, 132, 136, 137, 253)
ODD_FLAGS = (0, 1, 2, 3, 4, 6, 8, 16, 17, 18, 0x29, 0xFF)


def own(stage: Stage, name: str) -> Iterator[tuple[int, str]]:
    """(family, address) of a pod of the cast, in every family of the target."""
    yield from zip(stage.families, pod_addresses(name, stage.families), strict=True)


def pairs(stage: Stage, one: str, other: str) -> Iterator[tuple[str, str]]:
    """The addresses of two pods, in every family of the target."""
    yield from zip(pod_addresses(one, stage.families), pod_addresses(other, stage.families), strict=True)


@pytest.mark.row("raw-bypass")
def test_qdisc_bypass(stage: Stage) -> None:
    """A packet socket that asks to pass by the traffic control of its device sends nothing that policy denies."""
    stage.hold(SEALED)
    for near, far in pairs(stage, NEAR, FAR):
        client = pod_addresses(CLIENT, [family_of(near)])[0]
        with hearing(stage.lab, FAR, "udp", str(HEARD)) as heard:
            with Emitter(stage.lab, NEAR) as sealed_pod:
                sealed_pod.datagram(near, far, HEARD, f"{WRONG}-bypass", bypass=True)
                sealed_pod.datagram(client, far, HEARD, f"{WRONG}-bypass-as-client", bypass=True)
            with Emitter(stage.lab, CLIENT) as free:
                free.datagram(client, far, HEARD, RIGHT, bypass=True)
        assert not wrong(heard)


@pytest.mark.row("raw-bypass-ingress")
def test_qdisc_bypass_into_a_guarded_pod(stage: Stage) -> None:
    """Neither does it reach a pod of the same node under the address of one that is let in."""
    stage.hold(GUARDED)
    for vault, far in pairs(stage, VAULT, FAR):
        dog = pod_addresses(DOG, [family_of(vault)])[0]
        with hearing(stage.lab, VAULT, "udp", str(HEARD)) as heard:
            with Emitter(stage.lab, FAR) as rogue:
                rogue.datagram(dog, vault, HEARD, f"{WRONG}-as-dog", bypass=True)
                rogue.datagram(far, vault, HEARD, f"{WRONG}-as-itself", bypass=True)
            with Emitter(stage.lab, DOG) as friend:
                friend.datagram(dog, vault, HEARD, RIGHT, source_port=40001)
        assert not wrong(heard)


@pytest.mark.row("raw-ethertype")
def test_ethertype_of_the_socket(stage: Stage) -> None:
    """A frame is judged by its own header, whatever protocol its socket says that it holds."""
    stage.hold(SEALED)
    for near, far in pairs(stage, NEAR, FAR):
        client = pod_addresses(CLIENT, [family_of(near)])[0]
        with hearing(stage.lab, FAR, "udp", str(HEARD)) as heard:
            with Emitter(stage.lab, NEAR) as sealed_pod:
                for ethertype in (0x0806, 0x1234, 0x88A8, 0x86DD if family_of(near) == 4 else 0x0800):
                    sealed_pod.datagram(near, far, HEARD, f"{WRONG}-{ethertype:04x}", ethertype=ethertype)
            with Emitter(stage.lab, CLIENT) as free:
                free.datagram(client, far, HEARD, RIGHT)
        assert not wrong(heard)


@pytest.mark.row("raw-source")
def test_source_of_another(stage: Stage) -> None:
    """A pod without a policy sends under no address but its own, on its node and to another."""
    stage.hold(GUARDED)
    for vault, gate in pairs(stage, VAULT, GATE):
        (dog,) = pod_addresses(DOG, [family_of(vault)])
        with hearing(stage.lab, VAULT, "udp", str(HEARD)) as heard:
            for place in (FAR, CLIENT):
                with Emitter(stage.lab, place) as rogue:
                    rogue.datagram(dog, vault, HEARD, f"{WRONG}-{place[5:]}-as-dog")
                    rogue.datagram(gate, vault, HEARD, f"{WRONG}-{place[5:]}-as-gate")
            with Emitter(stage.lab, GATE) as friend:
                friend.datagram(gate, vault, HEARD, RIGHT, source_port=40001)
        assert not wrong(heard)


@pytest.mark.row("forged-accept")
def test_connection_that_nobody_began(stage: Stage) -> None:
    """A pod that forges a connection to its own listener over its loopback cannot speak to the alleged client."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        for family, near in own(stage, NEAR):
            client = pod_addresses(CLIENT, [family])[0]
            with hearing(stage.lab, EXTERNAL, "frames") as heard:
                with Emitter(stage.lab, NEAR) as sealed_pod:
                    sealed_pod.accept(near, OUTSIDE[family], f"{WRONG}-accepted")
                with Emitter(stage.lab, CLIENT) as free:
                    assert free.accept(client, OUTSIDE[family], RIGHT)
            assert not wrong(heard)


@pytest.mark.row("icmp-error-tunnel")
def test_icmp_errors(stage: Stage) -> None:
    """An ICMP error leaves a shut pod only for the sender of what it quotes, about a connection that is there."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        for family, near in own(stage, NEAR):
            (client,), (far,) = pod_addresses(CLIENT, [family]), pod_addresses(FAR, [family])
            out = OUTSIDE[family]
            quotes = {"strangers": (out, out), "own": (near, far), "answer": (out, near), "peer": (far, near)}
            with hearing(stage.lab, EXTERNAL, "frames") as heard:
                with Emitter(stage.lab, NEAR) as sealed_pod:
                    for name, ends in quotes.items():
                        sealed_pod.raw(_error(near, out, ends, f"{WRONG}-{name}"), out)
                with Emitter(stage.lab, CLIENT) as free:
                    free.raw(_error(client, out, (out, out), RIGHT), out)
            assert not wrong(heard)


def _error(source_: str, to: str, quoted: tuple[str, str], text: str) -> bytes:
    segment = frames.tcp(quoted[0], 1000, quoted[1], 80, frames.ACK) + marked(text)
    return frames.icmp_error(source_, to, frames.ip(*quoted, TCP, segment))


@pytest.mark.row("echo-reply-tunnel")
def test_echo_replies(stage: Stage) -> None:
    """An echo reply that nobody asked for leaves no pod that may send to nobody."""
    for shut in (SEALED, MUTE):
        stage.hold(shut)
        for family, near in own(stage, NEAR):
            client, out = pod_addresses(CLIENT, [family])[0], OUTSIDE[family]
            with hearing(stage.lab, EXTERNAL, "frames") as heard:
                with Emitter(stage.lab, NEAR) as sealed_pod:
                    sealed_pod.raw(frames.echo_reply(near, out, marked(f"{WRONG}-reply")), out)
                with Emitter(stage.lab, CLIENT) as free:
                    free.raw(frames.echo_reply(client, out, marked(RIGHT)), out)
            assert not wrong(heard)


@pytest.mark.row("neighbour-tunnel")
def test_neighbour_discovery_off_the_link(stage: Stage) -> None:
    """Neighbour discovery of a shut pod does not leave its link."""
    if 6 not in stage.families:
        pytest.skip("neighbour discovery is IPv6's")
    stage.hold(SEALED)
    (near,), (client,) = pod_addresses(NEAR, [6]), pod_addresses(CLIENT, [6])
    with hearing(stage.lab, EXTERNAL, "frames") as heard:
        with Emitter(stage.lab, NEAR) as sealed_pod:
            sealed_pod.frame(frames.neighbour_advertisement(near, OUTSIDE[6], marked(f"{WRONG}-nd")), OUTSIDE[6])
        with Emitter(stage.lab, CLIENT) as free:
            free.frame(frames.ip(client, OUTSIDE[6], 253, marked(RIGHT)), OUTSIDE[6])
    assert not wrong(heard)


def zoo(source_: str, to: str, text: str) -> Iterator[bytes]:
    """One packet of each odd kind: every combination of TCP flags that means something, and other protocols."""
    for flags in ODD_FLAGS:
        body = frames.tcp(source_, 1000 + flags, to, 80, flags, marked(f"{text}-tcp-{flags:02x}"))
        yield frames.ip(source_, to, TCP, body)
    for protocol in ODD_PROTOCOLS:
        yield frames.ip(source_, to, protocol, bytes(12) + marked(f"{text}-protocol-{protocol}"))
    yield frames.ip(source_, to, UDP, frames.udp(source_, 1, to, 0, marked(f"{text}-udp-0")))
    if family_of(to) == 4:
        asking = frames.udp("0.0.0.0", 68, to, 67, marked(f"{text}-dhcp"))
        yield frames.ip("0.0.0.0", to, UDP, asking)


@pytest.mark.row("odd-egress")
def test_odd_packets_out(stage: Stage) -> None:
    """A pod that may send to nobody, and that all may reach, sends no packet of any kind on its own."""
    stage.hold(MUTE)
    for near, far in pairs(stage, NEAR, FAR):
        client = pod_addresses(CLIENT, [family_of(near)])[0]
        with hearing(stage.lab, FAR, "frames") as heard:
            with Emitter(stage.lab, NEAR) as mute:
                for packet in zoo(near, far, WRONG):
                    mute.frame(packet, far)
            with Emitter(stage.lab, CLIENT) as free:
                free.frame(frames.ip(client, far, 253, marked(RIGHT)), far)
        assert not wrong(heard)


@pytest.mark.row("odd-ingress")
def test_odd_packets_in(stage: Stage) -> None:
    """A pod that only some may reach is given no packet of any kind by others, its raw sockets included."""
    stage.hold(GUARDED)
    for vault, client in pairs(stage, VAULT, CLIENT):
        gate = pod_addresses(GATE, [family_of(vault)])[0]
        with hearing(stage.lab, VAULT, "ip") as heard:
            with Emitter(stage.lab, CLIENT) as rogue:
                for packet in zoo(client, vault, WRONG):
                    rogue.frame(packet, vault)
            with Emitter(stage.lab, GATE) as friend:
                friend.frame(frames.ip(gate, vault, 253, marked(RIGHT)), vault)
        assert not wrong(heard)


@pytest.mark.row("ack-scan")
def test_ack_scan(stage: Stage) -> None:
    """A segment of no connection is answered by a reset where policy allows it, and elsewhere by nothing."""
    stage.hold(GUARDED)
    for vault, client in pairs(stage, VAULT, CLIENT):
        gate = pod_addresses(GATE, [family_of(vault)])[0]
        for place, address, port in ((CLIENT, client, 2001), (GATE, gate, 2002)):
            segment = frames.ip(address, vault, TCP, frames.tcp(address, port, vault, 80, frames.ACK))
            if place == CLIENT:
                with (
                    Emitter(stage.lab, place) as rogue,
                    hearing(stage.lab, place, "frames", until=RIGHT) as silence,
                    Emitter(stage.lab, TELLER) as teller,
                ):
                    rogue.frame(segment, vault)
                    (teller_own,) = pod_addresses(TELLER, [family_of(vault)])
                    teller.datagram(teller_own, client, HEARD, RIGHT)
                assert f"reset {port}" not in silence
            else:
                with (
                    Emitter(stage.lab, place) as friend,
                    hearing(stage.lab, place, "frames", until=f"reset {port}"),
                ):
                    friend.frame(segment, vault)


@pytest.mark.row("tagged-syn")
def test_beginning_behind_tags(stage: Stage) -> None:
    """A SYN behind VLAN tags, which the receiver takes off after its hooks have run, opens no connection."""
    stage.hold(GUARDED)
    for vault, far in pairs(stage, VAULT, FAR):
        dog = pod_addresses(DOG, [family_of(vault)])[0]
        wrong_syn, right_syn = (
            frames.ip(address, vault, TCP, frames.tcp(address, 2003, vault, 80, frames.SYN))
            for address in (far, dog)
        )
        with hearing(stage.lab, FAR, "frames", until=RIGHT) as heard:
            with Emitter(stage.lab, FAR) as rogue:
                for tags in ((0,), (0, 0), (5, 0)):
                    rogue.frame(wrong_syn, vault, tags=tags)
            with Emitter(stage.lab, DOG) as friend:
                friend.datagram(dog, far, HEARD, RIGHT)
        assert "syn-ack 2003" not in heard
        with Emitter(stage.lab, DOG) as friend, hearing(stage.lab, DOG, "frames", until="syn-ack 2003"):
            friend.frame(right_syn, vault)


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
    with hearing(stage.lab, FAR, "frames", until=RIGHT) as heard:
        with Emitter(stage.lab, FAR) as rogue:
            rogue.frame(first + behind, vault)
            rogue.frame(frames.ip(far, vault, TCP, segment[8:], fragment=1), vault)
        with Emitter(stage.lab, DOG) as friend:
            friend.datagram(dog, far, HEARD, RIGHT)
    assert "syn-ack 2004" not in heard


@pytest.mark.row("broadcast-ingress")
def test_broadcast(stage: Stage) -> None:
    """Broadcast and multicast are judged like any packet for the pod that would hear them."""
    stage.hold(GUARDED)
    for vault, dog in pairs(stage, VAULT, DOG):
        with hearing(stage.lab, VAULT, "udp", str(HEARD)) as heard:
            with Emitter(stage.lab, FAR) as rogue:
                rogue.shout(HEARD, f"{WRONG}-broadcast")
            with Emitter(stage.lab, DOG) as friend:
                friend.datagram(dog, vault, HEARD, RIGHT)
        assert not wrong(heard)


@pytest.mark.row("posing-node")
def test_posing_as_the_node(stage: Stage) -> None:
    """The network cannot reach a guarded pod under the address of that pod's own node."""
    stage.hold(GUARDED)
    for (family, vault), node in zip(own(stage, VAULT), both(NODES["n2"], stage.families), strict=True):
        gate = pod_addresses(GATE, [family])[0]
        body = frames.udp(node, 40000, vault, HEARD, marked(f"{WRONG}-as-node"))
        with hearing(stage.lab, VAULT, "udp", str(HEARD)) as heard:
            with Emitter(stage.lab, EXTERNAL) as network:
                network.raw(frames.ip(node, vault, UDP, body), vault)
            with Emitter(stage.lab, GATE) as friend:
                friend.datagram(gate, vault, HEARD, RIGHT, source_port=40001)
        assert not wrong(heard)


@pytest.mark.row("other-station")
def test_frame_for_another_station(stage: Stage) -> None:
    """A frame that the network sends to another station's MAC is delivered to no pod."""
    stage.hold()
    for _, far in own(stage, FAR):
        with hearing(stage.lab, FAR, "udp", str(HEARD)) as heard, Emitter(stage.lab, EXTERNAL) as network:
            address = network.source(far)
            network.datagram(address, far, HEARD, f"{WRONG}-station", mac="02:00:00:00:99:99")
            network.datagram(address, far, HEARD, RIGHT, source_port=40001)
        assert not wrong(heard)
