"""
The Kubernetes source: one reflector a kind, and one thread that puts snapshots of what they read.

    connection ─ session ─▶ reflector ─▶ part ─┐
                            reflector ─▶ part ─┴─ store ─ take ─▶ slot        one thread each
                            reflector ─▶ presence: which optional kinds there are
                            pulse: whether a silent server is there
                            writer: Events, and the end of the startup taint

Nothing is put before every kind has been listed, so that every snapshot is complete. While the
server cannot be reached the last snapshot stays, and `error` says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event, Thread

from twinway.model.cluster import Cluster
from twinway.model.net import Rejected
from twinway.sources.base import Latest
from twinway.sources.kubernetes.connection import Connection
from twinway.sources.kubernetes.demand import Demand
from twinway.sources.kubernetes.discovery import Discovered, Fixed, Place
from twinway.sources.kubernetes.presence import Presence
from twinway.sources.kubernetes.pulse import QUIET_SECONDS, Pulse
from twinway.sources.kubernetes.reading import Reading, Sink
from twinway.sources.kubernetes.reflector import Reflector
from twinway.sources.kubernetes.resources import ALWAYS, DEFINITIONS, Resource, pods_elsewhere, pods_on
from twinway.sources.kubernetes.store import Part, Store
from twinway.sources.kubernetes.transport import Transport
from twinway.sources.kubernetes.writes.writer import Writer

PAUSE_SECONDS = 0.005
"""Between two snapshots at least: of changes that come faster the later ones share one."""
STOP_SECONDS = 1.0
"""How long `stop` waits for a thread that is in the middle of a request."""

logger = logging.getLogger(__name__)


class KubernetesSource:
    """A `Source` that follows an API server."""

    def __init__(
        self,
        connect: Callable[[], Transport],
        node: str,
        *,
        events: bool = False,
        startup_taint: str = "",
        quiet: float = QUIET_SECONDS,
    ) -> None:
        """
        Nothing is connected yet. `connect` reads configuration and credentials each time that it is called.

        `node` is the node whose pods are always read. With `events` rejected objects get Events. `startup_taint`
        is the key of the taint to remove from the node once it is ready, empty for none. After `quiet` seconds of
        silence the server is asked whether it is there.
        """
        self._bell = Event()
        self._stopping = False
        self._store = Store(self._bell.set)
        self._presence = Presence()
        self._connection = Connection(connect, self._bell.set)
        elsewhere = pods_elsewhere(node)
        self._demand = Demand(elsewhere)
        here = self._store.part()
        there = self._store.part_on_demand(here, self._demand.want)
        self._reflectors = [
            self._fixed(DEFINITIONS, self._presence),
            self._fixed(pods_on(node), here),
            self._follow(elsewhere, self._demand, Reading(elsewhere, there)),
            *(self._of_kind(each) for each in ALWAYS),
        ]
        self._pulse = Pulse(self._connection, self._heard, self._interrupt, quiet)
        self._events = events
        self._writer: Writer | None = None
        if events or startup_taint:
            self._writer = Writer(self._connection, node, here.holds, taint=startup_taint)
        self._cluster: Cluster | None = None
        self._in_force: tuple[Rejected, ...] = ()
        self._threads: list[Thread] = []
        self.error: str | None = None

    def start(self, slot: Latest[Cluster]) -> None:
        """Begin to list every kind; return at once."""
        work = [(each.resource.plural, each.run) for each in self._reflectors]
        work += [("snapshots", lambda: self._publish(slot)), ("pulse", self._pulse.run)]
        if self._writer is not None:
            work.append(("writes", self._writer.run))
        self._threads = [Thread(target=run, name=f"kubernetes {name}", daemon=True) for name, run in work]
        for thread in self._threads:
            thread.start()

    def in_force(self, rejected: tuple[Rejected, ...], *, ready: bool) -> None:
        """See `Reporting`."""
        if self._writer is None:
            return
        if ready:
            self._writer.ready()
        if self._events and self._cluster is not None and rejected is not self._in_force:
            self._in_force = rejected
            self._writer.note(rejected, [ref.name for ref in self._cluster.nodes])

    def stop(self) -> None:
        """Put no more. Safe to repeat, also without `start`."""
        self._stopping = True
        self._pulse.stop()
        if self._writer is not None:
            self._writer.stop()
        self._connection.stop()
        self._presence.stop()
        self._demand.stop()
        for reflector in self._reflectors:
            reflector.stop()
        self._bell.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._threads = []

    def _heard(self) -> float:
        return max(each.heard for each in self._reflectors)

    def _interrupt(self) -> None:
        for reflector in self._reflectors:
            reflector.interrupt()

    def _of_kind(self, resource: Resource) -> Reflector:
        part = self._store.part()
        if not resource.optional:
            return self._fixed(resource, part)
        reading = Reading(resource, part)
        reflector = self._follow(resource, Discovered(resource, self._presence, _absence(part, reading)), reading)
        self._presence.on_leaving(resource.definition, reflector.interrupt)
        return reflector

    def _fixed(self, resource: Resource, sink: Sink) -> Reflector:
        return self._follow(resource, Fixed(resource), Reading(resource, sink))

    def _follow(self, resource: Resource, place: Place, reading: Reading) -> Reflector:
        return Reflector(resource, place, reading, self._connection, changed=self._bell.set)

    def _publish(self, slot: Latest[Cluster]) -> None:
        while True:
            self._bell.wait()
            self._bell.clear()
            if self._stopping:
                return
            cluster = self._store.take()
            if cluster is not None:
                self._cluster = cluster
                slot.put(cluster)
            if (error := self._trouble()) != self.error:
                self._tell(error)
                slot.ring()
            time.sleep(PAUSE_SECONDS)

    def _trouble(self) -> str | None:
        if self._connection.error is not None:
            return self._connection.error
        errors = [each.error for each in self._reflectors if each.error is not None]
        if not errors:
            return None
        return errors[0] if len(errors) == 1 else f"{errors[0]} (and {len(errors) - 1} more)"

    def _tell(self, error: str | None) -> None:
        self.error = error
        if error is None:
            logger.info("the Kubernetes API can be read again")
        else:
            logger.warning("the Kubernetes API cannot be read, the last state stays in force error=%r", error)


def _absence(part: Part, reading: Reading) -> Callable[[], None]:
    def absent() -> None:
        reading.reset()
        part.clear()

    return absent
