"""The node's config: defaults, and each kind of fault in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway import config
from twinway.config import NodeConfig, parse, read
from twinway.config_explain import explain
from twinway.driver import DriverOptions
from twinway.errors import ConfigError


def faults(document: dict[str, object]) -> list[str]:
    """The lines that refuse this document."""
    with pytest.raises(ConfigError) as raised:
        parse(document, "node.yaml")
    return str(raised.value).splitlines()


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """An empty file is a config: tc driver, manifests, veth in the lab."""
    path = tmp_path / "node.yaml"
    path.write_text("")
    read_config = read(path)
    assert (read_config.driver, read_config.source.kind, read_config.pod_device) == ("tc", "manifests", "veth")
    assert read_config.run_dir == Path("/run/twinway")


def test_json_file(tmp_path: Path) -> None:
    """A file that ends in .json is read as JSON."""
    path = tmp_path / "node.json"
    path.write_text('{"node_name": "n2", "source": {"kind": "manifests", "paths": ["/objects"]}}')
    assert read(path).source.paths == (Path("/objects"),)


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"drivr": "tc"}, "node.yaml: drivr: unknown key, did you mean driver?"),
        ({"log": {"levl": "info"}}, "node.yaml: log.levl: unknown key, did you mean level?"),
        ({"log": {"zzz": 1}}, "node.yaml: log.zzz: unknown key, known here: format, level"),
        (
            {"log": {"level": "loud"}},
            "node.yaml: log.level: 'loud': input should be 'debug', 'info', 'warning' or 'error'",
        ),
        ({"resync_seconds": 0}, "node.yaml: resync_seconds: 0: input should be greater than 0"),
        (
            {"metrics": {"address": "9465"}},
            "node.yaml: metrics.address: '9465': not HOST:PORT: give for instance 127.0.0.1:9465 or [::1]:9465",
        ),
        ({"source": {"kind": "etcd"}}, "node.yaml: source.kind: 'etcd': input should be 'manifests'"),
    ],
)
def test_fault_is_one_line(document: dict[str, object], line: str) -> None:
    """A fault names file, key, value and what would be right."""
    assert faults(document) == [line]


def test_every_fault_is_told() -> None:
    """A file with several faults is refused with a line for each."""
    assert len(faults({"drivr": "tc", "bpfs": "/x", "uplinks": 3})) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1", "line 1, column"),
        ("- a\n- b\n", "holds a list: write one mapping"),
        ("driver: tc\n\tlog: x\n", "line 2, column 1: no YAML"),
    ],
)
def test_broken_file(tmp_path: Path, text: str, told: str) -> None:
    """A file that is no mapping is refused with the place of the fault."""
    path = tmp_path / "node.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"node\.yaml: ") as raised:
        read(path)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is told with the option that names another."""
    with pytest.raises(ConfigError, match="No such file or directory: give the agent's config with --config"):
        read(tmp_path / "none.yaml")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are told by their place."""
    path = tmp_path / "node.yaml"
    path.write_bytes(b"driver: \xff")
    with pytest.raises(ConfigError, match="byte 8 is no UTF-8"):
        read(path)


def test_drivers_section_is_checked_with_its_prefix() -> None:
    """A fault in a driver's own section is told below `drivers.NAME.`."""

    class Options(DriverOptions):
        conntrack_size: int = 1

    with pytest.raises(
        ConfigError, match=r"f: drivers\.tc\.contrack_size: unknown key, did you mean conntrack_size"
    ):
        config.checked(Options, {"contrack_size": 3}, "f", "drivers.tc.")


def test_explain_tells_origin_and_meaning() -> None:
    """Each key is explained once, in order, with where its value came from; none lacks its words."""
    explained = {entry.key: entry for entry in explain(parse({"log": {"level": "debug"}}, "f"))}
    assert explained["log.level"].origin == "file"
    assert explained["log.format"].origin == "default"
    assert explained["bpffs"].value == "/sys/fs/bpf"
    assert [key for key, entry in explained.items() if not entry.doc] == []


def test_explain_covers_every_key() -> None:
    """Every key of the config is explained, or opened as a section."""
    keys = {entry.key.split(".")[0] for entry in explain(NodeConfig())}
    assert keys == set(NodeConfig.model_fields)
