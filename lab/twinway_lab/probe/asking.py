"""Carry out queries: resolve names, ask all places at the same time, answer in the order of the queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, NamedTuple

from twinway.errors import LabError
from twinway.model.net import IPAddress, ObjectRef, Protocol
from twinway_lab.names import EXTERNAL, LabName, Place
from twinway_lab.network import netns
from twinway_lab.nodes import manifests
from twinway_lab.plan.addresses import EXTERNAL_HOST, ROUTER
from twinway_lab.plan.plan import Plan
from twinway_lab.probe import places
from twinway_lab.probe.attempts import Attempt, has_sctp
from twinway_lab.probe.denials import Connection, Denials, Denied, described
from twinway_lab.probe.queries import Query

Answer = dict[str, Any]
_WHY = ("denied_by", "detail")


def answers(lab: LabName, plan: Plan, queries: Sequence[Query]) -> list[Answer]:
    """`count` answers to each query, in the order asked; raises `LabError` where one cannot be carried out."""
    return [answer for answer, _ in _carried_out(lab, plan, queries)]


def explained(lab: LabName, plan: Plan, queries: Sequence[Query]) -> list[Answer]:
    """
    The same with two more fields, which say why nothing came back where the outcome is `dropped`.

    `denied_by` lists the ends whose policy denies the connection; `detail` is the reason in one line.
    """
    came = _carried_out(lab, plan, queries)
    denials = Denials(lab, plan) if any(answer["outcome"] == "dropped" for answer, _ in came) else None
    known: dict[Connection, tuple[Denied, ...]] = {}
    whole: list[Answer] = []
    for answer, found in came:
        denied: tuple[Denied, ...] = ()
        if denials is not None and answer["outcome"] == "dropped" and found.detail is None:
            if found.connection not in known:
                known[found.connection] = denials.of(found.connection)
            denied = known[found.connection]
        detail = f"dropped by {described(denied)}" if denied else found.detail
        whole.append({**answer, "denied_by": [each.as_json() for each in denied], "detail": detail})
    return whole


def plain(answer: Answer) -> Answer:
    """An answer of `explained` as `answers` has it: the fields that programs rely on."""
    return {key: value for key, value in answer.items() if key not in _WHY}


class _Found(NamedTuple):
    """What is known of an answer beside what programs rely on."""

    connection: Connection
    detail: str | None


def _carried_out(lab: LabName, plan: Plan, queries: Sequence[Query]) -> list[tuple[Answer, _Found]]:
    for where in {query.place for query in queries}:
        places.container(lab, plan, where)  # there is such a place
    if any(query.protocol is Protocol.SCTP for query in queries) and not has_sctp():
        raise LabError("this kernel has no SCTP: build it with CONFIG_IP_SCTP, or load the module sctp")
    hosts = _hosts(lab, queries)
    _lend_addresses(lab, plan, queries)
    asked: dict[Place, list[Attempt]] = defaultdict(list)
    for query, host in zip(queries, hosts, strict=True):
        asked[query.place] += [_attempt(query, host)] * query.count
    came = {where: iter(given) for where, given in places.ask(lab, asked).items()}
    pairs = zip(queries, hosts, strict=True)
    return [answer for query, host in pairs for answer in _of(query, host, came[query.place])]


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


def _of(query: Query, host: IPAddress, came: Iterator[Answer]) -> Iterator[tuple[Answer, _Found]]:
    place, to, protocol = query.asked
    connection = Connection(query.place, query.source, host, query.target.port, query.protocol)
    for _ in range(query.count):
        outcome = next(came)
        if "error" in outcome:
            raise LabError(f"{place} to {to}: {outcome['error']}")
        found = _Found(connection, outcome.pop("detail"))
        yield {"from": place, "to": to, "protocol": protocol, **outcome}, found


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
