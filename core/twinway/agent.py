"""
The agent: one process a node. Everything is tied together here and nowhere else.

    source ─▶ feed ─▶ loop ─▶ driver          CNI plugin ─▶ cni.sock ─▶ attachments ─▶ feed
                       └─▶ board ─▶ agent.sock, metrics

The loop runs in the main thread, where signals arrive. SIGTERM ends the process and leaves the
kernel as it is: traffic goes on, and the next agent adopts it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twinway.attachments import Attachments
from twinway.bell import Bell
from twinway.config import NodeConfig
from twinway.errors import ConfigError
from twinway.feed import NodeFeed
from twinway.model.net import NodeName
from twinway.node_context import build_driver, context_of
from twinway.predecessors import Predecessors
from twinway.reconcile import Inputs, Pacing, Reconciler
from twinway.status import Board, Status

if TYPE_CHECKING:
    from types import FrameType

    from twinway.model.node import NodeState
    from twinway.sources.base import Source

logger = logging.getLogger(__name__)

WRITABLE = "make it writable or choose another"


def run(config: NodeConfig, origin: str) -> None:
    """Serve until SIGTERM or SIGINT. `origin` names the config in errors."""
    with ExitStack() as stack:
        _make_folder("run_dir", config.run_dir)
        stack.enter_context(_only_one(config.run_dir))
        agent = _Agent(config, origin, stack)
        agent.serve()
    logger.info("stopped, traffic goes on node=%s driver=%s", config.node_name, config.driver)


class _Agent:
    def __init__(self, config: NodeConfig, origin: str, stack: ExitStack) -> None:
        self._config = config
        self._stack = stack
        self._bell = Bell()
        context = context_of(config)
        build = partial(build_driver, config=config, context=context, origin=origin)
        self._driver = build(config.driver)
        _make_folder("bpffs", context.bpffs, "mount one: mount -t bpf bpf /sys/fs/bpf")
        _make_folder("cache_dir", context.cache)
        self._predecessors = Predecessors(config.run_dir / "drivers", config.driver, build)
        self._attachments = Attachments(config.run_dir / "attachments", self._bell.ring)
        deleted = config.run_dir / "deleted"
        _make_folder("run_dir", deleted)
        self._feed = NodeFeed(_source(config), self._attachments, self._bell, deleted)
        self._board = Board(Status(node=config.node_name, driver=config.driver, pid=os.getpid()))
        self._loop = Reconciler(
            self._driver,
            self._board,
            self._feed,
            compute=_compute(config),
            retire=self._predecessors.advance,
            pacing=Pacing(resync=config.resync_seconds),
        )

    def serve(self) -> None:
        """Open the sockets first: whoever asks during a start waits instead of failing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._listen()
        self._predecessors.mark()
        self._stack.callback(self._driver.stop, keep_traffic=True)
        self._driver.start()
        self._feed.start()
        self._stack.callback(self._feed.stop)
        logger.info("started node=%s driver=%s pid=%d", self._config.node_name, self._driver.name, os.getpid())
        self._loop.run()

    def _listen(self) -> None:
        from twinway.api import Api, ApiServer
        from twinway.cni.server import CniServer
        from twinway.cni.verbs import Verbs

        loop = self._loop
        api = Api(
            self._board,
            dump=lambda: loop.ask(lambda driver: driver.dump()),
            usage=lambda: loop.ask(lambda driver: driver.usage()),
        )
        path = self._config.run_dir / "agent.sock"
        self._stack.callback(ApiServer.on_path(path, api.all).close)
        self._stack.callback(path.unlink, missing_ok=True)
        if address := self._config.metrics.address:
            self._stack.callback(ApiServer.on_port(address, api.public).close)
        verbs = Verbs(self._attachments, self._board, wait_seconds=self._config.cni.wait_seconds)
        cni = CniServer(self._config.run_dir / "cni.sock", verbs)
        self._stack.callback(cni.close)
        cni.start()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._bell.close()


@contextmanager
def _only_one(run_dir: Path) -> Iterator[None]:
    path = run_dir / "agent.lock"
    try:
        lock = path.open("a+", encoding="ascii")
    except OSError as error:
        raise ConfigError(f"run_dir: {path}: {error.strerror}: {WRITABLE}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ConfigError(
                f"run_dir: {run_dir}: another agent runs here (pid {lock.read().strip() or 'unknown'}): "
                "stop it, or give this one a run_dir of its own"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _make_folder(key: str, folder: Path, remedy: str = WRITABLE) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{key}: {folder}: {error.strerror}: {remedy}") from error


def _source(config: NodeConfig) -> Source:
    from twinway.sources.manifests import ManifestSource

    return ManifestSource(config.source.paths)


def _compute(config: NodeConfig) -> Callable[[Inputs], NodeState]:
    from twinway.compute.desired import Memo

    memo = Memo()
    node = NodeName(config.node_name)
    return lambda inputs: memo.desired(inputs.cluster, node, {pod.pod: pod for pod in inputs.attachments})
