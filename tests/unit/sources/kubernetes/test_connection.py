"""One connection for all, made anew after a failure, at a pace."""

from __future__ import annotations

from threading import Barrier, Event, Thread

import pytest

from twinway.errors import SourceError
from twinway.sources.kubernetes.connection import Connection
from twinway.sources.kubernetes.failures import UnreachableError
from twinway.sources.kubernetes.pacing import Pacing
from twinway.sources.kubernetes.waiting import Stopped

NOW = Pacing(first=0.001, longest=0.001)


class Server:
    """A transport whose answers are given; None is no answer."""

    host = "https://server"

    def __init__(self, *answers):
        self.answers = list(answers)
        self.connections = 0
        self.closed = 0

    def connect(self):
        self.connections += 1
        return self

    def get(self, path, query, *, metadata_only):
        assert metadata_only
        answer = self.answers.pop(0)
        if answer is None:
            raise UnreachableError("no answer in time")
        return answer

    def close(self):
        self.closed += 1


def namespaces(uid="u1", revision="7"):
    items = [{"metadata": {"name": "kube-system", "uid": uid}}] if uid else []
    return {"metadata": {"resourceVersion": revision}, "items": items}


def test_a_session_says_who_answers():
    """The uid of kube-system and the newest version; without that namespace the cluster has no name."""
    session = Connection(Server(namespaces()).connect, lambda: None).session()
    assert (session.cluster, session.revision) == ("u1", 7)
    assert Connection(Server(namespaces("")).connect, lambda: None).session().cluster == ""


def test_all_share_one_session():
    """Threads that ask at once get one session, made by one connection."""
    server = Server(namespaces())
    connection = Connection(server.connect, lambda: None)
    barrier, found = Barrier(8), []

    def ask():
        barrier.wait()
        found.append(connection.session())

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert server.connections == 1


def test_a_failure_is_told_and_tried_again():
    """The error names the server and the reason; it is gone with the first answer."""
    reported = []
    server = Server(None, None, namespaces())
    connection = Connection(server.connect, lambda: reported.append(connection.error), NOW)
    connection.session()
    assert reported == ["https://server: no answer in time", None]
    assert server.closed == 2


@pytest.mark.parametrize("answer", [{}, {"metadata": {}}, {"metadata": {"resourceVersion": "1"}, "items": [3]}])
def test_an_answer_without_sense_is_a_failure(answer):
    """Whoever answers so is no API server."""
    reported = []
    connection = Connection(Server(answer, namespaces()).connect, lambda: reported.append(connection.error), NOW)
    connection.session()
    assert reported == ["https://server: the answer is no list of namespaces", None]


def test_credentials_that_cannot_be_read_are_told():
    """So is whatever the configuration lacks."""
    answers = [SourceError("/kubeconfig: no such file"), Server(namespaces())]

    def connect():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    reported = []
    connection = Connection(connect, lambda: reported.append(connection.error), NOW)
    connection.session()
    assert reported == ["/kubeconfig: no such file", None]


def test_connecting_that_does_not_end_is_reported(monkeypatch):
    """A program for credentials may hang: the error says so for as long as that lasts."""
    monkeypatch.setattr("twinway.sources.kubernetes.connection.SLOW_SECONDS", 0.05)
    hangs, reported = Event(), Event()
    server = Server(namespaces())

    def connect():
        assert hangs.wait(10)
        return server

    connection = Connection(connect, reported.set)
    thread = Thread(target=connection.session)
    thread.start()
    assert reported.wait(10)
    assert connection.error == "connecting has taken more than 0.05 s"
    hangs.set()
    thread.join()
    assert connection.error is None


def test_a_session_is_dropped_once():
    """Who drops a session that another one dropped before does not drop its successor."""
    server = Server(namespaces(), namespaces())
    connection = Connection(server.connect, lambda: None)
    first = connection.session()
    connection.drop(first)
    second = connection.session()
    connection.drop(first)
    assert connection.session() is second
    assert server.connections == 2


def test_who_waits_is_let_go_at_the_end():
    """`stop` ends the pause after a failure."""
    connection = Connection(Server(None).connect, lambda: None, Pacing(first=60.0, longest=60.0))
    ended = []

    def ask():
        with pytest.raises(Stopped):
            connection.session()
        ended.append(True)

    thread = Thread(target=ask)
    thread.start()
    while connection.error is None:
        pass
    connection.stop()
    thread.join(10)
    assert ended
