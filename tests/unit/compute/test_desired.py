"""Laws of compute: incremental equals from scratch, equal input gives equal output, all is sorted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import GOOD, SERVICE, having
from tests.unit.strategies import NODES, attachments_of, clusters, histories
from twinway.compute import ids
from twinway.compute.desired import Memo, desired
from twinway.model.cluster import Cluster
from twinway.model.node import NodeState

HERE = NODES[0]


def of(cluster: Cluster) -> NodeState:
    """The state from scratch."""
    return desired(cluster, HERE, attachments_of(cluster, HERE))


def remembered(memo: Memo, cluster: Cluster) -> NodeState:
    """The state by the memo."""
    return memo.desired(cluster, HERE, attachments_of(cluster, HERE))


@settings(max_examples=80, deadline=None)
@given(histories())
def test_a_memo_equals_from_scratch(history: list[Cluster]) -> None:
    """After every change, the order of mappings included; what is equal to before is the same object."""
    memo = Memo()
    before = remembered(memo, Cluster("none"))
    for cluster in history:
        state = remembered(memo, cluster)
        assert state == of(cluster)
        assert list(state.services) == list(of(cluster).services)
        for ref, each in state.services.items():
            if before.services.get(ref) == each:
                assert before.services[ref] is each
        before = state


@settings(max_examples=80, deadline=None)
@given(histories())
def test_a_memo_equals_from_scratch_where_ids_collide(history: list[Cluster]) -> None:
    """With ids of three bits instead of 64, contents meet all the time."""
    memo = Memo()
    with pytest.MonkeyPatch.context() as patch:
        content_id = ids.content_id
        patch.setattr(ids, "content_id", lambda kind, content: content_id(kind, content) % 8 + 1)
        for cluster in history:
            state = remembered(memo, cluster)
            assert state == of(cluster)
            assert_ids_are_unambiguous(state)


def assert_ids_are_unambiguous(state: NodeState) -> None:
    """Whatever is in force: one id, one content."""
    sets = {each.backends for one in state.services.values() for each in one.frontends}
    backends = {each for one in state.services.values() for each in one.serving}
    assert len({each.id for each in sets}) == len(sets)
    assert len({each.id for each in backends}) == len(backends)


@settings(max_examples=50, deadline=None)
@given(clusters(), clusters())
def test_a_memo_may_jump(one: Cluster, other: Cluster) -> None:
    """From any cluster to any other, of which no object is the same, and to another node."""
    memo = Memo()
    for cluster in (one, other, one):
        for node in NODES:
            attachments = attachments_of(cluster, node)
            assert memo.desired(cluster, node, attachments) == desired(cluster, node, attachments)


@settings(max_examples=50, deadline=None)
@given(clusters())
def test_all_is_sorted(cluster: Cluster) -> None:
    """So that equal states are equal bytes, however their objects came."""
    state = of(cluster)
    assert list(state.services) == sorted(state.services)
    assert list(state.endpoints) == sorted(state.endpoints)
    assert list(state.rejected) == sorted(state.rejected)
    for service in state.services.values():
        places = [
            (each.address.version, int(each.address), each.port, each.protocol) for each in service.frontends
        ]
        assert places == sorted(places)
        assert [each.id for each in service.serving] == sorted({each.id for each in service.serving})
        for frontend in service.frontends:
            backends = [(int(each.address), each.port) for each in frontend.backends.backends]
            assert backends == sorted(set(backends))
            assert set(frontend.backends.backends) <= set(service.serving)


@settings(max_examples=50, deadline=None)
@given(clusters(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(cluster: Cluster, random: Random) -> None:
    """A snapshot of the same objects in another order gives the same state, printed byte for byte."""
    shuffled: dict[str, Any] = {}
    for kind in ("services", "slices", "pods", "nodes"):
        items = list(getattr(cluster, kind).items())
        random.shuffle(items)
        shuffled[kind] = dict(items)
    assert repr(of(replace(cluster, **shuffled))) == repr(of(cluster))


@settings(max_examples=50, deadline=None)
@given(clusters())
def test_an_address_is_answered_by_one_service(cluster: Cluster) -> None:
    """Whatever Services want it; each one that does not get it is among the rejected."""
    state = of(cluster)
    places = [
        (each.address, each.port, each.protocol) for one in state.services.values() for each in one.frontends
    ]
    assert len(places) == len(set(places))
    left_out = {
        ref for ref, service in cluster.services.items() if service.cluster_ips and ref not in state.services
    }
    assert left_out <= {each.ref for each in state.rejected}


PROGRAM = """
import json, sys
from twinway.compute.desired import desired
from twinway.sources.decode.registry import cluster, decode
values, rejected = decode(json.load(sys.stdin))
print(repr(desired(cluster("1", values.values(), rejected), "n1", {})))
"""


def test_another_process_computes_the_same_bytes() -> None:
    """A restarted agent recognises what it left in the kernel; hashing by chance must not show."""
    rivals = [having(SERVICE, "metadata.name", f"z{number}") for number in range(9)]
    documents = [*rivals, *GOOD.values()]
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(documents),
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert "10.0.0.1" in printed.pop()


def test_the_nodes_own_addresses_are_in_the_state() -> None:
    """And none while the node is not known."""
    assert of(Cluster("1")).addresses == ()
