"""
The pytest plugin: options, targets, and the fixtures of tests of a driver.

    pytest --pyargs twinway_conformance --driver tc --pod-device veth --family dual

Every run of pytest loads it by its entry point, so slow modules are imported only where they are needed.
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
_SEEDS_EACH = 3
_MARKERS = (
    "row(name): the test's row in the semantics table",
    "policy: needs NetworkPolicy in the datapath",
    "fuzz: random clusters, checked against the reference model",
    "driver_change: needs a second driver",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suite's own options."""
    group = parser.getgroup("twinway", "twinway conformance")
    group.addoption("--driver", action="append", help="driver to test; may be repeated")
    group.addoption("--pod-device", action="append", choices=targets.DEVICES, help="default: veth")
    group.addoption("--family", action="append", choices=tuple(targets.FAMILIES), help="default: dual")
    group.addoption("--other-driver", help="the driver to change to and back; default: another installed one")
    seeds_help = f"number of random clusters, divided among the targets; default: {_SEEDS_EACH} for each"
    group.addoption("--seeds", type=int, metavar="N", help=seeds_help)
    group.addoption("--first-seed", type=int, default=1, help="the first seed of the random clusters (default: 1)")
    group.addoption("--semantics", type=Path, metavar="FILE.md", help="write the semantics table of this run")
    group.addoption("--twinway", metavar="PROGRAM", help="default: this Python's own, loaded once")
    group.addoption("--keep", type=Path, metavar="FOLDER", help="keep all manifests of the run there")
    group.addoption("--node-config", type=Path, metavar="FILE", help="a node config for every node of the labs")
    slow_help = "multiply every time limit by this, for example under emulation"
    group.addoption("--slow", type=float, default=1.0, help=slow_help)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hook by which a conftest.py names drivers."""
    from twinway_conformance import hooks

    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and with `--semantics` the writer of the table."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    path = config.getoption("--semantics")
    # With pytest-xdist, workers report results, and the process that started them writes the table.
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(semantics.Recorder(path, lambda: [_seeds_line(config)]), "twinway-semantics")


def _seeds_line(config: pytest.Config) -> str:
    return f"Random clusters: {_seeds(config)} seeds, divided among drivers, devices and families."


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test of a driver its targets."""
    if "target" not in metafunc.fixturenames:
        return
    chosen = _targets(metafunc.config)
    if not chosen:
        raise pytest.UsageError("no driver to test: --driver NAME; installed: " + ", ".join(installed_drivers()))
    if "seed" not in metafunc.fixturenames:
        metafunc.parametrize("target", chosen, ids=str, indirect=True, scope="session")
        return
    shares = [(target, seed) for target, seeds in _shares(metafunc.config).items() for seed in seeds]
    names = [f"{target}-{seed}" for target, seed in shares]
    metafunc.parametrize(("target", "seed"), shares, ids=names, indirect=["target"], scope="session")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """
    Set the time limit of each test of a target, and run tests that change the driver last.

    They come last so that nothing which another driver left helps this one. The limit has room for shrinking a
    failed random case, which takes minutes. With pytest-xdist's `--dist loadgroup`, tests that share a lab run in
    one process.
    """
    first: dict[str, int] = {}
    side_by_side = config.pluginmanager.hasplugin("xdist")

    def place(item: pytest.Item) -> tuple[int, bool]:
        target = _target_of(item)
        return first.setdefault(str(target or ""), len(first)), item.get_closest_marker(
            "driver_change"
        ) is not None

    for item in items:
        target = _target_of(item)
        if target is not None:
            semantics.note(item, target)
            item.add_marker(pytest.mark.timeout(_TEST_SECONDS * config.getoption("--slow")))
            if side_by_side:
                item.add_marker(pytest.mark.xdist_group(f"{target.driver}-{target.device}"))
    items.sort(key=place)


def _target_of(item: pytest.Item) -> Target | None:
    call = getattr(item, "callspec", None)
    return call.params.get("target") if call is not None else None


def installed_drivers() -> list[str]:
    """The sorted names of the installed drivers."""
    from importlib.metadata import entry_points

    return sorted({entry.name for entry in entry_points(group="twinway.drivers")})


def _shares(config: pytest.Config) -> dict[Target, range]:
    first, chosen = config.getoption("--first-seed"), _targets(config)
    return targets.dealt(range(first, first + _seeds(config)), chosen)


def _seeds(config: pytest.Config) -> int:
    given: int | None = config.getoption("--seeds")
    return _SEEDS_EACH * len(_targets(config)) if given is None else given


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
    """The driver, pod device and address families that this test is about."""
    chosen: Target = request.param
    return chosen


@pytest.fixture(scope="session")
def labs(request: pytest.FixtureRequest) -> Iterator[Labs]:
    """The labs of this run. They are taken down when it ends, also if it is interrupted."""
    from twinway_conformance.commands import Cold, Warm
    from twinway_conformance.lab import Labs

    config = request.config
    own = str(Path(sys.executable).with_name("twinway"))
    program = config.getoption("--twinway") or own
    commands = Warm() if program == own else Cold(program)
    before = signal.signal(signal.SIGTERM, _interrupt)
    keep, slow = config.getoption("--keep"), config.getoption("--slow")
    node_config = config.getoption("--node-config")
    with Labs(program, keep=keep, slow=slow, commands=commands, node_config=node_config) as made:
        config.stash[_LABS] = made
        yield made
    signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> None:
    # Like Ctrl-C: pytest ends in order, and takes the lab down.
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def stage(labs: Labs, target: Target) -> Stage:
    """One lab of the target with the cast. Objects of one test stay in force until the next replaces them."""
    from twinway_conformance import cast
    from twinway_conformance.stage import Stage

    return Stage(labs.get(target.driver, target.device, cast.cluster(target.families)), target)


@pytest.fixture(scope="session")
def seeds(request: pytest.FixtureRequest, target: Target) -> range:
    """The target's share of the seeds of random clusters."""
    return _shares(request.config)[target]


@pytest.fixture
def other_driver(request: pytest.FixtureRequest, target: Target) -> str:
    """The driver to change to."""
    name = request.config.getoption("--other-driver")
    others = [name] if name else [word for word in installed_drivers() if word != target.driver]
    if not others:
        pytest.skip("no second driver is installed")
    return str(others[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to each failure the commands that lead to it."""
    report = yield
    labs = item.config.stash.get(_LABS, None)
    if report.failed and labs is not None and "target" in getattr(item, "fixturenames", ()):
        labs.failed = True
        report.sections.append(("commands that lead here", labs.story()))
    return report
