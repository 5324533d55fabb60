"""The real programs and maps, made once; every test finds the tables empty."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.packets import socket_fates, sockets, two_pods
from tests.packets.doctored import doctored
from tests.packets.processes import process
from tests.packets.rig import HOST, POD, V4, V6, Device, Net, Rig
from tests.packets.scene import Doctor, Scene
from tests.packets.sockets import KINDS, Kind, Site
from tests.packets.tables import Tables
from tests.packets.two_pods import Conversation, Node
from twinway_bpf.load import programs
from twinway_bpf.load.loader import Loader
from twinway_bpf.load.pins import Pins
from twinway_bpf.netlink import netns
from twinway_testing import site

STAMPS = 0x5EA1_ED01, 0x5EA1_ED02
CAPACITIES = {"fe": 512, "slot": 1024, "be": 512, "ep": 64, "class": 512, "verdict": 1024, "ct": 1024}


@pytest.fixture(scope="session", autouse=True)
def _everything_is_closed() -> Iterator[None]:
    """No map, program or link stays open: a whole run would need more descriptors than select() can take."""
    before = _bpf_descriptors()
    yield
    left = [what for number, what in _bpf_descriptors().items() if number not in before]
    assert not left, f"tests left descriptors open: {Counter(left)}"


def _bpf_descriptors() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            if (what := str(entry.readlink())).startswith("anon_inode:bpf"):
                found[int(entry.name)] = what
    return found


@pytest.fixture(scope="session")
def bundles(pytestconfig: pytest.Config) -> Path:
    """Where what is compiled is kept for the next run."""
    return pytestconfig.cache.mkdir("twinway-bundles")


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory, bundles: Path) -> Iterator[Loader]:
    """A loader on a BPF file system of its own."""
    with site.bpf_file_system(tmp_path_factory.mktemp("packets") / "bpf") as bpffs:
        loader = Loader(Pins(bpffs / "node"), bundles, CAPACITIES)
        for source in programs.SOURCES:
            loader.open_maps(source)
        yield loader
        loader.close()


@pytest.fixture(scope="session")
def devices() -> Iterator[dict[str, Device]]:
    """The devices, by name."""
    with site.namespace("host", *HOST) as host, site.namespace("pod", *POD) as pod:
        for path in (host, pod):
            _forward(path)
        yield {
            **{name: Device(host, index) for name, index in site.indices(host).items() if name != "lo"},
            "eth0": Device(pod, site.indices(pod)["eth0"], STAMPS[0]),
            "other eth0": Device(pod, site.indices(pod)["eth0"], STAMPS[1]),
        }


def _forward(path: Path) -> None:
    with netns.inside(str(path)):
        for family in ("ipv4/conf", "ipv6/conf"):
            Path(f"/proc/sys/net/{family}/all/forwarding").write_text("1")


@pytest.fixture(scope="session")
def whole_rig(loader: Loader, devices: dict[str, Device]) -> Iterator[Rig]:
    """All packet programs, loaded."""
    loaded = loader.load((*programs.PACKET, *programs.GUARD, programs.SOURCE_FROM))
    with contextlib.ExitStack() as stack:
        for descriptor in loaded.values():
            stack.callback(os.close, descriptor)
        yield Rig(Tables(loader.maps), loaded, devices)


@pytest.fixture
def rig(whole_rig: Rig) -> Rig:
    """The programs, with empty tables."""
    whole_rig.tables.clear()
    return whole_rig


@pytest.fixture
def doctor(loader: Loader, bundles: Path, scene: Scene) -> Doctor:
    """The scene with something of the programs' surroundings changed, as `doctored` says."""

    @contextlib.contextmanager
    def change(**changes: Any) -> Iterator[Scene]:
        with doctored(loader, bundles, scene.rig, **changes) as rig:
            yield replace(scene, rig=rig)

    return change


@pytest.fixture(params=[V4, V6], ids=["v4", "v6"])
def net(request: pytest.FixtureRequest) -> Net:
    """Both families."""
    found: Net = request.param
    return found


@pytest.fixture
def scene(rig: Rig, net: Net) -> Scene:
    """Two pods and a Service, without policy."""
    scene = Scene(rig, net)
    scene.furnish()
    return scene


@pytest.fixture(scope="module")
def whole_site(loader: Loader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """This process in a cgroup with the hooks for sockets."""
    with (
        site.bpf_file_system(tmp_path_factory.mktemp("sockets") / "bpf") as bpffs,
        sockets.node(loader, Tables(loader.maps), bpffs) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def site_with_pod(loader: Loader, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Hooks on a cgroup of this process's own, and another process of the pod in it."""
    with (
        site.bpf_file_system(tmp_path_factory.mktemp("stale") / "bpf") as bpffs,
        sockets.node(loader, Tables(loader.maps), bpffs) as made,
        process(made.cgroup, made.pod),
    ):
        yield made


@pytest.fixture(name="site")
def _site(request: pytest.FixtureRequest, whole_site: Site) -> Iterator[Site]:
    """The hooks for sockets over pods under policy; the parameter names what guards the pods."""
    with socket_fates.prepared(whole_site, getattr(request, "param", "watched")) as made:
        yield made


@pytest.fixture
def node() -> Iterator[Node]:
    """A node with two pods."""
    with two_pods.started_node() as made:
        yield made


@pytest.fixture
def conversation(node: Node) -> Iterator[Conversation]:
    """A connection that pod a opened to pod b."""
    with two_pods.conversing(node) as made:
        yield made


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Kind:
    """IPv4, IPv6, and IPv4 through IPv6 sockets."""
    found: Kind = request.param
    return found
