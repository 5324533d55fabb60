"""Drivers by entry point, from real distributions made in a folder on the import path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stevedore import ExtensionManager

from twinway import plugins
from twinway.errors import ConfigError

Install = Callable[..., None]

FAKE = """
from tests.fakes import FakeDriver
class Mine(FakeDriver):
    name = {name!r}
    PROTOCOL = {protocol}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with one driver on the import path."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})

    def add(distribution: str, name: str, source: str) -> None:
        module = f"{distribution}_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[twinway.drivers]\n{name} = {module}:Mine\n")

    return add


def test_driver_is_found_and_its_options_checked(install: Install) -> None:
    """An installed driver is found by name; its section of the config is checked by its own model."""
    install("driver-one", "one", FAKE.format(name="one", protocol=1))
    driver = plugins.load("one")
    assert driver.name == "one"
    assert plugins.options_of(driver, {"one": {"depth": 3}}, "f").model_dump() == {"depth": 3}
    with pytest.raises(ConfigError, match=r"f: drivers\.one\.dept: unknown key, did you mean depth\?"):
        plugins.options_of(driver, {"one": {"dept": 3}}, "f")


def test_unknown_name_lists_what_is_installed(install: Install) -> None:
    """An unknown name is answered with the names there are."""
    install("driver-two", "two", FAKE.format(name="two", protocol=1))
    with pytest.raises(ConfigError, match=r"driver nope: not installed; installed are .*two"):
        plugins.load("nope")


def test_two_providers_are_refused_by_name(install: Install) -> None:
    """One name from two distributions is refused, and both modules are named."""
    install("driver-a", "twin", FAKE.format(name="twin", protocol=1))
    install("driver-b", "twin", FAKE.format(name="twin", protocol=1))
    with pytest.raises(ConfigError, match=r"driver twin: provided by driver_a\S* and driver_b\S*: uninstall"):
        plugins.load("twin")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(FAKE.format(name="bad", protocol=99), "speaks driver protocol 99", id="protocol"),
        pytest.param(FAKE.format(name="other", protocol=1), "its class calls itself 'other'", id="name"),
        pytest.param("class Mine: pass", "is no subclass of twinway.driver.Driver", id="class"),
        pytest.param("import no_such", "cannot be imported: ModuleNotFoundError", id="import"),
        pytest.param("Nothing = 1", "cannot be imported: AttributeError", id="attribute"),
    ],
)
def test_unusable_driver_is_refused_by_name(install: Install, source: str, expected: str) -> None:
    """A driver that does not keep the protocol is refused with its name and the reason."""
    install("driver-bad", "bad", source)
    with pytest.raises(ConfigError, match="driver bad: ") as raised:
        plugins.load("bad")
    assert expected in str(raised.value)


def test_listing_survives_a_broken_driver(install: Install) -> None:
    """The listing of installed drivers holds good and broken ones, each with its fault."""
    install("driver-good", "good", FAKE.format(name="good", protocol=1))
    install("driver-broken", "broken", "import no_such_module")
    found = {entry.name: entry for entry in plugins.installed()}
    assert found["good"].driver is not None
    assert found["broken"].driver is None
    assert "no_such_module" in found["broken"].fault
