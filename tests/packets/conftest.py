"""The real programs and maps, made once; every test finds the tables empty."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packets import site
from tests.packets.rig import HOST, POD, V4, V6, Net, Place, Rig
from tests.packets.scene import Scene
from tests.packets.tables import Tables
from twinway_bpf import netns, programs
from twinway_bpf.loader import Loader
from twinway_bpf.pins import Pins

CAPACITIES = {"fe": 512, "slot": 1024, "be": 512, "ep": 64, "class": 512, "verdict": 1024, "ct": 1024}


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Loader]:
    """A loader on a BPF file system of its own; what it compiles is kept for the next run."""
    cache = pytestconfig.cache.mkdir("twinway-bundles")
    with site.bpf_file_system(tmp_path_factory.mktemp("packets") / "bpf") as bpffs:
        loader = Loader(Pins(bpffs / "node"), cache, CAPACITIES)
        for source in programs.SOURCES:
            loader.open_maps(source)
        yield loader
        for table in loader.maps.values():
            os.close(table.descriptor)


@pytest.fixture(scope="session")
def places() -> Iterator[dict[str, Place]]:
    """The devices, by name."""
    with site.namespace("host", *HOST) as host, site.namespace("pod", *POD) as pod:
        for path in (host, pod):
            _forward(path)
        yield {
            **{name: Place(host, index) for name, index in site.indices(host).items() if name != "lo"},
            "eth0": Place(pod, site.indices(pod)["eth0"]),
        }


def _forward(path: Path) -> None:
    with netns.inside(str(path)):
        for family in ("ipv4/conf", "ipv6/conf"):
            Path(f"/proc/sys/net/{family}/all/forwarding").write_text("1")


@pytest.fixture(scope="session")
def whole_rig(loader: Loader, places: dict[str, Place]) -> Iterator[Rig]:
    """All packet programs, loaded."""
    loaded = loader.load(programs.PACKET)
    with contextlib.ExitStack() as stack:
        for descriptor in loaded.values():
            stack.callback(os.close, descriptor)
        yield Rig(Tables(loader.maps), loaded, places)


@pytest.fixture
def rig(whole_rig: Rig) -> Rig:
    """The programs, with empty tables."""
    whole_rig.tables.clear()
    return whole_rig


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
