"""How the loop is woken up."""

from __future__ import annotations

from threading import Condition


class Bell:
    """Wakes the loop; rung by whoever has news for it, from any thread or signal handler."""

    def __init__(self) -> None:
        """Silent, not closed."""
        # A Condition's own lock is re-entrant, so a signal handler may ring while its thread holds it.
        self._condition = Condition()
        self._rung = False
        self.closed = False

    def ring(self) -> None:
        """Let the next `wait`, or the one that waits now, return."""
        with self._condition:
            self._rung = True
            self._condition.notify_all()

    def close(self) -> None:
        """Ring for the last time: the loop is to end."""
        self.closed = True
        self.ring()

    def wait(self, seconds: float) -> None:
        """Return at the next ring, at once if it rang since the last `wait`, or after `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: self._rung, max(seconds, 0.0))
            self._rung = False
