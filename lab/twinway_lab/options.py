"""The node config as a lab takes it: with the key of the lab's own, which no agent reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from twinway import config, plugins


class LabConfig(config.NodeConfig):
    """A node config, and how the lab wires its pods: agents find devices by themselves."""

    pod_device: Literal["veth", "macvlan", "ipvlan"] = Field(default="veth", description="how pods are wired")

    def for_agents(self) -> dict[str, Any]:
        """The keys that were given for the nodes' agents, as plain values."""
        return self.model_dump(mode="json", exclude_unset=True, exclude={"pod_device"})


def read(path: Path | None) -> LabConfig:
    """The config in `path`; raises `ConfigError` for keys that neither the lab nor an agent takes."""
    if path is None:
        return LabConfig()
    found = config.checked(LabConfig, config.document(path), str(path))
    for name in found.drivers:
        plugins.options_of(plugins.load(name), found.drivers, str(path))
    return found
