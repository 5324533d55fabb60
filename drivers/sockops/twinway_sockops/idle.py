"""
Whether policy allows every open connection of a node's pods, so that policy at sockets may be idle.

Programs at pods' devices judge new connections by the policy in force. So connections that began under it
are allowed, and it is enough to judge each earlier one once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from twinway.errors import DriverError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.initiators import Initiators
from twinway_bpf.connections.preexisting import LISTENING, Noted, is_initiator, listeners
from twinway_bpf.connections.sockdiag import Socket, State
from twinway_bpf.tables import clock
from twinway_bpf.tables.layout import Sk
from twinway_bpf.tables.settings import Notices
from twinway_sockops.judgement import Judgement

COOKIE_UNITS = 128
"""How long a SYN cookie may be answered. Source: include/net/tcp.h, MAX_SYNCOOKIE_AGE of 2 periods of 60 s."""
AGAIN_SECONDS = 30.0
"""After a connection was found that is denied, or a listing failed, until all are judged again."""

logger = logging.getLogger(__name__)


def until_answered(notices: Notices, since: int) -> Iterator[float]:
    """Until nobody can answer a SYN cookie from before `since`, by `clock`: pauses in seconds."""
    while last := notices.read().cookie:
        left = min(last, since) + COOKIE_UNITS - clock.now()
        if left <= 0:
            return
        yield left * clock.UNIT_SECONDS


def until_allowed(
    pods: Sequence[Attachment], initiators: Initiators, judge: Callable[[], Judgement]
) -> Iterator[float]:
    """
    Judge the connections of `pods` until none is denied: one pod a step, pauses in seconds.

    `judge` opens the tables, which must not change before the end.
    """
    logged = 0
    while True:
        judgement, noted, denied, unknown = judge(), initiators.noted(), 0, False
        for pod in pods:
            try:
                denied += count_denied(pod, initiators, noted, judgement)
            except DriverError as error:
                logger.warning("cannot list a pod's connections, will try again reason=%s", error)
                unknown = True
            yield 0.0
        if not denied and not unknown:
            return
        if denied and denied != logged:
            logger.info("established connections are now denied by policy connections=%d", denied)
        logged = denied
        yield AGAIN_SECONDS


def count_denied(pod: Attachment, initiators: Initiators, noted: Noted, judgement: Judgement) -> int:
    """How many of a pod's TCP connections policy denies that would continue if no program looked."""
    sockets = initiators.sockets_of(pod, (Protocol.TCP,))
    listening = listeners(sockets)
    return sum(
        _goes_on(found) and not judgement.allows(found, initiator=is_initiator(found, listening, noted))
        for found in sockets
    )


# A listener has no peer. A connection attempt is judged on every retransmitted SYN; but the reply to a SYN that
# was sent under the previous policy may still arrive, and then its verdict holds (kernel/guard.c, guard_leaves).
def _goes_on(found: Socket) -> bool:
    if found.state == State.SYN_SENT:
        return found.storage is None or bool(Sk.from_buffer_copy(found.storage).begun)
    return found.state != LISTENING[Protocol.TCP]
