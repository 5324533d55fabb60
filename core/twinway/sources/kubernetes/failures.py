"""
Why a request failed, and what that asks for.

    SourceError
    └── RequestError       no answer, or one that cannot be used
        ├── UnreachableError   no connection, no answer in time, a certificate that is not trusted
        ├── RefusedError       the server answered with an error status
        └── GarbledError       the answer is not what the API promises
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from twinway.errors import SourceError

LONGEST_RETRY_AFTER = 60.0
"""The longest pause that a server's Retry-After is obeyed for, in seconds."""


class RequestError(SourceError):
    """A request failed; what the server said before stays true."""


class UnreachableError(RequestError):
    """There was no answer."""


class GarbledError(RequestError):
    """The answer is no JSON, or lacks what every answer has."""


class RefusedError(RequestError):
    """The server answered with an error."""

    def __init__(self, status: int, message: str, retry_after: float = 0.0) -> None:
        """`retry_after` is how many seconds the server asks to wait, 0 where it does not ask."""
        super().__init__(f"{status} {_phrase(status)}: {message}" if message else f"{status} {_phrase(status)}")
        self.status = status
        self.retry_after = retry_after

    @property
    def expired(self) -> bool:
        """Whether the server has no history as old as the request asked for: only a new list helps."""
        return self.status == HTTPStatus.GONE

    @property
    def unknown_credentials(self) -> bool:
        """Whether the server does not know who asks: the credentials may have been replaced on disk."""
        return self.status == HTTPStatus.UNAUTHORIZED


def refusal(status: object, document: object, retry_after: str | None = None) -> RefusedError:
    """The error of a `Status` object, or of the HTTP status alone where there is none."""
    said: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    code = said.get("code", status)
    number = code if isinstance(code, int) else 500
    seconds = int(retry_after) if retry_after is not None and re.fullmatch("[0-9]{1,5}", retry_after) else 0
    return RefusedError(number, _one_line(said.get("message")), min(float(seconds), LONGEST_RETRY_AFTER))


def _one_line(message: object) -> str:
    return " ".join(message.split())[:200] if isinstance(message, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "from the server"
