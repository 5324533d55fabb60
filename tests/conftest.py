"""What tests of several folders need, and the profile of Hypothesis by which `make fuzz` looks for longer."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.unit.cni.requests import NETNS

settings.register_profile("long", max_examples=5_000, deadline=None)


@pytest.fixture(scope="session")
def pod_netns() -> Iterator[str]:
    """A pod's network namespace as a CNI chain leaves it: `NETNS`, with eth0 in it."""
    if os.geteuid() != 0:
        pytest.skip("making a network namespace needs CAP_SYS_ADMIN")
    name = NETNS.rpartition("/")[2]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(
            ["ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "other"], check=True
        )
        yield NETNS
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
