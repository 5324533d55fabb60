"""A connect of our own through the socket hooks: it shows that they run, and finds the namespace of the host."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from twinway.driver import Health
from twinway.errors import DriverError
from twinway_bpf.tables.settings import Notices, Settings

PROBE = ("169.254.42.2", 29815)
"""An address that nobody has. The hook counts connects to it and refuses them."""


def learn_host(settings: Settings, notices: Notices, cgroup: Path) -> None:
    """Write to tw_cfg which network namespace is the host's: the agent's own."""
    if not _probe(notices):
        reason = "the agent is not below it: set it in the node config to a cgroup that holds the whole node"
        raise DriverError(f"cgroup_root {cgroup}: {reason}")
    settings.write(host_netns=notices.read().probe_netns)


def health(notices: Notices, cgroup: Path) -> Health:
    """Whether a socket call goes through the hooks right now."""
    if _probe(notices):
        return Health(ok=True, detail="a connect went through the socket hooks")
    return Health(ok=False, detail=f"a connect did not meet the socket hooks at {cgroup}")


def _probe(notices: Notices) -> bool:
    before = notices.read().probes
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(PROBE)
    return bool(notices.read().probes != before)
