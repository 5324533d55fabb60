"""What happens to the source when the server does not do what it should."""

from __future__ import annotations

import signal
import time

from tests.cluster.objects import namespace, service
from twinway.model.net import ObjectRef
from twinway.sources.kubernetes.transport import Timeouts

SHORT = Timeouts(connect=1.0, answer=2.0, silence=3.0)


def has(name):
    """Whether a snapshot has this Service."""
    return lambda cluster: ObjectRef("Service", "default", name) in cluster.services


def test_a_restarted_server_loses_nothing(plane, follow):
    """What changed while the server was away is there afterwards; nothing changes in between."""
    plane.api.create(service("before"))
    following = follow(plane)
    before = following.until(has("before"))
    plane.end_server()
    following.until_error("refused")
    assert following.cluster is before
    plane.start_server()
    following.until_error(None)
    assert following.cluster is before
    plane.end_server()
    following.until_error("refused")
    plane.start_server()
    plane.api.delete(service("before"))
    plane.api.create(service("after"))
    following.until(lambda cluster: has("after")(cluster) and not has("before")(cluster))
    following.until_error(None)


def test_a_server_that_is_not_there_yet(plane, follow):
    """The source waits for it, puts nothing, and says why."""
    plane.end_server()
    following = follow(plane)
    following.until_error("refused")
    assert following.snapshots == []
    plane.start_server()
    following.until(lambda cluster: cluster.namespaces)
    following.until_error(None)


def test_history_that_was_compacted_is_listed_again(plane, follow):
    """410 Gone: a change that no watch can tell any more comes with the new list."""
    plane.api.create(service("before"))
    following = follow(plane)
    following.until(has("before"))
    plane.signal_server(signal.SIGSTOP)
    plane.end_server()
    plane.start_server()
    api = plane.api
    api.delete(service("before"))
    api.create(service("after"))
    plane.compact()
    plane.end_server()
    plane.start_server()
    following.until(lambda cluster: has("after")(cluster) and not has("before")(cluster))
    following.until_error(None)


def test_a_server_that_is_stopped(plane, follow):
    """Its silence is noticed; the last state stays, and goes on when the server does."""
    plane.api.create(service("before"))
    following = follow(plane, SHORT)
    before = following.until(has("before"))
    plane.signal_server(signal.SIGSTOP)
    following.until_error("no answer in time", seconds=30)
    assert following.cluster is before
    plane.signal_server(signal.SIGCONT)
    following.until_error(None)
    plane.api.create(service("after"))
    following.until(has("after"))


def test_a_quiet_server_that_is_stopped(plane, follow):
    """It is noticed long before a bookmark is due; while it only has nothing to say, no watch is made anew."""
    following = follow(plane)
    following.until(lambda cluster: cluster.namespaces)
    time.sleep(25)  # longer than the silence after which it is asked
    assert following.source.error is None
    watches = [each._stream for each in following.source._reflectors if each._stream]
    assert len(watches) == 7
    plane.signal_server(signal.SIGSTOP)
    began = time.monotonic()
    following.until_error("no answer in time", seconds=60)
    assert time.monotonic() - began < 45
    assert not [each for each in following.source._reflectors if each._stream in watches and each._stream]
    plane.signal_server(signal.SIGCONT)
    following.until_error(None)
    plane.api.create(service("after"))
    following.until(has("after"))


def test_another_cluster_under_the_same_name(plane, follow):
    """Nothing of the one before is left, though the new one's versions begin far below."""
    api = plane.api
    api.create(namespace("old"))
    for number in range(60):
        api.create(service(f"old-{number}"))
    following = follow(plane)
    following.until(has("old-59"))
    plane.forget()
    plane.start()
    plane.api.create(service("new"))
    following.until(lambda cluster: {ref.name for ref in cluster.services} == {"kubernetes", "new"}, seconds=60)
    following.until(lambda cluster: ObjectRef("Namespace", "", "old") not in cluster.namespaces)
    following.until_error(None)


def test_a_token_and_an_authority_that_are_replaced(plane, follow):
    """Both are read from disk again, as soon as the server does not take the old ones."""
    following = follow(plane)
    following.until(lambda cluster: cluster.namespaces)
    plane.pki.renew_token("second-token")
    plane.end_server()
    plane.start_server()
    following.until_error("401 Unauthorized")
    plane.pki.publish()
    following.until_error(None)
    plane.api.create(service("by-second-token"))
    following.until(has("by-second-token"))

    plane.pki.renew_authority("second")
    plane.end_server()
    plane.start_server()
    following.until_error("certificate")
    plane.pki.publish()
    following.until_error(None)
    plane.api.create(service("by-second-authority"))
    following.until(has("by-second-authority"))
