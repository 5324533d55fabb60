"""Many objects at a real API server."""

from __future__ import annotations

import pytest

from tests.cluster.filling import create_all, for_each
from tests.cluster.objects import namespace, node
from twinway.model.net import ObjectRef

NODES = 5_000


@pytest.mark.timeout(600)
def test_heartbeats_of_5000_nodes_cost_no_compute(shared_plane, follow):
    """Every node's status is written once more; no snapshot is made of it."""
    every = [node(f"n{number}", f"10.{number // 250}.{number % 250}.1") for number in range(NODES)]
    create_all(shared_plane, every)
    following = follow(shared_plane)
    first = following.until(lambda cluster: len(cluster.nodes) == NODES, seconds=60)
    assert len(following.snapshots) == 1
    beat = {
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
        }
    }
    for_each(shared_plane, every, lambda api, document: api.patch(document, beat, part="status"))
    shared_plane.api.create(node("last", "10.255.0.1"))
    last = following.until(lambda cluster: ObjectRef("Node", "", "last") in cluster.nodes, seconds=60)
    assert len(following.snapshots) == 2
    assert last.namespaces is first.namespaces
    shared_plane.api.create(namespace("after"))
    following.until(lambda cluster: ObjectRef("Namespace", "", "after") in cluster.namespaces)
    assert len(following.snapshots) == 3
