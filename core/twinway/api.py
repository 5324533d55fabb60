"""
The agent's HTTP API: everything on its unix socket, metrics and health on a TCP port if asked for.

    GET /status                       what the agent is doing
    GET /wait?version=V&timeout=S     200 and the status as soon as V is in force, else 504 and the status
    GET /services /endpoints /maps    what is in force, and how the kernel holds it
    GET /policies /denials            policies by name, and what they denied to whom
    GET /explain?from=ADDRESS&to=ADDRESS[&protocol=tcp][&port=N]
                                      what policy says of that connection at the pods of this node, and why
    GET /metrics                      for Prometheus
    GET /healthz                      200 while the newest state is in force and traffic goes through
    GET /livez                        200 while the loop runs
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs, urlsplit

from twinway.compute.policy.explain import explain
from twinway.driver import Inspection
from twinway.errors import ConfigError, TwinwayError
from twinway.listener import Limits, Listener, Visit
from twinway.policy_views import connection_of, denials_view, explain_view, policies_view
from twinway.status import Board, moment
from twinway.unixsocket import listen
from twinway.views import endpoints_view, maps_view, services_view

logger = logging.getLogger(__name__)

LONGEST_WAIT = 600.0
SILENT_TOO_LONG = 120.0
"""Seconds without a pass of the loop after which a supervisor should restart the agent."""


class Reply(NamedTuple):
    """A response: its status, type and body."""

    code: int
    content_type: str
    body: bytes


Query = Mapping[str, str]
Route = Callable[[Query], Reply]


class Api:
    """The routes, over the status and a way to ask the driver."""

    def __init__(self, board: Board, dump: Callable[[], Inspection], usage: Callable[[], Inspection]) -> None:
        """`dump` and `usage` are the driver's; they may raise `TwinwayError`."""
        self._board = board
        self._dump = dump
        self._usage = usage
        self.public: dict[str, Route] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/livez": self._livez,
        }
        self.all: dict[str, Route] = {
            **self.public,
            "/status": lambda _: _json(200, self._board.status.to_json()),
            "/wait": self._wait,
            "/services": lambda _: _json(200, services_view(self._board.status.state, self._dump())),
            "/endpoints": lambda _: _json(200, endpoints_view(self._board.status.state)),
            "/maps": lambda _: _json(200, maps_view(self._usage())),
            "/policies": lambda _: _json(200, policies_view(self._board.status.state)),
            "/denials": self._denials,
            "/explain": self._explain,
        }

    def _wait(self, query: Query) -> Reply:
        version = query.get("version", "")
        try:
            timeout = float(query.get("timeout", "10"))
        except ValueError:
            timeout = -1.0
        if not version or not 0 <= timeout <= LONGEST_WAIT:
            return _refusal(400, f"give /wait?version=V&timeout=S with S from 0 to {LONGEST_WAIT:g}")
        held, status = self._board.wait(lambda now: now.version == version and now.complete, timeout)
        return _json(200 if held else 504, status.to_json())

    def _denials(self, _query: Query) -> Reply:
        denials = self._usage().denials
        return _json(200, denials_view(self._board.status.state, denials, self._board.rules.name))

    def _explain(self, query: Query) -> Reply:
        state = self._board.status.state
        if state is None:
            return _refusal(503, "no state is in force yet: try again later")
        try:
            source, place, protocol = connection_of(query)
        except ValueError as error:
            return _refusal(400, str(error))
        return _json(200, explain_view(state, explain(state, source, place, protocol), self._board.rules.name))

    def _metrics(self, _query: Query) -> Reply:
        from twinway import metrics

        return Reply(
            200,
            metrics.CONTENT_TYPE,
            metrics.exposition(self._board.status, self._usage(), self._board.rules.name),
        )

    def _healthz(self, _query: Query) -> Reply:
        status = self._board.status
        if status.well:
            return Reply(200, "text/plain", b"ok\n")
        waiting = "the first complete state is not in force yet" if not status.complete else status.health.detail
        reason = f"{status.fault} (since {moment(status.fault_since)})" if status.fault else waiting
        return Reply(503, "text/plain", f"{reason}\n".encode())

    def _livez(self, _query: Query) -> Reply:
        silence = self._board.silence()
        if silence < SILENT_TOO_LONG:
            return Reply(200, "text/plain", b"ok\n")
        return Reply(503, "text/plain", f"the loop has not run for {silence:.0f} s\n".encode())


class _Doors:
    # What the handler of a request looks at of its server.
    def __init__(self, routes: Mapping[str, Route], visit: Visit) -> None:
        self.routes = routes
        self.visit = visit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30.0

    def __init__(self, doors: _Doors) -> None:
        self._doors = doors
        super().__init__(doors.visit.socket, "", cast("Any", doors))

    def do_GET(self) -> None:
        """Answer by the route of the path."""
        with self._doors.visit.working():
            reply = self._reply()
        self._send(reply)

    def _reply(self) -> Reply:
        parts = urlsplit(self.path)
        route = self._doors.routes.get(parts.path)
        if route is None:
            return _refusal(404, f"no such path; there are {', '.join(sorted(self._doors.routes))}")
        try:
            return route({key: values[-1] for key, values in parse_qs(parts.query).items()})
        except (TwinwayError, OSError) as error:
            return _refusal(503, str(error))

    def address_string(self) -> str:
        """Who asks, for the log: a unix socket's client has no address."""
        try:
            name = self._doors.visit.socket.getpeername()
        except OSError:
            return "gone"
        return str(name[0]) if isinstance(name, tuple) else "local"

    def log_message(self, format: str, *args: Any) -> None:
        """To our log, not to stderr."""
        logger.debug("request client=%s line=%r", self.address_string(), format % args)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.code)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)


class ApiServer:
    """One listening socket that answers some routes until it is closed."""

    def __init__(
        self, listening: socket.socket, routes: Mapping[str, Route], limits: Limits | None = None
    ) -> None:
        """Serve `routes` on a socket that listens already."""
        self._listener = Listener(listening, lambda visit: _serve(routes, visit), name="api", limits=limits)
        self._listener.start()

    @classmethod
    def on_path(cls, path: Path, routes: Mapping[str, Route]) -> ApiServer:
        """Serve on a unix socket, mode 0600."""
        return cls(listen(path), routes)

    @classmethod
    def on_port(cls, address: str, routes: Mapping[str, Route]) -> ApiServer:
        """Serve on `HOST:PORT`."""
        host, _, port = address.rpartition(":")
        try:
            listening = socket.create_server(
                (host.strip("[]"), int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
            )
        except OSError as error:
            raise ConfigError(f"metrics.address: {address}: {error.strerror}: choose another") from error
        return cls(listening, routes)

    @property
    def address(self) -> Any:
        """Where it listens: a path, or (host, port, …)."""
        return self._listener.address

    def remake(self, path: Path) -> None:
        """Listen at `path` again, where somebody removed it."""
        self._listener.move(listen(path))

    def close(self) -> None:
        """Stop answering."""
        self._listener.close()


def _serve(routes: Mapping[str, Route], visit: Visit) -> None:
    _Handler(_Doors(routes, visit))  # making it serves the connection to its end


def _json(code: int, value: Any) -> Reply:
    return Reply(code, "application/json", json.dumps(value).encode())


def _refusal(code: int, reason: str) -> Reply:
    return _json(code, {"error": reason})
