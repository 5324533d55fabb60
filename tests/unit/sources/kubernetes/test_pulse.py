"""When a silent server is asked whether it is there, and what its silence means."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from twinway.sources.kubernetes.failures import RefusedError, UnreachableError
from twinway.sources.kubernetes.pulse import Pulse

QUIET = 0.05


class Server:
    """A connection, and the transport of its session, which answers or does not."""

    def __init__(self, answer=None):
        self.answer = answer
        self.transport = self
        self.asked = self.dropped = 0

    def session(self):
        return self

    def drop(self, _session):
        self.dropped += 1

    def ask(self):
        self.asked += 1
        if self.answer:
            raise self.answer


def run(server, heard, until):
    """Whether watches were ended, by the time that `until` holds."""
    lost = []
    pulse = Pulse(server, heard, lambda: lost.append(1), QUIET)
    thread = Thread(target=pulse.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not until():
            assert time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        pulse.stop()
        thread.join()
    return bool(lost)


@pytest.mark.parametrize("answer", [None, RefusedError(403, "no"), RefusedError(503, "not ready")])
def test_a_server_that_answers_is_there(answer):
    """Whatever it answers; it is asked again after a further silence."""
    server = Server(answer)
    began = time.monotonic()
    assert not run(server, lambda: began, lambda: server.asked == 3)
    assert server.dropped == 0
    assert time.monotonic() - began >= 3 * QUIET


def test_a_server_that_does_not_answer_is_lost():
    """Its session is dropped, and every watch ended."""
    server = Server(UnreachableError("no answer in time"))
    began = time.monotonic()
    assert run(server, lambda: began, lambda: server.dropped)


def test_a_server_that_sends_events_is_not_asked():
    """As long as one watch hears of something."""
    server = Server(UnreachableError("no answer in time"))
    end = time.monotonic() + 6 * QUIET
    assert not run(server, time.monotonic, lambda: time.monotonic() > end)
    assert server.asked == 0
