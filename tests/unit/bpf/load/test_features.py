"""Probes of what the running kernel can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway.model.net import ObjectRef
from twinway.model.node import Attachment
from twinway_bpf.load import features, programs, stamp

KINDS = {"packet": (programs.SCHED_CLS, 0), "socket": (programs.CGROUP_SOCK_ADDR, 10)}
MAP_LOOKUP, KTIME = 1, 5
NEVER = 60000
"""A number that no helper has."""


@pytest.mark.parametrize("where", KINDS)
@pytest.mark.parametrize("helper", [MAP_LOOKUP, KTIME])
def test_old_helpers_are_known(where: str, helper: int) -> None:
    """A probe finds a helper that every kernel has, whatever its arguments."""
    assert features._helper_known(*KINDS[where], helper)


@pytest.mark.parametrize("where", KINDS)
def test_helper_of_no_kernel_is_not_known(where: str) -> None:
    """A probe does not find a helper that no kernel has."""
    assert not features._helper_known(*KINDS[where], NEVER)


def test_helper_of_other_programs_is_not_known() -> None:
    """A probe does not find a helper that this type of program may not call."""
    assert not features._helper_known(programs.SCHED_CLS, 0, features._SET_RETVAL)


def test_bits_are_what_was_found() -> None:
    """The bits for the programs are those of the features that were found."""
    assert bool(features.bits() & features.HAS_SET_RETVAL) == features.has_set_retval()
    assert bool(features.bits() & features.HAS_REDIRECT_PEER) == features.has_redirect_peer()


def test_asking_leaves_nothing_open() -> None:
    """Probes close the descriptors that they open."""
    for ask in (features.has_tcx, features.has_cgroup_links, features.has_socket_storage, features.has_set_retval):
        ask.cache_clear()
        before = len(list(Path("/proc/self/fd").iterdir()))
        ask()
        assert len(list(Path("/proc/self/fd").iterdir())) == before, ask.__name__


def _attachment(container_id: str, ifname: str = "eth0") -> Attachment:
    return Attachment(ObjectRef("Pod", "shop", "a"), container_id, "/run/netns/a", ifname, ())


def test_stamps_tell_interfaces_apart() -> None:
    """Each interface of each container has a stamp of its own, the same after a restart, and never 0."""
    stamps = [stamp.of(_attachment(f"c{number}", name)) for number in range(500) for name in ("eth0", "eth1")]
    assert len(set(stamps)) == len(stamps)
    assert 0 not in stamps
    assert stamp.of(_attachment("c1")) == stamp.of(_attachment("c1"))
