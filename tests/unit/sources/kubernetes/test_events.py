"""Which Events a node plans, and what is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinway.model.net import ObjectRef, Rejected
from twinway.sources.kubernetes.writes.events import (
    LONGEST_NAME,
    LONGEST_NOTE,
    MOST_WAITING,
    STEP_SECONDS,
    WRITERS,
    Planner,
    Regarding,
    event_of,
    rank_of,
)

NODES = tuple(f"n{number}" for number in range(300))
POLICY = ObjectRef("NetworkPolicy", "shop", "open")
POD = ObjectRef("Pod", "shop", "web")


def fault(ref=POLICY, reason="must be a port"):
    return Rejected(ref, "spec.ingress[0].ports[0].port", reason)


def planner(node="n1", own=lambda _ref: True, now=100.0):
    return Planner(node, own, lambda: now)


def test_few_of_many_nodes_write():
    """Eight write, one after the other, and each object has others."""
    writers = []
    for name in ("a", "b"):
        ref = ObjectRef("NetworkPolicy", "shop", name)
        due = []
        for node in NODES:
            one = planner(node)
            one.note((fault(ref),), NODES)
            due += [each.at for each in (one.next(),) if each]
        assert sorted(due) == [100.0 + STEP_SECONDS * rank for rank in range(WRITERS)]
        writers.append({node for node in NODES if rank_of(node, NODES, ref) < WRITERS})
    assert writers[0] != writers[1]


def test_the_only_node_writes():
    """Also if it has no Node object."""
    for nodes in ((), ("n1",), ("other",)):
        one = planner()
        one.note((fault(),), nodes)
        assert one.next() is not None


@pytest.mark.parametrize("own", [True, False])
def test_a_pod_is_its_own_nodes(own):
    """That node writes at once, whatever its rank, and no other does."""
    due = []
    for node in NODES[:50]:
        one = planner(node, own=lambda _ref: own)
        one.note((fault(POD),), NODES)
        due.append(one.next())
    assert all(each is not None and each.at == 100.0 for each in due) if own else due == [None] * 50


def test_what_is_known_is_not_written_again():
    """Another fault is, and so is one that was gone in between."""
    one = planner()
    one.note((fault(),), ("n1",))
    first = one.next()
    one.done(first)
    one.note((fault(),), ("n1",))
    assert one.next() is None
    one.note((fault(reason="must be text"),), ("n1",))
    assert one.next().faults == (fault(reason="must be text"),)
    one.note((), ("n1",))
    assert one.next() is None
    one.note((fault(),), ("n1",))
    assert one.next() == first


def test_a_postponed_event_lets_others_pass():
    """What was replaced in the meantime is left alone."""
    one = planner()
    other = ObjectRef("Service", "shop", "web")
    one.note((fault(), fault(other)), ("n1",))
    first = one.next()
    one.postpone(first, 30)
    assert one.next().ref != first.ref
    one.note((fault(reason="new"), fault(other, reason="new")), ("n1",))
    one.postpone(first, 30)
    one.done(first)
    assert {one.next().at} == {100.0}


def test_the_queue_is_bounded():
    """What comes later is in the status alone."""
    one = planner()
    one.note([fault(ObjectRef("Service", "shop", f"s{n}")) for n in range(MOST_WAITING + 50)], ("n1",))
    written = 0
    while (due := one.next()) is not None:
        one.done(due)
        written += 1
    assert written == MOST_WAITING


def test_the_event_is_the_same_from_every_node():
    """Its name follows from the object's uid and the faults alone."""
    regarding = Regarding(POLICY, "networking.k8s.io/v1", "uid-1")
    one, other = (event_of(regarding, (fault(),), node, now) for node, now in (("n1", 1.0), ("n2", 2e9)))
    assert one["metadata"] == other["metadata"]
    assert one["metadata"]["namespace"] == "shop"
    assert one["note"] == "spec.ingress[0].ports[0].port: must be a port"
    assert one["eventTime"] == "1970-01-01T00:00:01.000000Z"
    names = {
        event_of(regarding._replace(uid=uid), (fault(reason=reason),), "n1", 1.0)["metadata"]["name"]
        for uid in ("u1", "u2")
        for reason in ("r1", "r2")
    }
    assert len(names) == 4


def test_an_object_of_the_whole_cluster():
    """Its Event is in the namespace that Kubernetes takes for such objects."""
    ref = ObjectRef("ClusterNetworkPolicy", "", "strict")
    event = event_of(Regarding(ref, "policy.networking.k8s.io/v1alpha2", "u"), (fault(ref),), "n1", 1.0)
    assert event["metadata"]["namespace"] == "default"
    assert event["regarding"]["namespace"] == ""


@given(st.text(max_size=3000), st.integers(1, 253))
def test_lengths_stay_below_what_the_server_takes(reason, length):
    """However long the reason and the name are."""
    ref = ObjectRef("Service", "shop", "a" * length)
    event = event_of(Regarding(ref, "v1", "u"), (fault(ref, reason),), "n" * 253, 1.0)
    assert len(event["metadata"]["name"]) <= LONGEST_NAME
    assert len(event["note"].encode()) <= LONGEST_NOTE
    assert len(event["reportingInstance"]) <= 128
