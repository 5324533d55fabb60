"""Our network config: the node's own with one more plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from twinway.cni.chain import OURS, chained, config_files
from twinway.errors import ConfigError

PTP = {"type": "ptp", "ipam": {"type": "host-local"}}
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}}


def written(folder: Path, name: str, config: Any) -> Path:
    path = folder / name
    path.write_text(config if isinstance(config, str) else json.dumps(config))
    return path


def ours(folder: Path) -> dict[str, Any]:
    found = chained(config_files(folder))
    assert found is not None
    return json.loads(found.text)


def test_twinway_is_last_in_a_list(tmp_path: Path) -> None:
    """Every other key and plugin is as it was, the name among them: IPAM and DEL go by it."""
    before = {"cniVersion": "1.0.0", "name": "kindnet", "disableCheck": True, "plugins": [PTP, PORTMAP]}
    written(tmp_path, "10-kindnet.conflist", before)
    assert ours(tmp_path) == {**before, "plugins": [PTP, PORTMAP, {"type": "twinway"}]}


def test_a_single_plugin_becomes_a_list(tmp_path: Path) -> None:
    """As libcni makes one of it: name and version of the plugin are the list's, too."""
    before = {"cniVersion": "0.4.0", "name": "terway", "type": "terway", "eniip_virtual_type": "IPVlan"}
    written(tmp_path, "10-terway.conf", before)
    assert ours(tmp_path) == {"cniVersion": "0.4.0", "name": "terway", "plugins": [before, {"type": "twinway"}]}


def test_the_first_by_name_counts(tmp_path: Path) -> None:
    """That is the one that a runtime uses without us; other files and folders are none."""
    config = {"cniVersion": "1.0.0", "plugins": [PTP]}
    written(tmp_path, "20-second.conflist", {**config, "name": "second"})
    written(tmp_path, "10-first.conflist", {**config, "name": "first"})
    written(tmp_path, OURS, {**config, "name": "ours"})
    written(tmp_path, "01-note.txt", "no config")
    written(tmp_path, ".00-hidden.conflist.tmp", "half of")
    (tmp_path / "02-folder.conflist").mkdir()
    assert ours(tmp_path)["name"] == "first"


def test_a_chain_that_has_twinway_is_left_alone(tmp_path: Path) -> None:
    """Somebody chained it by hand: a second link would report each pod twice."""
    plugins = [PTP, {"type": "twinway"}]
    path = written(tmp_path, "10-own.conflist", {"cniVersion": "1.0.0", "name": "own", "plugins": plugins})
    found = chained(config_files(tmp_path))
    assert found is not None
    assert (found.behind, found.text) == (path, "")


def test_nothing_to_stand_behind(tmp_path: Path) -> None:
    """Our own file alone is none."""
    written(tmp_path, OURS, {"cniVersion": "1.0.0", "name": "left", "plugins": [PTP, {"type": "twinway"}]})
    assert chained(config_files(tmp_path)) is None


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("10-a.conflist", '{"name":', "10-a.conflist: no JSON: .*: mend or remove it"),
        ("10-a.conflist", "[]", "no JSON object"),
        ("10-a.conflist", "[" * 100_000, "no JSON"),
        ("10-a.conflist", b"\xff\xfe\x00", "no JSON"),
        ("10-a.conflist", {"cniVersion": "1.0.0", "name": "a"}, "plugins: is no list with a plugin"),
        (
            "10-a.conflist",
            {"cniVersion": "1.0.0", "name": "a", "plugins": []},
            "plugins: is no list with a plugin",
        ),
        ("10-a.conflist", {"cniVersion": "1.0.0", "name": "a", "plugins": [{}]}, "plugins: one has no type"),
        ("10-a.conf", {"cniVersion": "1.0.0", "name": "a"}, "plugins: one has no type"),
        ("10-a.conflist", {"name": "a", "plugins": [PTP]}, "cniVersion: None has no chains: use one of 0.3.0"),
        ("10-a.conflist", {"cniVersion": "0.2.0", "name": "a", "plugins": [PTP]}, "'0.2.0' has no chains"),
        ("10-a.conflist", {"cniVersion": [], "name": "a", "plugins": [PTP]}, r"\[\] has no chains"),
        ("10-a.conflist", {"cniVersion": "1.0.0", "plugins": [PTP]}, "name: is missing"),
        (
            "10-multus.conf",
            {"cniVersion": "1.0.0", "name": "multus", "type": "multus"},
            f"multus calls the chains of other files: let it call {OURS}",
        ),
        ("00-aaa.conflist", {"cniVersion": "1.0.0", "name": "a", "plugins": [PTP]}, f"comes before {OURS}"),
    ],
)
def test_what_cannot_be_chained_says_why(tmp_path: Path, name: str, config: Any, reason: str) -> None:
    """One line: the file, what is wrong, what to do."""
    if isinstance(config, bytes):
        (tmp_path / name).write_bytes(config)
    else:
        written(tmp_path, name, config)
    with pytest.raises(ConfigError, match=reason) as raised:
        chained(config_files(tmp_path))
    assert "\n" not in str(raised.value)
