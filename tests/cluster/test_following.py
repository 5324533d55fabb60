"""What the source makes of the objects at a real API server."""

from __future__ import annotations

import time
from ipaddress import ip_address

from tests.cluster.objects import cluster_policy, definition, endpoint_slice, namespace, node, pod, policy, service
from twinway.model.net import ObjectRef

WEB = ObjectRef("Service", "default", "web")
SLICE = ObjectRef("EndpointSlice", "default", "web-1")


def test_first_state_and_changes(plane, follow):
    """The first snapshot has every kind; each change at the server comes as a further one."""
    api = plane.api
    made = api.create(service("web"))
    for each in (
        namespace("shop", team="a"),
        endpoint_slice("web-1", "web", "10.0.0.1"),
        node("n1", "192.168.0.1"),
        pod("a", app="x"),
        policy("closed"),
    ):
        api.create(each)
    api.patch(pod("a"), {"status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}}, part="status")
    following = follow(plane)
    first = following.until(lambda cluster: True)
    assert len(following.snapshots) == 1
    assert first.services[WEB].cluster_ips == (ip_address(made["spec"]["clusterIP"]),)
    assert [str(each.address) for each in first.slices[SLICE].endpoints] == ["10.0.0.1"]
    assert {ref.name for ref in first.namespaces} >= {"shop", "default", "kube-system"}
    assert first.nodes[ObjectRef("Node", "", "n1")].addresses == (ip_address("192.168.0.1"),)
    assert first.pods[ObjectRef("Pod", "default", "a")].addresses == (ip_address("10.0.0.1"),)
    assert ObjectRef("NetworkPolicy", "default", "closed") in first.policies
    assert first.rejected == ()

    api.replace(endpoint_slice("web-1", "web", "10.0.0.2", "10.0.0.3"))
    second = following.until(lambda cluster: len(cluster.slices[SLICE].endpoints) == 2)
    assert second.services is first.services
    assert second.version != first.version
    api.delete(service("web"))
    following.until(lambda cluster: WEB not in cluster.services)
    assert following.source.error is None


def test_others_services_stay_at_the_server(shared_plane, follow):
    """Headless Services, their slices, and what is left to another proxy are not sent at all."""
    api = shared_plane.api
    api.create(service("headless", clusterIP="None"))
    foreign = service("foreign")
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    api.create(foreign)
    of_headless = endpoint_slice("headless-1", "headless", "10.0.0.9")
    of_headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
    api.create(of_headless)
    api.create(service("last"))
    cluster = follow(shared_plane).until(
        lambda cluster: ObjectRef("Service", "default", "last") in cluster.services
    )
    assert {ref.name for ref in cluster.services} == {"kubernetes", "last"}
    assert cluster.slices == {}
    # A Service that is given to another proxy later goes.
    change = {"metadata": {"labels": {"service.kubernetes.io/service-proxy-name": "other"}}}
    following = follow(shared_plane)
    following.until(lambda cluster: True)
    api.patch(service("last"), change)
    following.until(lambda cluster: {ref.name for ref in cluster.services} == {"kubernetes"})


def test_what_compute_does_not_read_makes_no_snapshot(shared_plane, follow):
    """Heartbeats, a pod's readiness, annotations and a slice written again with equal content change nothing."""
    api = shared_plane.api
    api.create(node("n2", "192.168.0.2"))
    api.create(pod("b", app="x"))
    ready = {
        "podIP": "10.0.0.5",
        "podIPs": [{"ip": "10.0.0.5"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    api.patch(pod("b"), {"status": ready}, part="status")
    api.create(endpoint_slice("equal-1", "equal", "10.0.0.5"))
    following = follow(shared_plane)
    following.until(lambda cluster: ObjectRef("EndpointSlice", "default", "equal-1") in cluster.slices)
    before = len(following.snapshots)
    beat = {
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
        }
    }
    api.patch(node("n2"), beat, part="status")
    api.patch(pod("b"), {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, part="status")
    api.patch(pod("b"), {"metadata": {"annotations": {"note": "y"}}})
    api.patch(endpoint_slice("equal-1", "equal"), {"metadata": {"annotations": {"note": "y"}}})
    api.create(namespace("after"))
    after = following.until(lambda cluster: ObjectRef("Namespace", "", "after") in cluster.namespaces)
    # Kinds come by streams of their own: give those of the others time to be wrong in.
    api.create(endpoint_slice("later-1", "later", "10.0.0.6"))
    api.create(pod("later"))
    api.create(node("later"))
    following.until(
        lambda cluster: (
            ObjectRef("Node", "", "later") in cluster.nodes
            and ObjectRef("Pod", "default", "later") in cluster.pods
            and ObjectRef("EndpointSlice", "default", "later-1") in cluster.slices
        )
    )
    assert len(following.snapshots) - before <= 4
    assert after.nodes is following.snapshots[before - 1].nodes


def test_a_kind_that_appears_and_vanishes(plane, follow):
    """ClusterNetworkPolicies count from the moment that the cluster has the kind, and go with it."""
    following = follow(plane)
    following.until(lambda cluster: not cluster.cluster_policies)
    api = plane.api
    for version in ("v1alpha2", "v1beta1"):
        create_when_possible(api, definition(version))
        create_when_possible(api, cluster_policy("strict", version))
        following.until(lambda cluster: len(cluster.cluster_policies) == 1)
        assert following.cluster.rejected == ()
        api.delete(definition(version))
        following.until(lambda cluster: not cluster.cluster_policies)
        following.until_error(None)


def test_pods_of_other_nodes_come_with_a_policy_that_asks(plane, follow):
    """Before it they are not sent; the policy is in the first snapshot that has them."""
    api = plane.api
    api.create(pod("here", node="n1"))
    for number in range(3):
        api.create(pod(f"there-{number}", node="n2"))
    following = follow(plane)
    following.until(lambda cluster: {ref.name for ref in cluster.pods} == {"here"})
    api.create(policy("closed"))
    following.until(lambda cluster: len(cluster.policies) == 1)
    assert {ref.name for ref in following.cluster.pods} == {"here"}
    asking = policy("open")
    asking["spec"]["ingress"] = [{"from": [{"podSelector": {}}]}]
    api.create(asking)
    cluster = following.until(lambda cluster: len(cluster.policies) == 2)
    assert {ref.name for ref in cluster.pods} == {"here", "there-0", "there-1", "there-2"}
    api.delete(pod("there-0", node="n2"))
    following.until(lambda cluster: len(cluster.pods) == 3)


def test_a_version_that_is_not_known_allows_nothing(shared_plane, follow):
    """A policy that the server has in a later version alone denies, and is said to."""
    api = shared_plane.api
    create_when_possible(api, definition("v9"))
    create_when_possible(api, cluster_policy("strict", "v9"))
    cluster = follow(shared_plane).until(lambda cluster: cluster.cluster_policies)
    assert [each.field for each in cluster.rejected] == ["apiVersion"]
    api.delete(definition("v9"))


def create_when_possible(api, document):
    """The object as the server made it; a definition may still be being deleted, or not be served yet."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return api.create(document)
        except (AssertionError, ValueError):
            assert time.monotonic() < deadline
            time.sleep(0.05)
