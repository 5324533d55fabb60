"""What drivers may know of their node, and drivers made with it. Nothing on the node is changed."""

from __future__ import annotations

from pathlib import Path

from twinway import plugins
from twinway.config import NodeConfig
from twinway.driver import Driver, NodeContext
from twinway.errors import ConfigError
from twinway.model.net import NodeName

MOUNTS = Path("/proc/self/mountinfo")


def context_of(config: NodeConfig) -> NodeContext:
    """The node as drivers see it. Its directories may not exist yet."""
    return NodeContext(
        node=NodeName(config.node_name),
        bpffs=config.bpffs / "twinway",
        cgroup_root=config.cgroup_root or find_cgroup2(MOUNTS),
        cache=config.cache_dir,
        uplinks=config.uplinks,
    )


def build_driver(name: str, *, config: NodeConfig, context: NodeContext, origin: str) -> Driver:
    """The installed driver of that name, not started. `origin` names the config in errors."""
    driver = plugins.load(name)
    return driver(context, plugins.options_of(driver, config.drivers, origin))


def find_cgroup2(mounts: Path) -> Path:
    """
    Where cgroup v2 is mounted, by the table at `mounts`; of several mounts, the one that shows most of it.

    A container's own mount shows its own cgroup alone. The node's mount has a root above that one there, such as
    `/../..`. Source: proc_pid_mountinfo(5), cgroup_namespaces(7).
    """
    found = []
    for line in mounts.read_text(encoding="utf-8").splitlines():
        mount, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            _, _, _, root, where, *_ = mount.split(" ")
            found.append((_depth(root), where))
    if not found:
        raise ConfigError("cgroup_root: no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")
    return Path(min(found, key=lambda each: each[0])[1])


def _depth(root: str) -> int:
    return sum(-1 if part == ".." else 1 for part in root.split("/") if part)
