"""
The agent's log on stderr.

A message is a constant phrase, then `key=value` fields: `applied version=4f… written=3`. As text it
is printed so; as JSON the fields are members of the object, with numbers and booleans as such.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from ast import literal_eval
from typing import Any, TextIO

from twinway.config import LogConfig

_FIELD = re.compile(r"""\s(\w+)=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S*)""")
_CONVERSION = re.compile(r"%(?:%|[-#0 +]*\d*(?:\.\d+)?[a-zA-Z])")
_NAME = re.compile(r"\s(\w+)=$")
_TIME = "%Y-%m-%dT%H:%M:%S"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the message's fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line for a record."""
        message = record.getMessage()
        first = _FIELD.search(message)
        entry: dict[str, Any] = {key: _unquoted(value) for key, value in _FIELD.findall(message)}
        entry |= _typed(record)
        entry |= {
            "time": f"{self.formatTime(record, _TIME)}.{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message[: first.start()] if first else message,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


# A field keeps the type that it was given: from text alone, a version of digits would look like a number.
def _typed(record: logging.LogRecord) -> dict[str, Any]:
    arguments = iter(record.args if isinstance(record.args, tuple) else ())
    found: dict[str, Any] = {}
    for conversion in _CONVERSION.finditer(record.msg if isinstance(record.msg, str) else ""):
        if conversion[0] == "%%":
            continue
        value = next(arguments, None)
        name = _NAME.search(record.msg[: conversion.start()])
        if name and (plain := _plain(value, conversion[0])) is not None:
            found[name[1]] = plain
    return found


def _plain(value: Any, conversion: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        # as precise as the text, and no more
        return float(conversion % value) if conversion[-1] in "feg" else value
    if isinstance(value, list | tuple):
        return [each if isinstance(each, bool | int | float) else str(each) for each in value]
    return None


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
