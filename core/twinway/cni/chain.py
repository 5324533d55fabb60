"""
The node's network config with twinway at the end of its chain.

A runtime uses the first file of its folder, by name. Ours is a copy of the first other one with one more plugin,
under a name that comes before it. The other file stays untouched, whoever writes it.
Source: CNI specification 1.1.0, section 1; libcni's ConfFiles and ConfListFromConf.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinway.cni.request import VERSIONS
from twinway.errors import ConfigError

OURS = "00-twinway.conflist"
"""The name of our file: it comes before those of network plugins, which begin with larger numbers or letters."""
PLUGIN = "twinway"
"""The type of our plugin, and the name of its program."""

_SUFFIXES = {".conf", ".conflist", ".json"}
_DISPATCHERS = {"multus", "multus-shim", "genie"}
"""Plugins that call the chains of other files, and are no place for one more link."""


@dataclass(frozen=True, slots=True)
class Chained:
    """What our file should hold. An empty text: nothing, because the chain of `behind` has our plugin already."""

    behind: Path
    text: str


def config_files(folder: Path) -> list[Path]:
    """The files that a runtime reads in `folder`, in its order. Raises OSError where the folder cannot be read."""
    return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())


def chained(files: Iterable[Path]) -> Chained | None:
    """
    Our file's content, made from the first of `files` that is not ours; None if there is none.

    Raises `ConfigError` where twinway cannot stand behind that one.
    """
    behind = next((path for path in files if path.name != OURS), None)
    if behind is None:
        return None
    if behind.name < OURS:
        raise ConfigError(f"{behind}: comes before {OURS}, and runtimes take the first: rename it")
    config = _as_list(_decoded(behind), behind)
    plugins = config["plugins"]
    if any(plugin["type"] == PLUGIN for plugin in plugins):
        return Chained(behind, "")
    _refuse_unfit(config, behind)
    longer = {**config, "plugins": [*plugins, {"type": PLUGIN}]}
    return Chained(behind, json.dumps(longer, indent=2) + "\n")


def _decoded(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: no JSON: {error}: mend or remove it") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: no JSON object: mend or remove it")
    return found


def _as_list(config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if path.suffix != ".conflist":
        heads = {key: config[key] for key in ("cniVersion", "name") if key in config}
        config = {**heads, "plugins": [config]}
    plugins = config.get("plugins")
    if not isinstance(plugins, list) or not plugins:
        raise ConfigError(f"{path}: plugins: is no list with a plugin: mend or remove it")
    if not all(isinstance(plugin, dict) and isinstance(plugin.get("type"), str) for plugin in plugins):
        raise ConfigError(f"{path}: plugins: one has no type: mend or remove it")
    return dict(config)


def _refuse_unfit(config: Mapping[str, Any], path: Path) -> None:
    version = config.get("cniVersion")
    if version not in VERSIONS:
        raise ConfigError(f"{path}: cniVersion: {version!r} has no chains: use one of {', '.join(VERSIONS)}")
    if not isinstance(config.get("name"), str) or not config["name"]:
        raise ConfigError(f"{path}: name: is missing: mend or remove it")
    first = config["plugins"][0]["type"]
    if first in _DISPATCHERS:
        raise ConfigError(
            f"{path}: {first} calls the chains of other files: let it call {OURS}, under a name that comes after"
        )
