"""A real agent on a real driver whose hooks somebody removes."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from twinway_bpf.load import libbpf
from twinway_conformance import cast
from twinway_conformance.cast import DOG, FAR, GATE, VAULT
from twinway_conformance.lab import Lab
from twinway_conformance.policies import labels, namespaces, policy, source
from twinway_conformance.probes import Query
from twinway_conformance.running import SERVED, serving
from twinway_conformance.sockets import Remote
from twinway_lab.names import LabName
from twinway_lab.nodes import agents

GUARDED = policy("bank/guarded", labels(name="vault"), ingress=[source(namespaces(labels(team="yard")))])
"""bank/vault hears pods of `yard` alone."""
NODE = "n2"
"""Where bank/vault, yard/dog and shop/far are."""
PATIENCE = 60.0


class Node(http.client.HTTPConnection):
    """The API of one node's agent, on its unix socket."""

    def __init__(self, name: str) -> None:
        super().__init__("agent", timeout=PATIENCE)
        self.lab = LabName(name)

    def connect(self) -> None:
        """To the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self.lab.agent_socket(NODE)))

    def healthy(self) -> bool:
        """What `GET /healthz` says now."""
        self.request("GET", "/healthz")
        answer = self.getresponse()
        answer.read()
        self.close()
        return answer.status == http.client.OK

    def becomes(self, *, healthy: bool) -> None:
        """Its health becomes so."""
        end = time.monotonic() + PATIENCE
        while self.healthy() is not healthy:
            assert time.monotonic() < end, f"healthy is not {healthy} after {PATIENCE} s"
            time.sleep(0.001)

    def lose_hooks(self) -> None:
        """Somebody detaches every link that is pinned below the node's directory, and removes its pin."""
        pins = [path for path in agents.pins(self.lab, NODE).glob("*/links/**/*") if path.is_file()]
        assert pins
        for pin in pins:
            link = libbpf.obj_get(str(pin))
            with contextlib.suppress(OSError):
                libbpf.link_detach(link)
            os.close(link)
            pin.unlink()


@pytest.fixture(params=["tc", "sockops"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """The cast of the conformance suite in a lab of one driver."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and mounts")
    program = str(Path(sys.executable).with_name("twinway"))
    made = Lab(program, f"test-{os.getpid()}-{request.param}", tmp_path)
    try:
        made.up([*cast.cluster([4]), GUARDED], request.param, "veth")
        yield made
    finally:
        made.down()


def test_lost_hooks_are_told_and_put_back(lab: Lab) -> None:
    """The agent becomes unhealthy and heals itself; what policy denies stays denied, what it allows goes on."""
    (vault,) = cast.pod_addresses(VAULT, [4])
    node = Node(lab.name)
    with serving(lab, VAULT), Remote(lab, DOG) as beside, Remote(lab, GATE) as afar:
        talks = [remote.tcp(4) for remote in (beside, afar)]
        for talk in talks:
            talk.connect(vault, SERVED)
            assert talk.ask("before").endswith("before")
        node.becomes(healthy=True)
        node.lose_hooks()
        node.becomes(healthy=False)
        node.becomes(healthy=True)
        for talk in talks:
            assert talk.ask("after").endswith("after")
        asked = [Query(place, f"{vault}:80", "tcp") for place in (FAR, cast.CLIENT, DOG, GATE)]
        assert [answers[0].outcome for answers in lab.batch(asked)] == [
            "dropped",
            "dropped",
            "connected",
            "connected",
        ]
