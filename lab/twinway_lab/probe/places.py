"""Start, stop and ask the processes that stand for a lab's places."""

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
from twinway_lab.nodes.processes import Container, start_ready
from twinway_lab.plan.plan import Plan, PodPlan, PodPort
from twinway_lab.probe.attempts import Attempt

EXTERNAL_PORTS = (PodPort(Protocol.TCP, 80), PodPort(Protocol.UDP, 80))
"""What the external host answers on, so that connections that leave the cluster reach something."""


def pod_container(lab: LabName, pod: PodPlan) -> Container:
    """What a pod's programs run in; those of a host-network pod are in their node's namespace."""
    inside = node_place(pod.node) if pod.host_network else pod.place
    return Container(cgroups.of_place(lab, pod.place, pod.node), lab.netns(inside), _log(lab, pod.place))


def _container(lab: LabName, where: Place) -> Container:
    return Container(cgroups.of_place(lab, where, None), lab.netns(where), _log(lab, where))


def container(lab: LabName, plan: Plan, where: Place) -> Container:
    """What the programs of a place run in. Raises `LabError` where the lab has no such place."""
    if where.kind == "pod":
        pod = plan.pod(where)
        if pod is None:
            raise LabError(f"lab {lab}: there is no pod {where}")
        return pod_container(lab, pod)
    if where.kind == "node" and plan.node(where.name) is None:
        known = ", ".join(str(node_place(node.name)) for node in plan.nodes)
        raise LabError(f"lab {lab}: there is no {where}; there are {known}")
    return _container(lab, where)


def start_pods(lab: LabName, pods: Iterable[PodPlan]) -> None:
    """Start pods; they answer on their ports when this returns."""
    _start(lab, [(pod.place, pod_container(lab, pod), pod.ports) for pod in pods])


def start_node(lab: LabName, node: str) -> None:
    """Start a node's place; it takes probes when this returns."""
    _start(lab, [(node_place(node), _container(lab, node_place(node)), ())])


def start_external(lab: LabName) -> None:
    """Start the external place; it answers and takes probes when this returns."""
    _start(lab, [(EXTERNAL, _container(lab, EXTERNAL), EXTERNAL_PORTS)])


def stop(lab: LabName, where: Place, group: Path) -> None:
    """End every process of a place, and remove its socket and cgroup."""
    cgroups.kill(group)
    lab.place_socket(where).unlink(missing_ok=True)
    cgroups.remove(group)


def ask(lab: LabName, asked: Mapping[Place, Sequence[Attempt]]) -> dict[Place, list[dict[str, Any]]]:
    """Return the outcome of each place's attempts, in order; all places try at the same time."""
    connections = {where: _asked(lab, where, attempts) for where, attempts in asked.items()}
    return {where: _answer(lab, where, connection) for where, connection in connections.items()}


def _start(lab: LabName, listed: Iterable[tuple[Place, Container, Sequence[PodPort]]]) -> None:
    from twinway_lab.probe import place  # before the fork: children share what is imported already

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
