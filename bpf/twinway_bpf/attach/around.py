"""The namespaces of pods that have their hooks inside: what leaves them has met those, or does not leave."""

from __future__ import annotations

from collections.abc import Iterable

from twinway_bpf.load.maps import Map
from twinway_bpf.netlink.devices import PodDevice


def know_namespaces(table: Map, devices: Iterable[PodDevice]) -> None:
    """
    Have `table` (tw_netns) hold just the namespaces of these pods that have their hooks inside.

    These must stand: what lacks a pod's stamp does not pass any more. A kernel that does not tell a
    namespace's number (5.14) does not ask for it, either.
    """
    wanted = {device.cookie for device in devices if device.layout.hooks_in_pod and device.cookie is not None}
    held = table.entries().keys()
    keys = {cookie.to_bytes(8, "little") for cookie in wanted}
    table.write(dict.fromkeys(keys - held, b"\1"))
    table.remove(held - keys)
