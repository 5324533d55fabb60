"""The class of each prefix, as columns: a table of thousands, of which the next state changes a few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId


class PrefixClasses(Mapping[IPNetwork, ClassId]):
    """
    A mapping that never changes, from prefix to class.

    Who looks at much of it may take the columns: `networks[i]` has the class `ids[i]`, and where that is
    `NO_CLASS` it is not in the mapping, though it was or will be. `networks` goes on as the same tuple
    from state to state while no prefix comes or goes, and where some do, the others keep their places,
    but for a few.
    """

    def __init__(self, networks: tuple[IPNetwork, ...] = (), ids: tuple[ClassId, ...] = ()) -> None:
        """Columns of one length; each network once."""
        self.networks = networks
        self.ids = ids

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
