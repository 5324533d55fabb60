"""Logs what objects have wrong: each fault once when it appears, and once when it is gone."""

from __future__ import annotations

import logging
from typing import TypeVar

from twinway.model.net import NotServed, Rejected
from twinway.model.node import NodeState

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOST = 100
"""Lines of one kind that one state may cause; the others are counted in one more line."""


class FaultLog:
    """Logs the differences between one state's faults and the next one's."""

    def __init__(self) -> None:
        """Start without faults: the first state logs all of its own."""
        self._rejected: tuple[Rejected, ...] = ()
        self._not_served: tuple[NotServed, ...] = ()

    def report(self, state: NodeState) -> None:
        """Log what is new in this state's `rejected` and `not_served`, and what was rejected and is no more."""
        if state.rejected != self._rejected:
            come = _missing_from(self._rejected, state.rejected)
            for each in come[:MOST]:
                logger.warning("rejected object=%r field=%r reason=%r", str(each.ref), each.field, each.reason)
            _count_rest(come, "rejected")
            gone = _missing_from(state.rejected, self._rejected)
            for was in gone[:MOST]:
                logger.info("rejected no more object=%r field=%r", str(was.ref), was.field)
            _count_rest(gone, "rejected no more")
            self._rejected = state.rejected
        if state.not_served != self._not_served:
            new = _missing_from(self._not_served, state.not_served)
            for one in new[:MOST]:
                logger.info("not served object=%r field=%r reason=%r", str(one.ref), one.field, one.reason)
            _count_rest(new, "not served")
            self._not_served = state.not_served


def _missing_from(known: tuple[T, ...], faults: tuple[T, ...]) -> list[T]:
    earlier = set(known)
    return [each for each in faults if each not in earlier]


def _count_rest(lines: list[T], what: str) -> None:
    if len(lines) > MOST:
        logger.warning("%s, and more: see `twinway status` count=%d", what, len(lines) - MOST)
