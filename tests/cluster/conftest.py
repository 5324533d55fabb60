"""A control plane for tests, in a network namespace of their own; collected after `make kube`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.control_plane import ControlPlane
from tests.cluster.following import Following
from tests.unit.agents import Site
from twinway.sources.kubernetes.transport import Timeouts
from twinway_lab.network.syscalls import enter_netns, new_netns
from twinway_testing.kube.binaries import api_server, debian_etcd, streaming_etcd

ETCDS = {"etcd-3.4": debian_etcd(), "etcd-3.6": streaming_etcd()}
AVAILABLE = {name: program for name, program in ETCDS.items() if program}
POSSIBLE = bool(api_server() and AVAILABLE and os.geteuid() == 0)
collect_ignore_glob = [] if POSSIBLE else ["test_*.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package", autouse=True)
def own_network() -> Iterator[None]:
    """A network namespace with a loopback, for these tests alone and all that they start."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    new_netns()
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        enter_netns(Path(f"/proc/self/fd/{here}"))
        os.close(here)


@pytest.fixture(scope="module")
def shared_plane(tmp_path_factory: pytest.TempPathFactory, own_network: None) -> Iterator[ControlPlane]:
    """A control plane that the tests of a module share, and leave running."""
    plane = ControlPlane(tmp_path_factory.mktemp("plane"), next(iter(AVAILABLE.values())))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="module")
def guarded_plane(tmp_path_factory: pytest.TempPathFactory, own_network: None) -> Iterator[ControlPlane]:
    """A control plane that enforces RBAC, shared by the tests of a module. It sends lists in chunks alone."""
    folder, etcd = tmp_path_factory.mktemp("guarded"), next(iter(AVAILABLE.values()))
    plane = ControlPlane(folder, etcd, "--feature-gates=WatchList=false", authorization="RBAC")
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(params=list(AVAILABLE.values()), ids=list(AVAILABLE))
def plane(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane of the test's own, on each etcd: lists come in chunks, or as a stream."""
    plane = ControlPlane(tmp_path / "plane", request.param)
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Folders for agents on a driver in memory, which end with the test."""
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def follow_by() -> Iterator[Callable[..., Following]]:
    """Start a source by a kubeconfig; it is stopped when the test ends."""
    started: list[Following] = []

    def start(kubeconfig: Path, timeouts: Timeouts = Timeouts()) -> Following:  # noqa: B008
        started.append(Following(kubeconfig, timeouts))
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def follow(follow_by: Callable[..., Following]) -> Callable[..., Following]:
    """Start a source at a control plane, as its administrator; it is stopped when the test ends."""
    return lambda plane, *timeouts: follow_by(plane.pki.kubeconfig, *timeouts)
