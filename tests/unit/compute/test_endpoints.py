"""Which attached pods become endpoints."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from twinway.compute.endpoints import endpoints
from twinway.model.cluster import Pod
from twinway.model.net import NodeName, ObjectRef
from twinway.model.node import DENY_ALL, NO_POLICY, Attachment, PolicySetId

ADDRESS = ip_address("10.0.0.1")


def pod(name: str) -> Pod:
    """A pod that runs."""
    ref = ObjectRef("Pod", "shop", name)
    return Pod(
        ref,
        "",
        {},
        {},
        NodeName("n1"),
        (ADDRESS,),
        (),
        host_network=False,
        ready=True,
        terminating=False,
        finished=False,
    )


def attachment(name: str) -> Attachment:
    """What CNI reported of it."""
    return Attachment(ObjectRef("Pod", "shop", name), "id", f"/run/netns/{name}", "eth0", (ADDRESS,))


def names(*attachments: Attachment, pods: tuple[Pod, ...]) -> list[str]:
    """The pods that become endpoints, in their order."""
    found = endpoints({each.pod: each for each in attachments}, {each.ref: each for each in pods}, {})
    return [ref.name for ref in found]


def test_attached_pods_are_endpoints_in_order() -> None:
    """Sorted by name, with all that CNI reported."""
    assert names(attachment("b"), attachment("a"), pods=(pod("a"), pod("b"), pod("c"))) == ["a", "b"]


def test_a_pod_that_the_source_does_not_know_is_denied_everything() -> None:
    """Nobody can say which policy it is under, be it new or deleted by force: nothing passes."""
    found = endpoints({attachment("a").pod: attachment("a")}, {}, {})
    assert [endpoint.policy for endpoint in found.values()] == [DENY_ALL]
    assert names(attachment("a"), pods=()) == ["a"]


def test_a_pod_in_the_nodes_network_is_none() -> None:
    """It has no network of its own."""
    assert names(attachment("a"), pods=(replace(pod("a"), host_network=True),)) == []


def test_a_pod_that_ends_stays_one() -> None:
    """Its policy is in force until it is detached, whatever becomes of its object."""
    assert names(attachment("a"), pods=(replace(pod("a"), terminating=True, finished=True, ready=False),)) == ["a"]


def test_each_has_the_policy_of_its_pod() -> None:
    """And no policy where none selects it."""
    attachments = {each.pod: each for each in (attachment("a"), attachment("b"))}
    pods = {each.ref: each for each in (pod("a"), pod("b"))}
    made = endpoints(attachments, pods, {pod("a").ref: PolicySetId(7)})
    assert [(ref.name, each.policy) for ref, each in made.items()] == [("a", 7), ("b", NO_POLICY)]
