"""
Which sockets connected: noted on them while some pod is under a policy, written down of older ones.

The socket hooks note it from the moment on that `tw_cfg` says so. What connected before is found out
once, before anything is judged by it; thereafter every other socket was accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from twinway.errors import DriverError, MapError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.older import (
    LISTENING,
    NOTHING_NOTED,
    Noted,
    is_opener,
    listeners,
    opener_key,
    sockets_of,
)
from twinway_bpf.connections.sockdiag import Socket
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.layout import CfgFlag
from twinway_bpf.tables.settings import Settings

logger = logging.getLogger(__name__)

_NOTHING = bytes(1)


class Openers:
    """tw_opener, and what tw_cfg says of it."""

    def __init__(self, settings: Settings, table: Map, given: Map) -> None:
        """The open maps; `given` is tw_sk."""
        self._settings = settings
        self._table = table
        self._given = given

    def note(self, pods: Iterable[Attachment]) -> bool:
        """
        From here on every socket that connects is noted, and those of `pods` that did before are.

        Nothing where this was done before, by an earlier process, too. Where the table is full that is
        told: connections that it lacks are judged as if they had been accepted.
        False, and told, where the sockets of a pod could not be listed: then ask again.
        """
        if CfgFlag.OPENERS_KNOWN in self._flags():
            return True
        self._settings.flag(CfgFlag.POLICY_AT_SOCKET, on=True)
        opened: list[bytes] = []
        failed = 0
        for pod in pods:
            try:
                opened += self._older(pod)
            except DriverError as error:
                logger.warning("who opened a pod's connections is not known, asking again reason=%s", error)
                failed += 1
        try:
            self._table.write(dict.fromkeys(opened, _NOTHING))
        except MapError as error:
            logger.warning(
                "not all older connections are judged by who opened them opened=%d reason=%s", len(opened), error
            )
        if not failed:
            self._settings.flag(CfgFlag.OPENERS_KNOWN, on=True)
        return not failed

    def noted(self) -> Noted:
        """What is known now."""
        if CfgFlag.OPENERS_KNOWN not in self._flags():
            return NOTHING_NOTED
        return Noted(self._table.entries().keys(), complete=True)

    def doubt(self) -> None:
        """Let `note` find out once more who connected before it."""
        self._settings.flag(CfgFlag.OPENERS_KNOWN, on=False)

    def forget(self) -> None:
        """Note nothing any more."""
        self._settings.flag(CfgFlag.OPENERS_KNOWN | CfgFlag.POLICY_AT_SOCKET, on=False)
        self._table.remove(self._table.entries())

    def sockets_of(self, pod: Attachment, protocols: Iterable[Protocol]) -> list[Socket]:
        """A pod's sockets, with what is noted on them; see `older.sockets_of`."""
        return sockets_of(pod, protocols, given=self._given.descriptor)

    def _older(self, pod: Attachment) -> list[bytes]:
        sockets = self.sockets_of(pod, (Protocol.TCP,))
        listening = listeners(sockets)
        return [
            opener_key(found)
            for found in sockets
            if found.state != LISTENING[Protocol.TCP] and found.storage is None and is_opener(found, listening)
        ]

    def _flags(self) -> CfgFlag:
        return CfgFlag(self._settings.read().flags)
