"""Laws of the memo: whatever changes, it says what `compile_policies` says, and keeps what stays."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.compute.policy_documents import SLOTS
from tests.unit.compute.sample_clusters import NODE, attachments
from twinway.compute import collisions
from twinway.compute.classes import atoms, classes
from twinway.compute.ids import content_id
from twinway.compute.policy import peer_verdicts, plan, sets
from twinway.compute.policy.policies import PolicyMemo, compile_policies
from twinway.model.cluster import Cluster
from twinway.model.net import ObjectRef
from twinway.model.node import NO_CLASS, Attachment, ClassId, PolicySetId
from twinway.model.policy import Direction
from twinway.sources.decode.registry import Value, cluster, decode_object

Step = tuple[Cluster, dict[ObjectRef, Attachment]]


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Snapshots one after the other: at each step a few objects come, go or change; the others are kept."""
    present: dict[str, Value] = {}
    steps: list[Step] = []
    for number in range(draw(st.integers(2, 8))):
        names = draw(
            st.lists(st.sampled_from(list(SLOTS)), min_size=0 if number else 12, max_size=16, unique=True)
        )
        for name in names:
            value = decode_object(draw(SLOTS[name]))[0]
            assert value is not None
            if name in present and draw(st.booleans()):
                del present[name]
            else:
                present[name] = value
        order = draw(st.permutations(list(present))) if draw(st.booleans()) else list(present)
        snapshot = cluster(str(number), [present[name] for name in order])
        steps.append((snapshot, draw(_attached(snapshot))))
    return steps


@st.composite
def _attached(draw: st.DrawFn, snapshot: Cluster) -> dict[ObjectRef, Attachment]:
    # Now and then a pod is attached with addresses that the API server does not know yet.
    all_here = {ref: each for ref, each in attachments(snapshot).items() if snapshot.pods[ref].node == NODE}
    bare = draw(st.sets(st.sampled_from(sorted(all_here)), max_size=1)) if all_here else set()
    return {
        ref: replace(each, addresses=each.addresses[:1]) if ref in bare else each for ref, each in all_here.items()
    }


@settings(max_examples=60, deadline=None)
@given(histories())
def test_the_memo_equals_from_scratch(history: list[Step]) -> None:
    """State and sets of pods, after each step; a step that changes no table gives the very same state."""
    memo = PolicyMemo()
    before = memo.compile(Cluster("0"), NODE, {})[0]
    for snapshot, attached in history:
        state, chosen, selecting, rejected = memo.compile(snapshot, NODE, attached)
        assert (state, chosen, selecting, rejected) == compile_policies(snapshot, NODE, attached)
        if state == before:
            assert state is before
        for id_, policy in state.sets.items():
            known = before.sets.get(id_, policy)
            assert policy is known or policy != known
        before = state


@settings(max_examples=60, deadline=None)
@given(histories())
def test_a_set_says_the_same_of_a_class_for_ever(history: list[Step]) -> None:
    """Under one id, however long ago: of every class in use, by entries of its own or by those of class 0."""
    memo = PolicyMemo()
    said: dict[tuple[PolicySetId, Direction, ClassId], list[tuple[object, ...]]] = {}
    for snapshot, attached in history:
        state = memo.compile(snapshot, NODE, attached)[0]
        for id_, policy in state.sets.items():
            rows: dict[tuple[Direction, ClassId], list[tuple[object, ...]]] = defaultdict(list)
            for entry in policy.entries:
                row = (entry.protocol, entry.port, entry.bits, entry.verdict)
                rows[entry.direction, entry.address_class].append(row)
            for direction, named in product(Direction, {NO_CLASS, *state.classes.values()}):
                now = rows.get((direction, named), rows[direction, NO_CLASS])
                assert said.setdefault((id_, direction, named), now) == now


@settings(max_examples=30, deadline=None)
@given(histories())
def test_the_order_of_objects_does_not_matter(history: list[Step]) -> None:
    """Mappings in reverse order make equal tables with equal ids."""
    snapshot, attached = history[-1]
    kinds = ("pods", "namespaces", "nodes", "policies", "cluster_policies")
    backwards: dict[str, Any] = {kind: dict(reversed(getattr(snapshot, kind).items())) for kind in kinds}
    turned = replace(snapshot, **backwards)
    reverse = dict(reversed(attached.items()))
    state, chosen, *_ = compile_policies(snapshot, NODE, attached)
    other, other_chosen, *_ = compile_policies(turned, NODE, reverse)
    assert (state, chosen) == (other, other_chosen)
    assert {id_: policy.entries for id_, policy in state.sets.items()} == {
        id_: policy.entries for id_, policy in other.sets.items()
    }


@settings(max_examples=40, deadline=None)
@given(histories())
def test_a_collision_of_ids_is_found_and_forgotten(history: list[Step]) -> None:
    """With ids of two bits compute fails, and says why; with whole ones the same memo goes on."""
    memo = PolicyMemo()
    with pytest.MonkeyPatch.context() as patch:
        for module in (atoms, classes, plan, peer_verdicts, sets):
            patch.setattr(module, "content_id", lambda kind, content: content_id(kind, content) % 4 + 1)
        for snapshot, attached in history:
            reason = _failure(memo, snapshot, attached)
            if reason:
                break
        else:
            return
    assert "have the same id" in reason
    assert memo.compile(snapshot, NODE, attached) == compile_policies(snapshot, NODE, attached)


def _failure(memo: PolicyMemo, snapshot: Cluster, attached: dict[ObjectRef, Attachment]) -> str:
    try:
        memo.compile(snapshot, NODE, attached)
    except collisions.IdCollision as error:
        return str(error)
    return ""
