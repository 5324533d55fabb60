"""The compiled tables agree with the conformance suite's reference model, which knows nothing of them."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.compute.policy_documents import NODES, PODS, PORTS, SLOTS, STRANGERS, Document
from tests.unit.compute.sample_clusters import NODE, attachments
from twinway.compute.policy.evaluate import Tables
from twinway.compute.policy.policies import compile_policies
from twinway.model.net import Protocol
from twinway.model.node import Action
from twinway.model.policy import Direction
from twinway.sources.decode.registry import cluster, decode
from twinway_conformance.reference.policy import Packet, allowed
from twinway_conformance.reference.world import World

ADDRESSES = [
    *(ip_address(f"10.0.0.{number}") for number in PODS.values()),
    *(ip_address(f"fd00::{number}") for number in PODS.values()),
    *(ip_address(address) for addresses in NODES.values() for address in addresses),
    *(ip_address(address) for address in STRANGERS),
]


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({name: st.one_of(st.none(), documents) for name, documents in SLOTS.items()}))
def test_the_tables_agree_with_the_reference(drawn: dict[str, Document | None]) -> None:
    """For every pod, direction, peer, protocol and port: the same answer."""
    documents = [document for document in drawn.values() if document is not None]
    decoded = decode(documents)
    assert decoded.rejected == ()
    snapshot = cluster("1", decoded.values.values())
    state, sets, *_ = compile_policies(snapshot, NODE, attachments(snapshot))
    tables, world = Tables(state), World(documents)
    for ref in attachments(snapshot):
        pod = world.pod(f"{ref.namespace}/{ref.name}")
        if pod is None:
            continue
        for direction, peer, protocol, port in product(Direction, ADDRESSES, Protocol, PORTS):
            verdict = tables.verdict(sets[ref], direction, peer, protocol.number, port)
            packet = Packet(direction.name.lower(), pod, peer, protocol, port)
            assert (verdict.action is Action.ALLOW) == allowed(world, packet), packet
