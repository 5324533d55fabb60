"""Which request comes next, and what answers mean, without a server."""

from __future__ import annotations

import pytest

from twinway.sources.kubernetes.failures import GarbledError, RefusedError
from twinway.sources.kubernetes.reading import INITIAL_END, LIMIT, Reading
from twinway.sources.kubernetes.resources import ALWAYS

SERVICES = ALWAYS[0]


class Recorded:
    """A sink that records its calls."""

    def __init__(self):
        self.calls = []

    def begin(self):
        self.calls.append("begin")

    def put(self, document):
        self.calls.append(f"put {document['metadata']['name']}")

    def remove(self, document):
        self.calls.append(f"remove {document['metadata']['name']}")

    def commit(self):
        self.calls.append("commit")


@pytest.fixture
def sink():
    return Recorded()


@pytest.fixture
def reading(sink):
    return Reading(SERVICES, sink, chance=lambda: 0.5)


def thing(name, version):
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": version}}


def event(kind, name="a", version="7"):
    return {"type": kind, "object": thing(name, version)}


def bookmark(version, *, end=False):
    metadata = {"resourceVersion": version, "annotations": {INITIAL_END: "true"} if end else {}}
    return {"type": "BOOKMARK", "object": {"kind": "Service", "metadata": metadata}}


def error(code, message=""):
    return {"type": "ERROR", "object": {"kind": "Status", "code": code, "message": message}}


def page(*names, version="5", more=""):
    items = [{"metadata": {"name": name, "resourceVersion": "3"}} for name in names]
    return {"apiVersion": "v1", "metadata": {"resourceVersion": version, "continue": more}, "items": items}


def listed(reading, version="5"):
    reading.next()
    reading.event(bookmark(version, end=True))
    return reading


def test_a_list_comes_as_a_stream_first(reading, sink):
    """The first request asks for initial events; they count when the server says that they are all."""
    request = reading.next()
    assert request.watch
    assert request.query["sendInitialEvents"] == "true"
    assert "resourceVersion" not in request.query
    reading.event(event("ADDED", "a", "3"))
    reading.event(bookmark("4"))
    assert reading.version == ""
    reading.event(bookmark("5", end=True))
    assert sink.calls == ["begin", "put a", "commit"]
    assert reading.version == "5"


def test_after_the_list_changes_come(reading, sink):
    """A watch asks for what is newer than the last version; each event and bookmark moves that."""
    query = listed(reading).next().query
    assert query["resourceVersion"] == "5"
    assert query["timeoutSeconds"] == "450"
    assert "sendInitialEvents" not in query
    reading.event(event("MODIFIED", "a", "6"))
    reading.event(event("DELETED", "b", "8"))
    assert reading.version == "8"
    reading.event(bookmark("20"))
    assert reading.next().query["resourceVersion"] == "20"
    assert sink.calls[2:] == ["put a", "remove b"]


def test_a_stream_that_breaks_off_is_begun_again(reading, sink):
    """Half a list never counts."""
    reading.next()
    reading.event(event("ADDED"))
    assert reading.next().query["sendInitialEvents"] == "true"
    assert sink.calls == ["begin", "put a", "begin"]


@pytest.mark.parametrize("status", [400, 422, 500])
def test_a_server_that_cannot_stream_is_asked_for_chunks(reading, sink, status):
    """An old server refuses initial events; a list in chunks counts with its last chunk."""
    reading.next()
    assert reading.refused(RefusedError(status, "sendInitialEvents is forbidden"))
    request = reading.next()
    assert not request.watch
    assert request.query["limit"] == str(LIMIT)
    assert "continue" not in request.query
    reading.page(page("a", more="token"))
    assert reading.next().query["continue"] == "token"
    assert reading.version == ""
    reading.page(page("b"))
    assert sink.calls == ["begin", "begin", "put a", "put b", "commit"]
    assert reading.version == "5"


def test_a_field_that_the_server_does_not_know_is_not_asked_by(reading):
    """A server that refuses a chunk, too, is asked without field selectors, and by labels still."""
    reading.next()
    reading.refused(RefusedError(400, "field label not supported"))
    assert "fieldSelector" in reading.next().query
    assert reading.refused(RefusedError(400, "field label not supported"))
    query = reading.next().query
    assert "fieldSelector" not in query
    assert "labelSelector" in query
    assert not reading.refused(RefusedError(400, "what else?"))


def test_history_that_is_gone_is_listed_again(reading, sink):
    """410 Gone, in the stream or as an answer: the next request lists; what there was stays until then."""
    with pytest.raises(RefusedError) as caught:
        listed(reading).event(error(410, "too old resource version"))
    assert reading.refused(caught.value)
    assert reading.next().query["sendInitialEvents"] == "true"
    assert sink.calls == ["begin", "commit", "begin"]


def test_a_chunk_whose_token_expired_begins_the_list_again(reading, sink):
    """410 Gone in the middle of a list: from its first chunk."""
    reading.streams = False
    reading.next()
    reading.page(page("a", more="token"))
    reading.refused(RefusedError(410, "the provided continue parameter is too old"))
    assert "continue" not in reading.next().query
    assert sink.calls == ["begin", "put a", "begin"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_other_refusals_change_nothing(reading, status):
    """The same request comes again."""
    before = listed(reading).next()
    assert not reading.refused(RefusedError(status, ""))
    assert reading.next() == before


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"type": "ADDED"},
        {"type": "ADDED", "object": []},
        {"type": "ADDED", "object": {"metadata": {}}},
        {"type": "ADDED", "object": {"metadata": {"resourceVersion": 3}}},
        {"type": "SURPRISE", "object": {}},
        {"type": None, "object": {}},
        {"type": "BOOKMARK", "object": {"metadata": None}},
    ],
)
def test_an_event_without_sense_changes_nothing(reading, sink, answer):
    """It is refused, and the version stays."""
    listed(reading)
    with pytest.raises(GarbledError):
        reading.event(answer)
    assert reading.version == "5"
    assert sink.calls == ["begin", "commit"]


@pytest.mark.parametrize(
    "answer", [{}, {"metadata": {}}, {"metadata": {"resourceVersion": "1"}, "items": 3}, {"metadata": []}]
)
def test_a_list_without_sense_does_not_count(reading, sink, answer):
    """It is refused, and the chunk asked for again."""
    reading.streams = False
    before = reading.next()
    with pytest.raises(GarbledError):
        reading.page(answer)
    assert reading.next() == before
    assert "commit" not in sink.calls


def test_a_server_that_forgot_is_known_by_its_revision(reading):
    """A version that is greater than the server's newest was never said by this server."""
    listed(reading, "100")
    assert reading.newer_than(99)
    assert not reading.newer_than(100)
