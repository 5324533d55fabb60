"""Other engines are found by what they leave in a node's kernel."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from twinway_bpf.attach.engines import Traces, engines, named
from twinway_bpf.netlink import netns
from twinway_testing.site import ip, namespace


def found(place: Path, bpffs: Path) -> dict[str, tuple[str, ...]]:
    with netns.inside(str(place)):
        return {engine.name: engine.evidence for engine in engines(bpffs)}


def test_an_empty_node_has_none(tmp_path: Path) -> None:
    """Nor does looking leave anything."""
    with namespace("engines") as place:
        assert found(place, tmp_path / "away") == {}
        assert found(place, tmp_path) == {}


def test_devices_and_pins(tmp_path: Path) -> None:
    """Each engine is named once, with all that it left."""
    (tmp_path / "tc" / "globals").mkdir(parents=True)
    (tmp_path / "tc" / "globals" / "cilium_calls_1").touch()
    with namespace("engines") as place:
        ip(
            place,
            "link add cilium_host type veth peer name kube-ipvs0",
            "link add caliabc type veth peer name other",
        )
        assert found(place, tmp_path) == {
            "kube-proxy (IPVS)": ("device kube-ipvs0",),
            "Cilium": ("device cilium_host", "pin cilium_calls_1"),
            "Calico": ("device caliabc",),
        }


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_chains_of_iptables(tmp_path: Path, program: str) -> None:
    """Both kinds of iptables have kube-proxy's chains; other chains are nobody's."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    with namespace("engines") as place:
        for chain in ("KUBE-SERVICES", "OTHERS"):
            done = _run(place, program, "-t", "nat", "-N", chain)
            if "does not exist" in done or "not supported" in done.lower():
                pytest.skip(f"{program}: this kernel has no such table")
        _run(place, program, "-t", "nat", "-A", "KUBE-SERVICES", "-d", "10.0.0.1", "-j", "OTHERS")
        assert found(place, tmp_path) == {"kube-proxy (iptables)": ("chain KUBE-SERVICES",)}


def test_tables_of_nftables(tmp_path: Path) -> None:
    """The newest mode of kube-proxy has a table of its own."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    with namespace("engines") as place:
        _run(place, "nft", "add table ip kube-proxy")
        assert found(place, tmp_path) == {"kube-proxy (nftables)": ("table kube-proxy",)}


def test_names_that_are_alike_are_not_taken_for_it() -> None:
    """A name counts whole, or by the beginning that the engine reserves."""
    traces = Traces(
        devices=frozenset({"kube-ipvs1", "lxc0", "mycilium_host"}),
        tables=frozenset({"kube-proxy-canary"}),
        chains=frozenset({"KUBE-SERVICES-2"}),
    )
    assert named(traces) == ()


def _run(place: Path, *command: str) -> str:
    words = ["nsenter", f"--net={place}", *command]
    return subprocess.run(words, capture_output=True, text=True, check=False).stderr
