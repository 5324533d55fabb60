"""Namespaces by name, beside those that `ip netns` makes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import subprocess
from twinway_lab.network import netns

netns.create("ours")
subprocess.run(["ip", "netns", "add", "theirs"], check=True)
assert netns.names("") == ["ours", "theirs"]
with netns.inside("theirs"):
    pass
netns.delete("ours")
assert netns.names("") == ["theirs"]
subprocess.run(["ip", "netns", "del", "theirs"], check=True)
assert netns.names("") == []
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces and mounts")
def test_the_first_namespaces_of_a_machine() -> None:
    """A namespace can be deleted when `ip netns add` was used for the first time after it was made."""
    empty_run = 'mount -t tmpfs tmpfs /run && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", empty_run]
    done = subprocess.run([*command, sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
