"""
The pytest plugin: options, targets, and the fixtures that tests of a driver stand on.

    pytest --pyargs twinway_conformance --driver tc --pod-device veth --family dual

Loaded by entry point in every run of pytest, so what costs time is imported where it is needed.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twinway_conformance import semantics, targets

if TYPE_CHECKING:
    from twinway_conformance.lab import Labs
    from twinway_conformance.stage import Stage
    from twinway_conformance.targets import Target

_LABS = pytest.StashKey["Labs"]()
_TEST_SECONDS = 600
_MARKERS = (
    "row(name): the row of the semantics table that this test is",
    "policy: needs NetworkPolicy in the datapath",
    "fuzz: random clusters against the reference model",
    "driver_change: needs a second driver",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options."""
    group = parser.getgroup("twinway", "twinway conformance")
    group.addoption("--driver", action="append", help="driver to test; may be given again")
    group.addoption("--pod-device", action="append", choices=targets.DEVICES, help="default: veth")
    group.addoption("--family", action="append", choices=tuple(targets.FAMILIES), help="default: dual")
    group.addoption("--other-driver", help="the driver to change to and back; default: another installed one")
    group.addoption("--seeds", type=int, default=5, help="how many random clusters the fuzz tries (default: 5)")
    group.addoption("--first-seed", type=int, default=1, help="where the fuzz begins (default: 1)")
    group.addoption("--semantics", type=Path, metavar="FILE.md", help="write the semantics table of this run")
    group.addoption("--twinway", metavar="PROGRAM", help="default: the one beside this Python")
    group.addoption("--keep", type=Path, metavar="FOLDER", help="keep every manifest of the run there")
    group.addoption("--slow", type=float, default=1.0, help="stretch every time limit, under emulation say")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hook by which a conftest.py names drivers."""
    from twinway_conformance import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers, and the table's writer where one is asked for."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    path = config.getoption("--semantics")
    if path is not None:
        config.pluginmanager.register(semantics.Recorder(path), "twinway-semantics")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test of a driver its targets."""
    if "target" not in metafunc.fixturenames:
        return
    chosen = _targets(metafunc.config)
    if not chosen:
        raise pytest.UsageError("conformance of what? --driver NAME; installed: " + ", ".join(installed_drivers()))
    metafunc.parametrize("target", chosen, ids=str, indirect=True, scope="session")
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds(metafunc.config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Give each test of a target time enough, and let changes of driver come last.

    What another driver left is not to help this one. A random case that fails is made small: that takes minutes.
    """
    first: dict[str, int] = {}
    for item in items:
        if "target" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS * config.getoption("--slow")))

    def place(item: pytest.Item) -> tuple[int, bool]:
        call = getattr(item, "callspec", None)
        target = str(call.params["target"]) if call is not None and "target" in call.params else ""
        return first.setdefault(target, len(first)), item.get_closest_marker("driver_change") is not None

    items.sort(key=place)


def installed_drivers() -> list[str]:
    """Names of the drivers that are installed, sorted."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group="twinway.drivers")})


def _seeds(config: pytest.Config) -> range:
    first = config.getoption("--first-seed")
    return range(first, first + config.getoption("--seeds"))


def _targets(config: pytest.Config) -> list[Target]:
    families = config.getoption("--family") or ["dual"]
    devices = config.getoption("--pod-device")
    drivers = config.getoption("--driver")
    if drivers:
        return targets.targets(drivers, devices or ["veth"], families)
    known = config.hook.pytest_twinway_drivers() or {}
    return [
        one for driver, usual in known.items() for one in targets.targets([driver], devices or usual, families)
    ]


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """What this test is about: driver, pod device, address families."""
    chosen: Target = request.param
    return chosen


@pytest.fixture(scope="session")
def labs(request: pytest.FixtureRequest) -> Iterator[Labs]:
    """The labs of this run, taken down at its end however it ends."""
    from twinway_conformance.lab import Labs

    config = request.config
    program = config.getoption("--twinway") or str(Path(sys.executable).with_name("twinway"))
    before = signal.signal(signal.SIGTERM, _interrupt)
    with Labs(program, keep=config.getoption("--keep"), slow=config.getoption("--slow")) as made:
        config.stash[_LABS] = made
        yield made
    signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    # As Ctrl-C: pytest then ends in order, and the lab is taken down.
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def stage(labs: Labs, target: Target) -> Stage:
    """One lab of the target with the cast in it; what a test put in force stays until the next says otherwise."""
    from twinway_conformance import cast
    from twinway_conformance.stage import Stage

    return Stage(labs.get(target.driver, target.device, cast.cluster(target.families)), target)


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest) -> range:
    """The fuzz's seeds."""
    return _seeds(request.config)


@pytest.fixture
def other_driver(request: pytest.FixtureRequest, target: Target) -> str:
    """A driver to change to."""
    name = request.config.getoption("--other-driver")
    others = [name] if name else [word for word in installed_drivers() if word != target.driver]
    if not others:
        pytest.skip("no second driver is installed")
    return str(others[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell, with each failure, the commands that lead to it."""
    report = yield
    labs = item.config.stash.get(_LABS, None)
    if report.failed and labs is not None and "target" in getattr(item, "fixturenames", ()):
        labs.failed = True
        report.sections.append(("commands that lead here", labs.story()))
    return report
