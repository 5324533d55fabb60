"""The plugin and its place in the chain of a node: installed, removed, looked at."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from twinway.cni.chain import OURS, PLUGIN, chained, config_files
from twinway.cni.conf_dir import ConfDir, Place
from twinway.errors import ConfigError, TwinwayError
from twinway.files import remedy, write_whole
from twinway_cni.plugin import plugin_path


@dataclass(frozen=True, slots=True)
class Node:
    """The folders of a node that a container runtime reads."""

    bin_dir: Path
    conf_dir: Path

    @property
    def program(self) -> Path:
        """Where the runtime finds our plugin."""
        return self.bin_dir / PLUGIN


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node has of twinway. `fault`: why pods are added without twinway; empty where they are not."""

    uses: Path | None
    """The file that the runtime uses: the first by name."""
    behind: Path | None
    plugin: str
    """`installed`, `another version` or `missing`."""
    fault: str


def install(node: Node) -> Place:
    """Put the plugin in its folder, then twinway in the chain; again, it changes nothing. Raises `ConfigError`."""
    try:
        _place(plugin_path(), node.program)
    except OSError as error:
        raise ConfigError(f"{error.filename or node.program}: {error.strerror}: {remedy(error)}") from error
    return ConfDir(node.conf_dir).put()


def uninstall(node: Node, *, keep_plugin: bool) -> tuple[Path, ...]:
    """
    Take twinway out of the chain, then remove the plugin; the files that were there.

    With `keep_plugin` a runtime can still call the plugin for pods that were added with it. Raises `ConfigError`.
    """
    removed = []
    try:
        if ConfDir(node.conf_dir).remove():
            removed.append(node.conf_dir / OURS)
        for leaving in node.bin_dir.glob(f".{PLUGIN}.*"):
            leaving.unlink(missing_ok=True)
        if not keep_plugin and node.program.exists():
            node.program.unlink()
            removed.append(node.program)
    except OSError as error:
        raise ConfigError(f"{error.filename}: {error.strerror}: {remedy(error)}") from error
    return tuple(removed)


def standing(node: Node) -> Standing:
    """How the node stands; nothing is changed."""
    plugin = _plugin_state(node.program)
    try:
        files = config_files(node.conf_dir)
        wanted = chained(files)
    except (TwinwayError, OSError) as error:
        return Standing(None, None, plugin, str(error))
    uses = files[0] if files else None
    if wanted is None or uses is None:
        return Standing(uses, None, plugin, f"{node.conf_dir}: no other network config: install one")
    return Standing(uses, wanted.behind, plugin, _fault(uses, wanted.text, plugin))


def _fault(uses: Path, text: str, plugin: str) -> str:
    remedy = "run twinway cni install"
    if plugin == "missing":
        return f"the plugin is missing: {remedy}"
    if not text:
        return ""
    if uses.name != OURS:
        return f"the runtime uses {uses}, without twinway: {remedy}"
    if uses.read_text(encoding="utf-8", errors="replace") != text:
        return f"{uses} is no longer what the file behind it asks for: {remedy}"
    return ""


def _plugin_state(program: Path) -> str:
    try:
        return "installed" if program.read_bytes() == plugin_path().read_bytes() else "another version"
    except FileNotFoundError:
        return "missing"


# By a rename: a runtime runs the old program or the new one.
def _place(source: Path, target: Path) -> None:
    content = source.read_bytes()
    with suppress(FileNotFoundError):
        if target.read_bytes() == content:
            return
    write_whole(target, content, mode=0o755, sync=True)
