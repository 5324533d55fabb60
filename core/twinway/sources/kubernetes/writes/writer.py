"""
The thread that writes to the API server what a node has to write.

Nothing waits for it. A server that refuses or does not answer delays Events and the removal of the
taint, and is logged. Each write is tried again after pauses that grow, an Event a few times.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from threading import Condition

from twinway.errors import SourceError
from twinway.model.net import ObjectRef, Rejected
from twinway.sources.kubernetes.connection import Connection
from twinway.sources.kubernetes.discovery import served_version
from twinway.sources.kubernetes.failures import GarbledError, RefusedError
from twinway.sources.kubernetes.pacing import READING, Pacing
from twinway.sources.kubernetes.resources import ALWAYS, Resource, path_of, pods_on
from twinway.sources.kubernetes.transport import Transport
from twinway.sources.kubernetes.waiting import Stopped
from twinway.sources.kubernetes.writes.events import Due, Planner, Regarding, event_of
from twinway.sources.kubernetes.writes.startup_taint import remove_taint

logger = logging.getLogger(__name__)

REST_SECONDS = 0.5
"""Between two writes."""
MOST_TRIES = 5
EVENTS = "events.k8s.io/v1"


class Writer:
    """Writes Events, and removes the startup taint of the node."""

    def __init__(
        self,
        connection: Connection,
        node: str,
        own: Callable[[ObjectRef], bool],
        *,
        taint: str,
        pacing: Pacing = READING,
    ) -> None:
        """`own` says whether a Pod is one of this node; `taint` is the startup taint's key, empty without one."""
        self._connection = connection
        self._node = node
        self._planner = Planner(node, own, time.monotonic)
        self._taint = taint
        self._pacing = pacing
        self._resources = {each.kind: each for each in (*ALWAYS, pods_on(node))}
        self._condition = Condition()
        self._noted: tuple[tuple[Rejected, ...], tuple[str, ...]] | None = None
        self._ready = self._stopped = False
        self._tries: dict[ObjectRef, int] = {}
        self._taint_failures = 0
        self._reported = ""

    def note(self, rejected: tuple[Rejected, ...], nodes: Iterable[str]) -> None:
        """What is rejected now, and the names of the cluster's nodes."""
        with self._condition:
            self._noted = (rejected, tuple(nodes))
            self._condition.notify()

    def ready(self) -> None:
        """The node serves its pods: the startup taint may go."""
        if self._ready:
            return
        with self._condition:
            self._ready = True
            self._condition.notify()

    def stop(self) -> None:
        """Let `run` return."""
        with self._condition:
            self._stopped = True
            self._condition.notify()

    def run(self) -> None:
        """Write what is due until `stop`."""
        pause = 0.0
        try:
            while self._await_work(pause):
                pause = self._work()
        except Stopped:
            return

    def _await_work(self, pause: float) -> bool:
        """Wait until something is due, at least `pause` seconds; whether the work goes on."""
        with self._condition:
            if self._condition.wait_for(lambda: self._stopped, pause):
                return False
            while not (self._stopped or self._noted or (self._ready and self._taint)):
                due = self._planner.next()
                left = None if due is None else due.at - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._condition.wait(left)
            noted, self._noted = self._noted, None
        if noted is not None:
            self._planner.note(*noted)
        return not self._stopped

    def _work(self) -> float:
        """Write one thing; how long to rest then."""
        if self._ready and self._taint:
            return self._untaint()
        due = self._planner.next()
        if due is None or due.at > time.monotonic():
            return 0.0
        try:
            self._write(due)
        except (SourceError, OSError) as error:
            self._failed(due, error)
        else:
            self._planner.done(due)
            self._tries.pop(due.ref, None)
        return REST_SECONDS

    def _untaint(self) -> float:
        try:
            removed = remove_taint(self._connection.session().transport, self._node, self._taint)
        except (SourceError, OSError) as error:
            self._taint_failures += 1
            self._report("the startup taint of this node cannot be removed", error)
            return self._pacing.pause(self._taint_failures)
        if removed:
            logger.info("startup taint removed node=%s key=%s", self._node, self._taint)
        self._taint = ""
        return 0.0

    def _write(self, due: Due) -> None:
        if (resource := self._resources.get(due.ref.kind)) is None:
            return
        transport = self._connection.session().transport
        regarding = _regarding(transport, resource, due.ref)
        if regarding is None:
            return
        event = event_of(regarding, due.faults, self._node, time.time())
        try:
            transport.post(path_of(EVENTS, "events", event["metadata"]["namespace"]), event)
        except RefusedError as error:
            if error.status != HTTPStatus.CONFLICT:  # another node has written it
                raise

    def _failed(self, due: Due, error: Exception) -> None:
        self._report("an Event cannot be written", error)
        tries = self._tries[due.ref] = self._tries.get(due.ref, 0) + 1
        if tries < MOST_TRIES:
            self._planner.postpone(due, self._pacing.pause(tries))
        else:
            self._planner.done(due)
            del self._tries[due.ref]

    def _report(self, what: str, error: Exception) -> None:
        if (line := f"{what}: {error}") != self._reported:
            self._reported = line
            logger.warning("%s error=%r", what, str(error))


def _regarding(transport: Transport, resource: Resource, ref: ObjectRef) -> Regarding | None:
    """The object as it is at the server, None where it has gone."""
    version = served_version(transport, resource)
    query = {"fieldSelector": f"metadata.name={ref.name}", "limit": "1"}
    found = transport.get(path_of(version, resource.plural, ref.namespace), query, metadata_only=True)
    try:
        uids = [str(item["metadata"]["uid"]) for item in found["items"] or ()]
    except (KeyError, TypeError) as error:
        raise GarbledError("the answer is no list of objects") from error
    return Regarding(ref, version, uids[0]) if uids else None
