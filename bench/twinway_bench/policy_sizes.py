"""How large the policy tables should be, by the formulas that compute's modules state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from twinway.model.cluster import Cluster, Pod
from twinway.model.node import PolicyState
from twinway.model.policy import Block, NetworkPolicy, Operator, Selector
from twinway_bench.policy_scale import HERE


def classes_due(cluster: Cluster) -> int:
    """
    Entries of the class table: 2 + |blocks| + |addresses|.

    Blocks are counted one policy after the other; addresses are those of every pod, for the
    cluster-wide policies here have a peer that matches them all.
    """
    local = [pod for pod in cluster.pods.values() if pod.node == HERE]
    in_force = [policy for policy in cluster.policies.values() if any(_selects(policy, pod) for pod in local)]
    rules = [rule for policy in in_force for rule in (*(policy.ingress or ()), *(policy.egress or ()))]
    blocks = [peer for rule in rules for peer in rule.peers or () if isinstance(peer, Block)]
    networks = {network for block in blocks for network in (block.network, *block.excepted)}
    whole = {network for network in networks if network.prefixlen == 0}
    addresses = {address for pod in cluster.pods.values() for address in pod.addresses}
    return 2 + len(networks - whole) + len(addresses)


def _selects(policy: NetworkPolicy, pod: Pod) -> bool:
    return policy.ref.namespace == pod.ref.namespace and _matches(policy.pods, pod.labels)


def _matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    for each in selector.requirements:
        assert each.operator is Operator.IN
        if labels.get(each.key) not in each.values:
            return False
    return True


def verdicts_due(policy: PolicyState) -> int:
    """
    Entries of the verdict trie, from what each set says to each class in use.

    n(d) + the sum of |C(v)| n(v) over the other verdicts, d being those with the greatest (|C(v)| - 1) n(v).
    """
    live = set(policy.classes.values())
    total = 0
    for each in policy.sets.values():
        for direction in {entry.direction for entry in each.entries}:
            said: dict[int, set[tuple[Any, ...]]] = {}
            for entry in each.entries:
                if entry.direction == direction:
                    row = (entry.protocol, entry.port, entry.bits, entry.verdict)
                    said.setdefault(entry.address_class, set()).add(row)
            classes = Counter(frozenset(said.get(address_class, said[0])) for address_class in live)
            saved = max((count - 1) * len(rows) for rows, count in classes.items())
            total += sum(count * len(rows) for rows, count in classes.items()) - saved
    return total
