"""The config while the agent runs: its file and the node's labels change, and a fault changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fakes import FakeDriver, FakeOptions
from twinway.config import NodeConfig, parse
from twinway.config_file import SETTLED_SECONDS, ConfigFile
from twinway.config_follower import ConfigFollower
from twinway.driver import Driver, Requirement
from twinway.driver_choice import DriverChoice
from twinway.errors import ConfigError, DriverError, LoadError
from twinway.model.cluster import Cluster, Node
from twinway.model.net import ObjectRef
from twinway.status import Board, Status

SOCKETS = {"labels": {"path": "sockets"}, "driver": "sockops"}


class Site:
    """A config in a file, drivers in memory, and the time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **keys: object) -> None:
        self.now = 0.0
        self.folder = folder
        self.path = folder / "node.yaml"
        self.content: dict[str, object] = {}
        self.events: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.lacking: set[str] = set()
        monkeypatch.setattr("twinway.driver_choice.build_driver", self.build)
        base = {"node_name": "n1", "cgroup_root": str(folder), "bpffs": str(folder), "run_dir": str(folder)}
        self.base: dict[str, object] = {**base, **keys}
        self.write()
        config = self.read(self.path)
        self.choice = DriverChoice(config, "node.yaml")
        self.traces = folder / "drivers"
        self.predecessors = self.choice.predecessors
        self.choice.start()
        self.events.clear()
        self.board = Board(Status(node="n1", driver=self.choice.driver.name, pid=1))
        self.taken: list[tuple[NodeConfig, bool]] = []
        file = ConfigFile(self.path, self.read, lambda: self.now)
        self.follower = ConfigFollower(file, config, self.choice, self.board, self.took)

    def took(self, config: NodeConfig, *, changed: bool) -> None:
        self.taken.append((config, changed))

    def read(self, _path: Path) -> NodeConfig:
        return parse({**self.base, **self.content}, "node.yaml")

    def write(self, **keys: object) -> None:
        """Put these keys into the file, beside those that it began with."""
        self.content = keys
        self.path.write_text(str(sorted(keys.items())))

    def build(self, name: str, *, config: NodeConfig, **_: object) -> Driver:
        return Recorded(name, self, config)

    def follow(self, cluster: Cluster | None = None) -> None:
        """The file is looked at, and again when it has settled."""
        self.follower.follow(cluster)
        self.now += SETTLED_SECONDS
        self.follower.follow(cluster)


class Recorded(FakeDriver):
    """A driver that writes down what is done with it."""

    def __init__(self, name: str, site: Site, config: NodeConfig) -> None:
        super().__init__(site.choice.context if hasattr(site, "choice") else None, FakeOptions())  # type: ignore[arg-type]
        self.name = name  # type: ignore[misc]
        self.site = site
        self.section = dict(config.drivers.get(name, {}))

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("tcx", self.name not in self.site.lacking, required=True, without="use 6.6"),)

    def start(self) -> None:
        self.site.events.append(f"{self.name} starts")
        if error := self.site.broken.get(self.name):
            raise error

    def stop(self, *, keep_traffic: bool) -> None:
        self.site.events.append(f"{self.name} {'lets go' if keep_traffic else 'leaves'}")


@dataclass
class Labelled:
    """Snapshots in which the node has labels."""

    name: str = "n1"
    labels: dict[str, str] = field(default_factory=dict)

    def cluster(self) -> Cluster:
        ref = ObjectRef("Node", "", self.name)
        return Cluster("v", nodes={ref: Node(ref, self.labels, (), ())})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_a_changed_driver_takes_over(site: Site) -> None:
    """The old one lets go before the new one starts, and leaves when nothing needs it."""
    site.write(driver="sockops")
    site.follow()
    assert site.events == ["tc lets go", "sockops starts"]
    assert [(config.driver, changed) for config, changed in site.taken] == [("sockops", True)]
    assert site.board.status.driver == "sockops"
    assert sorted(path.name for path in site.traces.iterdir()) == ["sockops", "tc"]
    assert site.predecessors.advance() == ()
    assert site.events[-1] == "tc leaves"
    site.write(driver="tc")
    site.follow()
    assert site.events[-2:] == ["sockops lets go", "tc starts"]


def test_a_driver_that_comes_back_before_it_has_left(site: Site) -> None:
    """It is in charge again, and no predecessor of itself."""
    site.write(driver="sockops")
    site.follow()
    site.write()
    site.follow()
    assert site.choice.driver.name == "tc"
    site.predecessors.advance()
    assert "tc leaves" not in site.events
    assert [path.name for path in site.traces.iterdir()] == ["tc"]


def test_the_file_counts_once_it_has_settled(site: Site) -> None:
    """What changes again within a moment is not read before that; a hang-up reads it at once."""
    for driver in ("a", "b"):
        site.write(driver=driver)
        assert site.follower.follow(None) == SETTLED_SECONDS
        site.now += SETTLED_SECONDS / 2
    assert site.events == []
    site.write(driver="sockops")
    site.follower.ask()
    site.follower.follow(None)
    assert site.choice.driver.name == "sockops"


def test_options_of_the_driver_in_charge(site: Site) -> None:
    """Its own section starts it anew; another driver's does not."""
    site.write(drivers={"sockops": {"depth": 2}})
    site.follow()
    assert site.events == []
    site.write(drivers={"tc": {"depth": 2}})
    site.follow()
    assert site.events == ["tc lets go", "tc starts"]
    assert site.taken[-1][1]


def test_keys_that_need_no_driver(site: Site) -> None:
    """Log, pauses and the wait of an ADD are taken, and the driver goes on."""
    site.write(log={"level": "debug"}, resync_seconds=5, cni={"wait_seconds": 3})
    site.follow()
    (config, changed), *_ = site.taken
    assert (config.log.level, config.resync_seconds, config.cni.wait_seconds, changed) == ("debug", 5, 3, False)
    assert site.events == []


def test_keys_that_take_a_restart(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """They stay as they were, and the status names them; the others count."""
    site.write(run_dir="/elsewhere", driver="sockops", cni={"conf_dir": "/etc/cni", "wait_seconds": 3})
    site.follow()
    assert site.board.status.config_pending == ("run_dir", "cni.conf_dir")
    assert "keys=['run_dir', 'cni.conf_dir']" in caplog.text
    (config, _), *_ = site.taken
    assert (config.run_dir, config.cni.conf_dir, config.cni.wait_seconds) == (site.folder, None, 3)
    assert site.choice.driver.name == "sockops"
    site.write(driver="sockops")
    site.follow()
    assert not site.board.status.config_pending


def test_a_config_with_a_fault_changes_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The one before stays, the status says why and since when, and the log does once; a good one ends it."""
    site.write(driver="sockops", zzz=1)
    for _ in range(3):
        site.follow()
    status = site.board.status
    assert status.config_error is not None
    assert status.config_error.startswith("node.yaml: zzz: unknown key")
    assert status.config_since > 0
    assert status.to_json()["config"]["error"] == status.config_error
    assert (site.events, site.taken, site.choice.driver.name) == ([], [], "tc")
    assert caplog.text.count("the config cannot be used") == 1
    site.write()
    site.follow()
    assert (site.board.status.config_error, site.board.status.config_since) == (None, 0.0)


def test_a_file_that_goes(site: Site) -> None:
    """Nothing changes, and the status says so."""

    def gone(path: Path) -> NodeConfig:
        raise ConfigError(f"{path}: No such file or directory: give the agent's config with --config FILE")

    site.follower._file._read = gone
    site.path.unlink()
    site.follow()
    assert "No such file" in (site.board.status.config_error or "")
    assert site.events == []


@pytest.mark.parametrize("error", [LoadError("tw_pod_out", "the verifier refused it"), OSError(12, "no memory")])
def test_a_driver_that_does_not_start(site: Site, error: Exception) -> None:
    """The one before is started again, and in charge."""
    site.broken["sockops"] = error
    site.write(driver="sockops", resync_seconds=5)
    site.follow()
    assert site.events == ["tc lets go", "sockops starts", "sockops lets go", "tc starts"]
    assert (site.choice.driver.name, site.board.status.driver, site.taken) == ("tc", "tc", [])
    assert "driver sockops cannot serve this node, tc stays" in (site.board.status.config_error or "")


def test_a_driver_that_this_node_lacks_something_for(site: Site) -> None:
    """It is refused before anything is touched."""
    site.lacking = {"sockops"}
    site.write(driver="sockops")
    site.follow()
    assert site.events == []
    assert "tcx is missing: use 6.6" in (site.board.status.config_error or "")


def test_labels_choose_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No driver starts before they are known; another follows when they change, and none when the Node goes."""
    site = Site(tmp_path, monkeypatch, nodes=[SOCKETS])
    site.follow()
    assert (site.choice.decided, site.choice.driver.health().ok) == (False, False)
    with pytest.raises(DriverError, match="labels of the Node object"):
        site.choice.driver.apply(type("C", (), {"state": type("S", (), {"version": "v"})})())
    site.follow(Labelled(labels={"path": "sockets"}).cluster())
    assert site.events == ["sockops starts"]
    assert [path.name for path in site.traces.iterdir()] == ["sockops"]
    site.follow(Labelled().cluster())
    assert site.events[1:] == ["sockops lets go", "tc starts"]
    site.follow(Cluster("w"))
    site.follow(Labelled(labels={"other": "label"}).cluster())
    assert len(site.events) == 3


def test_a_node_without_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no labels, which is said."""
    site = Site(tmp_path, monkeypatch, nodes=[SOCKETS])
    site.follow(Cluster("v", complete=False))
    assert not site.choice.decided
    site.follow(Cluster("v"))
    assert site.choice.driver.name == "tc"
    assert "there is no Node object of this name" in caplog.text


@pytest.mark.parametrize(
    ("entries", "labels", "driver"),
    [
        ([], {}, "tc"),
        ([{"names": ["n1"], "driver": "a"}], {}, "a"),
        ([{"names": ["n2"], "driver": "a"}], {}, "tc"),
        ([{"labels": {"x": "1"}, "driver": "a"}], {"x": "1", "y": "2"}, "a"),
        ([{"labels": {"x": "1", "z": "3"}, "driver": "a"}], {"x": "1"}, "tc"),
        ([{"names": ["n1"], "labels": {"x": "1"}, "driver": "a"}], {}, "tc"),
        ([{"names": ["n1"], "uplinks": ["eth1"]}, {"names": ["n1"], "driver": "b"}], {}, "tc"),
        ([{"labels": {"x": "1"}, "driver": "a"}, {"names": ["n1"], "driver": "b"}], {}, "b"),
        ([{"labels": {"x": "1"}, "driver": "a"}, {"names": ["n1"], "driver": "b"}], {"x": "1"}, "a"),
    ],
)
def test_the_first_entry_that_matches_counts(
    entries: list[dict[str, object]], labels: dict[str, str], driver: str
) -> None:
    """Names and labels must both match where both are given."""
    assert parse({"node_name": "n1", "nodes": entries}, "f").here(labels).driver == driver


@pytest.mark.parametrize(
    ("entries", "asks"),
    [
        ([], False),
        ([{"names": ["n1"]}], False),
        ([{"labels": {"x": "1"}}], True),
        ([{"names": ["n2"], "labels": {"x": "1"}}], False),
        ([{"names": ["n1"]}, {"labels": {"x": "1"}}], False),
    ],
)
def test_labels_are_asked_for_where_they_decide(entries: list[dict[str, object]], *, asks: bool) -> None:
    """A node that an entry names needs nobody to know its driver."""
    assert parse({"node_name": "n1", "nodes": entries}, "f").asks_for_labels == asks


def test_what_an_entry_changes() -> None:
    """Its keys replace those above, sections of drivers each by itself; everything else stays."""
    document = {
        "node_name": "n1",
        "uplinks": ["eth0"],
        "drivers": {"tc": {"maps": {"ct": 1}}, "sockops": {"idle_after": 1}},
        "nodes": [{"names": ["n1"], "uplinks": [], "drivers": {"tc": {"maps": {"ct": 2}}}}],
    }
    here = parse(document, "f").here({})
    assert (here.driver, here.uplinks) == ("tc", ())
    assert here.drivers == {"tc": {"maps": {"ct": 2}}, "sockops": {"idle_after": 1}}
