"""
The startup taint: it keeps pods from a node until an agent serves them.

Whoever makes nodes registers them with the taint (kubelet's `--register-with-taints`); the agent
removes it from its own node, once the first full state is in force there.
"""

from __future__ import annotations

from typing import Any

from twinway.sources.kubernetes.failures import GarbledError
from twinway.sources.kubernetes.resources import path_of
from twinway.sources.kubernetes.transport import Transport


def remove_taint(transport: Transport, node: str, key: str) -> bool:
    """
    Remove every taint with this key from the node; whether there was one. Raises `RequestError`.

    The server refuses the change if the taints are others by then.
    """
    nodes = path_of("v1", "nodes")
    found = transport.get(nodes, {"fieldSelector": f"metadata.name={node}", "limit": "1"})
    try:
        taints: list[dict[str, Any]] = [
            taint for item in found["items"] or () for taint in item["spec"].get("taints") or ()
        ]
        kept = [taint for taint in taints if taint["key"] != key]
    except (KeyError, TypeError, AttributeError) as error:
        raise GarbledError("the answer is no list of nodes") from error
    if len(kept) == len(taints):
        return False
    change = [
        {"op": "test", "path": "/spec/taints", "value": taints},
        {"op": "replace", "path": "/spec/taints", "value": kept},
    ]
    transport.patch(f"{nodes}/{node}", change)
    return True
