"""
Which sockets are initiators of their connections: those that connected, not those that were accepted.

The socket hooks note it on each socket that connects while a flag in tw_cfg is set. The initiators of
pre-existing connections are found once and written to tw_initiator, before any verdict depends on them. From
then on every socket without a note was accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from twinway.errors import DriverError, MapError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.preexisting import (
    LISTENING,
    NOTHING_NOTED,
    Noted,
    initiator_key,
    is_initiator,
    listeners,
    sockets_of,
)
from twinway_bpf.connections.sockdiag import Socket
from twinway_bpf.load.maps import Map
from twinway_bpf.tables.layout import CfgFlag
from twinway_bpf.tables.settings import Settings

logger = logging.getLogger(__name__)

_NOTHING = bytes(1)


class Initiators:
    """tw_initiator, and what tw_cfg says of it."""

    def __init__(self, settings: Settings, table: Map, given: Map) -> None:
        """The open maps; `given` is tw_sk."""
        self._settings = settings
        self._table = table
        self._given = given

    def note(self, pods: Iterable[Attachment]) -> bool:
        """
        Note every socket that connects from now on, and write down those of `pods` that connected before.

        Does nothing if this process or an earlier one has done it. If the table is full, it logs that, and
        the connections that are missing from it are judged as if they had been accepted. Returns False, and
        logs it, if the sockets of a pod could not be listed: then call it again.
        """
        if CfgFlag.INITIATORS_KNOWN in self._flags():
            return True
        self._settings.flag(CfgFlag.POLICY_AT_SOCKET, on=True)
        found: list[bytes] = []
        failed = 0
        for pod in pods:
            try:
                found += self._preexisting(pod)
            except DriverError as error:
                logger.warning("cannot list a pod's connections, will try again reason=%s", error)
                failed += 1
        try:
            self._table.write(dict.fromkeys(found, _NOTHING))
        except MapError as error:
            logger.warning(
                "not all initiators of pre-existing connections fit initiators=%d reason=%s", len(found), error
            )
        if not failed:
            self._settings.flag(CfgFlag.INITIATORS_KNOWN, on=True)
        return not failed

    def noted(self) -> Noted:
        """What is known of initiators now."""
        if CfgFlag.INITIATORS_KNOWN not in self._flags():
            return NOTHING_NOTED
        return Noted(self._table.entries().keys(), complete=True)

    def doubt(self) -> None:
        """Have the next `note` find the initiators of pre-existing connections again."""
        self._settings.flag(CfgFlag.INITIATORS_KNOWN, on=False)

    def forget(self) -> None:
        """Stop noting, and empty the table."""
        self._settings.flag(CfgFlag.INITIATORS_KNOWN | CfgFlag.POLICY_AT_SOCKET, on=False)
        self._table.remove(self._table.entries())

    def sockets_of(self, pod: Attachment, protocols: Iterable[Protocol]) -> list[Socket]:
        """A pod's sockets, with what is noted on them; see `preexisting.sockets_of`."""
        return sockets_of(pod, protocols, given=self._given.descriptor)

    def _preexisting(self, pod: Attachment) -> list[bytes]:
        sockets = self.sockets_of(pod, (Protocol.TCP,))
        listening = listeners(sockets)
        return [
            initiator_key(found)
            for found in sockets
            if found.state != LISTENING[Protocol.TCP] and found.storage is None and is_initiator(found, listening)
        ]

    def _flags(self) -> CfgFlag:
        return CfgFlag(self._settings.read().flags)
