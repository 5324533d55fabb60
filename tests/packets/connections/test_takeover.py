"""The packet path takes over pods with connections that were open before it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packets import datapaths
from tests.packets.two_pods import ADDRESSES, NODE, Conversation, Node
from twinway.driver import Change, NodeContext
from twinway_bpf.datapath import Datapath
from twinway_testing import site


@pytest.fixture
def datapath(node: Node, bundles: Path, tmp_path: Path) -> Iterator[Datapath]:
    """The packet path, not started yet."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "bundles").symlink_to(bundles)
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        context = NodeContext(NODE, bpffs / "node", node.cgroup, tmp_path / "cache", ())
        datapath = datapaths.make(context, "tc")
        yield datapath
        datapath.remove()
        datapath.close()


def test_open_connection_goes_on(node: Node, datapath: Datapath, conversation: Conversation) -> None:
    """What pod b sends on a connection that a opened passes, though b may open none; new ones are denied."""
    client, server = conversation
    datapath.start()
    datapath.apply(Change(node.state("1", server_may_open=False), None))
    server.send(b"the server speaks first")
    assert client.recv(100) == b"the server speaks first"
    client.send(b"answer")
    assert server.recv(100) == b"answer"
    with node.socket("a") as elsewhere, node.socket("b") as initiator:
        elsewhere.bind((ADDRESSES["a"], 8080))
        elsewhere.listen()
        initiator.settimeout(1)
        with pytest.raises(TimeoutError):
            initiator.connect((ADDRESSES["a"], 8080))


def test_open_connection_is_judged(node: Node, datapath: Datapath, conversation: Conversation) -> None:
    """A policy that comes later denies what goes on by who opened it, too."""
    client, server = conversation
    datapath.start()
    first = node.state("1", server_may_open=True)
    datapath.apply(Change(first, None))
    server.send(b"hello")
    assert client.recv(100) == b"hello"
    datapath.apply(Change(node.state("2", server_may_open=False), first))
    server.send(b"still a's connection")
    assert client.recv(100) == b"still a's connection"
