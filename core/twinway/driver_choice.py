"""
The driver in charge of the node: chosen by the config and the labels of the Node, and changed under traffic.

A change of driver is what a restart of the agent with another config would be, without the restart:
the old driver lets go and leaves the kernel as it is, the new one starts, adopts the tables that both
share, and is given the whole state. The old one then serves what is under way (`Predecessors`).
"""

from __future__ import annotations

import logging

from twinway.config import NodeConfig
from twinway.driver import Change, Driver, DriverOptions, Health, Inspection, Report, Requirement
from twinway.errors import ConfigError, DriverError, TwinwayError
from twinway.node_context import build_driver, context_of
from twinway.predecessors import Predecessors

logger = logging.getLogger(__name__)

TRACES = "drivers"
"""The folder of a run_dir that has a file for each driver that may have left something in the kernel."""
UNDECIDED = "the driver is chosen by labels of the Node object, which has not been read yet"


class Undecided(Driver):
    """In charge until the labels of the node are known. It leaves the kernel as it is."""

    name = ""

    def requirements(self) -> tuple[Requirement, ...]:
        """None."""
        return ()

    def start(self) -> None:
        """Nothing starts."""

    def apply(self, change: Change) -> Report:
        """Nothing can be put in force."""
        raise DriverError(f"version {change.state.version}: {UNDECIDED}")

    def dump(self) -> Inspection:
        """Nothing is read."""
        return Inspection()

    def health(self) -> Health:
        """Not well, and why."""
        return Health(ok=False, detail=UNDECIDED)

    def stop(self, *, keep_traffic: bool) -> None:
        """Nothing is to be let go."""


class DriverChoice:
    """The driver in charge, and the config by which it is. Used from the loop's thread."""

    def __init__(self, config: NodeConfig, origin: str) -> None:
        """Choose by `config`, whose file `origin` names in errors; raises `ConfigError`."""
        self._origin = origin
        self.config = config if config.asks_for_labels else config.here({})
        """The config with what is different on this node."""
        self.context = context_of(self.config)
        self.decided = not config.asks_for_labels
        """Whether a driver has been chosen."""
        self.driver = self.build(self.config.driver) if self.decided else Undecided(self.context, DriverOptions())
        self.predecessors = Predecessors(config.run_dir / TRACES, self.driver.name, self.build)
        """The drivers that were replaced and have not left yet."""

    def build(self, name: str) -> Driver:
        """The installed driver of that name by the config as it is now, not started."""
        return build_driver(name, config=self.config, context=self.context, origin=self._origin)

    def start(self) -> None:
        """Start the driver; raises `TwinwayError`."""
        if self.decided:
            self.predecessors.mark()
        self.driver.start()

    def stop(self) -> None:
        """Let go; traffic goes on."""
        self.driver.stop(keep_traffic=True)

    def change(self, config: NodeConfig) -> bool:
        """
        Serve by `config`, this node's own; whether another driver, or one with other options, is in charge.

        Raises `ConfigError` if its driver cannot serve this node. Then the one before has been started again.
        """
        before = self.config, self.context, self.decided
        if self.decided and _served_by(config) == _served_by(self.config):
            self.config = config
            return False
        self.config, self.context = config, context_of(config)
        try:
            fresh = self.build(config.driver)
            _refuse_lacking(fresh)
        except TwinwayError as error:
            self.config, self.context, _ = before
            raise self._refused(config.driver, error) from error
        former = self.driver
        former.stop(keep_traffic=True)
        self.predecessors.succeed(config.driver)
        try:
            fresh.start()
        except (TwinwayError, OSError) as error:
            fresh.stop(keep_traffic=True)
            self.config, self.context, self.decided = before
            self._again(former)
            raise self._refused(config.driver, error) from error
        self.driver, self.decided = fresh, True
        logger.info("driver changed from=%s to=%s", former.name or "none", fresh.name)
        return True

    def _again(self, former: Driver) -> None:
        if self.decided:
            self.predecessors.succeed(former.name)
            former = self.build(former.name)
            former.start()
        self.driver = former

    def _refused(self, name: str, error: Exception) -> ConfigError:
        stays = f"{self.driver.name} stays" if self.decided else "none is in charge"
        return ConfigError(f"{self._origin}: driver {name} cannot serve this node, {stays}: {error}")


def _served_by(config: NodeConfig) -> tuple[object, ...]:
    return config.driver, config.uplinks, config.drivers.get(config.driver, {})


def _refuse_lacking(driver: Driver) -> None:
    for need in driver.requirements():
        if need.required and not need.present:
            raise ConfigError(f"{need.feature} is missing: {need.without}")
