"""Many files' objects into one snapshot, in which whatever did not change stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import is_
from pathlib import Path

from twinway.model.cluster import Cluster
from twinway.model.net import ObjectRef, Rejected
from twinway.sources.decode import Value, cluster, decode_object, duplicate
from twinway.sources.derive import Derivation
from twinway.sources.parse import Document


@dataclass(frozen=True, slots=True)
class Content:
    """What one file says: values in its order, each with its place, and what cannot be used."""

    values: tuple[tuple[Value, str], ...] = ()
    rejected: tuple[Rejected, ...] = ()


def content_of(documents: Iterable[Document], known: Content) -> Content:
    """
    A file's documents, decoded. Reasons end in file and place, for whoever has to mend it.

    A value that equals one of `known`, what the file said before, is that very object.
    """
    before = {value.ref: value for value, _ in known.values}
    values: list[tuple[Value, str]] = []
    rejected: list[Rejected] = []
    for document in documents:
        value, wrong = decode_object(document.data)
        rejected += (_placed(each, str(document)) for each in wrong)
        if value is not None:
            old = before.get(value.ref)
            values.append((old if old is not None and old == value else value, str(document)))
    return Content(tuple(values), tuple(rejected))


def _placed(rejected: Rejected, place: str) -> Rejected:
    return replace(rejected, reason=f"{rejected.reason} ({place})")


class Catalog:
    """Makes snapshots of files' contents; remembers the last one to keep what is equal."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._last = Cluster(version="")
        self._derivation = Derivation()

    def snapshot(self, version: str, contents: Mapping[Path, Content]) -> Cluster:
        """What the files say together: of two objects of one name the first counts."""
        values: dict[ObjectRef, Value] = {}
        rejected: list[Rejected] = []
        for content in contents.values():
            rejected += content.rejected
            for value, place in content.values:
                if values.setdefault(value.ref, value) is not value:
                    rejected.append(_placed(duplicate(value.ref), place))
        said = cluster(version, values.values(), rejected)
        derived = self._derivation.slices(said.services, said.slices, said.pods)
        self._last = _keep(self._last, replace(said, slices={**said.slices, **derived}))
        return self._last


def _keep(old: Cluster, new: Cluster) -> Cluster:
    """`new`, with those mappings of `old` that hold the very same objects."""
    kinds = ("services", "slices", "pods", "namespaces", "nodes", "policies", "cluster_policies")
    same = {kind: getattr(old, kind) for kind in kinds if _same(getattr(old, kind), getattr(new, kind))}
    return replace(new, **same)


def _same(old: Mapping[ObjectRef, Value], new: Mapping[ObjectRef, Value]) -> bool:
    return len(old) == len(new) and all(map(is_, old.values(), new.values()))
