"""The plan: where nodes and pods are, and which addresses they have."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.lab.objects import Object, deployment, documents, node, pod
from twinway.errors import ManifestError
from twinway_lab.names import pod_place
from twinway_lab.objects.objects import understood
from twinway_lab.plan.plan import Plan

NOTHING = Plan()


def plan(*objects: Object, before: Plan = NOTHING) -> Plan:
    """The plan for these objects."""
    return understood(documents(*objects), before, {}).plan


def addresses(given_plan: Plan, name: str) -> list[str]:
    """The addresses of a pod in `shop`."""
    found = given_plan.pod(pod_place("shop", name))
    assert found is not None
    return [str(address) for address in found.addresses]


def test_without_a_node_there_are_two() -> None:
    """Both have addresses and pod ranges of both families."""
    nodes = plan().nodes
    assert [each.name for each in nodes] == ["n1", "n2"]
    assert [str(each) for each in nodes[0].addresses] == ["172.30.0.11", "fd00:30::11"]
    assert [str(each) for each in nodes[1].pod_cidrs] == ["10.244.2.0/24", "fd00:244:2::/64"]


def test_what_a_node_says_of_itself_holds() -> None:
    """Given addresses and ranges are taken as they are; a node of one family gets ranges of that."""
    nodes = plan(node("a", "192.168.7.1", "192.168.7.2"), node("b", cidrs=("10.9.0.0/16",))).nodes
    assert [str(each) for each in nodes[0].addresses] == ["192.168.7.1", "192.168.7.2"]
    assert [str(each) for each in nodes[0].pod_cidrs] == ["10.244.1.0/24"]
    assert [str(each) for each in nodes[1].pod_cidrs] == ["10.9.0.0/16"]


def test_pods_are_spread_evenly() -> None:
    """Pods without a node go where the fewest are, those with one counted."""
    made = plan(pod("here", on="n1"), deployment("web", 3))
    assert sorted(each.node for each in made.pods) == ["n1", "n1", "n2", "n2"]


def test_pods_get_addresses_of_their_node() -> None:
    """The first free ones, of each family; the gateway's is not free."""
    made = plan(pod("said", "10.244.1.2", on="n1"), pod("asks", on="n1"))
    assert addresses(made, "said") == ["10.244.1.2"]
    assert addresses(made, "asks") == ["10.244.1.3", "fd00:244:1::2"]


def test_a_host_network_pod_has_its_nodes_addresses() -> None:
    """One of each family."""
    made = plan(node("a", "192.168.7.1", "192.168.7.2", "fd00::7"), pod("agent", on="a", host=True))
    assert addresses(made, "agent") == ["192.168.7.1", "fd00::7"]


def test_a_finished_pod_has_no_network() -> None:
    """Its address may be another pod's."""
    done = pod("done", "10.244.1.9", on="n1")
    done["status"]["phase"] = "Succeeded"
    made = plan(done, pod("next", "10.244.1.9", on="n1"))
    assert [each.place.name for each in made.pods] == ["next"]


def test_a_daemon_set_has_one_pod_on_each_node_it_selects() -> None:
    """Named after the node, on the node."""
    daemons = deployment("log", 1, kind="DaemonSet")
    daemons["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    made = plan(node("a", disk="ssd"), node("b"), node("c", disk="ssd"), daemons)
    assert [(each.place.name, each.node) for each in made.pods] == [("log-a", "a"), ("log-c", "c")]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ((pod("x", on="n9"),), "Pod shop/x: spec.nodeName: there is no Node n9; there are n1, n2"),
        (
            (pod("x", "10.0.0.1"), pod("y", "10.0.0.1")),
            "Pod shop/y: status.podIPs: 10.0.0.1 is Pod shop/x's already",
        ),
        ((pod("x", "172.30.0.11"),), "Pod shop/x: status.podIPs: 172.30.0.11 is Node n1's already"),
        ((pod("x", "10.244.1.1"),), "10.244.1.1 is the gateway of Node n1 already"),
        ((node("a", "172.30.0.1"),), "Node a: status.addresses: 172.30.0.1 is the underlay's own already"),
        ((node("a", "10.0.0.1"), node("b", "10.0.0.1")), "Node b: status.addresses: 10.0.0.1 is Node a's already"),
        ((node("a", cidrs=("10.0.0.0/8",)), node("b", cidrs=("10.1.0.0/16",))), "10.1.0.0/16 overlaps 10.0.0.0/8"),
        ((node("a", cidrs=("10.0.0.0/30",)), pod("x"), pod("y")), "10.0.0.0/30 of Node a has no address left"),
        (
            (pod("x", on="n1", host=True), pod("y", on="n1", host=True)),
            "80 TCP of node n1 is Pod shop/x's already",
        ),
        ((deployment("web", 1), pod("web-0")), "Pod shop/web-0: metadata.name: a workload has a pod of this name"),
    ],
)
def test_what_cannot_be_is_refused(objects: tuple[Object, ...], words: str) -> None:
    """By file, document, object and field."""
    with pytest.raises(ManifestError) as refusal:
        plan(*objects)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith("shop.yaml: document ")


def test_a_fault_is_told_with_its_place() -> None:
    """Every wrong field of every object is a line of its own."""
    bad = pod("x")
    bad["spec"]["containers"][0]["ports"][0]["containerPort"] = 0
    with pytest.raises(ManifestError) as refusal:
        plan(pod("good"), bad, deployment("web", -1))
    lines = str(refusal.value).splitlines()
    assert len(lines) == 2
    assert any(
        "shop.yaml: document 2: Pod shop/x: spec.containers[0].ports[0].containerPort:" in each for each in lines
    )
    assert any("shop.yaml: document 3: Deployment shop/web: spec.replicas:" in each for each in lines)


NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@settings(deadline=None, max_examples=60)
@given(before=NAMES, after=NAMES)
def test_who_stays_keeps_node_and_addresses(before: list[str], after: list[str]) -> None:
    """Whatever else comes and goes; and nobody is given an address twice."""
    first = plan(*map(pod, before))
    second = plan(*map(pod, after), before=first)
    for name in set(before) & set(after):
        assert first.pod(pod_place("shop", name)) == second.pod(pod_place("shop", name))
    given_out = [address for each in second.pods for address in each.addresses]
    assert len(given_out) == len(set(given_out))


def test_a_plan_survives_its_file() -> None:
    """What is written as JSON is read back equal."""
    made = plan(node("a", "192.168.7.1"), pod("x", "10.244.9.9"), pod("y", host=True))
    assert Plan.of_json(made.as_json()) == made


def test_a_range_holds_what_can_be_handed_out() -> None:
    """Neither its network, nor its gateway, nor its broadcast address."""
    first = plan().nodes[0]
    held = [first.holds(ip_address(f"10.244.1.{last}")) for last in (0, 1, 2, 254, 255)]
    assert held == [False, False, True, True, False]
