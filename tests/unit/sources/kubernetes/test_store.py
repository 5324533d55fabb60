"""What the server said into snapshots."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.documents import NODE, POD, SERVICE, having
from twinway.model.net import ObjectRef
from twinway.sources.decode.registry import cluster as cluster_of
from twinway.sources.decode.registry import decode_object
from twinway.sources.kubernetes.store import Store

WEB = ObjectRef("Service", "shop", "web")


def versioned(document, version):
    return having(document, "metadata.resourceVersion", version)


def named(document, name, version="1"):
    return versioned(having(document, "metadata.name", name), version)


class Site:
    """A store of some kinds, and how often it rang."""

    def __init__(self, kinds=1):
        self.rung = 0
        self.store = Store(self._ring)
        self.parts = [self.store.part() for _ in range(kinds)]

    def _ring(self):
        self.rung += 1

    def listed(self, *documents, part=0):
        self.parts[part].begin()
        for document in documents:
            self.parts[part].put(document)
        self.parts[part].commit()
        return self


def test_no_snapshot_before_every_kind_is_listed():
    """One kind that is missing holds all others back."""
    site = Site(kinds=2).listed(named(SERVICE, "web"))
    assert site.store.take() is None
    site.listed(part=1)
    assert site.store.take().services.keys() == {WEB}
    assert site.store.take() is None


def test_a_first_state_without_any_object_is_a_snapshot():
    """An empty cluster is known, too."""
    assert Site().listed().store.take().services == {}


def test_an_equal_value_stays_the_same_object_and_rings_nobody():
    """A node's heartbeat, a pod that is not ready any more, and a list of the same objects."""
    site = Site(kinds=2).listed(versioned(NODE, "1"), part=0).listed(versioned(POD, "1"), part=1)
    first = site.store.take()
    rung = site.rung
    beat = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    site.parts[0].put(versioned(having(NODE, "status.conditions", [beat]), "2"))
    site.parts[1].put(versioned(having(POD, "status.conditions.0.status", "False"), "3"))
    site.parts[1].put(versioned(having(POD, "metadata.annotations", {"note": "x"}), "4"))
    site.listed(versioned(NODE, "1"))
    assert site.rung == rung
    assert site.store.take() is None
    site.parts[0].put(named(NODE, "n2", "5"))
    second = site.store.take()
    assert second.pods is first.pods
    assert second.nodes[ObjectRef("Node", "", "n1")] is first.nodes[ObjectRef("Node", "", "n1")]


def test_a_list_replaces_what_was_there_when_it_is_complete():
    """Objects that the list does not have go at its end, not before."""
    site = Site().listed(named(SERVICE, "web"), named(SERVICE, "old"))
    site.store.take()
    site.parts[0].begin()
    site.parts[0].put(named(SERVICE, "new"))
    assert site.store.take() is None
    site.parts[0].commit()
    assert {ref.name for ref in site.store.take().services} == {"new"}


def test_a_list_that_broke_off_is_forgotten():
    """The next one begins with nothing."""
    site = Site().listed()
    site.parts[0].begin()
    site.parts[0].put(named(SERVICE, "half"))
    site.listed(named(SERVICE, "web"))
    assert {ref.name for ref in site.store.take().services} == {"web"}


def test_a_bad_object_is_told_as_long_as_it_is_there():
    """It harms itself alone, and its reason goes with it."""
    bad = named(having(SERVICE, "spec.ports.0.port", 0), "bad")
    site = Site().listed(named(SERVICE, "web"), bad)
    first = site.store.take()
    assert first.services.keys() == {WEB}
    assert [str(each.ref) for each in first.rejected] == ["Service shop/bad"]
    site.parts[0].remove(bad)
    assert site.store.take().rejected == ()


def test_a_part_holds_what_it_was_given_whatever_is_wrong_with_it():
    """A pod that cannot be used is held, too, and only by its own part."""
    site = Site(kinds=2).listed(having(versioned(POD, "1"), "status.podIP", "no address"))
    name = POD["metadata"]
    ref = ObjectRef("Pod", name["namespace"], name["name"])
    assert site.parts[0].rejected
    assert [part.holds(ref) for part in site.parts] == [True, False]


def test_a_kind_that_the_cluster_lost_leaves_nothing():
    """Its objects are gone, and it counts as listed."""
    site = Site().listed(named(SERVICE, "web"))
    site.store.take()
    site.parts[0].clear()
    assert site.store.take().services == {}


def test_versions_differ():
    """No two snapshots have one version."""
    site = Site().listed(named(SERVICE, "web", "9"))
    first = site.store.take()
    site.parts[0].remove(named(SERVICE, "web", "9"))
    second = site.store.take()
    assert first.version != second.version
    assert first.version.startswith("9.")


_NAMES = st.sampled_from(["a", "b", "c"])
_STEPS = st.one_of(
    st.tuples(st.just("put"), _NAMES, st.sampled_from([80, 81, 0])),
    st.tuples(st.just("remove"), _NAMES, st.none()),
    st.tuples(st.just("take"), st.none(), st.none()),
    st.tuples(st.just("list"), st.dictionaries(_NAMES, st.sampled_from([80, 81, 0])), st.none()),
)


def with_port(name, port):
    return named(having(SERVICE, "spec.ports.0.port", port), name)


@settings(max_examples=200, deadline=None)
@given(st.lists(_STEPS, max_size=12))
def test_whatever_happens_the_snapshot_is_what_the_server_has(steps):
    """Puts, removals, lists and snapshots in any order: the last snapshot equals one that is made from scratch."""
    site, there = Site().listed(), {}
    last = site.store.take()
    for verb, what, port in steps:
        match verb:
            case "put":
                there[what] = with_port(what, port)
                site.parts[0].put(there[what])
            case "remove":
                site.parts[0].remove(there.pop(what, named(SERVICE, what)))
            case "take":
                last = site.store.take() or last
            case "list":
                there = {name: with_port(name, number) for name, number in what.items()}
                site.listed(*there.values())
    last = site.store.take() or last
    results = [decode_object(document) for document in there.values()]
    values = [value for value, _ in results if value is not None]
    expected = cluster_of(last.version, values, [each for _, rejected in results for each in rejected])
    assert last == expected
