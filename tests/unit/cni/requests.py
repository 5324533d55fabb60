"""Requests as a runtime makes them behind Terway, and as the plugin puts them on the wire."""

from __future__ import annotations

import json
import os
from typing import Any

NETNS = f"/run/netns/twinway-unit-{os.getpid()}"
"""The pod's namespace, which `place.pod_netns` makes."""

TERWAY_RESULT = {
    "cniVersion": "0.4.0",
    "interfaces": [{"name": "eth0", "sandbox": "c1"}],
    "ips": [{"version": "4", "interface": 0, "address": "10.0.0.11/24", "gateway": "10.0.0.253"}],
    "dns": {},
}


def config(version: str = "0.4.0", **changes: Any) -> dict[str, Any]:
    """The plugin's part of a chain's config, with Terway's result before it; None removes a key."""
    previous = {**TERWAY_RESULT, "cniVersion": version}
    whole = {"cniVersion": version, "name": "terway-chainer", "type": "twinway", "prevResult": previous, **changes}
    return {key: value for key, value in whole.items() if value is not None}


def environment(verb: str, **changes: str | None) -> dict[str, str]:
    """What the runtime puts into the environment; None removes a key."""
    whole = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": NETNS,
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1",
        "CNI_PATH": "/opt/cni/bin",
        **changes,
    }
    return {key: value for key, value in whole.items() if value is not None}


def message(env: dict[str, str], stdin: Any) -> bytes:
    """Environment and stdin as they go to the agent; `stdin` is bytes, or made JSON."""
    head = "".join(f"{key}={value}\0" for key, value in env.items())
    return head.encode() + b"\0" + (stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode())
