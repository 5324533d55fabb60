"""Drivers, found by entry point alone: nothing here knows one by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stevedore import DriverManager, ExtensionManager, NamedExtensionManager
from stevedore.exception import MultipleMatches, NoMatches
from stevedore.extension import error_on_conflict

from twinway.config import NodeConfig, checked, faults, read
from twinway.config_faults import nearest
from twinway.driver import ENTRY_POINTS, PROTOCOL_VERSION, Driver, DriverOptions
from twinway.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Installed:
    """A driver that is installed: its class, or in one line why it cannot be used."""

    name: str
    driver: type[Driver] | None
    fault: str = ""


def names() -> tuple[str, ...]:
    """Names of the installed drivers, sorted; none of them is imported for it."""
    listing: NamedExtensionManager[Any] = NamedExtensionManager(ENTRY_POINTS, names=[])
    return tuple(sorted(set(listing.entry_points_names())))


def load(name: str) -> type[Driver]:
    """The class of one installed driver; raises `ConfigError`. No other driver is imported."""
    try:
        manager: DriverManager[Any] = DriverManager(
            ENTRY_POINTS, name, on_load_failure_callback=_refuse, conflict_resolver=error_on_conflict
        )
    except NoMatches as error:
        known = ", ".join(names()) or "none: install twinway-tc or twinway-sockops"
        raise ConfigError(f"driver {name}: not installed; installed are {known}") from error
    except MultipleMatches as error:
        raise ConfigError(f"driver {name}: provided by {_providers(name)}: uninstall all but one") from error
    return _usable(name, manager.extensions[0].plugin)


def installed() -> tuple[Installed, ...]:
    """Every installed driver, sorted by name; one that cannot be used says why."""
    return tuple(_attempt(name) for name in names())


def options_of(driver: type[Driver], sections: Mapping[str, Mapping[str, Any]], origin: str) -> DriverOptions:
    """The driver's own section of the node config, checked by the driver's own model."""
    return checked(driver.Options, sections.get(driver.name, {}), origin, prefix=f"drivers.{driver.name}.")


def read_config(path: Path, *, may_miss: bool = False) -> NodeConfig:
    """
    The config in `path`, drivers' sections checked, too; raises `ConfigError`, one line for each fault.

    With `may_miss` a node that has no file yet has the defaults.
    """
    return NodeConfig() if may_miss and not path.exists() else read(path, section_faults)


def section_faults(document: Mapping[str, Any], origin: str) -> list[str]:
    """Faults of each `driver` and of the sections below `drivers`, whose keys the drivers check."""
    lines = _section_faults(document, origin, "")
    entries = document.get("nodes")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, Mapping):
            lines += _section_faults(entry, origin, f"nodes.{number}.")
    return lines


def _section_faults(document: Mapping[str, Any], origin: str, prefix: str) -> list[str]:
    known, lines = names(), []
    driver, sections = document.get("driver"), document.get("drivers")
    if isinstance(driver, str) and driver not in known:
        wanted = f"no such driver is installed, {nearest(driver, list(known))}"
        lines.append(f"{origin}: {prefix}driver: {driver!r}: {wanted}")
    if not isinstance(sections, Mapping):
        return lines
    for name, values in sections.items():
        place = f"{prefix}drivers.{name}"
        if name not in known:
            lines.append(f"{origin}: {place}: no such driver is installed, {nearest(str(name), list(known))}")
        elif isinstance(values, Mapping):
            lines += faults(load(name).Options, values, origin, f"{place}.")
    return lines


def _attempt(name: str) -> Installed:
    try:
        return Installed(name, load(name))
    except ConfigError as error:
        return Installed(name, None, str(error))


def _refuse(_manager: ExtensionManager[Any], entry: EntryPoint, error: BaseException) -> None:
    raise ConfigError(
        f"driver {entry.name}: {entry.value} cannot be imported: {type(error).__name__}: {error}"
    ) from error


def _usable(name: str, plugin: Any) -> type[Driver]:
    if not (isinstance(plugin, type) and issubclass(plugin, Driver)):
        raise ConfigError(f"driver {name}: {plugin!r} is no subclass of twinway.driver.Driver: ask its author")
    if plugin.PROTOCOL != PROTOCOL_VERSION:
        raise ConfigError(
            f"driver {name}: speaks driver protocol {plugin.PROTOCOL}, this twinway speaks {PROTOCOL_VERSION}: "
            "install releases of the two that belong together"
        )
    if getattr(plugin, "name", None) != name:
        raise ConfigError(
            f"driver {name}: its class calls itself {getattr(plugin, 'name', None)!r}: ask its author"
        )
    return plugin


def _providers(name: str) -> str:
    listing: NamedExtensionManager[Any] = NamedExtensionManager(ENTRY_POINTS, names=[])
    return " and ".join(sorted(entry.value for entry in listing.list_entry_points() if entry.name == name))
