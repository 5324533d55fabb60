"""Cleanup takes away whatever a driver set and pinned, and nothing of others'."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import pytest

from tests.packets.two_pods import Node
from twinway import plugins
from twinway.cleanup import clean
from twinway.config import NodeConfig, parse
from twinway.driver import Change
from twinway.errors import ConfigError
from twinway.locks import only_one_on
from twinway.node_context import build_driver, context_of
from twinway_bpf.load import libbpf
from twinway_testing import site


def config(node: Node, bpffs: Path, tmp_path: Path, bundles: Path) -> NodeConfig:
    """The node's config, with the cache of all tests."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "bundles").symlink_to(bundles)
    (tmp_path / "run").mkdir()
    return parse(
        {
            "node_name": "n1",
            "bpffs": str(bpffs),
            "cgroup_root": str(node.cgroup),
            "cache_dir": str(tmp_path / "cache"),
            "run_dir": str(tmp_path / "run"),
        },
        "node.yaml",
    )


def links(folder: Path) -> set[int]:
    """Kernel ids of the links that are pinned there: hooks of pods, host and cgroup."""
    found = set()
    for path in folder.glob("links/*/*"):
        descriptor = libbpf.obj_get(str(path))
        found.add(libbpf.link_info(descriptor).id)
        os.close(descriptor)
    return found


def alive(ids: set[int]) -> set[int]:
    """Those that still exist."""
    library = ctypes.CDLL("libbpf.so.1")
    found = set()
    for number in ids:
        descriptor = library.bpf_link_get_fd_by_id(number)
        if descriptor >= 0:
            os.close(descriptor)
            found.add(number)
    return found


@pytest.mark.parametrize("name", ["tc", "sockops"])
def test_nothing_is_left(name: str, node: Node, bundles: Path, tmp_path: Path) -> None:
    """After a cleanup no hook of pods, host and cgroup is left, and no pin; another's pin is not touched."""
    with site.bpf_file_system(tmp_path / "bpf") as bpffs:
        chosen = config(node, bpffs, tmp_path, bundles)
        context = context_of(chosen)
        (bpffs / "anothers").mkdir()
        driver = build_driver(name, config=chosen, context=context, origin="")
        driver.start()
        driver.apply(Change(node.state("1", server_may_open=False), None))
        driver.stop(keep_traffic=True)
        hooks = links(context.bpffs)
        assert hooks
        with only_one_on(context.bpffs), pytest.raises(ConfigError, match="another agent, or a cleanup"):
            clean(chosen, "")
        assert alive(hooks) == hooks
        done = clean(chosen, "")
        assert (set(done.drivers) >= {"tc", "sockops"}, done.faults) == (True, ())
        assert not context.bpffs.exists()
        assert (bpffs / "anothers").is_dir()
        deadline = time.monotonic() + 5
        while alive(hooks) and time.monotonic() < deadline:  # the kernel lets go of a link a moment later
            time.sleep(0.01)
        assert alive(hooks) == set()
        assert clean(chosen, "").faults == ()


def test_every_driver_is_asked() -> None:
    """The drivers of this repository are among those that cleanup asks."""
    assert {"tc", "sockops"} <= set(plugins.names())
