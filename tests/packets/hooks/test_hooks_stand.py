"""Hooks of a node: each stands where it belongs; one that does not is reported and attached again."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packets import datapaths
from tests.packets.policy.test_idle import Policy, hears
from tests.packets.two_pods import ADDRESSES, NODE, SERVED, Conversation, Node
from tests.unit.bpf.wire import UNSPEC, answering
from twinway.driver import Change, NodeContext
from twinway.errors import DriverError
from twinway_bpf.connections.sockdiag import SockDiag, Socket
from twinway_bpf.datapath import Datapath
from twinway_bpf.load import features, libbpf, programs, stamp
from twinway_bpf.netlink import netns
from twinway_bpf.netlink.links import Link, Links
from twinway_testing import site
from twinway_testing.frames import end, udp

PORT = 6000
SLOTS = 80
"""More than a device has at one hook."""


class Agent:
    """One process's datapath, and its pins."""

    def __init__(self, datapath: Datapath, pins: Path) -> None:
        self.datapath = datapath
        self.pins = pins

    def lose(self, *groups: str) -> None:
        """Somebody removes the pins of these groups, and the programs go with them."""
        for group in groups:
            for pin in (self.pins / "links" / group).iterdir():
                link = libbpf.obj_get(str(pin))
                with contextlib.suppress(OSError):
                    libbpf.link_detach(link)
                os.close(link)
                pin.unlink()


@contextlib.contextmanager
def place(node: Node, bundles: Path, folder: Path) -> Iterator[NodeContext]:
    """Where agents of a node run, one after the other."""
    (folder / "cache").mkdir()
    (folder / "cache" / "bundles").symlink_to(bundles)
    with site.bpf_file_system(folder / "bpf") as bpffs:
        yield NodeContext(NODE, bpffs / "node", node.cgroup, folder / "cache", ())


def process(context: NodeContext, driver: str, **sizes: int) -> Datapath:
    """A process of the node's agent."""
    datapath = datapaths.make(context, driver, calm=0.0, **sizes)
    datapath.start()
    return datapath


@contextlib.contextmanager
def started(node: Node, bundles: Path, folder: Path, driver: str) -> Iterator[Agent]:
    """A node's agent."""
    with place(node, bundles, folder) as context:
        datapath = process(context, driver)
        yield Agent(datapath, context.bpffs)
        datapath.remove()
        datapath.close()


@pytest.fixture(params=datapaths.DRIVERS)
def agent(request: pytest.FixtureRequest, node: Node, bundles: Path, tmp_path: Path) -> Iterator[Agent]:
    """Of either way of serving."""
    with started(node, bundles, tmp_path, request.param) as made:
        yield made


@pytest.fixture
def at_sockets(node: Node, bundles: Path, tmp_path: Path) -> Iterator[Agent]:
    """Whose pods are served at their sockets."""
    with started(node, bundles, tmp_path, "sockops") as made:
        yield made


def forge(node: Node, pod: str, source: str, to: str) -> None:
    """A pod sends a datagram under an address of its choice, by a packet socket."""
    gateway = host_device(node, f"host{pod}").mac
    with netns.inside(str(node.pods[pod])), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packet:
        packet.bind(("eth0", 0))
        frame = udp(end(source, 4000), end(to, PORT), data=b"forged")
        with contextlib.suppress(OSError):
            packet.send(gateway + frame[6:])


def host_device(node: Node, name: str) -> Link:
    """A device of the host's namespace."""
    with Links.inside(str(node.host)) as links:
        link = links.link(name=name)
    assert link is not None
    return link


def listening(node: Node, pod: str) -> socket.socket:
    """A pod that hears datagrams."""
    with netns.inside(str(node.pods[pod])):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("0.0.0.0", PORT))
    made.settimeout(0.5)
    return made


def arrives(node: Node, source: str, to: str = "b") -> bool:
    """Whether a datagram that pod a sends under this address comes to another pod."""
    with listening(node, to) as ear:
        forge(node, "a", source, ADDRESSES[to])
        with contextlib.suppress(TimeoutError):
            return ear.recv(100) == b"forged"
    return False


@pytest.fixture
def on_packets(node: Node, bundles: Path, tmp_path: Path) -> Iterator[Agent]:
    """Whose pods are served on their packets."""
    with started(node, bundles, tmp_path, "tc") as made:
        yield made


def test_frame_passes_hooks_of_each_pod(node: Node, on_packets: Agent) -> None:
    """Health of tc names the pod whose hooks a frame passed, each time the next one; without pods it says so."""
    assert "no pod is known" in on_packets.datapath.health().detail
    on_packets.datapath.apply(Change(node.state("1", server_may_open=True), None))
    found = [on_packets.datapath.health() for _ in range(4)]
    assert all(each.ok for each in found), found
    for pod in ADDRESSES:
        assert sum(f"a frame passed the hooks of shop/{pod}" in each.detail for each in found) == 2


@pytest.mark.skipif(not features.has_tcx(), reason="this kernel has no tcx (6.6), so that hooks have no links")
@pytest.mark.parametrize("end", ["from", "to"])
def test_link_of_another_program_is_no_hook(node: Node, on_packets: Agent, end: str) -> None:
    """A link that is in its place, and runs another program than ours, is seen by the frame alone."""
    state = node.state("1", server_may_open=True)
    on_packets.datapath.apply(Change(state, None))
    other = answering(UNSPEC)
    for pin in (on_packets.pins / "links" / "packet").glob(f"*_{end}"):
        link = libbpf.obj_get(str(pin))
        libbpf.link_update(link, other)
        os.close(link)
    os.close(other)
    found = on_packets.datapath.health()
    assert not found.ok
    assert "a frame did not meet the hooks of shop/" in found.detail
    on_packets.datapath.apply(Change(state, state, repair=True))
    assert on_packets.datapath.health().ok


def test_pod_under_no_policy_sends_as_itself(node: Node, agent: Agent) -> None:
    """What a pod under no policy sends under another's address is dropped; under its own it arrives."""
    agent.datapath.apply(Change(node.free(node.state("1", server_may_open=True)), None))
    assert arrives(node, ADDRESSES["a"])
    assert not arrives(node, "10.1.0.77")


def test_policy_that_ends_leaves_the_source_checked(node: Node, at_sockets: Agent) -> None:
    """A pod that comes under a policy and leaves it is checked all the time, and is judged only in between."""
    policy = Policy(at_sockets.datapath, at_sockets.pins)
    state = node.state("1", server_may_open=False)
    links = at_sockets.pins / "links" / "guard"
    for each in (node.free(state), state, node.free(state)):
        policy.apply(each)
        inwards = [pin for pin in links.iterdir() if pin.name.endswith("_to")]
        assert len(inwards) == sum(bool(endpoint.policy) for endpoint in each.endpoints.values())
        assert not arrives(node, "10.1.0.77")


def test_missing_hooks_are_told_and_put_back(node: Node, agent: Agent, conversation: Conversation) -> None:
    """Health names what is gone; a repair sets it again; a connection that is denied by then does not go on."""
    first = node.state("1", server_may_open=True)
    agent.datapath.apply(Change(first, None))
    assert agent.datapath.health().ok
    for group in sorted(path.name for path in (agent.pins / "links").iterdir()):
        agent.lose(group)
        found = agent.datapath.health()
        assert not found.ok, group
        report = agent.datapath.apply(Change(first, first, repair=True))
        assert report.repaired, group
        assert agent.datapath.health().ok, group
    assert hears(*conversation)


def test_pins_of_tables_are_put_back(node: Node, agent: Agent) -> None:
    """A table that nobody would find again is reported and pinned again."""
    first = node.state("1", server_may_open=True)
    agent.datapath.apply(Change(first, None))
    for pin in (agent.pins / "maps").iterdir():
        pin.unlink()
    assert "pin of table" in agent.datapath.health().detail
    agent.datapath.apply(Change(first, first, repair=True))
    assert agent.datapath.health().ok


def test_lost_file_system_is_told_and_mended(node: Node, agent: Agent, conversation: Conversation) -> None:
    """Without its BPF file system an agent says so and changes nothing; with a new one all is as it was."""
    first = node.state("1", server_may_open=True)
    agent.datapath.apply(Change(first, None))
    mount = agent.pins.parent
    site.umount(mount)
    assert "not on a BPF file system" in agent.datapath.health().detail
    with pytest.raises(DriverError, match=r"bpffs: .* mount -t bpf bpf"):
        agent.datapath.apply(Change(first, first, repair=True))
    site.mount_bpf(mount)
    agent.datapath.apply(Change(first, first, repair=True))
    assert agent.datapath.health().ok
    assert hears(*conversation)


@contextlib.contextmanager
def full(node: Node, device: str, *hooks: int) -> Iterator[None]:
    """Somebody else's programs take every slot of a device of the host."""
    held: list[int] = []
    link = host_device(node, device)
    try:
        for side in hooks:
            with contextlib.suppress(OSError):
                for number in range(SLOTS):
                    held.append(stamp.load(number + 1))
                    held.append(libbpf.link_create(held[-1], link.ifindex, side))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_pod_that_cannot_be_hooked_is_shut(node: Node, agent: Agent) -> None:
    """It is reported by name, health fails, and nothing comes to it; then, with a slot free, all is well."""
    free = node.free(node.state("1", server_may_open=True))
    shut = node.state("2", server_may_open=True)
    with full(node, "hostb", programs.TCX_EGRESS):
        with pytest.raises(DriverError, match=r"shop/b, egress of hostb: no slot is free"):
            agent.datapath.apply(Change(shut, None))
        assert not agent.datapath.health().ok
        assert not connects(node)
        with pytest.raises(DriverError, match=r"shop/b"):
            agent.datapath.apply(Change(shut, None, repair=True))
        assert not connects(node)
    agent.datapath.apply(Change(shut, None, repair=True))
    assert agent.datapath.health().ok
    assert connects(node)
    agent.datapath.apply(Change(free, shut))


def connects(node: Node) -> bool:
    """Whether pod a comes through to pod b."""
    with node.socket("b") as listener, node.socket("a") as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(SERVED)
        listener.listen()
        client.settimeout(0.5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(TimeoutError):
            client.connect(SERVED)
            return True
    return False


def test_pod_whose_sockets_cannot_be_listed(
    node: Node, tmp_path: Path, bundles: Path, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is hooked, the apply fails and names it, and the next one knows its connections."""

    def refuse(*_: object, **__: object) -> tuple[Socket, ...]:
        raise DriverError("cannot list tcp sockets: Operation not permitted")

    with started(node, bundles, tmp_path, "tc") as agent:
        state = node.state("1", server_may_open=False)
        with monkeypatch.context() as patch:
            patch.setattr(SockDiag, "sockets", refuse)
            with pytest.raises(DriverError, match=r"shop/b: cannot list tcp sockets"):
                agent.datapath.apply(Change(state, None))
        agent.datapath.apply(Change(state, None, repair=True))
        assert hears(conversation[1], conversation[0])


def sizes(datapath: Datapath) -> dict[str, tuple[int, int]]:
    """Entries and room of each table."""
    return {usage.name: (usage.entries, usage.capacity) for usage in datapath.usage().maps}


@pytest.mark.parametrize("driver", datapaths.DRIVERS)
def test_table_is_made_again_in_another_size(
    node: Node, tmp_path: Path, bundles: Path, conversation: Conversation, driver: str
) -> None:
    """A process that wants other sizes has them, with all that was there; what goes on does, and policy holds."""
    state = node.state("1", server_may_open=False)
    with place(node, bundles, tmp_path) as context:
        first = process(context, driver)
        first.apply(Change(state, None))
        assert hears(*conversation)
        before = sizes(first)
        first.close()
        second = process(context, driver, ct=4096, verdict=2048, ep=64)
        assert hears(*conversation)
        assert hears(conversation[1], conversation[0])
        after = sizes(second)
        assert {after[name][1] for name in ("ct", "verdict", "ep")} == {4096, 2048, 64}
        assert after["verdict"][0] == before["verdict"][0]
        second.apply(Change(state, None))
        assert second.health().ok
        assert hears(*conversation)
        second.close()
        third = process(context, driver, verdict=1)
        assert sizes(third)["verdict"] == after["verdict"]
        third.remove()
        third.close()


def test_full_table_names_the_whole_key(node: Node, tmp_path: Path, bundles: Path) -> None:
    """Who reads that a table is full can copy what is to be raised."""
    with place(node, bundles, tmp_path) as context:
        datapath = process(context, "tc", verdict=1)
        with pytest.raises(DriverError, match=r"full at 1 entries: raise drivers\.any\.maps\.verdict"):
            datapath.apply(Change(node.state("1", server_may_open=True), None))
        datapath.remove()
        datapath.close()
