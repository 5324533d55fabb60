"""A kernel without something: refused in a line, or done without, and what `twinway check` says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packets import oldkernel
from twinway.driver import Driver, NodeContext
from twinway.model.net import NodeName
from twinway_bpf.load import features, libbpf
from twinway_sockops.driver import SockopsDriver
from twinway_tc.driver import TcDriver
from twinway_testing import site

DRIVERS: dict[str, type[Driver]] = {"tc": TcDriver, "sockops": SockopsDriver}
TWINWAY = (sys.executable, "-P", "-c", "from twinway.cli.main import main; main()")

pytestmark = pytest.mark.skipif(
    oldkernel.SYSTEM_CALL is None, reason="bpf(2)'s number on this machine is not known"
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Path]:
    """A node's config in a folder of its own, with a BPF file system and a cgroup that a process is in."""
    (tmp_path / "manifests").mkdir()
    with (
        site.bpf_file_system(tmp_path / "bpf") as bpffs,
        site.cgroup("refusal") as cgroup,
        site.inhabitant(cgroup),
    ):
        config = {
            "node_name": "n1",
            "source": {"kind": "manifests", "paths": [str(tmp_path / "manifests")]},
            "cgroup_root": str(cgroup),
            "bpffs": str(bpffs),
            "run_dir": str(tmp_path / "run"),
        }
        path = tmp_path / "node.json"
        path.write_text(json.dumps(config))
        yield path


def run(node: Path, missing: tuple[int, ...], word: str, driver: str) -> subprocess.CompletedProcess[str]:
    """That command of twinway's on that driver, on a kernel that lacks these commands."""
    config = json.loads(node.read_text()) | {"driver": driver}
    node.write_text(json.dumps(config))
    words = [*TWINWAY, word, "--config", str(node), *(["--json"] if word == "check" else [])]
    return subprocess.run(
        oldkernel.command(missing, *words), capture_output=True, text=True, timeout=60, check=False
    )


def pins(folder: Path) -> set[Path]:
    """What is in the BPF file system, but for directories; the kernel puts some there itself."""
    return {path for path in (folder / "bpf").rglob("*") if not path.is_dir()}


def chosen(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What `check` said of the driver of the config."""
    (found,) = [entry for entry in json.loads(done.stdout)["drivers"] if entry["chosen"]]
    return found


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_must_have_is_told_by_check(node: Path, driver: str) -> None:
    """What is missing and what to change stand beside what is there; the exit status is 1."""
    done = run(node, (oldkernel.LINK_CREATE,), "check", driver)
    found = chosen(done)
    lacking = [(need["feature"], need["without"]) for need in found["requirements"] if not need["present"]]
    assert (done.returncode, found["usable"]) == (1, False)
    assert ("cgroup links (5.7)", "use kernel 5.10 or newer") in lacking
    assert len(found["requirements"]) > len(lacking)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_kernel_without_a_must_have_is_refused(node: Path, driver: str) -> None:
    """The agent ends with one line, and leaves no pin, no link, no socket."""
    folder = node.parent
    before = pins(folder)
    done = run(node, (oldkernel.LINK_CREATE,), "agent", driver)
    assert (done.returncode, done.stderr) == (
        1,
        "error: cgroup links (5.7) is missing: use kernel 5.10 or newer\n",
    )
    assert pins(folder) == before
    assert list((folder / "run").rglob("*.sock")) == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_done_without_is_no_refusal(node: Path, driver: str) -> None:
    """A kernel that lacks what has a replacement is used, and `check` tells the replacement."""
    done = run(node, oldkernel.BATCHES, "check", driver)
    found = chosen(done)
    lacking = {need["feature"]: need["without"] for need in found["requirements"] if not need["present"]}
    assert (done.returncode, found["usable"]) == (0, True)
    assert lacking["batched map calls (5.6)"] == "tables are written and read an entry a call"


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_kernel_is_asked_once(driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out stays: the second table of a process asks the kernel nothing."""
    context = NodeContext(NodeName("n1"), tmp_path, tmp_path, tmp_path, ())
    made = DRIVERS[driver](context, DRIVERS[driver].Options())
    first = made.requirements()

    def asked(*_: object, **__: object) -> Callable[..., Any]:
        raise AssertionError("the kernel was asked again")

    for call in ("prog_load", "map_create", "link_create", "map_update_batch", "storage_btf"):
        monkeypatch.setattr(libbpf, call, asked)
    features.bits()
    assert made.requirements() == first
    assert any(need.present for need in first)
