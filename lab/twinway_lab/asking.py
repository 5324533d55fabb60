"""Queries carried out: names resolved, places asked side by side, answers put back in the order asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from twinway.errors import LabError
from twinway.model.net import IPAddress, ObjectRef, Protocol
from twinway_lab import manifests, netns, places
from twinway_lab.addresses import EXTERNAL_HOST, ROUTER
from twinway_lab.attempts import Attempt, has_sctp
from twinway_lab.names import EXTERNAL, LabName, Place
from twinway_lab.plan import Plan
from twinway_lab.queries import Query

Answer = dict[str, Any]


def answers(lab: LabName, plan: Plan, queries: Sequence[Query]) -> list[Answer]:
    """`count` answers to each query, in the order asked; raises `LabError` where one cannot be carried out."""
    for where in {query.place for query in queries}:
        places.home(lab, plan, where)  # there is such a place
    if any(query.protocol is Protocol.SCTP for query in queries) and not has_sctp():
        raise LabError("this kernel has no SCTP: build it with CONFIG_IP_SCTP, or load the module sctp")
    hosts = _hosts(lab, queries)
    _lend_addresses(lab, plan, queries)
    asked: dict[Place, list[Attempt]] = defaultdict(list)
    for query, host in zip(queries, hosts, strict=True):
        asked[query.place] += [_attempt(query, host)] * query.count
    came = {where: iter(given) for where, given in places.ask(lab, asked).items()}
    return [answer for query in queries for answer in _of(query, came[query.place])]


def _attempt(query: Query, host: IPAddress) -> Attempt:
    if query.source is not None and query.source.version != host.version:
        raise LabError(f"source {query.source}: is of another family than {host}")
    return Attempt(
        host=str(host),
        port=query.target.port,
        protocol=query.protocol,
        source=str(query.source or ""),
        foreign_source=query.place == EXTERNAL,
        payload_size=query.payload_size,
        timeout=query.timeout,
    )


def _of(query: Query, came: Iterator[Answer]) -> Iterator[Answer]:
    place, to, protocol = query.asked
    for _ in range(query.count):
        outcome = next(came)
        if "error" in outcome:
            raise LabError(f"{place} to {to}: {outcome['error']}")
        yield {"from": place, "to": to, "protocol": protocol, **outcome}


def _hosts(lab: LabName, queries: Iterable[Query]) -> list[IPAddress]:
    services: Mapping[ObjectRef, Any] | None = None
    found: list[IPAddress] = []
    for query in queries:
        host = query.target.host
        if isinstance(host, str):
            services = manifests.services(lab) if services is None else services
            found.append(_cluster_ip(services, host))
        else:
            found.append(host)
    return found


def _cluster_ip(services: Mapping[ObjectRef, Any], host: str) -> IPAddress:
    name, _, namespace = host.partition(".")
    service = services.get(ObjectRef("Service", namespace, name))
    if service is None:
        raise LabError(f"{host}: there is no Service {name} in namespace {namespace}")
    addresses = manifests.cluster_ips(service)
    if not addresses:
        raise LabError(f"{host}: Service {namespace}/{name} has no cluster IP")
    return ip_address(addresses[0])


def _lend_addresses(lab: LabName, plan: Plan, queries: Iterable[Query]) -> None:
    # The router sends what it does not know to the external host, which then must have the address.
    # Addresses of others it only pretends to have: their answers go to these others.
    others = {address for pod in plan.pods for address in pod.addresses}
    others |= {address for node in plan.nodes for address in node.addresses} | {*ROUTER.values()}
    wanted = {query.source for query in queries if query.place == EXTERNAL and query.source is not None}
    lent = sorted(str(address) for address in wanted - others - {*EXTERNAL_HOST.values()})
    if lent:
        with netns.inside(lab.netns(EXTERNAL)):
            # Deprecated from the beginning: never chosen where nobody asks for it.
            netns.ip(f"address replace {each} dev eth0 nodad preferred_lft 0" for each in lent if ":" in each)
            netns.ip(f"address replace {each}/32 dev eth0" for each in lent if ":" not in each)
