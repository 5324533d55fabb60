"""
The agent's log on stderr.

A message is a constant phrase, then `key=value` fields: `applied version=4f… written=3`. As text it
is printed so; as JSON the fields are members of the object, with their values as strings.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from ast import literal_eval
from typing import TextIO

from twinway.config import LogConfig

_FIELD = re.compile(r"""\s(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S*)""")
_TIME = "%Y-%m-%dT%H:%M:%S"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the message's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        message = record.getMessage()
        first = _FIELD.search(message)
        entry: dict[str, str] = {key: _unquoted(value) for key, value in _FIELD.findall(message)}
        entry |= {
            "time": f"{self.formatTime(record, _TIME)}.{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message[: first.start()] if first else message,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def set_up(config: LogConfig, stream: TextIO | None = None) -> None:
    """Write this process' log as the config says, on stderr unless another stream is given."""
    handler = logging.StreamHandler(stream or sys.stderr)
    if config.format == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter("%(asctime)s.%(msecs)03d %(levelname)-7s %(name)s %(message)s", datefmt=_TIME)
        )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())


def _unquoted(value: str) -> str:
    return str(literal_eval(value)) if value[:1] in {"'", '"'} and len(value) > 1 else value
