"""Which tests of the official suite are run, and how its report is read."""

from __future__ import annotations

import json

import pytest

from twinway_testing.kube import e2e


@pytest.mark.parametrize(
    ("name", "need"),
    [
        ("Services should be able to create a functioning NodePort service", "NodePort"),
        ("Services should fail health check node port if there are only terminating endpoints", "NodePort"),
        ("Networking Granular Checks: Services should update endpoints: udp", "NodePort"),
        ("Services should serve endpoints on same port for internal traffic on Type LoadBalancer", "LoadBalancer"),
        ("Services should be possible to connect to a service via ExternalIP", "externalIP"),
        ("Services should have session affinity work for service with type clusterIP", "session affinity"),
        ("Services should fallback to endpoints with externallTrafficPolicy=Cluster", "external traffic policy"),
        ("Networking should check kube-proxy urls", "kube-proxy itself"),
        ("Services should respect internalTrafficPolicy=Local Pod to Pod", None),
        ("Networking Granular Checks: Pods should function for intra-pod communication: http", None),
        ("Services should implement service.kubernetes.io/service-proxy-name", None),
    ],
)
def test_what_a_test_needs_is_read_from_its_name(name, need):
    """Tests of what twinway does not serve are left out, and no others."""
    assert e2e.needs(f"[sig-network] {name}") == need


def test_a_selection_leaves_out_what_is_not_served():
    """Ginkgo is given every pattern as an option of its own."""
    words = e2e.Selection("Netpol", "SCTP").words()
    assert words[0] == "--focus=Netpol"
    assert {f"--skip={pattern}" for pattern in (*e2e.LEFT_OUT.values(), "SCTP")} < set(words)


def test_a_report_is_read(tmp_path):
    """Tests that were run count, with the message of a failure; steps around them and tests left out do not."""
    spec = {"LeafNodeType": "It", "NumAttempts": 1, "RunTime": 1_200_000_000, "ContainerHierarchyTexts": ["[g] S"]}
    failed = {**spec, "LeafNodeText": "two", "State": "failed", "Failure": {"Message": "no answer"}}
    specs = [
        {**spec, "LeafNodeText": "one", "State": "passed"},
        failed,
        {**spec, "LeafNodeText": "three", "State": "skipped", "NumAttempts": 0},
        {**spec, "LeafNodeText": "", "State": "passed", "LeafNodeType": "SynchronizedBeforeSuite"},
    ]
    report = tmp_path / "report.json"
    report.write_text(json.dumps([{"SpecReports": specs}, {"SpecReports": None}]))
    assert e2e.read_report(report) == {
        "[g] S one": {"state": "passed", "seconds": 1.2},
        "[g] S two": {"state": "failed", "seconds": 1.2, "message": "no answer"},
    }
