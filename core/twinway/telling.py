"""What is wrong with objects, told in the log: each once, when it comes, and once when it is gone."""

from __future__ import annotations

import logging
from typing import TypeVar

from twinway.model.net import NotServed, Rejected
from twinway.model.node import NodeState

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOST = 100
"""Lines of one kind that one state may bring; the others are counted in one line more."""


class Telling:
    """Remembers what has been told."""

    def __init__(self) -> None:
        """Nothing has been told."""
        self._rejected: tuple[Rejected, ...] = ()
        self._not_served: tuple[NotServed, ...] = ()

    def tell(self, state: NodeState) -> None:
        """Tell what is new in this state's `rejected` and `not_served`, and what is not there any more."""
        if state.rejected != self._rejected:
            come = _beside(state.rejected, self._rejected)
            for each in come[:MOST]:
                logger.warning("rejected object=%r field=%r reason=%r", str(each.ref), each.field, each.reason)
            _rest(come, "rejected")
            gone = _beside(self._rejected, state.rejected)
            for was in gone[:MOST]:
                logger.info("rejected no more object=%r field=%r", str(was.ref), was.field)
            _rest(gone, "rejected no more")
            self._rejected = state.rejected
        if state.not_served != self._not_served:
            told = _beside(state.not_served, self._not_served)
            for one in told[:MOST]:
                logger.info("not served object=%r field=%r instead=%r", str(one.ref), one.field, one.instead)
            _rest(told, "not served")
            self._not_served = state.not_served


def _beside(these: tuple[T, ...], those: tuple[T, ...]) -> list[T]:
    known = set(those)
    return [each for each in these if each not in known]


def _rest(lines: list[T], what: str) -> None:
    if len(lines) > MOST:
        logger.warning("%s, and more: see `twinway status` count=%d", what, len(lines) - MOST)
