"""
Kubernetes objects into model values: `decode`, and the registry of kinds it knows.

An object that cannot be used becomes `Rejected` and harms only itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple, cast

from twinway.model.cluster import Cluster, EndpointSlice, Namespace, Node, Pod, Service
from twinway.model.net import ObjectRef, Rejected
from twinway.model.policy import ClusterPolicy, NetworkPolicy
from twinway.sources.decode.fields import shown
from twinway.sources.decode.metadata import ref_of

Value = Service | EndpointSlice | Pod | Namespace | Node | NetworkPolicy | ClusterPolicy
Result = tuple[Value | None, tuple[Rejected, ...]]
Decoder = Callable[[Mapping[str, Any]], Result]


class Kind(NamedTuple):
    """One kind of object: the API versions it is read in, and the function that reads them all."""

    versions: tuple[str, ...]
    module: str
    function: str
    namespaced: bool = True
    closed: str = ""
    """For a policy: the function that reads a version that is not known, as one that allows nothing."""

    def decoder(self, function: str) -> Decoder:
        """A function of the module, which is imported when the first object of the kind is met."""
        decoder: Decoder = getattr(import_module(f"twinway.sources.decode.{self.module}"), function)
        return decoder


_POLICY_API = "policy.networking.k8s.io"
_CLUSTER_POLICY = ("policy.clusterpolicy", "decode_cluster_policy", False, "closed_cluster_policy")
KINDS: Mapping[str, Kind] = {
    "Service": Kind(("v1",), "service", "decode_service"),
    "EndpointSlice": Kind(("discovery.k8s.io/v1",), "slice", "decode_slice"),
    "Pod": Kind(("v1",), "pod", "decode_pod"),
    "Namespace": Kind(("v1",), "place", "decode_namespace", namespaced=False),
    "Node": Kind(("v1",), "place", "decode_node", namespaced=False),
    "NetworkPolicy": Kind(
        ("networking.k8s.io/v1",), "policy.networkpolicy", "decode_network_policy", closed="closed_network_policy"
    ),
    # v1beta1 has the schema of v1alpha2. Source: sigs.k8s.io/network-policy-api v0.3.0.
    "ClusterNetworkPolicy": Kind((f"{_POLICY_API}/v1beta1", f"{_POLICY_API}/v1alpha2"), *_CLUSTER_POLICY),
    "AdminNetworkPolicy": Kind((f"{_POLICY_API}/v1alpha1",), *_CLUSTER_POLICY),
    "BaselineAdminNetworkPolicy": Kind((f"{_POLICY_API}/v1alpha1",), *_CLUSTER_POLICY),
}
"""What can be read: each kind, and the versions of it."""

_FORMER_GROUPS = frozenset({"extensions"})
"""Where NetworkPolicy began: another name of `networking.k8s.io`."""


class Decoded(NamedTuple):
    """Values by name, in the order they came, and what could not be used."""

    values: Mapping[ObjectRef, Value]
    rejected: tuple[Rejected, ...]


def decode(documents: Iterable[Mapping[str, Any]]) -> Decoded:
    """All objects that can be used; of two of one name the first."""
    values: dict[ObjectRef, Value] = {}
    rejected: list[Rejected] = []
    for document in documents:
        value, wrong = decode_object(document)
        rejected += wrong
        if value is None:
            continue
        if value.ref in values:
            rejected.append(duplicate(value.ref))
        else:
            values[value.ref] = value
    return Decoded(values, tuple(rejected))


def decode_object(document: Mapping[str, Any]) -> Result:
    """One object, or what is wrong with it."""
    kind = document.get("kind")
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return None, (Rejected(ref_of(document, namespaced=True), "kind", _unknown(kind)),)
    version = document.get("apiVersion")
    if version in known.versions:
        return known.decoder(known.function)(document)
    reason = f"must be {' or '.join(known.versions)}, not {shown(version)}" if version else "is required"
    value: Value | None = None
    if known.closed and _of_group(version, known):
        value, _ = known.decoder(known.closed)(document)
    if value is not None:
        reason += "; its rules are not read, and nobody reaches the pods that it selects or is reached by them"
    return value, (Rejected(ref_of(document, namespaced=known.namespaced), "apiVersion", reason),)


def _of_group(version: object, known: Kind) -> bool:
    # Without a group the kind must do. Another group's object is somebody else's, whatever its kind.
    if not version or not isinstance(version, str):
        return True
    group = version.rpartition("/")[0]
    return group in _FORMER_GROUPS or any(group == each.rpartition("/")[0] for each in known.versions)


def duplicate(ref: ObjectRef) -> Rejected:
    """The reason for leaving out the second object of one name."""
    return Rejected(ref, "metadata.name", "is given twice; the first one counts")


def cluster(version: str, values: Iterable[Value], rejected: Iterable[Rejected] = ()) -> Cluster:
    """The snapshot that these values make; of each name there is one value."""
    return changed(Cluster(version), (), values, rejected)


_FIELDS: Mapping[type, str] = {
    Service: "services",
    EndpointSlice: "slices",
    Pod: "pods",
    Namespace: "namespaces",
    Node: "nodes",
    NetworkPolicy: "policies",
    ClusterPolicy: "cluster_policies",
}


def changed(old: Cluster, gone: Iterable[Value], come: Iterable[Value], rejected: Iterable[Rejected]) -> Cluster:
    """
    `old` without the values that are gone, and with those that came.

    Mappings of kinds that are not concerned stay the same objects.
    """
    mappings: dict[str, dict[ObjectRef, Value]] = {}
    new = {value.ref: value for value in come}
    for value in (*gone, *new.values()):
        field = _FIELDS[type(value)]
        if field not in mappings:
            mappings[field] = dict(getattr(old, field))
        if value.ref in new:
            mappings[field][value.ref] = new[value.ref]
        else:
            del mappings[field][value.ref]
    return replace(old, rejected=tuple(sorted(rejected)), **cast(Any, mappings))


UNUSED_KIND = "is not a kind that is used here"


def _unknown(kind: object) -> str:
    known = ", ".join(KINDS)
    if kind is None:
        return f"is required; known are {known}"
    close = get_close_matches(str(kind), KINDS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {known}"
    return f"{shown(kind)} {UNUSED_KIND}; {hint}"


def by_kind(rejected: Iterable[Rejected]) -> Iterator[Rejected]:
    """
    The same, with one entry for all objects of a kind that nobody uses here: a folder may hold thousands.

    A kind that looks misspelt keeps an entry for each object, with its place.
    """
    unused: Counter[str] = Counter()
    for each in rejected:
        if each.field == "kind" and UNUSED_KIND in each.reason and not _looks_misspelt(each.ref.kind):
            unused[each.ref.kind] += 1
        else:
            yield each
    for kind, count in unused.items():
        objects = "1 object" if count == 1 else f"{count:,} objects"
        yield Rejected(ObjectRef(kind, "", "*"), "kind", f"{UNUSED_KIND}: {objects} left out")


def _looks_misspelt(kind: str) -> bool:
    return bool(get_close_matches(kind.lower(), map(str.lower, KINDS), n=1, cutoff=0.8))
