"""Counts of denials, by rule, pod and direction: they end with the pod that they were counted for."""

from __future__ import annotations

from collections.abc import Mapping

from twinway.model.net import ObjectRef
from twinway.model.node import Endpoint
from twinway_bpf.load.maps import Map
from twinway_bpf.tables import encode
from twinway_bpf.tables.layout import DeniedKey

_Owner = tuple[ObjectRef, str]
"""A pod and its container."""


class Denials:
    """Removes the counts of an address or device when its pod goes, so that the next pod there begins at zero."""

    def __init__(self, table: Map) -> None:
        """`table` is tw_denied, open."""
        self._table = table
        self._owners: dict[bytes, _Owner] | None = None

    def follow(self, endpoints: Mapping[ObjectRef, Endpoint], devices: Mapping[ObjectRef, bytes]) -> None:
        """
        Take over the pods of a state that is in force, and the keys of their devices.

        The first time an earlier process has left the counts: those without a pod go.
        """
        owners: dict[bytes, _Owner] = {}
        for ref, endpoint in endpoints.items():
            keys = [encode.address(address) for address in endpoint.attachment.addresses]
            keys += [devices[ref]] if ref in devices else []
            owners.update(dict.fromkeys(keys, (ref, endpoint.attachment.container_id)))
        before, self._owners = self._owners, owners
        if before is None:
            self._remove(set(owners), kept=True)
        elif gone := {each for each, owner in before.items() if owners.get(each) != owner}:
            self._remove(gone, kept=False)

    def _remove(self, pods: set[bytes], *, kept: bool) -> None:
        at = slice(DeniedKey.pod.offset, DeniedKey.pod.offset + DeniedKey.pod.size)
        self._table.remove([key for key in self._table.sums() if (key[at] in pods) != kept])
