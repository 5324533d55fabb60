"""Namespaces by name, beside those that `ip netns` makes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import subprocess
from twinway_lab.names import STATE_ROOT, LabName
from twinway_lab.network import netns

NAME = LabName("test").underlay

def is_mounted():
    # /netns: the folder's path in the file system mounted at /run, which hides the machine's own
    return any(line.split()[3:5] == ["/netns", "/run/netns"] for line in open("/proc/self/mountinfo"))

netns.create("ours")
subprocess.run(["ip", "netns", "add", "theirs"], check=True)
assert netns.names("") == ["ours", "theirs"]
with netns.inside("theirs"):
    pass
netns.delete("ours")
assert netns.names("") == ["theirs"]
netns.release_directory()
assert is_mounted()
subprocess.run(["ip", "netns", "del", "theirs"], check=True)
assert netns.names("") == []

# What a lab has mounted goes with its last name; what others have mounted stays.
subprocess.run(["umount", "/run/netns"], check=True)
netns.create(NAME)
netns.release_directory()
assert is_mounted()
netns.delete(NAME)
netns.release_directory()
assert not is_mounted()
subprocess.run(["ip", "netns", "add", "theirs"], check=True)
netns.create(NAME)
netns.delete(NAME)
subprocess.run(["ip", "netns", "del", "theirs"], check=True)
netns.release_directory()
assert is_mounted()
assert not list(STATE_ROOT.iterdir())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces and mounts")
def test_the_first_namespaces_of_a_machine() -> None:
    """A namespace can be deleted after the first `ip netns add`, and what the lab mounted for it goes with it."""
    empty_run = 'mount -t tmpfs tmpfs /run && exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", empty_run]
    done = subprocess.run([*command, sys.executable, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
