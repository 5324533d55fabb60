"""Many files' objects into one snapshot, in which whatever did not change stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from pathlib import Path

from twinway.model.cluster import Cluster
from twinway.model.difference import difference
from twinway.model.net import ObjectRef, Rejected
from twinway.sources.decode.registry import Value, by_kind, changed, decode_object, duplicate
from twinway.sources.derivation import Derivation
from twinway.sources.manifests.parse import Document


@dataclass(frozen=True, slots=True)
class Content:
    """What one file says: values in its order, each with its place, and what cannot be used."""

    values: tuple[tuple[Value, str], ...] = ()
    rejected: tuple[Rejected, ...] = ()


Contents = Mapping[Path, Content]


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
    """Makes one snapshot after the other, at the cost of what changed in between."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._contents: Contents = {}
        self._values: dict[ObjectRef, Value] = {}
        self._repeated: list[Rejected] = []
        self._said = Cluster(version="")
        self._derivation = Derivation()

    def snapshot(self, version: str, contents: Contents) -> Cluster:
        """What the files say together: of two objects of one name the first counts."""
        gone, come = self._moved(contents)
        rejected = [*chain.from_iterable(map(attrgetter("rejected"), contents.values())), *self._repeated]
        self._contents = contents
        self._said = changed(self._said, gone, come, by_kind(rejected))
        return replace(self._said, version=version, slices=self._derivation.all_slices(self._said))

    def _moved(self, contents: Contents) -> tuple[list[Value], list[Value]]:
        left, arrived = difference(self._contents, contents)
        gone = [value for content in left for value, _ in content.values]
        come = [value for content in arrived for value, _ in content.values]
        if self._repeated or not self._each_once(gone, come):
            old, self._values = self._values, {}
            self._repeated = list(_fill(self._values, contents))
            return difference(old, self._values)
        for value in gone:
            del self._values[value.ref]
        for value in come:
            self._values[value.ref] = value
        return difference(dict(enumerate(gone)), dict(enumerate(come)))

    def _each_once(self, gone: Iterable[Value], come: list[Value]) -> bool:
        leaving = {value.ref for value in gone}
        coming = {value.ref for value in come}
        return len(coming) == len(come) and all(ref in leaving or ref not in self._values for ref in coming)


def _fill(values: dict[ObjectRef, Value], contents: Contents) -> Iterator[Rejected]:
    for content in contents.values():
        for value, place in content.values:
            if value.ref in values:
                yield _placed(duplicate(value.ref), place)
            else:
                values[value.ref] = value
