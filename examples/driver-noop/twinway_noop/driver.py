"""
The smallest driver: it accepts every state and leaves the kernel alone.

Pods reach one another, as they did before it came; Services and policies are words on paper.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from twinway.driver import (
    Change,
    Driver,
    DriverOptions,
    Health,
    Inspection,
    Report,
    Requirement,
)


class NoopOptions(DriverOptions):
    """The section `drivers: {noop: {…}}` of the node's config."""

    motto: str = Field(default="nothing to see here", max_length=80)
    """What the driver answers when it is asked how it does."""


class NoopDriver(Driver):
    """A datapath that is not there."""

    name: ClassVar[str] = "noop"
    Options: ClassVar[type[DriverOptions]] = NoopOptions

    def requirements(self) -> tuple[Requirement, ...]:
        """Nothing is needed."""
        return ()

    def start(self) -> None:
        """Nothing is loaded."""

    def apply(self, change: Change) -> Report:
        """Nothing is written, whatever the state."""
        return Report()

    def dump(self) -> Inspection:
        """Nothing is there to be read back."""
        return Inspection()

    def health(self) -> Health:
        """An honest answer: no traffic goes through hooks that do not exist."""
        assert isinstance(self.options, NoopOptions)
        return Health(ok=False, detail=self.options.motto)

    def stop(self, *, keep_traffic: bool) -> None:
        """Nothing is left behind, with or without `keep_traffic`."""
