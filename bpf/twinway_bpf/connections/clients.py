"""Sockets that a change of Services leaves with a wrong peer, and that would not connect again by themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from twinway_bpf.connections.preexisting_clients import destroy_preexisting
from twinway_bpf.connections.stale import destroy_stale, udp_backends
from twinway_bpf.connections.users import Namespace
from twinway_bpf.load.maps import Map

logger = logging.getLogger(__name__)


class Clients:
    """Those of the host, and those of pods that are served at their sockets."""

    def __init__(self, cgroup: Path, given: Map, places: Callable[[], Iterable[Namespace]]) -> None:
        """`cgroup` is the node's, `given` is tw_sk; at `places` clients get a backend as they connect."""
        self._cgroup = cgroup
        self._given = given
        self._places = places

    def leave(self, backends: Mapping[bytes, bytes]) -> None:
        """End connected UDP sockets of backends (entries of tw_be) that were removed."""
        ended = destroy_stale(self._cgroup, self._given, udp_backends(backends))
        if ended:
            logger.info("connected UDP sockets lost their backend sockets=%d", ended)

    def ask_again(self, frontends: Collection[bytes]) -> None:
        """End sockets that connected to an address before it was one of `frontends` (keys of tw_fe)."""
        if not frontends:
            return
        ended = destroy_preexisting(self._places(), frontends)
        if ended:
            logger.info("sockets had connected before there was a Service sockets=%d", ended)
