"""
Requests to one API server under one set of credentials, answered with plain JSON.

Configuration, credentials and TLS are those of the official client, of which neither a model class
nor a generated call is used. The client is imported when the first connection is made.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from threading import get_ident
from typing import Any, NamedTuple
from urllib.parse import urlencode

from twinway.errors import SourceError
from twinway.sources.kubernetes.failures import GarbledError, UnreachableError, refusal
from twinway.sources.kubernetes.lines import lines

PARTIAL = "application/json;as=PartialObjectMetadata{};g=meta.k8s.io;v=v1"
"""The representation of an object, or of a list, that has the metadata alone."""
CHUNK = 1 << 16


class Timeouts(NamedTuple):
    """How long to wait for the server, in seconds."""

    connect: float = 5.0
    answer: float = 30.0
    silence: float = 90.0
    """Of a watch: the server sends a bookmark every minute, so that a longer silence means it is stuck."""
    ask: float = 5.0
    """For the answer to whether it is there at all."""


class Stream:
    """The events of a watch, as they come."""

    def __init__(self, response: Any) -> None:
        """`response` is urllib3's."""
        self._response = response

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Each event; raises `RequestError` where the stream breaks or holds no JSON."""
        with _answering():
            for line in lines(self._response.stream(CHUNK)):
                yield _parsed(line)

    def interrupt(self) -> None:
        """End the stream while another thread reads it."""
        with suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    def close(self) -> None:
        """Close the connection, which has no other use in the middle of a stream."""
        with suppress(OSError):
            self._response.close()


class Transport:
    """A server and the credentials for it."""

    def __init__(self, client: Any, timeouts: Timeouts) -> None:
        """`client` is the official `ApiClient`."""
        self._client = client
        self._timeouts = timeouts
        self.host: str = client.configuration.host

    def get(self, path: str, query: Mapping[str, str], *, metadata_only: bool = False) -> Mapping[str, Any]:
        """The answer, a JSON object; raises `RequestError`."""
        return _parsed(self._read(path, query, "List" if metadata_only else None, self._timeouts.answer))

    def ask(self) -> None:
        """Have the server say that it is there; raises `RequestError`."""
        self._read("/livez", {}, None, self._timeouts.ask)

    def post(self, path: str, document: Mapping[str, Any]) -> None:
        """Make an object; raises `RequestError`."""
        self._write("POST", path, document, "application/json")

    def patch(self, path: str, change: Sequence[Mapping[str, Any]]) -> None:
        """Change an object by a JSON patch; raises `RequestError`."""
        self._write("PATCH", path, change, "application/json-patch+json")

    def _write(self, method: str, path: str, body: object, kind: str) -> None:
        with _answering():
            headers = {**self._headers("application/json"), "Content-Type": kind}
            timeouts = (self._timeouts.connect, self._timeouts.answer)
            url = f"{self.host}{path}"
            answer = self._client.call_api(method, url, headers, body, _request_timeout=timeouts)
            try:
                _accepted(answer)
                answer.response.read()
            finally:
                answer.response.release_conn()

    def watch(self, path: str, query: Mapping[str, str], *, metadata_only: bool = False) -> Stream:
        """The events; raises `RequestError` where the server refuses. Close it."""
        with _answering():
            asked = {"watch": "1", **query}
            return Stream(self._request(path, asked, "" if metadata_only else None, self._timeouts.silence))

    def close(self) -> None:
        """Close the connections that no request uses."""
        self._client.rest_client.close()

    def _read(self, path: str, query: Mapping[str, str], partial: str | None, seconds: float) -> bytes:
        with _answering():
            response = self._request(path, query, partial, seconds)
            try:
                return bytes(response.read())
            finally:
                response.release_conn()

    def _request(self, path: str, query: Mapping[str, str], partial: str | None, seconds: float) -> Any:
        headers = self._headers("application/json" if partial is None else PARTIAL.format(partial))
        url = f"{self.host}{path}?{urlencode(query)}" if query else f"{self.host}{path}"
        timeouts = (self._timeouts.connect, seconds)
        answer = self._client.call_api("GET", url, header_params=headers, _request_timeout=timeouts)
        return _accepted(answer)

    def _headers(self, accepted: str) -> dict[str, str]:
        headers = {"Accept": accepted, "User-Agent": "twinway"}
        for setting in self._client.configuration.auth_settings().values():
            headers[setting["key"]] = setting["value"]
        return headers


def _accepted(answer: Any) -> Any:
    """The response of an answer; raises `RefusedError` where its status is no success."""
    response = answer.response
    if answer.status in (HTTPStatus.OK, HTTPStatus.CREATED):
        return response
    with suppress(ValueError):
        document = json.loads(response.read())
        raise refusal(answer.status, document, response.headers.get("Retry-After"))
    raise refusal(answer.status, None, response.headers.get("Retry-After"))


def connect(kubeconfig: Path | None, context: str = "", timeouts: Timeouts = Timeouts()) -> Transport:  # noqa: B008
    """
    The server that a kubeconfig names, or without one the server of the cluster that this process is a pod of.

    Everything is read from disk anew. Raises `SourceError`.
    """
    from kubernetes.client import ApiClient, Configuration
    from kubernetes.config import ConfigException, load_incluster_config, load_kube_config
    from yaml import YAMLError

    configuration = Configuration()
    configuration.retries = False  # the reflectors retry, at a pace of their own
    configuration.connection_pool_maxsize = 16
    try:
        if kubeconfig is None:
            load_incluster_config(configuration)
        else:
            with _reported_errors():
                load_kube_config(str(kubeconfig), context or None, configuration, persist_config=False)
    except (ConfigException, YAMLError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        place = kubeconfig or "service account of this pod"
        raise SourceError(f"{place}: {' '.join(str(error).split())}") from error
    if configuration.host == Configuration().host:
        raise SourceError(f"{kubeconfig}: the cluster of the context has no server")
    return Transport(ApiClient(configuration), timeouts)


@contextmanager
def _reported_errors() -> Iterator[None]:
    """
    Raise `ConfigException` for an error that the client logs at the root logger instead of raising it.

    It does so where a plugin for credentials fails, and goes on without credentials.
    """
    from kubernetes.config import ConfigException

    errors: list[str] = []
    thread = get_ident()

    def catch(record: logging.LogRecord) -> bool:
        if record.thread != thread or record.levelno < logging.ERROR:
            return True
        errors.append(record.getMessage())
        return False

    root = logging.getLogger()
    root.addFilter(catch)
    try:
        yield
    finally:
        root.removeFilter(catch)
    if errors:
        raise ConfigException(errors[0])


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GarbledError(f"the answer is no JSON: {text[:40]!r}") from error
    if not isinstance(document, dict):
        raise GarbledError(f"the answer is no JSON object: {text[:40]!r}")
    return document


@contextmanager
def _answering() -> Iterator[None]:
    """Raise `UnreachableError` for whatever the client and its HTTP library raise of a connection."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except HTTPError as error:
        raise UnreachableError(_words(error)) from error
    except ApiException as error:
        raise UnreachableError(" ".join(str(error.reason).split())) from error
    except (ConfigException, OSError, ValueError) as error:
        # Credentials that the client reads again from disk, and certificates that it cannot load.
        raise UnreachableError(_words(error)) from error


def _words(error: Exception) -> str:
    from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ReadTimeoutError

    while isinstance(error, MaxRetryError) and isinstance(error.reason, Exception):
        error = error.reason
    match error:
        case NewConnectionError():  # before its base class ConnectTimeoutError
            return re.sub(r"\[Errno -?\d+\] ", "", str(error).rpartition(": ")[2]).lower()
        case ConnectTimeoutError():
            return "no connection in time"
        case ReadTimeoutError():
            return "no answer in time"
        case _:
            return " ".join(str(error).split()) or type(error).__name__
