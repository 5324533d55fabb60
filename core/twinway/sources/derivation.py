"""All derived EndpointSlices of a snapshot, made again only for Services whose own input changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from twinway.model.cluster import Cluster, EndpointSlice, Pod, Service
from twinway.model.difference import difference
from twinway.model.net import NodeName, ObjectRef
from twinway.sources.derive import Zones, derive

_ZONE_LABEL = "topology.kubernetes.io/zone"

Pair = tuple[str, str, str]
"""Namespace, label, value."""
Slices = Mapping[ObjectRef, EndpointSlice]


class Derivation:
    """Slices for each Service that has a selector and no slice in the source."""

    def __init__(self) -> None:
        self._last = Cluster(version="")
        self._written: Counter[ObjectRef] = Counter()
        self._pods = PodIndex()
        self._selecting: dict[Pair, set[ObjectRef]] = defaultdict(set)
        self._derived: dict[ObjectRef, EndpointSlice] = {}
        self._names: dict[ObjectRef, tuple[ObjectRef, ...]] = {}
        self._all: Slices = {}
        self._zones: Zones = {}

    def all_slices(self, cluster: Cluster) -> Slices:
        """The slices of `cluster` and those that are derived; the same mapping while nothing changed."""
        touched = self._touched(cluster)
        changed = [self._derive(ref, cluster) for ref in touched]
        if any(changed) or cluster.slices is not self._last.slices:
            self._all = {**cluster.slices, **self._derived}
        self._last = cluster
        return self._all

    def _touched(self, cluster: Cluster) -> set[ObjectRef]:
        """Update the indexes; returns the Services whose derived slices may change."""
        gone, come = difference(self._last.services, cluster.services)
        for service in gone:
            self._selecting[_first_pair(service)].discard(service.ref)
        for service in come:
            self._selecting[_first_pair(service)].add(service.ref)
        written_before, written_now = difference(self._last.slices, cluster.slices)
        self._written.subtract(each.service for each in written_before)
        self._written.update(each.service for each in written_now)
        pods_gone, pods_come = difference(self._last.pods, cluster.pods)
        self._pods.update(pods_gone, pods_come)
        touched = {service.ref for service in chain(gone, come)}
        touched.update(each.service for each in chain(written_before, written_now))
        if self._zones_changed(cluster):
            touched.update(ref for ref, service in cluster.services.items() if service.traffic_distribution)
        for pod in chain(pods_gone, pods_come):
            for pair in _pairs(pod.ref.namespace, pod.labels.items()):
                touched.update(self._selecting.get(pair, ()))
        return touched

    def _zones_changed(self, cluster: Cluster) -> bool:
        """Note the zones of the nodes; returns whether one changed."""
        if cluster.nodes is self._last.nodes:
            return False
        before = self._zones
        labelled = ((ref.name, node.labels.get(_ZONE_LABEL)) for ref, node in cluster.nodes.items())
        self._zones = {NodeName(name): zone for name, zone in labelled if zone}
        return self._zones != before

    def _derive(self, ref: ObjectRef, cluster: Cluster) -> bool:
        """Derive one Service's slices; returns whether they changed."""
        service = cluster.services.get(ref)
        wanted = service is not None and service.selector and not self._written[ref]
        made = derive(service, self._pods.selected(service), self._zones) if service and wanted else ()
        before = self._names.get(ref, ())
        if made == tuple(self._derived[name] for name in before):
            return False
        old = {name: self._derived.pop(name) for name in before}
        for each in made:
            self._derived[each.ref] = old[each.ref] if old.get(each.ref) == each else each
        self._names[ref] = tuple(each.ref for each in made)
        if not made:
            del self._names[ref]
        return True


class PodIndex:
    """Pods by label."""

    def __init__(self) -> None:
        self._by_pair: dict[Pair, dict[ObjectRef, Pod]] = {}

    def update(self, gone: Iterable[Pod], come: Iterable[Pod]) -> None:
        """Take pods away, put others in."""
        for pod in gone:
            for pair in _pairs(pod.ref.namespace, pod.labels.items()):
                del self._by_pair[pair][pod.ref]
                if not self._by_pair[pair]:
                    del self._by_pair[pair]
        for pod in come:
            for pair in _pairs(pod.ref.namespace, pod.labels.items()):
                self._by_pair.setdefault(pair, {})[pod.ref] = pod

    def selected(self, service: Service) -> Iterator[Pod]:
        """The pods that the Service's selector selects, in no order; it selects by one label at least."""
        candidates = [self._by_pair.get(pair, {}) for pair in _pairs(service.ref.namespace, service.selector)]
        for pod in min(candidates, key=len).values():
            if all(pod.labels.get(label) == value for label, value in service.selector):
                yield pod


def _pairs(namespace: str, labels: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    return ((namespace, label, value) for label, value in labels)


def _first_pair(service: Service) -> Pair:
    # A pod that a Service selects has this label, too; a Service without selector has this of its own.
    return next(_pairs(service.ref.namespace, service.selector), (service.ref.namespace, "", ""))
