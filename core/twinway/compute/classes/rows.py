"""The table of classes while it is built: a row for each prefix, in columns that only grow or swap rows."""

from __future__ import annotations

from twinway.model.net import IPNetwork
from twinway.model.node import NO_CLASS, ClassId
from twinway.model.prefixes import PrefixClasses


class Row:
    """The row of one prefix; `at` is its place in the columns, negative while it has none."""

    __slots__ = ("at", "network")

    def __init__(self, network: IPNetwork) -> None:
        self.network = network
        self.at = -1


class Rows:
    """Rows by prefix; `ids` holds the class of each row at its place, `NO_CLASS` where it is not in the table."""

    def __init__(self) -> None:
        self.ids: list[ClassId] = []
        self.touched: list[int] = []
        """Places that may have changed since the last answer of `table`; whoever writes to `ids` adds them."""
        self.changed = False
        """Whether `ids` may have changed since then; whoever writes to it sets this."""
        self._rows: list[Row] = []
        self._networks: list[IPNetwork] = []
        self._by_network: dict[IPNetwork, Row] = {}
        self._moved = False  # whether `_networks` changed since the last answer
        self._table = PrefixClasses()

    def row(self, network: IPNetwork) -> Row:
        """The row of a prefix; a new one has no class yet."""
        found = self._by_network.get(network)
        if found is None:
            found = Row(network)
            self.enter(found)
        return found

    def enter(self, row: Row) -> None:
        """Make this the row of its prefix, in place of the one that is there, if any."""
        known = self._by_network.get(row.network)
        self._by_network[row.network] = row
        if known is not None:
            row.at, known.at = known.at, -1
            self._rows[row.at] = row
            return
        row.at = len(self._rows)
        self._rows.append(row)
        self._networks.append(row.network)
        self.ids.append(NO_CLASS)
        self.touched.append(row.at)
        self._moved = True

    def leave(self, row: Row) -> Row | None:
        """
        Remove a row. If its prefix still has a class, a new row takes its place.

        Returns the row that moved to the free place, if one did.
        """
        at, row.at = row.at, -1
        if self.ids[at] != NO_CLASS:
            other = self._by_network[row.network] = self._rows[at] = Row(row.network)
            other.at = at
            return None
        del self._by_network[row.network]
        last, network, id_ = self._rows.pop(), self._networks.pop(), self.ids.pop()
        self._moved = True
        if last is row:
            return None
        self._rows[at], self._networks[at], self.ids[at] = last, network, id_
        last.at = at
        self.touched.append(at)
        return last

    def table(self) -> PrefixClasses:
        """The rows as a value; the same object as before where nothing changed."""
        if self.changed:
            self.changed = False
            networks = tuple(self._networks) if self._moved else self._table.networks
            ids = tuple(self.ids)
            if self._moved or ids != self._table.ids:
                end = len(ids)
                changed = {at for at in self.touched if at < end}
                self._table = PrefixClasses(networks, ids, since=self._table, changed=changed)
            self._moved = False
            self.touched.clear()
        return self._table
