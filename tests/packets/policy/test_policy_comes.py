"""Policies that come, change and go at sockets, while pods that every one of them allows speak."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest

from tests.packets import datapaths
from tests.packets.two_pods import ADDRESSES, NODE, SECONDS, SERVED, SILENT, Conversation, Node
from twinway.driver import Change, NodeContext
from twinway.model.node import NodeState, PolicySet, PolicyState
from twinway_bpf.datapath import Datapath
from twinway_bpf.netlink import netns
from twinway_testing import site

CHANGES = 30
HOOKS = {"tw_skb_in", "tw_skb_out"}


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    """Where the node's pins are."""
    with site.bpf_file_system(tmp_path / "bpf") as folder:
        yield folder / "node"


@pytest.fixture
def datapath(node: Node, bundles: Path, bpffs: Path, tmp_path: Path) -> Iterator[Datapath]:
    """Policy at sockets, started."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "bundles").symlink_to(bundles)
    made = datapaths.make(NodeContext(NODE, bpffs, node.cgroup, tmp_path / "cache", ()), "sockops")
    made.start()
    yield made
    made.remove()
    made.close()


@pytest.fixture
def states(node: Node) -> list[NodeState]:
    """No policy, one, and another one of the same rules; pod b may speak with anybody under each."""
    one = node.state("one", server_may_open=True)
    (rules,) = one.policy.sets.values()
    again = PolicySet(SILENT, rules.entries)
    other = {ref: replace(each, policy=SILENT) if each.policy else each for ref, each in one.endpoints.items()}
    return [
        node.free(one),
        one,
        replace(one, version="other", endpoints=other, policy=PolicyState({SILENT: again}, {}, {})),
    ]


def dropped(datapath: Datapath) -> int:
    """Packets that were dropped in silence, for any reason."""
    return sum(count for name, count in datapath.usage().counters.items() if name.startswith("drop"))


@contextlib.contextmanager
def talking(*ends: tuple[socket.socket, socket.socket]) -> Iterator[Callable[[], int]]:
    """Pairs of sockets ask and answer all the time; how many answers each had at least."""
    answered, over, faults = [0] * len(ends), threading.Event(), list[OSError]()

    def talk(number: int) -> None:
        asker, answerer = ends[number]
        try:
            while not over.is_set():
                for speaker, listener in ((asker, answerer), (answerer, asker)):
                    speaker.send(b"hello")
                    listener.recv(5)
                answered[number] += 1
        except OSError as error:
            faults.append(error)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(len(ends))]
    for thread in threads:
        thread.start()
    try:
        yield lambda: min(answered)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not faults


def datagrams(node: Node) -> tuple[socket.socket, socket.socket]:
    """A socket of each pod, connected to the other's."""
    made = []
    for name in ("a", "b"):
        with netns.inside(str(node.pods[name])):
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for each, name in zip(made, "ab", strict=True):
        each.bind((ADDRESSES[name], SERVED[1]))
        each.settimeout(SECONDS)
    made[0].connect(SERVED)
    made[1].connect((ADDRESSES["a"], SERVED[1]))
    return made[0], made[1]


def test_allowed_lose_nothing(
    node: Node, datapath: Datapath, states: list[NodeState], conversation: Conversation
) -> None:
    """While policies come, change and go, not one packet is dropped of those that all of them allow."""
    before = dropped(datapath)
    datapath.apply(Change(states[0], None))
    asker, answerer = datagrams(node)
    with asker, answerer, talking(conversation, (asker, answerer)) as answered:
        for old, new in islice(pairwise(cycle(states)), CHANGES):
            done = answered()
            datapath.apply(Change(new, old))
            while answered() == done:
                assert dropped(datapath) == before, f"from {old.version} to {new.version}"
    assert dropped(datapath) == before


def test_hooks_are_there_for_policies(bpffs: Path, datapath: Datapath, states: list[NodeState]) -> None:
    """Sockets' packets are looked at while some pod is under a policy, and not before or after."""
    links = bpffs / "links" / "policy"

    def hooks() -> set[str]:
        return {path.name for path in links.iterdir()} if links.exists() else set()

    previous = None
    for state, expected in ((states[0], set()), (states[1], HOOKS), (states[2], HOOKS), (states[0], set())):
        datapath.apply(Change(state, previous))
        assert hooks() == expected
        previous = state


def opened(node: Node, initiator: str) -> Conversation:
    """A connection between the pods, of which the end that connected comes first; nobody listens any more."""
    other = "b" if initiator == "a" else "a"
    with node.socket(other) as listener:
        listener.bind((ADDRESSES[other], SERVED[1]))
        listener.listen()
        client = node.socket(initiator)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((ADDRESSES[initiator], SERVED[1]))
        client.connect((ADDRESSES[other], SERVED[1]))
        return client, listener.accept()[0]


@pytest.mark.parametrize("round_", [1, 2], ids=["first policy", "policy that comes again"])
@pytest.mark.parametrize("initiator", ["a", "b"])
def test_older_connections_are_judged_by_their_opener(
    node: Node, datapath: Datapath, states: list[NodeState], initiator: str, round_: int
) -> None:
    """What began when no policy was is known for what it is, whoever listens where by then: b may not open."""
    free, silent = states[0], node.state("silent", server_may_open=False)
    datapath.apply(Change(free, None))
    for _ in range(round_ - 1):
        datapath.apply(Change(silent, free))
        datapath.apply(Change(free, silent))
    client, server = opened(node, initiator)
    asker, answerer = (client, server) if initiator == "b" else (server, client)  # b's end, a's end
    with client, server, contextlib.ExitStack() as stack:
        if initiator == "b":
            listener = stack.enter_context(node.socket("b"))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", SERVED[1]))
            listener.listen()
        datapath.apply(Change(silent, free))
        answerer.settimeout(1)
        asker.send(b"hello")
        if initiator == "a":
            assert answerer.recv(5) == b"hello"
        else:
            with pytest.raises(TimeoutError):
                answerer.recv(5)
