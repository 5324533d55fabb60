"""Hooks of pods that come under a policy and leave it again, while the pods speak."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.packets.tables import Tables
from twinway.driver import NodeContext
from twinway.model.net import NodeName, ObjectRef
from twinway.model.node import Attachment, Endpoint, PolicySetId
from twinway_bpf.attach.hooks import PacketHooks
from twinway_bpf.load import stamp
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.netlink import netns
from twinway_bpf.netlink.devices import PodDevice, pod_device
from twinway_bpf.netlink.links import Links
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import Reason
from twinway_sockops.placement import GUARD
from twinway_testing import site

ADDRESS, PEER = "10.9.0.2", "10.9.0.3"
COMMANDS = (
    "link add name eth0 type veth peer name eth1",
    "link set eth0 up",
    "link set eth1 up",
    f"addr add {ADDRESS}/24 dev eth0",
    f"neigh add {PEER} dev eth0 lladdr 02:00:00:00:00:03 nud permanent",
)
SET = ("stamp", "out", "instamp", "in", "lo")
"""The pod's hooks."""
TURNS = 12
"""Half of them would fail if the hooks left in any order."""


@pytest.fixture
def pod() -> Iterator[Path]:
    """A pod whose device has no host side: its hooks are in its own namespace."""
    with site.namespace("hooks", *COMMANDS) as path:
        yield path


@pytest.fixture
def hooks(loader: Loader, tmp_path: Path) -> Iterator[PacketHooks]:
    """The guard's, set nowhere yet."""
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        made = PacketHooks(
            GUARD, loader, Pins(bpffs / "node"), NodeContext(NodeName("n1"), bpffs, bpffs, bpffs, ())
        )
        made.load()
        yield made
        made.detach_all(())
        made.close()


def attached(pod: Path, number: int) -> tuple[dict[ObjectRef, Endpoint], dict[ObjectRef, PodDevice]]:
    """The pod as the driver's state has it, each time as another container."""
    ref = ObjectRef("Pod", "test", "one")
    attachment = Attachment(ref, f"container-{number}", str(pod), "eth0", (ip_address(ADDRESS),))
    with Links() as own:
        return {ref: Endpoint(attachment, PolicySetId(7))}, {ref: pod_device(own, str(pod), "eth0")}


@contextlib.contextmanager
def speaking(pod: Path) -> Iterator[Callable[[], int]]:
    """A program in the pod that sends datagrams all the time; how many it has sent."""
    sent, over = 0, threading.Event()
    with netns.inside(str(pod)):
        speaker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    speaker.connect((PEER, 9))

    def speak() -> None:
        nonlocal sent
        while not over.is_set():
            speaker.send(b"still here")
            sent += 1

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield lambda: sent
    finally:
        over.set()
        thread.join()
        speaker.close()


def test_comes_back_at_once(hooks: PacketHooks, pod: Path) -> None:
    """A pod that leaves its policy and comes under one again has its guard at once, each time."""
    endpoints, devices = attached(pod, 0)
    for _ in range(TURNS):
        assert len(hooks.attach(endpoints, devices, check=False)) == len(SET)
        hooks.detach_stale({}, {})


def test_no_packet_is_taken_for_anothers(loader: Loader, hooks: PacketHooks, pod: Path) -> None:
    """While the guard comes to a pod and leaves it, what the pod sends is never taken for another pod's."""
    tables = Tables(loader.maps)
    tables.clear()
    with speaking(pod) as sent:
        for number in range(TURNS):
            endpoints, devices = attached(pod, number)
            (endpoint,) = endpoints.values()
            tables.pod(ip_address(ADDRESS), encode.Place(stamp=stamp.of(endpoint.attachment)))
            before = tables.counts()[Reason.DROP_SPOOFED], sent()
            assert hooks.attach(endpoints, devices, check=False)
            assert hooks.detach_stale({}, {}) == len(SET)
            while sent() == before[1]:
                pass
            assert tables.counts()[Reason.DROP_SPOOFED] == before[0], f"turn {number}"
