"""Talking to a running agent over its unix socket."""

from __future__ import annotations

import json
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from twinway.errors import SourceError, TwinwayError


class AgentClient:
    """The agent that listens at one path. Each call is a connection of its own."""

    def __init__(self, path: Path | str, *, timeout: float = 10.0) -> None:
        """Nothing is opened yet. `timeout` bounds each call, in seconds, beside what it waits for."""
        self._path = str(path)
        self._timeout = timeout

    def status(self) -> dict[str, Any]:
        """What the agent is doing."""
        return self._object("/status")

    def wait(self, version: str, timeout: float) -> dict[str, Any]:
        """The status once that version is in force; raises `TwinwayError` where it is not in time."""
        query = urlencode({"version": version, "timeout": timeout})
        code, status = self._ask(f"/wait?{query}", timeout)
        if code == 200 and isinstance(status, dict):
            return status
        if code == 504:
            reason = status.get("error") or f"version {status.get('version')} still is"
            raise TwinwayError(
                f"agent {self._path}: version {version} is not in force after {timeout:g} s: {reason}"
            )
        raise TwinwayError(f"agent {self._path}: {_reason(code, status)}")

    def get(self, path: str) -> Any:
        """The JSON at a path of the API, or the text where it is none."""
        code, value = self._ask(path)
        if code >= 400:
            raise TwinwayError(f"agent {self._path}: {path}: {_reason(code, value)}")
        return value

    def _object(self, path: str) -> dict[str, Any]:
        value = self.get(path)
        if not isinstance(value, dict):
            raise TwinwayError(f"agent {self._path}: {path}: no JSON object came back: is it an agent's socket?")
        return value

    def _ask(self, path: str, extra: float = 0.0) -> tuple[int, Any]:
        connection = _UnixConnection(self._path, self._timeout + extra)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise SourceError(f"agent {self._path}: not running: start it with `twinway agent`") from error
        except PermissionError as error:
            raise SourceError(f"agent {self._path}: permission denied: only its own user may ask it") from error
        except (OSError, HTTPException) as error:
            raise SourceError(f"agent {self._path}: no answer: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.headers.get_content_type() != "application/json":
            return response.status, body.decode("utf-8", "replace")
        return response.status, json.loads(body)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._socket_path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._socket_path)


def _reason(code: int, value: Any) -> str:
    if isinstance(value, dict) and "error" in value:
        return str(value["error"])
    return str(value).strip() or f"HTTP status {code}"
