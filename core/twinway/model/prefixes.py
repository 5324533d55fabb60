"""The class of each prefix, as columns: a table of thousands, of which the next state changes a few."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId


class PrefixClasses(Mapping[IPNetwork, ClassId]):
    """
    A mapping that never changes, from prefix to class.

    Who looks at much of it may take the columns: `networks[i]` has the class `ids[i]`, and where that is
    `NO_CLASS` it is not in the mapping, though it was or will be. From state to state prefixes keep their
    places, but for a few.
    """

    def __init__(
        self,
        networks: tuple[IPNetwork, ...] = (),
        ids: tuple[ClassId, ...] = (),
        *,
        since: PrefixClasses | None = None,
        changed: Iterable[int] = (),
    ) -> None:
        """Columns of one length; each network once. `changed` are the places that are others than in `since`."""
        self.networks = networks
        self.ids = ids
        self._itself = object()
        # Not that table itself: it would keep the one before it, and so on.
        self._since = since._itself if since is not None else None
        self._changed = tuple(changed)

    def changed_since(self, other: PrefixClasses) -> Sequence[int]:
        """
        Places at which another network or class may stand than in `other`, each once.

        Those that it has more are among them. All places, where `other` is not the table before this one.
        """
        return self._changed if self._since is other._itself else range(len(self.ids))

    @classmethod
    def of(cls, classes: Mapping[IPNetwork, ClassId]) -> PrefixClasses:
        """Any mapping as columns; of one that is made of them already, itself."""
        return classes if isinstance(classes, cls) else cls(tuple(classes), tuple(classes.values()))

    @cached_property
    def _found(self) -> dict[IPNetwork, ClassId]:
        rows = zip(self.networks, self.ids, strict=True)
        return {network: id_ for network, id_ in rows if id_ != NO_CLASS}

    def __getitem__(self, network: IPNetwork) -> ClassId:
        """The class of a prefix that is in the table; raises KeyError for others."""
        return self._found[network]

    def __iter__(self) -> Iterator[IPNetwork]:
        """The prefixes, in no order that means anything."""
        return iter(self._found)

    def __len__(self) -> int:
        """How many prefixes there are."""
        return len(self.ids) - self.ids.count(NO_CLASS)
