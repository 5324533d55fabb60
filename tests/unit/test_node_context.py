"""What drivers know of their node."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway.config import NodeConfig
from twinway.errors import ConfigError
from twinway.node_context import context_of, find_cgroup2

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
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


def test_no_cgroup2(tmp_path: Path) -> None:
    """A node without cgroup v2 is reported how to get it."""
    mounts = tmp_path / "mounts"
    mounts.write_text(HYBRID.splitlines()[0] + "\n")
    with pytest.raises(ConfigError, match="no cgroup2 is mounted: mount -t cgroup2"):
        find_cgroup2(mounts)
