"""What agents are shown: the user's objects and all that the lab adds to them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.objects import Object, deployment, documents, node, pod, service
from twinway.errors import ManifestError
from twinway.sources.decode.registry import decode
from twinway_lab.names import Place, pod_place
from twinway_lab.nodes.publish import published
from twinway_lab.objects.objects import understood
from twinway_lab.plan.plan import Plan


def shown(*objects: Object, waiting: tuple[Place, ...] = ()) -> dict[tuple[str, str], Any]:
    """What is published for these objects, by kind and name."""
    made = understood(documents(*objects), Plan(), {})
    items = published(made.objects, made.plan, waiting)
    assert not decode(items).rejected
    return {(each["kind"], each["metadata"]["name"]): each for each in items}


def ready(item: Object) -> list[str]:
    """The status of the pod's Ready conditions."""
    return [each["status"] for each in item["status"]["conditions"] if each["type"] == "Ready"]


def test_everything_left_out_is_there() -> None:
    """Nodes, the namespace, a pod's node, addresses and readiness; all of it decodes."""
    items = shown(deployment("web", 1), service("web"))
    assert items["Node", "n2"]["spec"]["podCIDRs"] == ["10.244.2.0/24", "fd00:244:2::/64"]
    assert ("Namespace", "shop") in items
    web = items["Pod", "web-0"]
    assert web["spec"]["nodeName"] == "n1"
    assert web["status"]["podIPs"] == [{"ip": "10.244.1.2"}, {"ip": "fd00:244:1::2"}]
    assert web["status"]["hostIP"] == "172.30.0.11"
    assert ready(web) == ["True"]


def test_what_a_pod_says_of_its_readiness_holds() -> None:
    """A pod that says it is not ready is not, though it runs."""
    said = pod("x")
    said["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    assert ready(shown(said)["Pod", "x"]) == ["False"]


def test_a_pod_that_waits_is_not_ready() -> None:
    """Until it is wired, whatever it says."""
    said = pod("x")
    said["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    assert ready(shown(said, waiting=(pod_place("shop", "x"),))["Pod", "x"]) == ["False"]


def test_host_names_of_a_node_stay_beside_its_addresses() -> None:
    """A node that gives only its name is given addresses as well."""
    named = node("a")
    named["status"]["addresses"] = [{"type": "Hostname", "address": "a.example"}]
    addresses = shown(named)["Node", "a"]["status"]["addresses"]
    assert [each["address"] for each in addresses] == ["a.example", "172.30.0.11", "fd00:30::11"]


def test_faults_of_policies_may_be_left_to_the_agents() -> None:
    """A bad policy is refused by field, or handed on as it is where asked for; a bad Service never is."""
    shut = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": "shop", "name": "shut"},
        "spec": {"podSelector": {}, "policyTypes": ["Inwards"]},
    }
    with pytest.raises(ManifestError, match=r"NetworkPolicy shop/shut: spec.policyTypes\[0\]"):
        understood(documents(shut), Plan(), {})
    assert shut in understood(documents(shut), Plan(), {}, bad_policies=True).objects
    bad = service("web")
    bad["spec"]["ports"] = [{"port": 0}]
    with pytest.raises(ManifestError, match="Service shop/web"):
        understood(documents(bad), Plan(), {}, bad_policies=True)
