"""What is wrong with objects is reported once, by name, field and reason, and once when it is gone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.unit.states import state
from twinway.model.net import NotServed, ObjectRef, Rejected
from twinway.reporting import MOST, FaultLog

WEB = ObjectRef("Service", "shop", "web")
BAD = Rejected(WEB, "spec.ports[0].port", "is required")
WORSE = Rejected(WEB, "spec.type", "must be a string, not 5")
LEFT = NotServed(WEB, "spec.externalIPs", "['192.0.2.1']: nothing answers there")


class Log:
    """Reports states, and returns what was new in the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self._telling = FaultLog()

    def __call__(self, *rejected: Rejected, not_served: tuple[NotServed, ...] = ()) -> list[str]:
        self._caplog.clear()
        self._telling.report(replace(state("v"), rejected=rejected, not_served=not_served))
        return [f"{record.levelname} {record.getMessage()}" for record in self._caplog.records]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    with caplog.at_level(logging.INFO, "twinway.reporting"):
        yield Log(caplog)


def test_each_rejected_is_reported_once_and_once_when_it_goes(log: Log) -> None:
    """Whatever else changes meanwhile."""
    bad = "WARNING rejected object='Service shop/web' field='spec.ports[0].port' reason='is required'"
    assert log(BAD) == [bad]
    assert log(BAD) == []
    assert log(BAD, WORSE) == [
        "WARNING rejected object='Service shop/web' field='spec.type' reason='must be a string, not 5'"
    ]
    assert log(WORSE) == ["INFO rejected no more object='Service shop/web' field='spec.ports[0].port'"]
    assert log(BAD, WORSE) == [bad]


def test_what_is_not_served_is_reported_once(log: Log) -> None:
    """With what happens instead."""
    line = (
        "INFO not served object='Service shop/web' field='spec.externalIPs' "
        """reason="['192.0.2.1']: nothing answers there\""""
    )
    assert log(not_served=(LEFT,)) == [line]
    assert log(BAD, not_served=(LEFT,))[1:] == []
    assert log(not_served=()) == ["INFO rejected no more object='Service shop/web' field='spec.ports[0].port'"]


def test_a_flood_is_counted(log: Log) -> None:
    """A folder of a thousand bad objects does not fill the disk with lines."""
    many = tuple(Rejected(ObjectRef("Service", "shop", f"s{n}"), "spec", "is required") for n in range(MOST + 20))
    lines = log(*many)
    assert len(lines) == MOST + 1
    assert lines[-1] == "WARNING rejected, and more: see `twinway status` count=20"
