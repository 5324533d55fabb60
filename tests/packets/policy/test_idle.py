"""Policy at sockets becomes idle: no program looks at sockets' packets once every connection is allowed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.packets import datapaths
from tests.packets.two_pods import ADDRESSES, NODE, OPENING, SERVED, Conversation, Node
from twinway.driver import Change, NodeContext
from twinway.errors import DriverError
from twinway.model.net import ObjectRef, Protocol
from twinway.model.node import (
    Attachment,
    Backend,
    BackendId,
    BackendSet,
    BackendSetId,
    Frontend,
    NodeState,
    Scope,
    ServiceState,
)
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.connections.sockdiag import SockDiag, Socket
from twinway_bpf.datapath import Datapath
from twinway_bpf.load import libbpf
from twinway_bpf.netlink import netns
from twinway_bpf.tables.layout import Cfg
from twinway_sockops import idle
from twinway_sockops import policy as socket_policy
from twinway_testing import site

WATCHING = {"tw_skb_in", "tw_skb_out"}
NOWHERE = "10.1.0.77"


class Policy:
    """A node whose policy is at sockets, which becomes idle as soon as it may."""

    def __init__(self, datapath: Datapath, pins: Path) -> None:
        self._datapath = datapath
        self._pins = pins
        self._state: NodeState | None = None

    def apply(self, state: NodeState, *, repair: bool = False) -> None:
        """The node does what a state says."""
        self._datapath.apply(Change(state, self._state, repair=repair))
        self._state = state

    def is_watching(self) -> bool:
        """Whether sockets' packets are looked at."""
        links = self._pins / "links" / "policy"
        found = {path.name for path in links.iterdir()} if links.exists() else set()
        assert found in (set(), WATCHING)
        return bool(found)

    def settle(self, patience: float = 0.0) -> bool:
        """Every step that is due at once, or within `patience`, has been taken; whether policy is idle."""
        ends, calm = time.monotonic() + patience, threading.Event()
        while (pause := self._datapath.catch_up()) is not None:
            if pause and time.monotonic() + pause > ends:
                break
            calm.wait(pause)
        return not self.is_watching()

    @property
    def said(self) -> str:
        """What the node says of it."""
        return self._datapath.health().detail

    @property
    def revision(self) -> int:
        """Which policy connections are judged by."""
        return revision(self._pins)


def revision(pins: Path) -> int:
    """The policy revision in a node's table of settings."""
    (table,) = (pins / "maps").glob("tw_cfg_*")
    descriptor = libbpf.obj_get(str(table))
    try:
        return Cfg.from_buffer_copy(libbpf.map_lookup(descriptor, bytes(4), ctypes.sizeof(Cfg))).rev
    finally:
        os.close(descriptor)


def services(number: int) -> Mapping[ObjectRef, ServiceState]:
    """So many Services, of one backend each."""
    made = {}
    for one in range(1, number + 1):
        ref = ObjectRef("Service", "shop", f"s{one}")
        backend = Backend(BackendId(one), ip_address(ADDRESSES["b"]), SERVED[1], Protocol.TCP)
        chosen = BackendSet(BackendSetId(one), (backend,))
        frontend = Frontend(ip_address(f"10.96.0.{one}"), 80, Protocol.TCP, Scope.INTERNAL, chosen)
        made[ref] = ServiceState(ref, (frontend,), (backend,))
    return MappingProxyType(made)


def without(state: NodeState, name: str) -> NodeState:
    """The same without one pod."""
    return replace(state, endpoints={ref: each for ref, each in state.endpoints.items() if ref.name != name})


def changes_beside_policy(state: NodeState) -> Iterator[NodeState]:
    """A hundred Services one after another, and a pod without policy that comes and goes."""
    for number in range(101):
        yield replace(state, version=f"services {number}", services=services(number))
    yield without(state, "a")
    yield state


def started(node: Node, bundles: Path, folder: Path, calm: float, driver: str = "sockops") -> Datapath:
    """A process of the node's agent."""
    cache = folder / "cache"
    if not cache.exists():
        cache.mkdir()
        (cache / "bundles").symlink_to(bundles)
    context = NodeContext(NODE, folder / "bpf" / "node", node.cgroup, cache, ())
    datapath = datapaths.make(context, driver, calm=calm)
    datapath.start()
    return datapath


@pytest.fixture
def policy(node: Node, bundles: Path, tmp_path: Path) -> Iterator[Policy]:
    """Started; no state yet."""
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        datapath = started(node, bundles, tmp_path, 0.0)
        yield Policy(datapath, bpffs / "node")
        datapath.remove()
        datapath.close()


def hears(speaker: socket.socket, listener: socket.socket) -> bool:
    """Whether what one end says now arrives at the other, within a moment."""
    listener.settimeout(0.5)
    speaker.send(b"hello")
    with contextlib.suppress(TimeoutError):
        return listener.recv(5) == b"hello"
    return False


def opened_by_b(node: Node) -> tuple[Conversation, socket.socket]:
    """A connection that pod b, which is under the policy, opened to pod a; and who listens there."""
    listener = node.socket("a")
    listener.bind((ADDRESSES["a"], SERVED[1]))
    listener.listen()
    client = node.socket("b")
    client.connect((ADDRESSES["a"], SERVED[1]))
    return (client, listener.accept()[0]), listener


def test_allowed_connections_go_on_unseen(node: Node, policy: Policy, conversation: Conversation) -> None:
    """With every connection allowed nothing looks, and they speak; a change is watched before pods switch."""
    policy.apply(node.state("one", server_may_open=True))
    assert policy.is_watching()
    assert policy.said.endswith("policy: watched at sockets")
    assert policy.settle()
    assert policy.said.endswith("policy: idle")
    client, server = conversation
    assert hears(client, server)
    assert hears(server, client)
    policy.apply(node.state("two", server_may_open=False))
    assert policy.is_watching()
    assert policy.settle()


def test_denied_connection_keeps_it_awake(node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a connection is open that policy denies, and no longer."""
    monkeypatch.setattr(idle, "AGAIN_SECONDS", 0.1)
    policy.apply(node.state("one", server_may_open=True))
    (client, accepted), listener = opened_by_b(node)
    with client, accepted, listener:
        assert policy.settle()
        policy.apply(node.state("two", server_may_open=False))
        assert not policy.settle()
        assert not hears(client, accepted)
        assert not policy.settle(patience=0.5)
    # what is closed and not acknowledged is open for the kernel
    policy.apply(node.state("three", server_may_open=True))
    assert policy.settle()


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_what_began_while_idle_is_known(node: Node, policy: Policy, initiator: str) -> None:
    """A connection nobody watched is judged by who opened it, when policy changes: b may not open any more."""
    policy.apply(node.state("one", server_may_open=True))
    assert policy.settle()
    other = "b" if initiator == "a" else "a"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(node.socket(other))
        listener.bind((ADDRESSES[other], SERVED[1]))
        listener.listen()
        client = stack.enter_context(node.socket(initiator))
        client.connect((ADDRESSES[other], SERVED[1]))
        accepted = stack.enter_context(listener.accept()[0])
        listener.close()
        policy.apply(node.state("two", server_may_open=False))
        assert hears(client, accepted) == (initiator == "a")
        assert policy.settle() == (initiator == "a")


def test_beginnings_are_judged_while_idle(node: Node, policy: Policy) -> None:
    """Where nothing looks at sockets, what is denied cannot begin."""
    policy.apply(node.state("one", server_may_open=False))
    assert policy.settle()
    with node.socket("a") as listener, node.socket("b") as client:
        listener.bind((ADDRESSES["a"], SERVED[1]))
        listener.listen()
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.connect((ADDRESSES["a"], SERVED[1]))


def test_repair_does_not_wake(node: Node, policy: Policy) -> None:
    """What is compared every minute and found right needs no watching."""
    state = node.state("one", server_may_open=True)
    policy.apply(state)
    assert policy.settle()
    policy.apply(state, repair=True)
    assert not policy.is_watching()


def test_what_is_no_policy_does_not_wake(node: Node, policy: Policy) -> None:
    """A hundred Services, a pod without policy that comes and goes, and repairs: nothing is judged anew."""
    state = node.state("one", server_may_open=True)
    policy.apply(state)
    assert policy.settle()
    before = policy.revision
    for changed in changes_beside_policy(state):
        policy.apply(changed)
        assert not policy.is_watching(), changed.version
        assert policy.settle()
        policy.apply(changed, repair=True)
        assert not policy.is_watching(), changed.version
    assert policy.revision == before
    policy.apply(node.state("two", server_may_open=False))
    assert policy.is_watching()
    assert policy.revision == before + 1


def test_what_is_no_policy_judges_nothing_on_the_packet_path(node: Node, bundles: Path, tmp_path: Path) -> None:
    """There, too, the revision grows with a change of policy, and with nothing else."""
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        datapath = started(node, bundles, tmp_path, 0.0, "tc")
        state = previous = node.state("one", server_may_open=True)
        datapath.apply(Change(state, None))
        before = revision(bpffs / "node")
        for changed in changes_beside_policy(state):
            for repair in (False, True):
                datapath.apply(Change(changed, previous, repair=repair))
                datapath.catch_up()
                previous = changed
        assert revision(bpffs / "node") == before
        datapath.apply(Change(node.state("two", server_may_open=False), previous))
        assert revision(bpffs / "node") == before + 1
        datapath.remove()
        datapath.close()


def addresses_of(device: str, number: int) -> list[str]:
    """Commands that make a device with so many addresses."""
    return [
        f"link add {device} type bridge",
        *(f"addr add 10.97.{each >> 8}.{each & 255}/32 dev {device}" for each in range(number)),
    ]


@pytest.mark.parametrize(("device", "kept"), [("kube-ipvs0", 0), ("bridge0", 5000)])
def test_node_with_thousands_of_addresses(
    node: Node, bundles: Path, tmp_path: Path, device: str, kept: int
) -> None:
    """Those of Services, which kube-proxy may have left, are not the node's own; others there is room for."""
    words = "\n".join(addresses_of(device, 5000))
    subprocess.run(["ip", "-n", node.host.name, "-batch", "-"], input=words, text=True, check=True)
    state = node.state("one", server_may_open=True)
    with site.bpf_file_system(tmp_path / "bpf"):
        datapath = started(node, bundles, tmp_path, 0.0)
        assert datapath.apply(Change(state, None))
        (table,) = (each for each in datapath.usage().maps if each.name == "ep")
        assert kept <= table.entries < kept + 10
        datapath.remove()
        datapath.close()


def test_last_policy_goes_while_idle(node: Node, policy: Policy) -> None:
    """Without a policy there is nothing that could become idle, and nothing left of it."""
    state = node.state("one", server_may_open=True)
    policy.apply(state)
    assert policy.settle()
    policy.apply(node.free(state))
    assert policy.settle()
    assert policy.said.endswith("policy: there is none")
    policy.apply(state)
    assert policy.is_watching()


def test_process_that_comes_to_an_idle_node(
    node: Node, bundles: Path, tmp_path: Path, conversation: Conversation
) -> None:
    """It watches until it has asked for itself."""
    state = node.state("one", server_may_open=True)
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        for is_last in (False, True):
            datapath = started(node, bundles, tmp_path, 0.0)
            policy = Policy(datapath, bpffs / "node")
            policy.apply(state)
            assert policy.is_watching()
            assert policy.settle()
            assert hears(*conversation)
            if is_last:
                datapath.remove()
            datapath.close()


def test_rests_only_after_a_calm(node: Node, bundles: Path, tmp_path: Path) -> None:
    """Changes that follow each other are watched all the time."""
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        datapath = started(node, bundles, tmp_path, 60.0)
        policy = Policy(datapath, bpffs / "node")
        policy.apply(node.state("one", server_may_open=True))
        wait = datapath.catch_up()
        while wait is not None and wait < 1.0:  # tables are swept meanwhile
            wait = datapath.catch_up()
        assert wait is not None
        assert 59.0 < wait <= 60.0
        assert policy.is_watching()
        datapath.remove()
        datapath.close()


def test_hook_that_is_missing_keeps_it_awake(node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod whose beginnings nobody would judge keeps policy watching."""
    with monkeypatch.context() as patch:
        patch.setattr("twinway_bpf.attach.hooks.PacketHooks._attach", lambda *_: False)
        policy.apply(node.state("one", server_may_open=True))
        assert not policy.settle()
    policy.apply(node.state("one", server_may_open=True), repair=True)
    assert policy.settle()


def test_failed_listing_is_no_answer(node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod whose sockets cannot be listed may have a denied connection: the node is watched, and asks again."""
    monkeypatch.setattr(idle, "AGAIN_SECONDS", 0.1)
    monkeypatch.setattr(socket_policy, "AGAIN_SECONDS", 0.1)

    def refuse(*_: object, **__: object) -> tuple[Socket, ...]:
        raise DriverError("cannot list tcp sockets: Operation not permitted")

    state = node.state("one", server_may_open=True)
    with monkeypatch.context() as patch:
        patch.setattr(SockDiag, "sockets", refuse)
        policy.apply(state)
        assert not policy.settle(patience=0.5)
    assert policy.settle(patience=5.0)
    with monkeypatch.context() as patch:
        patch.setattr(SockDiag, "sockets", refuse)
        policy.apply(node.state("two", server_may_open=False))
        assert not policy.settle(patience=0.5)
    assert policy.settle(patience=5.0)


def syn_cookies(namespace: Path, value: int) -> None:
    """Listeners of a namespace answer with SYN cookies: 0 never, 2 always."""
    with netns.inside(str(namespace)):
        Path("/proc/sys/net/ipv4/tcp_syncookies").write_text(str(value))


def test_cookie_that_may_be_answered_keeps_it_awake(
    node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beginning that only the peer knows of may go on after policy has changed, until it is too late."""
    policy.apply(node.state("one", server_may_open=True))
    assert policy.settle()
    syn_cookies(node.pods["b"], 2)
    with node.socket("b") as listener, node.socket("a") as client:
        listener.bind(SERVED)
        listener.listen()
        client.connect(SERVED)
        policy.apply(node.state("two", server_may_open=False))
        assert not policy.settle()
        monkeypatch.setattr(idle, "COOKIE_UNITS", 0)
        policy.apply(node.state("three", server_may_open=True))
        assert policy.settle()


def test_answer_to_what_may_not_be_asked_any_more(
    node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asked under an earlier policy keeps the node awake until he asks again, and is judged by a new one."""
    monkeypatch.setattr(idle, "AGAIN_SECONDS", 0.1)
    policy.apply(node.state("one", server_may_open=True))
    assert policy.settle()
    site.ip(node.host, f"route add blackhole {NOWHERE}")
    with node.socket("b") as client:
        client.setblocking(False)
        client.connect_ex((NOWHERE, 80))
        policy.apply(node.state("two", server_may_open=False))
        assert not policy.settle()
        assert policy.settle(patience=5.0)  # the first SYN is sent again after a second


def test_pod_that_goes_on_the_way(node: Node, policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is asked are the pods of now: one that has gone meanwhile holds nobody up."""
    state = node.state("one", server_may_open=True)
    (ref,) = (ref for ref, endpoint in state.endpoints.items() if endpoint.policy)
    every = {each: replace(endpoint, policy=OPENING) for each, endpoint in state.endpoints.items()}
    asked = []
    ask = Initiators.sockets_of

    def asking(initiators: Initiators, pod: Attachment, protocols: Iterable[Protocol]) -> list[Socket]:
        asked.append(pod.pod)
        return ask(initiators, pod, protocols)

    policy.apply(replace(state, endpoints=every))
    policy.apply(replace(state, version="two", endpoints={ref: every[ref]}))
    with monkeypatch.context() as patch:
        patch.setattr(Initiators, "sockets_of", asking)
        assert policy.settle()
    assert asked == [ref]
