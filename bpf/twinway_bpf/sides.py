"""
Which side a pod's older connections are on, written down before policy at sockets judges them.

From then on tw_sockops notes it as connections begin; where no policy is, nothing does.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from twinway.errors import MapError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.maps import Map
from twinway_bpf.older import LISTENING, listeners, noted, side_of, sockets_of

logger = logging.getLogger(__name__)


def note_sides(table: Map, pods: Iterable[Attachment], *, kept: int) -> int:
    """
    Write into `table` (tw_side) the side of each TCP connection of `pods` that does not say itself; how many.

    `kept` is the descriptor of tw_skpol. Where the table is full that is told: then who listens
    when a connection is judged decides.
    """
    sides: dict[bytes, bytes] = {}
    for pod in pods:
        sockets = sockets_of(pod, (Protocol.TCP,), sides=kept)
        listening = listeners(sockets)
        for found in sockets:
            if found.state != LISTENING[Protocol.TCP] and noted(found) is None:
                sides[found.cookie.to_bytes(8, "little")] = bytes((side_of(found, listening),))
    try:
        table.write(sides)
    except MapError as error:
        logger.warning(
            "who opened older connections is not known of all connections=%d reason=%s", len(sides), error
        )
    return len(sides)


def forget_sides(table: Map) -> int:
    """Empty the table; how many there were."""
    return table.remove(table.entries())
