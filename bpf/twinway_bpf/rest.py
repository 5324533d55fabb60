"""
Whether every connection of a node's pods is one that policy allows.

Then nobody needs to look at each packet of each socket: beginnings are judged at pods' devices under
the policy in force, so what began under it may go on, and what is older can be asked about once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from twinway.model.net import Protocol
from twinway.model.node import Attachment
from twinway_bpf.judgement import Judgement
from twinway_bpf.older import LISTENING, Noted, is_opener, listeners
from twinway_bpf.openers import Openers
from twinway_bpf.sockdiag import State

AGAIN_SECONDS = 30.0
"""After a connection was found that is denied, until they are all asked about again."""

logger = logging.getLogger(__name__)


def until_allowed(pods: Sequence[Attachment], openers: Openers, judge: Callable[[], Judgement]) -> Iterator[float]:
    """
    Ask about the connections of `pods` until none is denied: a pod a step, pauses in seconds.

    `judge` asks the tables of now, which must not change before the end.
    """
    told = 0
    while True:
        judgement, noted, denied = judge(), openers.noted(), 0
        for pod in pods:
            denied += count_denied(pod, openers, noted, judgement)
            yield 0.0
        if not denied:
            return
        if denied != told:
            logger.info("connections are open that policy denies by now connections=%d", denied)
        told = denied
        yield AGAIN_SECONDS


def count_denied(pod: Attachment, openers: Openers, noted: Noted, judgement: Judgement) -> int:
    """How many of a pod's TCP connections policy denies."""
    sockets = openers.sockets_of(pod, (Protocol.TCP,))
    listening = listeners(sockets)
    return sum(
        not judgement.allows(found, opener=is_opener(found, listening, noted))
        for found in sockets
        # who listens has no peer, and who still asks is judged whenever he asks
        if found.state not in (LISTENING[Protocol.TCP], State.SYN_SENT)
    )
