"""The namespaces of pods whose hooks are inside: frames that bypass these hooks are dropped at the parent."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from twinway_bpf.load.maps import Map
from twinway_bpf.netlink.devices import PodDevice


def know_namespaces(table: Map, devices: Iterable[PodDevice]) -> None:
    """
    Make `table` (tw_netns) hold exactly the namespaces of those pods whose hooks are inside.

    The hooks must be attached before, because frames without a pod's stamp are dropped from then on. Kernels
    that do not report a namespace's cookie (before 5.14) have no program that asks for it.
    """
    wanted = {device.cookie for device in devices if device.layout.hooks_in_pod and device.cookie is not None}
    held = table.entries().keys()
    keys = {cookie.to_bytes(8, sys.byteorder) for cookie in wanted}
    table.write(dict.fromkeys(keys - held, b"\1"))
    table.remove(held - keys)
