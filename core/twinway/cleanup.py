"""
Taking twinway away from a node: hooks and pins of every driver, installed or not.

Pods go on without Services and without policy. What CNI reported of them stays, so that an agent that is
started again serves them again.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from twinway import plugins
from twinway.config import NodeConfig
from twinway.errors import TwinwayError
from twinway.locks import only_one_in, only_one_on
from twinway.node_context import build_driver, context_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a cleanup came to."""

    drivers: tuple[str, ...]
    pins: int
    """Pins that no driver had removed itself: tables, and what a driver that is gone left."""
    faults: tuple[str, ...]
    """One line for each thing that could not be removed."""


def attached(config: NodeConfig) -> int:
    """How many interfaces of pods are attached here."""
    return sum(1 for _ in (config.run_dir / "attachments").glob("*.json"))


def clean(config: NodeConfig, origin: str) -> Cleaned:
    """Remove all; raises `ConfigError`, with nothing removed, where an agent runs."""
    context = context_of(config)
    done, faults = [], []
    with ExitStack() as stack:
        if config.run_dir.is_dir():
            stack.enter_context(only_one_in(config.run_dir))
        context.bpffs.mkdir(parents=True, exist_ok=True, mode=0o700)
        stack.enter_context(only_one_on(context.bpffs))
        for name in plugins.names():
            try:
                driver = build_driver(name, config=config, context=context, origin=origin)
                driver.stop(keep_traffic=False)
            except (TwinwayError, OSError) as error:
                faults.append(f"driver {name}: {error}")
            else:
                done.append(name)
        pins = _remove_pins(context.bpffs, faults)
        _forget_run(config.run_dir)
    return Cleaned(tuple(done), pins, tuple(faults))


# Unlike other files, a pin can be removed and nothing else: reading a tree of them is listing it.
def _remove_pins(folder: Path, faults: list[str]) -> int:
    count = 0
    for entry in sorted(folder.iterdir()):
        try:
            if entry.is_dir() and not entry.is_symlink():
                count += _remove_pins(entry, faults)
            else:
                entry.unlink()
                count += 1
        except OSError as error:
            faults.append(f"{entry}: {error.strerror}")
    try:
        folder.rmdir()
    except OSError as error:
        faults.append(f"{folder}: {error.strerror}")
    return count


def _forget_run(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "drivers", ignore_errors=True)
    for name in ("agent.sock", "cni.sock", "agent.lock"):
        (run_dir / name).unlink(missing_ok=True)
