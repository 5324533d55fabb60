"""Cluster IPs and node ports, given as the API server gives them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.objects import Object, documents, service
from twinway.errors import ManifestError
from twinway.model.net import ObjectRef
from twinway_lab.objects.objects import understood
from twinway_lab.plan.plan import Plan


def spec(*services: Object, before: dict[ObjectRef, Object] | None = None) -> list[dict[str, Any]]:
    """The specs that these Services come to."""
    made = understood(documents(*services), Plan(), before or {})
    return [dict(each["spec"]) for each in made.objects]


@pytest.mark.parametrize(
    ("given", "ips"),
    [
        ({}, ["10.96.0.2"]),
        ({"ipFamilies": ["IPv6"]}, ["fd00:96::2"]),
        ({"ipFamilyPolicy": "RequireDualStack"}, ["10.96.0.2", "fd00:96::2"]),
        ({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6"]}, ["fd00:96::2", "10.96.0.2"]),
        ({"ipFamilyPolicy": "PreferDualStack", "clusterIP": "10.1.1.1"}, ["10.1.1.1", "fd00:96::2"]),
        ({"clusterIP": "10.1.1.1"}, ["10.1.1.1"]),
        ({"clusterIP": "10.1.1.1", "clusterIPs": ["10.1.1.1", "fd00::1"]}, ["10.1.1.1", "fd00::1"]),
    ],
)
def test_cluster_ips_by_families(given: dict[str, Any], ips: list[str]) -> None:
    """As many and of the families that the Service asks for; given ones stay."""
    (made,) = spec(service("web", **given))
    assert made["clusterIPs"] == ips
    assert made["clusterIP"] == ips[0]


@pytest.mark.parametrize("given", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.example"}])
def test_services_without_cluster_ip_stay_without(given: dict[str, Any]) -> None:
    """Headless ones and names."""
    (made,) = spec(service("web", **given))
    assert made.get("clusterIPs") is None


def test_given_addresses_are_handed_to_nobody_else() -> None:
    """Also where the one who says it comes later."""
    first, second = spec(service("a"), service("b", clusterIP="10.96.0.2"))
    assert (first["clusterIP"], second["clusterIP"]) == ("10.96.0.3", "10.96.0.2")


def test_a_service_keeps_what_it_was_given() -> None:
    """When others come before it, and its node port, too."""
    made = spec(service("web", type="NodePort"))
    before = {ObjectRef("Service", "shop", "web"): {**service("web"), "spec": made[0]}}
    _, again = spec(service("a", type="NodePort"), service("web", type="NodePort"), before=before)
    assert again == made[0]


def test_node_ports_of_those_who_need_them() -> None:
    """Each port of a NodePort or LoadBalancer Service; given ones stay."""
    ports = [{"name": "a", "port": 80, "nodePort": 30000}, {"name": "b", "port": 81}]
    (made,) = spec(service("web", type="LoadBalancer", ports=ports))
    assert [port["nodePort"] for port in made["ports"]] == [30000, 30001]
    (plain,) = spec(service("web"))
    assert "nodePort" not in plain["ports"][0]


def test_one_cluster_ip_for_two_services_is_refused() -> None:
    """By object and field."""
    with pytest.raises(ManifestError, match=r"Service shop/b: spec\.clusterIP: 10\.1\.1\.1 is Service shop/a's"):
        spec(service("a", clusterIP="10.1.1.1"), service("b", clusterIP="10.1.1.1"))


@pytest.mark.parametrize("given", [{"clusterIP": 7}, {"clusterIPs": ["x"]}, {"ports": 7}, {"ports": [7]}])
def test_nonsense_is_left_for_the_decoder_to_refuse(given: dict[str, Any]) -> None:
    """By object and field, not by an error of the allocator."""
    with pytest.raises(ManifestError, match=r"shop\.yaml: document 1: Service shop/web: spec\."):
        spec(service("web", **{"type": "NodePort", **given}))
