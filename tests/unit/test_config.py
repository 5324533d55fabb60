"""The node's config: defaults, and each kind of fault in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinway import config
from twinway.config import NodeConfig, parse, read
from twinway.config_explain import explain
from twinway.driver import DriverOptions
from twinway.errors import ConfigError
from twinway.plugins import read_config


def faults(document: dict[str, object]) -> list[str]:
    """The lines that refuse this document."""
    with pytest.raises(ConfigError) as raised:
        parse(document, "node.yaml")
    return str(raised.value).splitlines()


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    """An empty file is a config: tc driver, manifests."""
    path = tmp_path / "node.yaml"
    path.write_text("")
    read_config = read(path)
    assert (read_config.driver, read_config.source.kind) == ("tc", "manifests")
    assert read_config.run_dir == Path("/run/twinway")


def test_json_file(tmp_path: Path) -> None:
    """A file that ends in .json is read as JSON."""
    path = tmp_path / "node.json"
    path.write_text('{"node_name": "n2", "source": {"kind": "manifests", "paths": ["/objects"]}}')
    assert read(path).source == config.ManifestsSource(paths=(Path("/objects"),))


def test_kinds_of_sources(tmp_path: Path) -> None:
    """The section's kind says which keys it has; without one it is about manifests."""
    assert parse({"source": {"kind": "kubernetes", "kubeconfig": "/k"}}, "f").source == config.KubernetesSource(
        kubeconfig=Path("/k")
    )
    assert parse({"source": {"paths": ["/objects"]}}, "f").source == config.ManifestsSource(
        paths=(Path("/objects"),)
    )
    for source, words in (
        ({"kind": "kubernetes", "kubeconfg": "/k"}, "f: source.kubeconfg: unknown key, did you mean kubeconfig?"),
        ({"kind": "kubernetes", "kubeconfig": "k"}, "f: source.kubeconfig: 'k': must be a path from the root"),
        ({"kind": "kubernetes", "context": "c"}, "context needs a kubeconfig: give source.kubeconfig, too"),
    ):
        with pytest.raises(ConfigError) as caught:
            parse({"source": source}, "f")
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({"drivr": "tc"}, "node.yaml: drivr: unknown key, did you mean driver?"),
        ({"log": {"levl": "info"}}, "node.yaml: log.levl: unknown key, did you mean level?"),
        ({"log": {"zzz": 1}}, "node.yaml: log.zzz: unknown key, known here: format, level"),
        (
            {"log": {"level": "loud"}},
            "node.yaml: log.level: 'loud': must be 'debug', 'info', 'warning' or 'error'",
        ),
        (
            {"nodes": [{"driver": "tc"}]},
            "node.yaml: nodes.0: {'driver': 'tc'}: matches no node: give names, labels or both",
        ),
        ({"nodes": [{"labls": {}}]}, "node.yaml: nodes.0.labls: unknown key, did you mean labels?"),
        ({"nodes": [{"labels": {"x": True}}]}, "node.yaml: nodes.0.labels.x: True: must be text"),
        (
            {"nodes": [{"names": ["N1"]}]},
            "node.yaml: nodes.0.names.0: 'N1': must be a Node's name: small letters, "
            "digits, dashes and dots, 253 at most",
        ),
        ({"nodes": {"names": ["n1"]}}, "node.yaml: nodes: {'names': ['n1']}: must be a list"),
        ({"resync_seconds": 0}, "node.yaml: resync_seconds: 0: must be at least 0.1"),
        ({"resync_seconds": -1.5}, "node.yaml: resync_seconds: -1.5: must be at least 0.1"),
        ({"resync_seconds": float("nan")}, "node.yaml: resync_seconds: nan: must be a finite number"),
        ({"resync_seconds": float("inf")}, "node.yaml: resync_seconds: inf: must be a finite number"),
        ({"resync_seconds": 10**400}, f"node.yaml: resync_seconds: 1{'0' * 59}…: must be a number"),
        ({"resync_seconds": 1e9}, "node.yaml: resync_seconds: 1000000000.0: must be at most 86400"),
        ({"resync_seconds": True}, "node.yaml: resync_seconds: True: must be a number"),
        ({"resync_seconds": "60"}, "node.yaml: resync_seconds: '60': must be a number"),
        ({"cni": {"wait_seconds": 0}}, "node.yaml: cni.wait_seconds: 0: must be more than 0"),
        ({"uplinks": "eth0"}, "node.yaml: uplinks: 'eth0': must be a list"),
        (
            {"uplinks": ["a b"]},
            "node.yaml: uplinks.0: 'a b': must be a device's name: 1 to 15 characters, no space and no slash",
        ),
        ({"node_name": 7}, "node.yaml: node_name: 7: must be text"),
        (
            {"node_name": "N_1"},
            "node.yaml: node_name: 'N_1': "
            "must be a Node's name: small letters, digits, dashes and dots, 253 at most",
        ),
        ({"log": None}, "node.yaml: log: None: must be a section: `key: value` lines"),
        ({"source": {"paths": []}}, "node.yaml: source.paths: []: must not be empty"),
        ({"bpffs": 3}, "node.yaml: bpffs: 3: must be a path"),
        (
            {"run_dir": "run/twinway"},
            "node.yaml: run_dir: 'run/twinway': must be a path from the root, for instance /run/twinway: "
            "the agent may start anywhere",
        ),
        (
            {"metrics": {"address": "9465"}},
            "node.yaml: metrics.address: '9465': not HOST:PORT: give for instance 127.0.0.1:9465 or [::1]:9465",
        ),
        ({"source": {"kind": "etcd"}}, "node.yaml: source.kind: 'etcd': must be 'manifests' or 'kubernetes'"),
    ],
)
def test_fault_is_one_line(document: dict[str, object], line: str) -> None:
    """A fault names file, key, value and what would be right."""
    assert faults(document) == [line]


def test_every_fault_is_reported() -> None:
    """A file with several faults is refused with a line for each."""
    assert len(faults({"drivr": "tc", "bpfs": "/x", "uplinks": 3})) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "node.yaml:2: "),
        ("driver: tc\nlog: {}\ndriver: tc\n", "node.yaml:3: key 'driver' is given twice"),
        ("log:\n  level: info\n  level: debug\n", "node.yaml:3: key 'level' is given twice"),
        ("driver: tc\n---\ndriver: sockops\n", "holds 2 documents: write one"),
        ("- a\n- b\n", "holds a list: write one mapping"),
        ("driver: tc\n\tlog: x\n", "node.yaml:2: "),
    ],
)
def test_broken_file(tmp_path: Path, text: str, expected: str) -> None:
    """A file that is no mapping is refused with the place of the fault."""
    path = tmp_path / "node.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"node\.yaml:") as raised:
        read(path)
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)


def test_key_twice_in_json(tmp_path: Path) -> None:
    """JSON, too, is refused where a key is given twice."""
    path = tmp_path / "node.json"
    path.write_text('{"driver": "tc", "driver": "sockops"}')
    with pytest.raises(ConfigError, match="key 'driver' is given twice"):
        read(path)


def test_sections_of_drivers_are_checked_with_the_rest(tmp_path: Path) -> None:
    """A section of a driver that is not installed, and a fault in one that is, are reported beside all others."""
    path = tmp_path / "node.yaml"
    path.write_text("drivr: tc\ndriver: sockop\ndrivers: {foo: {}, tc: {mapz: 1}, sockops: {idle_after: .nan}}\n")
    with pytest.raises(ConfigError) as raised:
        read_config(path)
    lines = [line.removeprefix(f"{path}: ") for line in str(raised.value).splitlines()]
    assert lines[:2] == [
        "drivr: unknown key, did you mean driver?",
        "driver: 'sockop': no such driver is installed, did you mean sockops?",
    ]
    assert lines[2].startswith("drivers.foo: no such driver is installed, known here: ")
    assert lines[3] == "drivers.tc.mapz: unknown key, did you mean maps?"
    assert lines[4].startswith("drivers.sockops.idle_after: nan: must be")


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is reported with the option that names another."""
    with pytest.raises(ConfigError, match="No such file or directory: give the agent's config with --config"):
        read(tmp_path / "none.yaml")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are reported by their place."""
    path = tmp_path / "node.yaml"
    path.write_bytes(b"driver: \xff")
    with pytest.raises(ConfigError, match="byte 8 is no UTF-8"):
        read(path)


def test_drivers_section_is_checked_with_its_prefix() -> None:
    """A fault in a driver's own section is reported below `drivers.NAME.`."""

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
