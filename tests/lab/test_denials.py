"""Why a probe was dropped: the policy, by name, direction and pod."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.lab.objects import Object, documents, pod, service
from twinway.model.net import Protocol
from twinway_lab import names
from twinway_lab.names import LabName, parse_place
from twinway_lab.nodes import manifests
from twinway_lab.nodes.publish import published
from twinway_lab.objects.objects import understood
from twinway_lab.plan.plan import Plan
from twinway_lab.probe.denials import Connection, Denials, Denied, described


def policy(name: str, selects: str, **spec: Any) -> Object:
    """A NetworkPolicy in `shop` for the pods of one name."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"podSelector": {"matchLabels": {"app": selects}}, **spec},
    }


def cluster_policy(name: str, rule: str) -> Object:
    """A ClusterNetworkPolicy of the Admin tier that denies ingress to the pods of `web`."""
    peers: list[Object] = [{"namespaces": {}}]
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": "Admin",
            "priority": 1,
            "subject": {"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}},
            "ingress": [{"action": "Deny", "from": peers, "name": rule}],
        },
    }


CLUSTER = (
    pod("client", "10.244.1.10", on="n1"),
    pod("web", "10.244.2.20", on="n2"),
    pod("near", "10.244.1.20", on="n1"),
    service("web", clusterIP="10.96.0.9"),
)


@pytest.fixture
def why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Why FROM cannot reach TO, with these policies in force: a line for each end that denies it."""
    monkeypatch.setattr(names, "STATE_ROOT", tmp_path)
    lab = LabName("why")
    lab.manifests().mkdir(parents=True)

    def ask(source: str, host: str, *policies: Object, port: int = 80) -> list[str]:
        made = understood(documents(*CLUSTER, *policies), Plan(), {})
        manifests.publish(lab, published(made.objects, made.plan))
        connection = Connection(parse_place(source), None, ip_address(host), port, Protocol.TCP)
        return [str(each) for each in Denials(lab, made.plan).of(connection)]

    return ask


def test_isolation_names_all_that_isolate(why: Any) -> None:
    """None of them allows it, and each could."""
    shut, other = policy("shut", "web", policyTypes=["Ingress"]), policy("other", "web", ingress=[])
    assert why("shop/client", "10.244.2.20", shut) == [
        "NetworkPolicy shop/shut (ingress of shop/web): no policy allows it"
    ]
    assert why("shop/client", "10.244.2.20", shut, other) == [
        "NetworkPolicy shop/other, NetworkPolicy shop/shut (ingress of shop/web): no policy allows it"
    ]


def test_both_ends_are_told(why: Any) -> None:
    """The client's egress first; what it may not do elsewhere is not listed."""
    out = policy("out", "client", policyTypes=["Egress"])
    assert why("shop/client", "10.244.2.20", out, policy("shut", "web", ingress=[])) == [
        "NetworkPolicy shop/out (egress of shop/client): no policy allows it",
        "NetworkPolicy shop/shut (ingress of shop/web): no policy allows it",
    ]
    assert why("shop/near", "10.244.2.20", out) == []


def test_a_rule_is_told_with_its_place(why: Any) -> None:
    """As explicit denials are."""
    assert why("shop/client", "10.244.2.20", cluster_policy("guard", "all")) == [
        "ClusterNetworkPolicy guard (ingress of shop/web): spec.ingress[0] (all) denies it"
    ]


def test_a_service_is_looked_through(why: Any) -> None:
    """Its own address is no peer of any policy: its backends are."""
    shut = policy("shut", "web", ingress=[])
    for client in ("shop/client", "node/n1"):
        assert why(client, "10.96.0.9", shut) == [
            "NetworkPolicy shop/shut (ingress of shop/web): no policy allows it"
        ]


def test_what_always_passes_is_not_blamed(why: Any) -> None:
    """A pod to itself, and a node to its own pods."""
    shut = policy("shut", "web", policyTypes=["Ingress", "Egress"])
    assert why("shop/web", "10.244.2.20", shut) == []
    assert why("node/n2", "10.244.2.20", shut) == []
    assert why("external", "10.244.2.20", shut) == [
        "NetworkPolicy shop/shut (ingress of shop/web): no policy allows it"
    ]
    # Through the Service it is judged, both ways.
    assert len(why("shop/web", "10.96.0.9", shut)) == 2


def test_backends_that_are_denied_alike_stand_together() -> None:
    """A Service of many pods is one line."""
    shut = ("NetworkPolicy shop/shut",)
    denied = [Denied("ingress", f"shop/web-{number}", shut, None) for number in (1, 0)]
    assert described(denied) == "NetworkPolicy shop/shut (ingress of shop/web-0, shop/web-1): no policy allows it"
