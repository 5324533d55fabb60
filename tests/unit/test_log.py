"""The log's two formats."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from twinway.config import LogConfig
from twinway.log import set_up


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_line(stream: io.StringIO) -> None:
    """A line of text holds time, level, logger and the message as it was written."""
    set_up(LogConfig(), stream)
    logging.getLogger("twinway.x").info("applied version=%s written=%d", "v1", 3)
    time, level, rest = stream.getvalue().split(" ", 2)
    assert len(time) == len("2026-01-01T00:00:00.000")
    assert (level, rest.strip()) == ("INFO", "twinway.x applied version=v1 written=3")


def test_json_line_has_the_fields(stream: io.StringIO) -> None:
    """As JSON, phrase and fields are apart, quoted values unquoted."""
    set_up(LogConfig(format="json"), stream)
    logging.getLogger("twinway.x").warning("apply failed error=%r retry_seconds=%.2f", 'a "b" c\'s', 0.25)
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "apply failed"
    assert (entry["error"], entry["retry_seconds"]) == ('a "b" c\'s', 0.25)
    assert (entry["level"], entry["logger"]) == ("warning", "twinway.x")


def test_json_line_has_numbers_and_booleans(stream: io.StringIO) -> None:
    """A number is a number and a boolean one; text of digits stays text."""
    set_up(LogConfig(format="json"), stream)
    logging.getLogger("twinway.x").info(
        "applied 100%% version=%s written=%d ok=%s ms=%.1f parts=%r why=%r", "1234", 3, True, 1.26, ["a"], None
    )
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "applied 100%"
    found = [entry[key] for key in ("version", "written", "ok", "ms", "parts", "why")]
    assert found == ["1234", 3, True, 1.3, ["a"], "None"]


def test_json_line_without_fields(stream: io.StringIO) -> None:
    """A message without fields is a message, and an exception is kept with it."""
    set_up(LogConfig(format="json"), stream)
    try:
        int("x")
    except ValueError:
        logging.getLogger("twinway.x").exception("it broke")
    entry = json.loads(stream.getvalue())
    assert entry["message"] == "it broke"
    assert "ValueError: invalid literal" in entry["exception"]


def test_a_field_cannot_replace_what_the_line_says(stream: io.StringIO) -> None:
    """A field named like one of the line's own members does not hide it."""
    set_up(LogConfig(format="json"), stream)
    logging.getLogger("twinway.x").info("odd level=none logger=other")
    entry = json.loads(stream.getvalue())
    assert (entry["level"], entry["logger"]) == ("info", "twinway.x")


def test_level_is_kept(stream: io.StringIO) -> None:
    """Less severe lines than the config's level are not written."""
    set_up(LogConfig(level="warning"), stream)
    logging.getLogger("twinway.x").info("quiet")
    assert stream.getvalue() == ""
