"""
Which of a pod's sockets opened a connection before policy at sockets was there to see it.

They are written down before anything is judged; every other socket was accepted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from twinway.errors import MapError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.layout import Side
from twinway_bpf.maps import Map
from twinway_bpf.older import LISTENING, listeners, noted, side_of, sockets_of

logger = logging.getLogger(__name__)


def note_sides(table: Map, pods: Iterable[Attachment], *, kept: int) -> int:
    """
    Write into `table` (tw_side) the TCP sockets of `pods` that connected and do not say so themselves; how many.

    `kept` is the descriptor of tw_skpol. Where the table is full that is told: connections that it
    lacks are judged as if they had been accepted.
    """
    opened: dict[bytes, bytes] = {}
    for pod in pods:
        sockets = sockets_of(pod, (Protocol.TCP,), sides=kept)
        listening = listeners(sockets)
        for found in sockets:
            if found.state == LISTENING[Protocol.TCP] or noted(found) is not None:
                continue
            if side_of(found, listening) == Side.ACTIVE:
                opened[found.cookie.to_bytes(8, "little")] = bytes((Side.ACTIVE,))
    try:
        table.write(opened)
    except MapError as error:
        logger.warning(
            "not all older connections are judged by who opened them opened=%d reason=%s", len(opened), error
        )
    return len(opened)


def forget_sides(table: Map) -> int:
    """Empty the table; how many there were."""
    return table.remove(table.entries())
