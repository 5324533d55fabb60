"""
The agent: one process a node. Everything is tied together here and nowhere else.

    source ─▶ feed ─▶ loop ─▶ driver          CNI plugin ─▶ cni.sock ─▶ attachments ─▶ feed
                       └─▶ board ─▶ agent.sock, metrics

The loop runs in the main thread, where signals arrive. SIGTERM ends the process and leaves the
kernel as it is: traffic goes on, and the next agent adopts it.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from twinway import config as config_of
from twinway.attachments import Attachments
from twinway.bell import Bell
from twinway.config import NodeConfig
from twinway.errors import ConfigError
from twinway.feed import NodeFeed
from twinway.files import remedy
from twinway.locks import only_one_in, only_one_on
from twinway.model.net import NodeName
from twinway.node_context import build_driver, context_of
from twinway.predecessors import Predecessors
from twinway.reconcile import Inputs, Pacing, Reconciler
from twinway.rundir import RunDir
from twinway.status import Board, Status

if TYPE_CHECKING:
    from types import FrameType

    from twinway.model.node import NodeState
    from twinway.sources.base import Source

logger = logging.getLogger(__name__)

DESCRIPTORS = 512
"""Files that the agent may have open at worst: half of them are its clients', half tables and hooks."""
HANG_UP = "manifests are followed anyway, and a changed node config takes a restart"


def run(config: NodeConfig, origin: str, source: Source | None = None) -> None:
    """
    Serve until SIGTERM or SIGINT. `origin` names the config in errors.

    `source` replaces the one that the config names.
    """
    with ExitStack() as stack:
        _have_descriptors()
        _make_folder("run_dir", config.run_dir)
        stack.enter_context(only_one_in(config.run_dir))
        agent = _Agent(config, origin, source or _source(config), stack)
        agent.serve()
    logger.info("stopped, traffic goes on node=%s driver=%s", config.node_name, config.driver)


class _Agent:
    def __init__(self, config: NodeConfig, origin: str, source: Source, stack: ExitStack) -> None:
        self._config = config
        self._stack = stack
        self._bell = Bell()
        context = context_of(config)
        build = partial(build_driver, config=config, context=context, origin=origin)
        self._driver = build(config.driver)
        _make_folder("bpffs", context.bpffs, "mount one: mount -t bpf bpf /sys/fs/bpf")
        stack.enter_context(only_one_on(context.bpffs))
        _make_folder("cache_dir", context.cache)
        self._hung_up = False
        self._run_dir = RunDir()
        self._predecessors = Predecessors(config.run_dir / "drivers", config.driver, build)
        self._attachments = Attachments(config.run_dir / "attachments", self._bell.ring)
        deleted = config.run_dir / "deleted"
        _make_folder("run_dir", deleted)
        self._feed = NodeFeed(source, self._attachments, self._bell, deleted, self._look_after)
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
        signal.signal(signal.SIGHUP, self._hang_up)
        self._keep_folders()
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
        from twinway.cni.conf_dir import ConfDirFollower
        from twinway.cni.server import CniServer
        from twinway.cni.verbs import Verbs

        loop = self._loop
        api = Api(
            self._board,
            dump=lambda: loop.ask(lambda driver: driver.dump()),
            usage=lambda: loop.ask(lambda driver: driver.usage()),
        )
        path = self._config.run_dir / "agent.sock"
        server = ApiServer.on_path(path, api.all)
        self._stack.callback(server.close)
        self._stack.callback(path.unlink, missing_ok=True)
        self._run_dir.keep(path, lambda: server.remake(path))
        if address := self._config.metrics.address:
            self._stack.callback(ApiServer.on_port(address, api.public).close)
        verbs = Verbs(self._attachments, self._board, wait_seconds=self._config.cni.wait_seconds)
        cni = CniServer(self._config.run_dir / "cni.sock", verbs)
        self._stack.callback(cni.close)
        self._run_dir.keep(self._config.run_dir / "cni.sock", cni.remake)
        cni.start()
        if folder := self._config.cni.conf_dir:
            follower = ConfDirFollower(folder)
            self._stack.callback(follower.close)
            follower.start()

    def _keep_folders(self) -> None:
        folder = self._config.run_dir
        self._run_dir.keep(folder / "attachments", self._attachments.write_again)
        self._run_dir.keep(folder / "deleted", lambda: _make_folder("run_dir", folder / "deleted"))
        self._run_dir.keep(folder / "drivers" / self._config.driver, self._predecessors.mark)

    def _look_after(self) -> str | None:
        if self._hung_up:
            self._hung_up = False
            logger.info("SIGHUP changes nothing hint=%r", HANG_UP)
        return self._run_dir.look()

    # In a signal handler: the loop says so.
    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._hung_up = True
        self._bell.ring()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._bell.close()


def _have_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        raise ConfigError(
            f"open files: the limit is {hard}, and the agent needs {DESCRIPTORS}: raise it "
            "(ulimit -n, LimitNOFILE= of the unit)"
        )
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS if hard < 0 else min(hard, 4096), hard))


def _make_folder(key: str, folder: Path, hint: str = "") -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{key}: {folder}: {error.strerror}: {hint or remedy(error)}") from error


def _source(config: NodeConfig) -> Source:
    match config.source:
        case config_of.KubernetesSource(kubeconfig=kubeconfig, context=context):
            from twinway.sources.kubernetes.source import KubernetesSource
            from twinway.sources.kubernetes.transport import connect

            return KubernetesSource(partial(connect, kubeconfig, context), config.node_name)
        case config_of.ManifestsSource(paths=paths, hold_seconds=hold_seconds):
            from twinway.sources.manifests.source import ManifestSource

            return ManifestSource(paths, hold_seconds)


def _compute(config: NodeConfig) -> Callable[[Inputs], NodeState]:
    from twinway.compute.desired import Memo

    memo = Memo()
    node = NodeName(config.node_name)
    return lambda inputs: memo.desired(inputs.cluster, node, {pod.pod: pod for pod in inputs.attachments})
