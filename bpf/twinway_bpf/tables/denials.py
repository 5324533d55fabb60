"""Counts of denials, by rule, pod and direction: they end with the pod that they were counted for."""

from __future__ import annotations

from collections.abc import Mapping

from twinway.model.net import IPAddress, ObjectRef
from twinway.model.node import Endpoint
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import DeniedKey

_Owner = tuple[ObjectRef, str]
"""A pod and its container."""


class Denials:
    """Removes the counts of an address when its pod goes, so that the next pod there begins at zero."""

    def __init__(self, table: Map) -> None:
        """`table` is tw_denied, open."""
        self._table = table
        self._owners: dict[IPAddress, _Owner] | None = None

    def follow(self, endpoints: Mapping[ObjectRef, Endpoint]) -> None:
        """
        Take over the pods of a state that is in force.

        The first time an earlier process has left the counts: those of addresses without a pod go.
        """
        owners = {
            address: (ref, endpoint.attachment.container_id)
            for ref, endpoint in endpoints.items()
            for address in endpoint.attachment.addresses
        }
        before, self._owners = self._owners, owners
        if before is None:
            self._remove({encode.address(address) for address in owners}, kept=True)
        elif gone := {encode.address(each) for each, owner in before.items() if owners.get(each) != owner}:
            self._remove(gone, kept=False)

    def _remove(self, addresses: set[bytes], *, kept: bool) -> None:
        at = slice(DeniedKey.pod.offset, DeniedKey.pod.offset + DeniedKey.pod.size)
        self._table.remove([key for key in self._table.sums() if (key[at] in addresses) != kept])
