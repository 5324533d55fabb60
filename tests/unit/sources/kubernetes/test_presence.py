"""Which optional kinds there are."""

from __future__ import annotations

from threading import Thread

import pytest

from twinway.sources.kubernetes.presence import Presence
from twinway.sources.kubernetes.waiting import Stopped

NAME = "clusternetworkpolicies.policy.networking.k8s.io"
DEFINITION = {"kind": "PartialObjectMetadata", "metadata": {"name": NAME, "resourceVersion": "3"}}


def test_nobody_knows_before_the_definitions_are_listed():
    """Who asks waits for the end of the list."""
    presence, answers = Presence(), []
    thread = Thread(target=lambda: answers.append(presence.has(NAME)))
    presence.begin()
    presence.put(DEFINITION)
    thread.start()
    assert not answers
    presence.commit()
    thread.join(10)
    assert answers == [True]


def test_who_is_concerned_hears_that_a_definition_left():
    """By an event, or because a list does not have it."""
    presence, left = Presence(), []
    presence.on_leaving(NAME, lambda: left.append(NAME))
    presence.begin()
    presence.commit()
    presence.put(DEFINITION)
    presence.await_coming(NAME)
    presence.remove(DEFINITION)
    assert left == [NAME]
    presence.put(DEFINITION)
    presence.begin()
    presence.commit()
    assert left == [NAME, NAME]
    assert not presence.has(NAME)


def test_who_waits_is_let_go_at_the_end():
    """`stop` ends every wait."""
    presence = Presence()
    presence.stop()
    with pytest.raises(Stopped):
        presence.has(NAME)
