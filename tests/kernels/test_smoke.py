"""Services and a policy in the lab, on every chosen kernel, driver and device."""

from __future__ import annotations

import pytest
from tests.kernels.fleet import Fleet

pytestmark = [pytest.mark.vm, pytest.mark.timeout(3600)]


def test_smoke(kernel_name: str, driver: str, device: str, fleet: Fleet):
    """TCP and UDP reach a Service's pods, policy allows and denies, and the lab leaves nothing behind."""
    faults = fleet.result(kernel_name, driver, device).faults
    assert not faults, "\n".join(faults)


def test_an_agent_alone_comes_into_force(kernel_name: str, driver: str, fleet: Fleet):
    """An agent starts without a compiler, on a kernel that holds nothing yet, and beside what that agent left."""
    assert set(fleet.starts(kernel_name).get(driver, ())) == {"first", "again"}, fleet.output(kernel_name)
