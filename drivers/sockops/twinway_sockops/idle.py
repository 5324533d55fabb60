"""
Whether every connection of a node's pods is one that policy allows.

Then nobody needs to look at each packet of each socket: beginnings are judged at pods' devices under
the policy in force, so what began under it may go on, and what is older can be asked about once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from twinway.errors import DriverError
from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.connections.older import LISTENING, Noted, is_opener, listeners
from twinway_bpf.connections.openers import Openers
from twinway_bpf.connections.sockdiag import Socket, State
from twinway_bpf.tables import clock
from twinway_bpf.tables.layout import Sk
from twinway_bpf.tables.settings import Notices
from twinway_sockops.judgement import Judgement

COOKIE_UNITS = 128
"""How long a SYN cookie may be answered. Source: include/net/tcp.h, MAX_SYNCOOKIE_AGE of 2 periods of 60 s."""
AGAIN_SECONDS = 30.0
"""After a connection was found that is denied, or a listing failed, until they are all asked about again."""

logger = logging.getLogger(__name__)


def until_answered(notices: Notices, since: int) -> Iterator[float]:
    """Until nobody can answer a SYN cookie from before `since`, by `clock`: pauses in seconds."""
    while last := notices.read().cookie:
        left = min(last, since) + COOKIE_UNITS - clock.now()
        if left <= 0:
            return
        yield left * clock.UNIT_SECONDS


def until_allowed(pods: Sequence[Attachment], openers: Openers, judge: Callable[[], Judgement]) -> Iterator[float]:
    """
    Ask about the connections of `pods` until none is denied: a pod a step, pauses in seconds.

    `judge` asks the tables of now, which must not change before the end.
    """
    told = 0
    while True:
        judgement, noted, denied, unknown = judge(), openers.noted(), 0, False
        for pod in pods:
            try:
                denied += count_denied(pod, openers, noted, judgement)
            except DriverError as error:
                logger.warning("a pod's connections are not known, asking again reason=%s", error)
                unknown = True
            yield 0.0
        if not denied and not unknown:
            return
        if denied and denied != told:
            logger.info("connections are open that policy denies by now connections=%d", denied)
        told = denied
        yield AGAIN_SECONDS


def count_denied(pod: Attachment, openers: Openers, noted: Noted, judgement: Judgement) -> int:
    """How many of a pod's TCP connections policy denies, and would go on if nobody looked."""
    sockets = openers.sockets_of(pod, (Protocol.TCP,))
    listening = listeners(sockets)
    return sum(
        _goes_on(found) and not judgement.allows(found, opener=is_opener(found, listening, noted))
        for found in sockets
    )


# Who listens has no peer. Who still asks is judged whenever he asks; but he may hear the answer to what he asked
# under an earlier policy, and is then held to what that said (kernel/guard.c, guard_leaves).
def _goes_on(found: Socket) -> bool:
    if found.state == State.SYN_SENT:
        return found.storage is None or bool(Sk.from_buffer_copy(found.storage).begun)
    return found.state != LISTENING[Protocol.TCP]
