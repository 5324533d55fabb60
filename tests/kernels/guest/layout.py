"""Checks that a node's ipvlan layout is Terway's, which the other checks of the smoke test rely on."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.kernels.guest.checks import FAMILIES, address

NODE, POD = "twl-smoke.node.n1", "twl-smoke.pod.smoke_client"
"""The namespaces of the first node and of one of its pods."""
PARENT = "eth1"


def faults() -> dict[str, str | None]:
    """The fault of each claim, or None if the claim holds."""
    found: dict[str, str | None] = {}
    parent, pod = _link(NODE, PARENT), _link(POD, "eth0")
    slave = _link(NODE, f"ipvl_{parent['ifindex']}")
    macs = {device["address"] for device in (parent, slave, pod)}
    found["layout: parent, pods and the node's slave share one MAC"] = (
        None if len(macs) == 1 else f"{sorted(macs)}"
    )
    flags = slave["flags"]
    found["layout: the node's slave asks for no neighbours"] = None if "NOARP" in flags else f"{flags}"
    ways = {}
    for family in FAMILIES:
        ways[f"node → pod, IPv{family}"] = (_way(NODE, address("client", family)), slave["ifname"])
        ways[f"pod → node, IPv{family}"] = (_way(POD, address("node", family)), "eth0")
    wrong = [f"{way}: through {came}, not {due}" for way, (came, due) in ways.items() if came != due]
    found["layout: node and pods reach one another by the slave"] = "; ".join(wrong) or None
    return found


def _link(space: str, device: str) -> dict[str, Any]:
    return dict(_ip(space, "link", "show", device))


def _way(space: str, target: str) -> str:
    return str(_ip(space, "route", "get", target)["dev"])


def _ip(space: str, *words: str) -> Any:
    done = subprocess.run(["ip", "-n", space, "-json", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)} in {space}: {done.stderr.strip()}")
    return json.loads(done.stdout)[0]
