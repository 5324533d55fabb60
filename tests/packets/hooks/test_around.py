"""
Frames that a pod sends around the programs at its own device.

    pod ── macvlan eth0 ═ p0 (host) ── p1: the network
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.packets import datapaths
from twinway.driver import Change, NodeContext
from twinway.model.net import NodeName, ObjectRef
from twinway.model.node import NO_POLICY, Attachment, Endpoint, NodeState, PolicyState
from twinway_bpf.load import features
from twinway_bpf.netlink import netns
from twinway_bpf.netlink.links import Links
from twinway_testing import site
from twinway_testing.frames import end, udp

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
ADDRESSES = {"a": "10.3.0.5", "b": "10.3.0.9"}
FAR = "10.3.0.200"
PORT = 6000

pytestmark = pytest.mark.skipif(
    not features.has_netns_cookie_on_packets(), reason="this kernel has no bpf_get_netns_cookie for packets (6.15)"
)


@dataclass(frozen=True, slots=True)
class Shared:
    """Two pods on one parent."""

    host: Path
    pods: dict[str, Path]

    def mac(self, pod: str) -> bytes:
        """Of a pod's device."""
        with Links.inside(str(self.pods[pod])) as links:
            link = links.link(name="eth0")
        assert link is not None
        return link.mac

    def sends(self, source: str, to: str, mac: bytes, *, around: bool) -> None:
        """Pod a sends a datagram by a packet socket that had the option before anybody could keep it from it."""
        with netns.inside(str(self.pods["a"])), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as packet:
            packet.bind(("eth0", 0))
            if around:
                packet.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            frame = udp(end(source, 4000), end(to, PORT), data=b"here")
            with contextlib.suppress(OSError):
                packet.send(mac + frame[6:])


@pytest.fixture
def shared() -> Iterator[Shared]:
    """This process is in the host's namespace."""
    with contextlib.ExitStack() as stack:
        up = ("link add p0 type veth peer name p1", "link set p0 up", "link set p1 up")
        host = stack.enter_context(site.namespace("around-host", *up))
        pods = {name: stack.enter_context(site.namespace(f"around-{name}")) for name in ADDRESSES}
        for name, path in pods.items():
            site.ip(host, f"link add mv{name} link p0 type macvlan mode bridge")
            site.ip(host, f"link set mv{name} netns {path.name} name eth0")
            site.ip(path, f"addr add {ADDRESSES[name]}/24 dev eth0", "link set eth0 up")
        stack.enter_context(netns.inside(str(host)))
        yield Shared(host, pods)


@pytest.fixture(params=datapaths.DRIVERS)
def _agent(request: pytest.FixtureRequest, shared: Shared, bundles: Path, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "bundles").symlink_to(bundles)
    with site.bpf_file_system(tmp_path / "bpf") as bpffs, site.cgroup("around") as cgroup, site.member(cgroup):
        context = NodeContext(NodeName("n1"), bpffs / "node", cgroup, tmp_path / "cache", ("p0",))
        datapath = datapaths.make(context, request.param)
        datapath.start()
        endpoints = {}
        for name, path in shared.pods.items():
            ref = ObjectRef("Pod", "shop", name)
            attachment = Attachment(ref, name, str(path), "eth0", (ip_address(ADDRESSES[name]),))
            endpoints[ref] = Endpoint(attachment, NO_POLICY)
        state = NodeState(NodeName("n1"), "1", (), {}, endpoints, PolicyState({}, {}, {}), ())
        datapath.apply(Change(state, None))
        with site.left(cgroup):
            yield
        found = datapath.health()
        assert found.ok, found
        assert request.param != "tc" or "a frame passed the hooks of shop/" in found.detail
        datapath.remove()
        datapath.close()


@pytest.mark.usefixtures("_agent")
@pytest.mark.parametrize("around", [False, True], ids=["as all do", "around"])
def test_leaves_the_node_by_its_hooks_alone(shared: Shared, around: bool) -> None:
    """What a pod sends to the network arrives there, and what went around its hooks does not."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as ear:
        ear.bind(("p1", 0x0800))
        ear.settimeout(0.5)
        shared.sends(ADDRESSES["a"], FAR, b"\x02\0\0\0\0\xfe", around=around)
        with contextlib.suppress(TimeoutError):
            assert ear.recv(100).endswith(b"here")
            assert not around
            return
    assert around


@pytest.mark.usefixtures("_agent")
@pytest.mark.parametrize("around", [False, True], ids=["as all do", "around"])
def test_reaches_a_pod_beside_it_by_its_hooks_alone(shared: Shared, around: bool) -> None:
    """So it is with what a pod sends to one on the same parent, which the parent does not see."""
    with netns.inside(str(shared.pods["b"])):
        ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with ear:
        ear.bind(("0.0.0.0", PORT))
        ear.settimeout(0.5)
        shared.sends(ADDRESSES["a"], ADDRESSES["b"], shared.mac("b"), around=around)
        with contextlib.suppress(TimeoutError):
            assert ear.recv(100) == b"here"
            assert not around
            return
    assert around
