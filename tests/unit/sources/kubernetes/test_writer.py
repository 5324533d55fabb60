"""The thread that writes to the server: what it does with answers, and how often it tries."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from twinway.model.net import ObjectRef, Rejected
from twinway.sources.kubernetes.failures import RefusedError, UnreachableError
from twinway.sources.kubernetes.pacing import Pacing
from twinway.sources.kubernetes.writes import writer as module
from twinway.sources.kubernetes.writes.writer import MOST_TRIES, Writer

NOW = Pacing(first=0.001, longest=0.001)
WEB = ObjectRef("Service", "shop", "web")
DB = ObjectRef("Service", "shop", "db")


class Server:
    """A connection and its transport; `answers` are raised by the next writes, one each."""

    def __init__(self, *answers, taints=(), objects=("web", "db")):
        self.transport = self
        self.answers = list(answers)
        self.taints = list(taints)
        self.objects = objects
        self.written = []

    def session(self):
        return self

    def get(self, path, query, *, metadata_only=False):
        name = query["fieldSelector"].removeprefix("metadata.name=")
        if path.endswith("/nodes"):
            return {"items": [{"spec": {"taints": [{"key": key} for key in self.taints]}}]}
        assert path == "/api/v1/namespaces/shop/services"
        assert metadata_only
        return {"items": [{"metadata": {"uid": f"uid-{name}"}}] if name in self.objects else []}

    def post(self, path, event):
        assert path == "/apis/events.k8s.io/v1/namespaces/shop/events"
        self._write(event["regarding"]["name"])

    def patch(self, path, change):
        assert path == "/api/v1/nodes/n1"
        self._write([each["value"] for each in change])

    def _write(self, what):
        self.written.append(what)
        if self.answers and (answer := self.answers.pop(0)):
            raise answer


@pytest.fixture
def write(monkeypatch):
    """Run a writer on a server until it has written so often, and a moment longer."""
    monkeypatch.setattr(module, "REST_SECONDS", 0.001)

    def run(server, count, *rejected, taint="", ready=False):
        writer = Writer(server, "n1", lambda _ref: True, taint=taint, pacing=NOW)
        writer.note(tuple(Rejected(ref, "spec", "bad") for ref in rejected), ["n1"])
        if ready:
            writer.ready()
        thread = Thread(target=writer.run)
        thread.start()
        deadline = time.monotonic() + 10
        while len(server.written) < count and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.05)
        writer.stop()
        thread.join(5)
        assert not thread.is_alive()
        return server.written

    return run


def test_each_rejected_object_once(write):
    """One that has gone in the meantime has no Event."""
    gone = ObjectRef("Service", "shop", "gone")
    assert sorted(write(Server(), 2, WEB, DB, gone)) == ["db", "web"]


def test_an_event_that_is_there_already_is_written(write, caplog):
    """Another node was first: nothing is tried again, and nothing logged."""
    assert write(Server(RefusedError(409, "exists")), 1, WEB) == ["web"]
    assert caplog.text == ""


@pytest.mark.parametrize("failure", [RefusedError(403, "forbidden"), UnreachableError("no answer in time")])
def test_a_failure_is_tried_again_and_logged_once(write, caplog, failure):
    """A few times; another Event is written all the same."""
    written = write(Server(*[failure] * MOST_TRIES), MOST_TRIES, WEB)
    assert written == ["web"] * MOST_TRIES
    assert caplog.text.count("an Event cannot be written") == 1
    assert write(Server(failure), 3, WEB, DB).count("db") >= 1


def test_a_kind_that_is_not_read_has_no_event(write):
    """Nor does it disturb others."""
    assert write(Server(), 1, ObjectRef("Ingress", "shop", "web"), WEB) == ["web"]


def test_the_startup_taint_goes_when_the_node_is_ready(write, caplog):
    """It alone goes; a refusal is tried again until it succeeds."""
    failures = [RefusedError(403, "forbidden")] * (MOST_TRIES + 2)
    server = Server(*failures, taints=("other", "ours"))
    written = write(server, len(failures) + 1, taint="ours", ready=True)
    assert written == [[[{"key": "other"}, {"key": "ours"}], [{"key": "other"}]]] * (len(failures) + 1)
    assert caplog.text.count("startup taint of this node cannot be removed") == 1


def test_the_startup_taint_stays_until_then(write):
    """A node that is not ready keeps it, and one without it is not changed."""
    assert write(Server(taints=("ours",)), 1, WEB, taint="ours") == ["web"]
    assert write(Server(taints=("other",)), 1, WEB, taint="ours", ready=True) == ["web"]
