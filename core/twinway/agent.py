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
from twinway import log
from twinway.attachments import Attachments
from twinway.bell import Bell
from twinway.cni.verbs import Verbs
from twinway.config import NodeConfig
from twinway.config_file import ConfigFile
from twinway.config_follower import ConfigFollower
from twinway.driver_choice import DriverChoice
from twinway.errors import ConfigError
from twinway.feed import NodeFeed
from twinway.files import remedy
from twinway.locks import only_one_in, only_one_on
from twinway.model.net import NodeName
from twinway.plugins import read_config
from twinway.reconcile import Inputs, Pacing, Reconciler
from twinway.rundir import RunDir
from twinway.sources.base import Reporting
from twinway.status import Board, Status

if TYPE_CHECKING:
    from types import FrameType

    from twinway.model.node import NodeState
    from twinway.sources.base import Source

logger = logging.getLogger(__name__)

DESCRIPTORS = 512
"""Files that the agent may have open at worst: half of them are its clients', half tables and hooks."""


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
    logger.info("stopped, traffic goes on node=%s driver=%s", config.node_name, agent.driver)


class _Agent:
    def __init__(self, config: NodeConfig, origin: str, source: Source, stack: ExitStack) -> None:
        self._config = config
        self._reporting = source if isinstance(source, Reporting) else None
        self._stack = stack
        self._bell = Bell()
        file = ConfigFile(Path(origin), read_config)
        self._choice = DriverChoice(config, origin)
        context = self._choice.context
        _make_folder("bpffs", context.bpffs, "mount one: mount -t bpf bpf /sys/fs/bpf")
        stack.enter_context(only_one_on(context.bpffs))
        _make_folder("cache_dir", context.cache)
        self._run_dir = RunDir()
        driver = self._choice.driver.name
        self._trace = self._choice.predecessors.trace
        self._attachments = Attachments(config.run_dir / "attachments", self._bell.ring)
        deleted = config.run_dir / "deleted"
        _make_folder("run_dir", deleted)
        self._feed = NodeFeed(source, self._attachments, self._bell, deleted, self._run_dir.look)
        self._board = Board(Status(node=config.node_name, driver=driver, pid=os.getpid()))
        self._follower = ConfigFollower(file, config, self._choice, self._board, self._take)
        self._verbs = Verbs(self._attachments, self._board, wait_seconds=config.cni.wait_seconds)
        self._loop = Reconciler(
            self._choice.driver,
            self._board,
            self._feed,
            compute=_compute(config),
            retire=self._choice.predecessors.advance,
            pacing=Pacing(resync=config.resync_seconds),
        )

    @property
    def driver(self) -> str:
        """Name of the driver in charge."""
        return self._choice.driver.name

    def serve(self) -> None:
        """Open the sockets first: whoever asks during a start waits instead of failing."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, self._hang_up)
        self._keep_folders()
        self._listen()
        self._stack.callback(self._choice.stop)
        self._choice.start()
        self._feed.start()
        self._stack.callback(self._feed.stop)
        logger.info("started node=%s driver=%s pid=%d", self._config.node_name, self.driver, os.getpid())
        self._loop.run(self._prepare)

    def _prepare(self) -> float:
        status = self._board.status
        if self._reporting is not None and status.state is not None:
            self._reporting.in_force(status.state.rejected, ready=status.complete and status.health.ok)
        return self._follower.follow(self._feed.cluster())

    def _take(self, config: NodeConfig, *, changed: bool) -> None:
        log.set_up(config.log)
        self._loop.pace(config.resync_seconds)
        self._verbs.wait_seconds = config.cni.wait_seconds
        if changed:
            self._keep_trace()
            self._loop.take(self._choice.driver)

    def _listen(self) -> None:
        from twinway.api import Api, ApiServer
        from twinway.cni.conf_dir import ConfDirFollower
        from twinway.cni.server import CniServer

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
        cni = CniServer(self._config.run_dir / "cni.sock", self._verbs)
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
        self._keep_trace()

    def _keep_trace(self) -> None:
        self._run_dir.forget(self._trace)
        self._trace = self._choice.predecessors.trace
        self._run_dir.keep(self._trace, self._choice.predecessors.mark)

    # In a signal handler: the loop reads the file.
    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        self._follower.ask()
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
        case config_of.KubernetesSource() as named:
            from twinway.sources.kubernetes.source import KubernetesSource
            from twinway.sources.kubernetes.transport import connect

            return KubernetesSource(
                partial(connect, named.kubeconfig, named.context),
                config.node_name,
                events=named.events,
                startup_taint=named.startup_taint,
            )
        case config_of.ManifestsSource(paths=paths, hold_seconds=hold_seconds):
            from twinway.sources.manifests.source import ManifestSource

            return ManifestSource(paths, hold_seconds)


def _compute(config: NodeConfig) -> Callable[[Inputs], NodeState]:
    from twinway.compute.desired import Memo

    memo = Memo()
    node = NodeName(config.node_name)
    return lambda inputs: memo.desired(inputs.cluster, node, {pod.pod: pod for pod in inputs.attachments})
