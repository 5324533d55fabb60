"""
Cluster-wide policies: ClusterNetworkPolicy v1beta1 and v1alpha2, and its forebears of v1alpha1.

What cannot be read is taken in the sense that allows least. For rules see `cluster_rules`. Where the
frame of a policy is bad its rules keep what they match, but may only take away: Accept matches
nothing, Deny denies, and Pass denies, for it might open what others deny. And then

* a bad `priority` is the strongest there is, a bad `tier` is Admin;
* a bad selector in `subject` stands for all that it could select, at most every pod of the cluster.

A field of `spec` that is not known is reported, and the rest of the policy holds.

Source: apis/v1beta1, apis/v1alpha2 and apis/v1alpha1 of sigs.k8s.io/network-policy-api.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twinway.model.net import Rejected
from twinway.model.policy import ClusterAction, ClusterPolicy, ClusterRule, PodPeer, Selector, Tier
from twinway.sources.decode.fields import ClosedSchema, shown
from twinway.sources.decode.metadata import NAMELESS, ref_of
from twinway.sources.decode.policy.cluster_rules import DENY_EVERYONE, DIALECTS, rules
from twinway.sources.decode.policy.parts import Reading
from twinway.sources.decode.policy.peers import PodPeerSchema

STRONGEST, WEAKEST = 0, 1000
BELOW_ALL = WEAKEST + 1
"""Priority of a BaselineAdminNetworkPolicy: it says none, and stands behind those that do."""

_EVERY_POD = PodPeer(Selector(), Selector())


class _BaselineSpec(ClosedSchema):
    # Only the names of the fields are checked here: each part is read by itself.
    subject: Any = None
    ingress: Any = None
    egress: Any = None


class _AdminSpec(_BaselineSpec):
    priority: Any = None


class _Spec(_AdminSpec):
    tier: Any = None


_SPECS: Mapping[str, type[_BaselineSpec]] = {
    "ClusterNetworkPolicy": _Spec,
    "AdminNetworkPolicy": _AdminSpec,
    "BaselineAdminNetworkPolicy": _BaselineSpec,
}


def decode_cluster_policy(document: Mapping[str, Any]) -> tuple[ClusterPolicy | None, tuple[Rejected, ...]]:
    """
    The policy with what is wrong with it.

    None only where nothing of it can be used: its own name is unknown, or there is no `spec`
    and so no rule.
    """
    reading = Reading(ref_of(document, namespaced=False))
    known = reading.metadata(document)
    if reading.ref.kind == "BaselineAdminNetworkPolicy" and reading.ref.name not in ("default", NAMELESS):
        reading.refuse("metadata.name", f"must be 'default', not {shown(reading.ref.name)}")
    spec = reading.mapping(document.get("spec"), "spec")
    policy = _policy(spec, reading) if known and spec is not None else None
    return policy, tuple(reading.rejected)


def closed_cluster_policy(document: Mapping[str, Any]) -> tuple[ClusterPolicy | None, tuple[Rejected, ...]]:
    """
    A policy of a version that is not known: before all others it denies everybody, in both directions.

    Its subject is read as today's is; where that cannot be, it stands for every pod of the cluster.
    """
    reading = Reading(ref_of(document, namespaced=False))
    if not reading.metadata(document):
        return None, tuple(reading.rejected)
    spec = document.get("spec")
    subject = _subject(spec.get("subject") if isinstance(spec, Mapping) else None, reading)
    deny = (DENY_EVERYONE,)
    return ClusterPolicy(reading.ref, Tier.ADMIN, STRONGEST, subject, deny, deny), tuple(reading.rejected)


def _policy(spec: Mapping[str, Any], reading: Reading) -> ClusterPolicy:
    kind = reading.ref.kind
    reading.read(_SPECS[kind], spec, "spec")
    before = len(reading.rejected)
    tier, priority = _rank(spec, reading)
    subject = _subject(spec.get("subject"), reading)
    good = len(reading.rejected) == before
    ingress, egress = (rules(spec.get(field), field, DIALECTS[kind], reading) for field in ("ingress", "egress"))
    return ClusterPolicy(
        ref=reading.ref,
        tier=tier,
        priority=priority,
        subject=subject,
        ingress=ingress if good else _only_denying(ingress),
        egress=egress if good else _only_denying(egress),
    )


def _only_denying(rules: tuple[ClusterRule, ...]) -> tuple[ClusterRule, ...]:
    return tuple(
        replace(rule, peers=())
        if rule.action is ClusterAction.ACCEPT
        else replace(rule, action=ClusterAction.DENY)
        for rule in rules
    )


def _rank(spec: Mapping[str, Any], reading: Reading) -> tuple[Tier, int]:
    match reading.ref.kind:
        case "BaselineAdminNetworkPolicy":
            return Tier.BASELINE, BELOW_ALL
        case "AdminNetworkPolicy":
            return Tier.ADMIN, _priority(spec.get("priority"), reading)
        case _:
            return _tier(spec.get("tier"), reading), _priority(spec.get("priority"), reading)


def _tier(tier: object, reading: Reading) -> Tier:
    if isinstance(tier, str) and tier in list(Tier):
        return Tier(tier)
    reading.refuse("spec.tier", "is required" if tier is None else f"must be Admin or Baseline, not {shown(tier)}")
    return Tier.ADMIN


def _priority(priority: object, reading: Reading) -> int:
    if isinstance(priority, int) and not isinstance(priority, bool) and STRONGEST <= priority <= WEAKEST:
        return priority
    wrong = f"must be a whole number, {STRONGEST} to {WEAKEST}, not {shown(priority)}"
    reading.refuse("spec.priority", "is required" if priority is None else wrong)
    return STRONGEST


def _subject(document: object, reading: Reading) -> PodPeer:
    schema = reading.read(PodPeerSchema, document, "spec.subject")
    if schema is None:
        return _EVERY_POD
    everything = Selector()
    if schema.pods is None:
        return PodPeer(reading.selector(schema.namespaces, "spec.subject.namespaces") or everything, everything)
    namespaces: Selector | None = everything
    if schema.pods.namespace_selector is not None:
        namespaces = reading.selector(schema.pods.namespace_selector, "spec.subject.pods.namespaceSelector")
    pods = reading.selector(schema.pods.pod_selector, "spec.subject.pods.podSelector")
    return PodPeer(namespaces or everything, pods or everything)
