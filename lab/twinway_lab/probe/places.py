"""The places of a lab from outside: their processes started, stopped, asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from twinway.errors import LabError
from twinway.model.net import Protocol
from twinway_lab.names import EXTERNAL, LabName, Place, node_place
from twinway_lab.nodes import cgroups
from twinway_lab.nodes.processes import Home, start_ready
from twinway_lab.plan.plan import Plan, PodPlan, PodPort
from twinway_lab.probe.attempts import Attempt

EXTERNAL_PORTS = (PodPort(Protocol.TCP, 80), PodPort(Protocol.UDP, 80))
"""What the external host answers on: something to reach for what leaves the cluster."""


def pod_home(lab: LabName, pod: PodPlan) -> Home:
    """Where a pod's programs live; those of a host-network pod in their node's namespace."""
    inside = node_place(pod.node) if pod.host_network else pod.place
    return Home(cgroups.of_place(lab, pod.place, pod.node), lab.netns(inside), _log(lab, pod.place))


def _home(lab: LabName, where: Place) -> Home:
    return Home(cgroups.of_place(lab, where, None), lab.netns(where), _log(lab, where))


def home(lab: LabName, plan: Plan, where: Place) -> Home:
    """Where the programs of a place live; raises `LabError` where the lab has no such place."""
    if where.kind == "pod":
        pod = plan.pod(where)
        if pod is None:
            raise LabError(f"lab {lab}: there is no pod {where}")
        return pod_home(lab, pod)
    if where.kind == "node" and plan.node(where.name) is None:
        known = ", ".join(str(node_place(node.name)) for node in plan.nodes)
        raise LabError(f"lab {lab}: there is no {where}; there are {known}")
    return _home(lab, where)


def start_pods(lab: LabName, pods: Iterable[PodPlan]) -> None:
    """The pods answer on their ports when this returns."""
    _start(lab, [(pod.place, pod_home(lab, pod), pod.ports) for pod in pods])


def start_node(lab: LabName, node: str) -> None:
    """The node's place takes probes when this returns."""
    _start(lab, [(node_place(node), _home(lab, node_place(node)), ())])


def start_external(lab: LabName) -> None:
    """The external place answers and takes probes when this returns."""
    _start(lab, [(EXTERNAL, _home(lab, EXTERNAL), EXTERNAL_PORTS)])


def stop(lab: LabName, where: Place, group: Path) -> None:
    """No process is left at the place, and nothing that it left behind."""
    cgroups.kill(group)
    lab.place_socket(where).unlink(missing_ok=True)
    cgroups.remove(group)


def ask(lab: LabName, asked: Mapping[Place, Sequence[Attempt]]) -> dict[Place, list[dict[str, Any]]]:
    """What came of the attempts at each place, in order; all places try at the same time."""
    connections = {where: _asked(lab, where, attempts) for where, attempts in asked.items()}
    return {where: _answer(lab, where, connection) for where, connection in connections.items()}


def _start(lab: LabName, listed: Iterable[tuple[Place, Home, Sequence[PodPort]]]) -> None:
    from twinway_lab.probe import place  # here and not in each child: what is imported before is shared

    def body(where: Place, ports: Sequence[PodPort]) -> Callable[[Callable[[], None]], None]:
        return lambda ready: place.run(where, ports, lab.place_socket(where), ready)

    waits = [start_ready(at, body(where, ports)) for where, at, ports in listed]
    for wait in waits:
        wait()


def _asked(lab: LabName, where: Place, attempts: Sequence[Attempt]) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(lab.place_socket(where)))
        connection.sendall(json.dumps([asdict(each) for each in attempts]).encode())
        connection.shutdown(socket.SHUT_WR)
    except OSError as error:
        connection.close()
        raise _away(lab, where) from error
    return connection


def _answer(lab: LabName, where: Place, connection: socket.socket) -> list[dict[str, Any]]:
    with connection, connection.makefile("rb") as stream:
        said = stream.read()
    if not said:
        raise _away(lab, where)
    answers: list[dict[str, Any]] = json.loads(said)
    return answers


def _away(lab: LabName, where: Place) -> LabError:
    return LabError(f"lab {lab}: {where} does not answer: its process has ended; see {_log(lab, where)}")


def _log(lab: LabName, where: Place) -> Path:
    return lab.state / "log" / f"{where.key[:200]}.log"
