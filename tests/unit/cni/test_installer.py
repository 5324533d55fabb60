"""The plugin and its place in the chain, on a node's real folders."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from twinway.cni.chain import OURS
from twinway.errors import ConfigError
from twinway.locks import only_one_in
from twinway_cni.cli.app import app
from twinway_cni.installer import Node, install, standing, uninstall
from twinway_cni.waiting import wait_for_agent

LIST = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge"}, {"type": "portmap"}]}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    for name in ("bin", "net.d"):
        (tmp_path / name).mkdir()
    return Node(tmp_path / "bin", tmp_path / "net.d")


def picture(node: Node) -> dict[str, tuple[bytes, int, int]]:
    """Every file of the node: its bytes, mode and time."""
    files = [path for folder in (node.bin_dir, node.conf_dir) for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns) for path in files}


NAMES = st.from_regex(r"[1-9][0-9]-[a-z]{1,8}\.(conf|conflist|json|txt|bak)", fullmatch=True)
CONTENTS = st.one_of(
    st.just(json.dumps(LIST).encode()),
    st.just(json.dumps({"cniVersion": "0.3.1", "name": "x", "type": "ipvlan"}, indent=3).encode()),
    st.just(json.dumps({**LIST, "plugins": [{"type": "a"}, {"type": "twinway"}]}).encode()),
    st.binary(max_size=64),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(configs=st.dictionaries(NAMES, CONTENTS, max_size=4), times=st.integers(1, 3))
def test_uninstall_undoes_install(node: Node, configs: dict[str, bytes], times: int) -> None:
    """Byte for byte, whatever the node has, and however often twinway was installed."""
    for path in (*node.conf_dir.iterdir(), *node.bin_dir.iterdir()):
        path.unlink()
    for name, content in configs.items():
        (node.conf_dir / name).write_bytes(content)
    (node.bin_dir / "bridge").write_bytes(b"another plugin")
    before = picture(node)
    for _ in range(times):
        with suppress(ConfigError):
            install(node)
    untouched = {path: found for path, found in picture(node).items() if path in before}
    assert untouched == before
    uninstall(node, keep_plugin=False)
    assert picture(node) == before


def test_the_installed_plugin_runs(node: Node) -> None:
    """It is a program of its own that answers a runtime."""
    install(node)
    environment = {"CNI_COMMAND": "VERSION"}
    done = subprocess.run([node.program], input=b"{}", env=environment, capture_output=True, check=True)
    assert "1.0.0" in json.loads(done.stdout)["supportedVersions"]


def test_a_running_plugin_can_be_replaced(node: Node) -> None:
    """By another file under its name: a program that runs cannot be written to."""
    node.program.write_bytes(b"an older one")
    inode = node.program.stat().st_ino
    install(node)
    assert node.program.stat().st_ino != inode
    assert os.access(node.program, os.X_OK)
    assert standing(node).plugin == "installed"


def test_kept_for_pods_that_were_added_with_it(node: Node) -> None:
    """With CRI-O the plugin is called once more when such a pod goes; nothing else stays."""
    (node.conf_dir / "10-net.conflist").write_text(json.dumps(LIST))
    install(node)
    uninstall(node, keep_plugin=True)
    assert node.program.exists()
    assert not (node.conf_dir / OURS).exists()


def test_status_tells_why_pods_are_added_without_twinway(node: Node) -> None:
    """Each state of a node has its own reason, and its own remedy."""
    other = node.conf_dir / "10-net.conflist"
    other.write_text(json.dumps(LIST))
    assert standing(node).fault == "the plugin is missing: run twinway cni install"
    install(node)
    assert standing(node).fault == ""
    other.write_text(json.dumps({**LIST, "name": "renamed"}))
    assert "is no longer what the file behind it asks for" in standing(node).fault
    (node.conf_dir / OURS).unlink()
    assert "10-net.conflist, without twinway" in standing(node).fault
    other.unlink()
    assert "no other network config" in standing(node).fault


def test_uninstall_is_refused_while_an_agent_runs(node: Node, tmp_path: Path) -> None:
    """The agent would chain itself again at once."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with only_one_in(run_dir), pytest.raises(ConfigError, match="another agent runs here"):
        wait_for_agent(run_dir, 0)
    wait_for_agent(run_dir, 0)


def test_the_command_line(node: Node) -> None:
    """Install, status and uninstall of a node, and their exit status."""
    (node.conf_dir / "10-net.conflist").write_text(json.dumps(LIST))
    folders = ["--bin-dir", str(node.bin_dir), "--conf-dir", str(node.conf_dir)]
    run = CliRunner().invoke
    assert run(app, ["status", *folders]).exit_code == 1
    assert "chained behind" in run(app, ["install", *folders]).output
    done = run(app, ["status", "--json", *folders])
    assert done.exit_code == 0
    assert json.loads(done.output)["behind"] == str(node.conf_dir / "10-net.conflist")
    away = ["--run-dir", str(node.bin_dir / "away")]
    assert run(app, ["uninstall", *folders, *away]).output.count(str(node.bin_dir.parent)) == 2
    assert "there was nothing" in run(app, ["uninstall", *folders, *away]).output
