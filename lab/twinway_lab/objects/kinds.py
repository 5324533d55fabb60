"""Which kinds of objects a lab uses; all others of a cluster are passed over, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from twinway.sources.decode.registry import KINDS
from twinway_lab.objects import mirror
from twinway_lab.objects.workloads import WORKLOADS

_USED = (*KINDS, *WORKLOADS, mirror.KIND)
_OWN_GROUPS = frozenset({"", "apps", "batch", "discovery.k8s.io", "networking.k8s.io", "policy.networking.k8s.io"})
"""API groups of the kinds that are used: an unknown kind of these may be a misspelt one."""
_OTHERS_IN_THEM = frozenset(
    {
        "Binding",
        "ComponentStatus",
        "ConfigMap",
        "ControllerRevision",
        "CronJob",
        "Event",
        "Ingress",
        "IngressClass",
        "IPAddress",
        "LimitRange",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "PodTemplate",
        "ResourceQuota",
        "Secret",
        "ServiceAccount",
        "ServiceCIDR",
    }
)
_ALIKE = 0.8


def is_passed_over(data: Mapping[str, Any]) -> bool:
    """
    Whether an object does not change what a lab does.

    One whose kind may be a slip of the pen is not passed over: the decoder refuses it, with a hint.
    """
    kind, version = data.get("kind"), data.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str) or kind in _USED:
        return False
    group = version.rpartition("/")[0]
    return group not in _OWN_GROUPS or kind in _OTHERS_IN_THEM or not _is_misspelt(kind)


def _is_misspelt(kind: str) -> bool:
    lowered = [each.lower() for each in _USED]
    return bool(get_close_matches(kind.lower(), lowered, n=1, cutoff=_ALIKE))


def counted(kinds: Iterable[str]) -> str | None:
    """One line on objects of these kinds that were passed over; None where there are none."""
    counts = Counter(kinds)
    if not counts:
        return None
    listed = ", ".join(f"{kind} ({number})" if number > 1 else kind for kind, number in sorted(counts.items()))
    objects, of = number_of(counts.total(), "object"), number_of(len(counts), "kind")
    return f"skipped {objects} of {of} that the lab does not use: {listed}"


def number_of(count: int, noun: str) -> str:
    """`1 object`, `3 objects`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
