"""Every pod to every other pod's every address and declared port."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twinway.model.net import Protocol
from twinway_lab.plan.plan import Plan
from twinway_lab.probe.attempts import has_sctp
from twinway_lab.probe.queries import Query, Target


def queries(plan: Plan, timeout: float) -> list[Query]:
    """The matrix of a plan; SCTP is left out where the kernel has none."""
    sctp = has_sctp()
    return [query for query in _all(plan, timeout) if sctp or query.protocol is not Protocol.SCTP]


def _all(plan: Plan, timeout: float) -> Iterator[Query]:
    for client in plan.pods:
        for server in plan.pods:
            if client is server:
                continue
            for address in server.addresses:
                host = f"[{address}]" if address.version == 6 else str(address)
                for port in server.ports:
                    asked = (str(client.place), f"{host}:{port.number}", port.protocol.value.lower())
                    yield Query(client.place, Target(address, port.number), port.protocol, asked, timeout=timeout)


Cell = tuple[int, int]
"""How many connected, of how many."""


def shown(cell: Cell | None) -> str:
    """A cell for people: `4/4`; nothing for the pod itself, or one without ports."""
    return "" if cell is None else f"{cell[0]}/{cell[1]}"


def table(plan: Plan, answers: Sequence[dict[str, str]]) -> dict[tuple[str, str], Cell]:
    """(from pod, to pod) → how many of the address and port pairs connected."""
    owners = {str(address): str(pod.place) for pod in plan.pods for address in pod.addresses}
    cells: dict[tuple[str, str], Cell] = {}
    for answer in answers:
        host = answer["to"].rpartition(":")[0].strip("[]")
        key = answer["from"], owners[host]
        good, all_ = cells.get(key, (0, 0))
        cells[key] = good + (answer["outcome"] == "connected"), all_ + 1
    return cells
