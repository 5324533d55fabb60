"""The suite's own truth and the reference model's agree: each named test passes against the model."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from tests.unit.conformance.reference_lab import ReferenceLab
from twinway_conformance import (
    test_policy_cluster,
    test_policy_exempt,
    test_policy_isolation,
    test_policy_peers,
    test_policy_ports,
    test_services_endpoints,
    test_services_objects,
    test_services_ports,
    test_services_topology,
)
from twinway_conformance.stage import Stage
from twinway_conformance.targets import FAMILIES, Target

MODULES = (
    test_policy_isolation,
    test_policy_peers,
    test_policy_ports,
    test_policy_exempt,
    test_policy_cluster,
    test_services_endpoints,
    test_services_objects,
    test_services_ports,
    test_services_topology,
)
NEEDS_A_KERNEL = {
    "test_icmp_errors_pass",
    "test_undefined_port_never_leaks",
    "test_clusterip_sctp",
    "test_sctp_port",
}


def truths(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if name.startswith("test_") and name not in NEEDS_A_KERNEL]


@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize(("module", "name"), [(module, name) for module in MODULES for name in truths(module)])
def test_named_tests_hold_against_the_reference(module: ModuleType, name: str, family: str) -> None:
    """A named test, its expectations written by hand, passes when the reference model answers."""
    test = getattr(module, name)
    assert list(inspect.signature(test).parameters) == ["stage"]
    test(Stage(ReferenceLab(), Target("reference", "none", family)))  # type: ignore[arg-type]
