"""The HTTP API and its client, over real sockets and a status that the test sets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.states import attachment, state
from twinway.api import Api, ApiServer
from twinway.client import AgentClient
from twinway.driver import Health, Inspection, KernelFrontend, MapUsage, Report
from twinway.errors import ConfigError, SourceError, TwinwayError
from twinway.status import Board, Status

KERNEL = Inspection(
    frontends=tuple(
        KernelFrontend(
            frontend.address, frontend.port, frontend.protocol, int(frontend.scope), ((backend.address, 8080),)
        )
        for service in state("v", "web").services.values()
        for frontend in service.frontends
        for backend in frontend.backends.backends
    ),
    maps=(MapUsage("tw_backend_v1", 3, 1024, 4096),),
    counters={"forwarded": 7, "no_backend": 1},
)


class Agent:
    """The API of an agent whose status and kernel are what the test says."""

    def __init__(self, folder: Path) -> None:
        self.board = Board(Status(node="n1", driver="fake", pid=42))
        self.kernel: Inspection | TwinwayError = KERNEL
        self.path = folder / "agent.sock"
        self.dumped = 0
        self.api = Api(self.board, dump=self._dump, usage=self._usage)
        self.server = ApiServer.on_path(self.path, self.api.all)
        self.client = AgentClient(self.path)

    def _dump(self) -> Inspection:
        self.dumped += 1
        return self._usage()

    def _usage(self) -> Inspection:
        if isinstance(self.kernel, TwinwayError):
            raise self.kernel
        return self.kernel

    def in_force(self, version: str, *services: str) -> None:
        """A state was applied."""
        self.board.update(
            state=state(version, *services, attachments=(attachment("web"),)),
            complete=True,
            health=Health(ok=True, detail="probe came back"),
            tally=self.board.status.tally.applied(Report(written=3, removed=1), 0.002),
            last_success=1700000000.0,
        )


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.server.close()


def test_status_before_the_first_state(agent: Agent) -> None:
    """A fresh agent says that nothing is in force yet."""
    assert agent.client.status() == {
        "node": "n1",
        "driver": "fake",
        "pid": 42,
        "version": None,
        "complete": False,
        "applies": 0,
        "endpoints": [],
        "rejected": [],
        "not_served": [],
        "error": None,
        "error_since": None,
        "source": {"synced": True, "error": None, "since": None},
        "config": {"error": None, "since": None, "pending": []},
        "retiring": [],
        "health": {"ok": False, "detail": "not started"},
    }


def test_status_of_a_serving_agent(agent: Agent) -> None:
    """Version, pods and counts are those of the state in force."""
    agent.in_force("v1", "web")
    status = agent.client.status()
    assert (status["version"], status["complete"], status["applies"]) == ("v1", True, 1)
    assert status["endpoints"] == [{"pod": "shop/web", "addresses": ["10.1.0.5"], "device": "eth0"}]


def test_wait_returns_when_the_version_is_in_force(agent: Agent) -> None:
    """A waiter is answered by the apply that it waits for, not by another one before."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(agent.client.wait("v2", 30)["version"]))
    thread.start()
    agent.in_force("v1")
    agent.in_force("v2")
    thread.join(20)
    assert answers == ["v2"]


def test_wait_ends_with_the_reason(agent: Agent) -> None:
    """A wait that ends too early reports which version is in force, or the error that stops the new one."""
    agent.in_force("v1")
    with pytest.raises(TwinwayError, match=r"v2 is not in force after 0.01 s: version v1 still is"):
        agent.client.wait("v2", 0.01)
    agent.board.update(error="map full")
    with pytest.raises(TwinwayError, match=r"v2 is not in force after 0.01 s: map full"):
        agent.client.wait("v2", 0.01)


@pytest.mark.parametrize(
    "query", ["", "version=", "version=v&timeout=x", "version=v&timeout=-1", "version=v&timeout=nan"]
)
def test_wait_asked_wrongly(agent: Agent, query: str) -> None:
    """A wait without a version, or with a timeout that is none, is refused with the right form."""
    with pytest.raises(TwinwayError, match=r"give /wait\?version=V&timeout=S"):
        agent.client.get(f"/wait?{query}")


def test_services(agent: Agent) -> None:
    """Each frontend is shown with its backends and whether the kernel has the very same."""
    agent.in_force("v1", "web")
    expected = {
        "address": "10.96.0.1",
        "port": 80,
        "protocol": "TCP",
        "scope": "internal",
        "backends": [{"address": "10.1.0.9", "port": 8080}],
        "drops": False,
        "programmed": True,
    }
    assert agent.client.get("/services") == {"services": [{"service": "shop/web", "frontends": [expected]}]}
    agent.kernel = Inspection()
    (service,) = agent.client.get("/services")["services"]
    assert service["frontends"] == [{**expected, "programmed": False}]


def test_endpoints(agent: Agent) -> None:
    """Each pod is shown with its interface and its policy set."""
    agent.in_force("v1")
    assert agent.client.get("/endpoints")["endpoints"] == [
        {
            "pod": "shop/web",
            "addresses": ["10.1.0.5"],
            "device": "eth0",
            "netns": "/run/netns/web",
            "container": "c1",
            "policy": None,
            "policies": [],
        }
    ]


def test_maps(agent: Agent) -> None:
    """Tables are shown with how full they are, and verdicts by reason."""
    assert agent.client.get("/maps") == {
        "maps": [{"name": "tw_backend_v1", "entries": 3, "capacity": 1024, "memory": 4096}],
        "counters": {"forwarded": 7, "no_backend": 1},
    }


def test_kernel_that_cannot_be_read(agent: Agent) -> None:
    """Where the kernel cannot be read the reason comes back, and the rest still answers."""
    agent.kernel = TwinwayError("the agent is busy for more than 10 s: try again later")
    with pytest.raises(TwinwayError, match="/maps: the agent is busy"):
        agent.client.get("/maps")
    assert agent.client.status()["pid"] == 42


def test_health_follows_the_status(agent: Agent) -> None:
    """Health is good only while the newest state is in force and traffic goes through."""
    with pytest.raises(TwinwayError, match="the first complete state is not in force yet"):
        agent.client.get("/healthz")
    agent.in_force("v1")
    assert agent.client.get("/healthz") == "ok\n"
    agent.board.update(health=Health(ok=False, detail="probe lost"))
    with pytest.raises(TwinwayError, match="probe lost"):
        agent.client.get("/healthz")
    agent.board.update(source_error="shop.yaml: no YAML")
    with pytest.raises(TwinwayError, match=r"shop\.yaml: no YAML"):
        agent.client.get("/healthz")
    assert agent.client.get("/livez") == "ok\n"


def test_metrics(agent: Agent) -> None:
    """The exposition parses, and holds applies, errors by kind, map pressure and verdicts by reason."""
    agent.in_force("v1", "web")
    agent.board.update(tally=agent.board.status.tally.failed("MapError"))
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(agent.client.get("/metrics"))
        for sample in family.samples
    }
    assert samples["twinway_applies_total", ()] == 1
    assert samples["twinway_apply_errors_total", (("kind", "MapError"),)] == 1
    assert samples["twinway_apply_seconds_bucket", (("le", "0.001"),)] == 0
    assert samples["twinway_apply_seconds_bucket", (("le", "0.005"),)] == 1
    assert samples["twinway_apply_seconds_bucket", (("le", "+Inf"),)] == 1
    assert samples["twinway_kernel_writes_total", ()] == 3
    assert samples["twinway_map_entries", (("map", "tw_backend_v1"),)] == 3
    assert samples["twinway_map_capacity", (("map", "tw_backend_v1"),)] == 1024
    assert samples["twinway_verdicts_total", (("reason", "no_backend"),)] == 1
    assert samples["twinway_endpoints", ()] == 1
    assert samples["twinway_last_success_timestamp_seconds", ()] == 1700000000.0


def test_a_scrape_reads_no_tables(agent: Agent) -> None:
    """Neither metrics nor map usage read frontends back: that takes long, and the loop would wait for it."""
    agent.in_force("v1", "web")
    agent.client.get("/metrics")
    agent.client.get("/maps")
    assert agent.dumped == 0
    agent.client.get("/services")
    assert agent.dumped == 1


def test_unknown_path_lists_what_there_is(agent: Agent) -> None:
    """An unknown path is answered with those that there are."""
    with pytest.raises(TwinwayError, match=r"/nope: no such path; there are /denials, /endpoints, /explain"):
        agent.client.get("/nope")


def test_public_port_shows_no_pods(agent: Agent) -> None:
    """On a TCP port only metrics and health are served."""
    server = ApiServer.on_port("[::1]:0", agent.api.public)
    try:
        connection = HTTPConnection("::1", server.address[1], timeout=10)
        codes = []
        for path in ("/livez", "/metrics", "/endpoints"):
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            codes.append(response.status)
        connection.close()
    finally:
        server.close()
    assert codes == [200, 200, 404]


def test_port_that_is_taken(agent: Agent) -> None:
    """A port that is in use is reported with the config's key."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"metrics.address: {address}: Address already in use"):
            ApiServer.on_port(address, agent.api.public)


def test_agent_away(tmp_path: Path) -> None:
    """Without an agent the client says in one line what to start."""
    with pytest.raises(SourceError, match=r"not running: start it with `twinway agent`"):
        AgentClient(tmp_path / "none.sock").status()


def test_somebody_else_on_the_socket(tmp_path: Path) -> None:
    """An answer that is no HTTP is one line, too."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "x.sock"))
    listening.listen()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"SSH-2.0-hello\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(SourceError, match="no answer"):
        AgentClient(tmp_path / "x.sock").status()
    thread.join()
    listening.close()


def test_socket_path_too_long(agent: Agent, tmp_path: Path) -> None:
    """A run_dir whose path is too long for a socket is refused with what to do."""
    with pytest.raises(ConfigError, match=r"run_dir: .* is too long for the path of a socket"):
        ApiServer.on_path(tmp_path / ("x" * 120) / "agent.sock", agent.api.all)
