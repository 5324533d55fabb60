"""What the agent shows of policy, by name: policies, denials, and why a connection is allowed or denied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from twinway.compute.policy.explain import Judgement, Place
from twinway.compute.policy.plan import DEFAULT_RULE, ISOLATION
from twinway.driver import Denial
from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import DENY_ALL, NO_POLICY, Action, Endpoint, NodeState, RuleId, RuleRef
from twinway.model.policy import ClusterPolicy, Direction, NetworkPolicy

Names = Callable[[RuleId], RuleRef | None]
Policy = NetworkPolicy | ClusterPolicy
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 1, "icmpv6": 58}


def policies_view(state: NodeState | None) -> dict[str, Any]:
    """`{"policies": [...]}`, sorted by name: those that select pods of this node, with pods, sets and rules."""
    selected: dict[ObjectRef, tuple[Policy, list[Endpoint]]] = {}
    for endpoint in state.endpoints.values() if state else ():
        for policy in endpoint.selecting:
            selected.setdefault(policy.ref, (policy, []))[1].append(endpoint)
    rules: dict[ObjectRef, list[tuple[str, RuleId]]] = defaultdict(list)
    for rule, ref in state.policy.rules.items() if state else ():
        rules[ref.object].append((ref.place, rule))
    return {"policies": [_policy(*selected[ref], sorted(rules[ref])) for ref in sorted(selected)]}


def denials_view(state: NodeState | None, denials: Iterable[Denial], names: Names) -> dict[str, Any]:
    """`{"denials": [...]}`, most frequent first: to which pod, in which direction, by which rule."""
    owners = _owners(state)
    rows = [
        {
            **_end(owners.get(denial.pod), denial.pod),
            "direction": denial.direction.name.lower(),
            **reason(owners.get(denial.pod), denial.direction, denial.rule, names(denial.rule)),
            "count": denial.count,
        }
        for denial in denials
    ]
    return {"denials": sorted(rows, key=lambda row: (-row["count"], row["pod"] or "", row["why"]))}


def explain_view(state: NodeState, judgements: Iterable[Judgement], names: Names) -> dict[str, Any]:
    """`{"allowed": ..., "judgements": [...]}`: what each end says that is a pod of this node."""
    rows = [_judgement(state.endpoints[each.pod], each, names) for each in judgements]
    return {"allowed": all(row["action"] == "allow" for row in rows), "judgements": rows}


def connection_of(query: Mapping[str, str]) -> tuple[IPAddress, Place, int]:
    """Source, destination and IANA protocol number of a question; raises `ValueError` with what is wrong."""
    ends = []
    for key in ("from", "to"):
        try:
            ends.append(ip_address(query.get(key, "")))
        except ValueError as error:
            raise ValueError(f"{key}: {query.get(key, '')!r} is no address") from error
    name, port = query.get("protocol", "tcp").lower(), query.get("port", "0")
    if name not in PROTOCOLS and not (name.isdecimal() and int(name) < 256):
        raise ValueError(f"protocol: {name!r} is none of {', '.join(PROTOCOLS)}, and no number below 256")
    if not (port.isdecimal() and int(port) < 65536):
        raise ValueError(f"port: {port!r} is no number from 0 to 65535")
    return ends[0], Place(ends[1], int(port)), PROTOCOLS[name] if name in PROTOCOLS else int(name)


def reason(endpoint: Endpoint | None, direction: Direction, rule: RuleId, ref: RuleRef | None) -> dict[str, Any]:
    """
    Who denied, by name: `rule`, `policies` and a line `why`.

    A rule of a policy is that policy's alone. What no rule allowed is put down to every NetworkPolicy
    that isolates the pod in this direction: to change any one of them would let it pass.
    """
    found: dict[str, Any] = {"rule_id": f"{rule:016x}", "rule": ref.place if ref else None}
    if ref is not None and ref.place != ISOLATION:
        return {**found, "policies": [str(ref.object)], "why": f"denied by {ref.object}, {ref.place}"}
    way = direction.name.lower()
    if ref is None:
        return {**found, "policies": [], "why": _unnamed(endpoint, rule)}
    isolating = _isolating(endpoint, direction) or [str(ref.object)]
    return {
        **found,
        "policies": isolating,
        "why": f"isolated for {way} by {', '.join(isolating)}; no rule allows it",
    }


def directions(policy: Policy) -> list[str]:
    """In which directions a policy says something of the pods that it selects."""
    if isinstance(policy, NetworkPolicy):
        present = {Direction.INGRESS: policy.ingress is not None, Direction.EGRESS: policy.egress is not None}
    else:
        present = {Direction.INGRESS: bool(policy.ingress), Direction.EGRESS: bool(policy.egress)}
    return [direction.name.lower() for direction, said in present.items() if said]


def pod_name(ref: ObjectRef) -> str:
    """`namespace/name`."""
    return f"{ref.namespace}/{ref.name}"


def _policy(policy: Policy, endpoints: list[Endpoint], rules: list[tuple[str, RuleId]]) -> dict[str, Any]:
    return {
        "policy": str(policy.ref),
        "kind": policy.ref.kind,
        "namespace": policy.ref.namespace or None,
        "name": policy.ref.name,
        "tier": str(policy.tier) if isinstance(policy, ClusterPolicy) else "NetworkPolicy",
        "priority": policy.priority if isinstance(policy, ClusterPolicy) else None,
        "directions": directions(policy),
        "pods": sorted(pod_name(endpoint.attachment.pod) for endpoint in endpoints),
        "sets": sorted({f"{endpoint.policy:016x}" for endpoint in endpoints if endpoint.policy != NO_POLICY}),
        "rules": [{"place": place, "id": f"{rule:016x}"} for place, rule in rules],
    }


def _judgement(endpoint: Endpoint, judged: Judgement, names: Names) -> dict[str, Any]:
    verdict = judged.verdict
    allowed = verdict.action is Action.ALLOW
    ref = names(verdict.rule)
    answer = _allowance(verdict.rule, ref) if allowed else reason(endpoint, judged.direction, verdict.rule, ref)
    return {
        "pod": pod_name(judged.pod),
        "direction": judged.direction.name.lower(),
        "to": {"address": str(judged.place.address), "port": judged.place.port},
        "action": "allow" if allowed else "deny",
        **answer,
    }


def _allowance(rule: RuleId, ref: RuleRef | None) -> dict[str, Any]:
    found = {"rule_id": f"{rule:016x}", "rule": ref.place if ref else None}
    if ref is None or ref == DEFAULT_RULE:
        return {**found, "policies": [], "why": "allowed: no policy limits it"}
    return {**found, "policies": [str(ref.object)], "why": f"allowed by {ref.object}, {ref.place}"}


def _unnamed(endpoint: Endpoint | None, rule: RuleId) -> str:
    if rule:
        return "denied by a rule that is not in force any more"
    if endpoint is not None and endpoint.policy == DENY_ALL:
        return "denied everything: no source knows this pod (yet, or any more)"
    return "no answer: the pod's policy was not complete at that moment"


def _isolating(endpoint: Endpoint | None, direction: Direction) -> list[str]:
    way = direction.name.lower()
    selecting = endpoint.selecting if endpoint else ()
    return [str(each.ref) for each in selecting if isinstance(each, NetworkPolicy) and way in directions(each)]


def _owners(state: NodeState | None) -> dict[IPAddress, Endpoint]:
    endpoints = state.endpoints.values() if state else ()
    return {address: endpoint for endpoint in endpoints for address in endpoint.attachment.addresses}


def _end(endpoint: Endpoint | None, address: IPAddress) -> dict[str, Any]:
    return {"pod": pod_name(endpoint.attachment.pod) if endpoint else None, "address": str(address)}
