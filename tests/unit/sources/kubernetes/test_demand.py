"""Pods of other nodes: read when a policy asks for them, and one with those of the node."""

from __future__ import annotations

import pytest

from tests.unit.documents import POD, having
from twinway.model.net import ObjectRef
from twinway.sources.decode.registry import decode_object
from twinway.sources.kubernetes.demand import asks_for_pods
from twinway.sources.kubernetes.store import Store

HERE = having(POD, "metadata.uid", "here")
THERE = having(having(POD, "metadata.uid", "there"), "spec.nodeName", "n2")
REF = ObjectRef("Pod", "shop", "web-1")


def policy(**spec):
    metadata = {"name": "p", "namespace": "shop", "resourceVersion": "1"}
    spec = {"podSelector": {}, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def cluster_policy(peer):
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "p", "resourceVersion": "1"},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"namespaces": {}},
            "ingress": [{"name": "r", "action": "Deny", "from": [peer]}],
        },
    }


@pytest.mark.parametrize(
    ("document", "asks"),
    [
        (POD, False),
        (policy(), False),
        (policy(ingress=[{}]), False),
        (policy(ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), False),
        (policy(ingress=[{"from": [{"podSelector": {}}]}]), True),
        (policy(egress=[{"to": [{"namespaceSelector": {}}]}]), True),
        (policy(egress=[{"ports": [{"port": 80}]}]), False),
        (policy(egress=[{"ports": [{"port": "http"}]}]), True),
        (cluster_policy({"namespaces": {}}), True),
        (cluster_policy({"pods": {"namespaceSelector": {}, "podSelector": {}}}), True),
    ],
)
def test_which_policies_ask_for_pods(document, asks):
    """Those with a selector of pods among their peers, or with a port by name."""
    value, _ = decode_object(document)
    assert asks_for_pods(value) is asks


class Site:
    """A store with policies, pods here and pods elsewhere."""

    def __init__(self):
        self.wanted = 0
        self.store = Store(lambda: None)
        self.policies, self.here = self.store.part(), self.store.part()
        self.there = self.store.part_on_demand(self.here, self._want)
        for part in (self.policies, self.here):
            part.begin()
            part.commit()

    def _want(self):
        self.wanted += 1

    def taken(self):
        """The snapshot that must be there."""
        cluster = self.store.take()
        assert cluster is not None
        return cluster


def test_a_policy_that_asks_waits_for_the_pods():
    """It comes into force together with them, and with whatever else changed meanwhile."""
    site = Site()
    assert site.store.take() is not None
    site.policies.put(policy(ingress=[{"from": [{"podSelector": {}}]}]))
    assert site.store.take() is None
    assert site.wanted == 1
    site.there.begin()
    site.there.put(THERE)
    assert site.store.take() is None
    site.there.commit()
    cluster = site.taken()
    assert (len(cluster.policies), len(cluster.pods)) == (1, 1)
    site.policies.put(having(policy(ingress=[{"from": [{"podSelector": {}}]}]), "metadata.name", "q"))
    assert site.store.take() is not None
    assert site.wanted == 1


@pytest.mark.parametrize("steps", [("come", "leave"), ("leave", "come")])
def test_a_pod_that_is_made_again_on_this_node_is_there(steps):
    """Its end elsewhere and its beginning here come by two streams, in either order."""
    site = Site()
    site.there.put(THERE)
    assert site.taken().pods[REF].uid == "there"
    for step in steps:
        if step == "come":
            site.here.put(HERE)
        else:
            site.there.remove(THERE)
        site.store.take()
    site.policies.put(policy())
    assert site.taken().pods[REF].uid == "here"


def test_a_pod_that_is_made_again_elsewhere_is_there():
    """So it is the other way round."""
    site = Site()
    site.here.put(HERE)
    site.there.put(THERE)
    assert site.taken().pods[REF].uid == "here"
    site.here.remove(HERE)
    assert site.taken().pods[REF].uid == "there"
