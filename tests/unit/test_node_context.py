"""What drivers know of their node."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway.config import NodeConfig
from twinway.errors import ConfigError
from twinway.node_context import context_of, find_cgroup2

HYBRID = """\
25 22 0:22 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/memory rw,nosuid shared:8 - cgroup cgroup rw,memory
27 25 0:24 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate
"""
CONTAINER = """\
901 890 0:24 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate
902 890 0:24 /../../.. /host/cgroup rw,nosuid master:9 - cgroup2 cgroup2 rw,nsdelegate
"""


def test_paths_are_the_configs(tmp_path: Path) -> None:
    """Pins go into a directory of twinway's own; the rest is as configured."""
    context = context_of(NodeConfig(node_name="n1", bpffs=tmp_path, cgroup_root=tmp_path, uplinks=("eth0",)))
    assert (context.node, context.bpffs, context.cgroup_root) == ("n1", tmp_path / "twinway", tmp_path)
    assert context.uplinks == ("eth0",)
    assert not context.bpffs.exists()


def test_cgroup2_is_found(tmp_path: Path) -> None:
    """Where nothing is configured, the mount table says where cgroup v2 is."""
    mounts = tmp_path / "mounts"
    mounts.write_text(HYBRID)
    assert find_cgroup2(mounts) == Path("/sys/fs/cgroup/unified")


def test_the_nodes_cgroup2_is_found_in_a_container(tmp_path: Path) -> None:
    """A container's own mount shows its own cgroup, the node's is the one with the highest root."""
    mounts = tmp_path / "mounts"
    mounts.write_text(CONTAINER)
    assert find_cgroup2(mounts) == Path("/host/cgroup")


def test_a_container_without_a_cgroup_namespace(tmp_path: Path) -> None:
    """Its own mount has a root below the node's."""
    mounts = tmp_path / "mounts"
    mounts.write_text(CONTAINER.replace("0:24 / ", "0:24 /kubepods/pod1 ").replace("/../../..", "/"))
    assert find_cgroup2(mounts) == Path("/host/cgroup")


def test_no_cgroup2(tmp_path: Path) -> None:
    """A node without cgroup v2 is reported how to get it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(HYBRID.splitlines()[0] + "\n")
    with pytest.raises(ConfigError, match="no cgroup2 is mounted: mount -t cgroup2"):
        find_cgroup2(mounts)
