"""What a person says of every node's agent, beside what the lab itself does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twinway import config, plugins


def node_options(path: Path | None) -> Mapping[str, Any]:
    """The keys that a node config has; raises `ConfigError` for those that no agent would take."""
    if path is None:
        return {}
    found = config.read(path)
    for name in found.drivers:
        plugins.options_of(plugins.load(name), found.drivers, str(path))
    options: Mapping[str, Any] = found.model_dump(mode="json", exclude_unset=True)
    return options
