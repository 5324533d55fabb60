"""
Asks the server whether it is there, when no watch has heard from it for a while.

The kernel of a stopped process goes on to acknowledge segments, so that neither keepalive nor
`TCP_USER_TIMEOUT` notices it. In a cluster of more than a few nodes some watch always hears of
something, and nothing is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from threading import Event

from twinway.sources.kubernetes.connection import Connection
from twinway.sources.kubernetes.failures import RefusedError, RequestError
from twinway.sources.kubernetes.waiting import Stopped

logger = logging.getLogger(__name__)

QUIET_SECONDS = 20.0
"""Silence of all watches after which the server is asked."""
LOOK_SECONDS = 5.0


class Pulse:
    """The thread that asks."""

    def __init__(
        self, connection: Connection, heard: Callable[[], float], lost: Callable[[], None], quiet: float
    ) -> None:
        """
        `heard` gives the monotonic time of the last answer or event; `lost` ends every watch.

        The server is asked after `quiet` seconds of silence.
        """
        self._connection = connection
        self._heard = heard
        self._lost = lost
        self._quiet = quiet
        self._answered = 0.0
        self._stopping = Event()

    def run(self) -> None:
        """Ask until `stop`."""
        try:
            while not self._stopping.wait(min(LOOK_SECONDS, self._quiet / 4)):
                if time.monotonic() - max(self._heard(), self._answered) >= self._quiet:
                    self._ask()
        except Stopped:
            return

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()

    def _ask(self) -> None:
        session = self._connection.session()
        try:
            session.transport.ask()
        except RefusedError:
            pass  # it answers
        except RequestError as error:
            logger.debug("the server does not answer error=%r", str(error))
            self._connection.drop(session)
            self._lost()
        self._answered = time.monotonic()
