"""The reference model on small clusters whose answers are plain to see."""

from __future__ import annotations

import pytest

from twinway_conformance import cast
from twinway_conformance.cast import CLIENT, DOG, FAR, N1, N2, NEAR, TELLER, VAULT
from twinway_conformance.objects import Object, endpoint, endpoint_slice, port, service, unready
from twinway_conformance.policies import (
    ANY,
    block,
    chosen,
    cluster_policy,
    labels,
    pods,
    policy,
    source,
    verdict,
    without_types,
)
from twinway_conformance.reference import expected

BASE = cast.cluster((4, 6))
FAR_80, FAR_53 = "10.244.2.20:80", "10.244.2.20:53"
WEB = service("shop/web", ["10.96.0.10", "fd00:96::10"], [port(8080, 80, name="web")], {"role": "server"})


def fates(
    *extra: Object, by: str = CLIENT, to: str = FAR_80, protocol: str = "tcp"
) -> set[tuple[str, str | None]]:
    """What may come, as outcomes and who answers."""
    keyed = {(thing["kind"], str(thing["metadata"])): thing for thing in (*BASE, *extra)}
    return set(expected(list(keyed.values()), by, to, protocol).fates)


def sliced(**conditions: object) -> list[Object]:
    """A Service whose one slice holds NEAR in some condition."""
    bare = service("shop/bare", ["10.96.0.20"], [port(8080, 1, name="web")])
    near = next(thing for thing in BASE if thing["metadata"]["name"] == "near")
    entry = endpoint(near, "10.244.1.20")
    entry["conditions"] = conditions
    return [bare, endpoint_slice(bare, 4, [entry], {"web": 80})]


@pytest.mark.parametrize(
    ("conditions", "fate"),
    [
        ({}, ("connected", NEAR)),
        ({"ready": True}, ("connected", NEAR)),
        ({"ready": None, "serving": None, "terminating": None}, ("connected", NEAR)),
        ({"ready": False}, ("rejected", None)),
        ({"ready": False, "serving": True, "terminating": True}, ("connected", NEAR)),
        ({"ready": False, "serving": True, "terminating": False}, ("rejected", None)),
        ({"ready": False, "serving": False, "terminating": True}, ("rejected", None)),
    ],
)
def test_conditions(conditions: dict[str, object], fate: tuple[str, str | None]) -> None:
    """An endpoint's conditions decide as KEP-1672 says, absent ones by their defaults."""
    assert fates(*sliced(**conditions), to="10.96.0.20:8080") == {fate}


@pytest.mark.parametrize(
    ("wanted", "zones", "backends"),
    [
        ("PreferSameZone", ("a", "b"), {NEAR}),
        ("PreferSameZone", ("a", "a"), {NEAR, FAR}),
        ("PreferSameZone", ("", ""), {NEAR, FAR}),
        ("PreferSameNode", ("", ""), {NEAR}),
        (None, ("a", "b"), {NEAR, FAR}),
    ],
)
def test_hints(wanted: str | None, zones: tuple[str, str], backends: set[str]) -> None:
    """Clients are given the backends of their own zone or node, where a Service asks for that."""
    objects = [*BASE, WEB | {"spec": WEB["spec"] | {"trafficDistribution": wanted}}]
    for number, thing in enumerate(objects):
        if thing["kind"] == "Node" and (zone := zones[thing["metadata"]["name"] != "n1"]):
            labels = {"topology.kubernetes.io/zone": zone}
            objects[number] = {**thing, "metadata": {**thing["metadata"], "labels": labels}}
    assert set(expected(objects, CLIENT, "10.96.0.10:8080", "tcp").fates) == {
        ("connected", each) for each in backends
    }


def test_service_fates() -> None:
    """A Service leads to every ready backend, in the client's family; undefined ports are rejected."""
    both = {("connected", NEAR), ("connected", FAR)}
    assert fates(WEB, to="10.96.0.10:8080") == fates(WEB, to="[fd00:96::10]:8080") == both
    assert (
        fates(WEB, to="10.96.0.10:80") == fates(WEB, to="10.96.0.10:8080", protocol="udp") == {("rejected", None)}
    )
    assert fates(WEB, to="10.96.0.10:8080", by=N1) == both


def test_derived_endpoints_follow_readiness() -> None:
    """Behind a selector, a pod that is not ready is no backend, unless the Service publishes it."""
    sick = [unready(thing) if thing["metadata"]["name"] == "far" else thing for thing in BASE]
    publishing = WEB | {"spec": WEB["spec"] | {"publishNotReadyAddresses": True}}
    assert set(expected([*sick, WEB], CLIENT, "10.96.0.10:8080", "tcp").fates) == {("connected", NEAR)}
    assert len(expected([*sick, publishing], CLIENT, "10.96.0.10:8080", "tcp").fates) == 2


def test_shut_backend_of_two() -> None:
    """Of two backends one is shut: the connection may be answered by the other, or dropped."""
    shut = policy("shop/in", labels(name="far"), ingress=[])
    assert fates(WEB, shut, to="10.96.0.10:8080") == {("connected", NEAR), ("dropped", None)}


def test_closed_ports() -> None:
    """A port that nobody answers on is rejected, and dropped where policy shuts it."""
    shut = policy("shop/in", labels(name="far"), ingress=[])
    assert fates(to="10.244.2.20:9") == {("rejected", None)}
    assert fates(shut, to="10.244.2.20:9") == {("dropped", None)}


def test_except_of_both_families() -> None:
    """`except` counts within its own block, and a block of the other family matches nothing."""
    rule = policy("shop/in", labels(name="far"), ingress=[source(block("10.0.0.0/8", "10.244.1.0/28"))])
    assert fates(rule) == {("dropped", None)}
    assert fates(rule, by=NEAR) == {("connected", FAR)}
    assert fates(rule, by=NEAR, to="[fd00:244:2::20]:80") == {("dropped", None)}


def test_peer_without_a_pod() -> None:
    """No pod selector, not even the one that selects every pod, matches a node."""
    rule = policy("shop/in", labels(name="far"), ingress=[source(pods(ANY, ANY))])
    assert fates(rule, by=N1) == {("dropped", None)}
    assert fates(rule, by=N2) == {("connected", FAR)}


def test_own_node_is_left_open() -> None:
    """Whether a pod shut for egress may reach its own node the API leaves open; another node it may not."""
    shut = policy("shop/out", labels(name="client"), egress=[])
    assert fates(shut, to="192.168.64.11:80") == {("dropped", None), ("rejected", None)}
    assert fates(shut, to="192.168.64.12:9500") == {("dropped", None)}


@pytest.mark.parametrize(
    ("egress", "out"),
    [(None, "connected"), ([], "connected"), ([{}], "connected"), ([{"ports": [{"port": 9}]}], "dropped")],
)
def test_default_types(egress: list[Object] | None, out: str) -> None:
    """Without policyTypes ingress is isolated always, egress by egress rules: an empty list has none."""
    rule = without_types(policy("shop/some", labels(name="client"), egress=egress))
    assert {outcome for outcome, _ in fates(rule)} == {out}
    assert fates(rule, by=NEAR, to="10.244.1.10:80") == {("dropped", None)}


def test_tiers() -> None:
    """Pass skips its tier: a NetworkPolicy decides, and the Baseline where there is none."""
    pass_on = cluster_policy(
        "a", "Admin", 1, chosen(ANY), ingress=[verdict("Pass", "from", chosen(labels(team="bank")))]
    )
    deny = cluster_policy("b", "Admin", 2, chosen(ANY), ingress=[verdict("Deny", "from", chosen(ANY))])
    base = cluster_policy("c", "Baseline", 1, chosen(ANY), ingress=[verdict("Deny", "from", chosen(ANY))])
    opened = policy("shop/in", labels(name="far"), ingress=[source(pods(labels(name="teller"), ANY))])
    table = {
        (TELLER, FAR_80): ("connected", FAR),
        (VAULT, FAR_80): ("dropped", None),
        (DOG, FAR_80): ("dropped", None),
        (TELLER, "10.244.1.20:80"): ("dropped", None),
    }
    for (by, to), fate in table.items():
        assert fates(pass_on, deny, base, opened, by=by, to=to) == {fate}, f"{by} → {to}"
    assert fates(pass_on, deny, by=TELLER, to="10.244.1.20:80") == {("connected", NEAR)}


@pytest.mark.parametrize(("action", "fate"), [("Accept", "connected"), ("Deny", "dropped"), ("Pass", "dropped")])
def test_unknown_peers_fail_closed(action: str, fate: str) -> None:
    """A peer of a kind nobody knows: Accept matches nothing, Deny and Pass deny everything."""
    odd = cluster_policy(
        "odd", "Admin", 1, chosen(ANY), egress=[verdict(action, "to", {"galaxies": ["andromeda"]})]
    )
    assert {outcome for outcome, _ in fates(odd)} == {fate}


def test_unknown_operator_is_an_error() -> None:
    """A selector that cannot be read is an error, not a guess."""
    odd = policy("shop/in", {"matchExpressions": [{"key": "a", "operator": "Near"}]}, ingress=[])
    with pytest.raises(ValueError, match="Near"):
        fates(odd)
