"""
The config that is in force while the agent runs: the newest file without a fault, and the labels of this node.

A config that cannot be put in force changes nothing: the one before stays whole, and the status says
why and since when. Some keys are read at the agent's start alone (`AT_START`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel

from twinway.config import NodeConfig
from twinway.config_file import SETTLED_SECONDS, ConfigFile, reasons
from twinway.driver_choice import DriverChoice
from twinway.errors import ConfigError
from twinway.model.cluster import Cluster
from twinway.model.net import ObjectRef
from twinway.status import Board

logger = logging.getLogger(__name__)

AT_START = ("node_name", "source", "cgroup_root", "bpffs", "run_dir", "cache_dir", "metrics", "cni.conf_dir")
"""Keys of which a change takes effect at the next start of the agent."""


Model = TypeVar("Model", bound=BaseModel)


class Took(Protocol):
    """What is called when another config is in force."""

    def __call__(self, config: NodeConfig, *, changed: bool) -> None:
        """`changed`: another driver is in charge, or one with other options."""


class ConfigFollower:
    """Follows the file and the Node. Used from the loop's thread alone."""

    def __init__(
        self,
        file: ConfigFile,
        config: NodeConfig,
        choice: DriverChoice,
        board: Board,
        took: Took,
    ) -> None:
        """`config` is in force; `took` is called when another is."""
        self._file = file
        self._start = config
        self._choice = choice
        self._board = board
        self._took = took
        self._wanted = config
        self._labels: Mapping[str, str] | None = None
        self._tried: tuple[NodeConfig, Mapping[str, str]] | None = None
        self._asked = False

    def ask(self) -> None:
        """Read the file at the next `follow`. Safe in a signal handler."""
        self._asked = True

    def follow(self, cluster: Cluster | None) -> float:
        """Put in force what has changed; how many seconds later to be called again at the latest."""
        self._labels = self._labels_of(cluster)
        asked, self._asked = self._asked, False
        try:
            if (fresh := self._file.look(at_once=asked)) is not None:
                logger.info("the config's file has been read again")
                self._want(fresh)
            self._pursue()
        except ConfigError as error:
            reason = reasons(error)
            self._board.update(config_error=reason, config_since=0.0)
            logger.warning("the config cannot be used, the one before stays in force error=%r", reason)
        return SETTLED_SECONDS if self._file.unsettled else math.inf

    def _want(self, fresh: NodeConfig) -> None:
        kept = _with(fresh, self._start, AT_START)
        pending = tuple(key for key in AT_START if attrgetter(key)(fresh) != attrgetter(key)(self._start))
        if pending and pending != self._board.status.config_pending:
            logger.warning("keys of the config take effect at the next start of the agent keys=%s", list(pending))
        self._board.update(config_pending=pending)
        self._wanted = kept
        self._tried = None

    def _pursue(self) -> None:
        if self._labels is None and self._wanted.asks_for_labels:
            return
        labels = self._labels or {}
        if self._tried == (self._wanted, labels):
            return
        self._tried = (self._wanted, labels)
        here = self._wanted.here(labels)
        if self._choice.decided and here == self._choice.config and not self._board.status.config_error:
            return
        changed = self._choice.change(here)
        in_force = {"complete": False} if changed else {}  # not by this driver yet
        self._board.update(driver=self._choice.driver.name, config_error=None, **in_force)
        self._took(here, changed=changed)
        logger.info("config in force driver=%s", here.driver)

    def _labels_of(self, cluster: Cluster | None) -> Mapping[str, str] | None:
        # A Node that is gone keeps the labels that it had: that it goes is no wish for another driver.
        if cluster is None:
            return self._labels
        node = cluster.nodes.get(ObjectRef("Node", "", self._start.node_name))
        if node is not None:
            return node.labels
        if self._labels is None and cluster.complete:
            if self._wanted.asks_for_labels:
                logger.warning(
                    "there is no Node object of this name: entries of `nodes` by labels do not match node=%s",
                    self._start.node_name,
                )
            return {}
        return self._labels


def _with(config: Model, other: Model, keys: Iterable[str]) -> Model:
    """The config with these keys as the other one has them; a dot leads into a section."""
    changes: dict[str, Any] = {}
    for key in keys:
        section, _, rest = key.partition(".")
        value = getattr(other, section)
        changes[section] = _with(getattr(config, section), value, [rest]) if rest else value
    return config.model_copy(update=changes)
