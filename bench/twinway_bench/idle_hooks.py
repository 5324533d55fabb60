"""Programs that do nothing, where the guard stands: what its hooks cost alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from twinway_bench.places import Lab
from twinway_bench.programs import nothing
from twinway_bpf.load import libbpf, programs
from twinway_bpf.netlink import netns
from twinway_bpf.netlink.devices import pod_device
from twinway_bpf.netlink.links import Links
from twinway_lab import store
from twinway_lab.names import NETNS_DIR, LabName, node_place
from twinway_lab.probe import places

NODE = "n1"


@contextmanager
def idle_hooks(lab: Lab, pod: str) -> Iterator[None]:
    """At both hooks of the host side of a pod's veth (`NS/POD`), in the block."""
    name = LabName(lab.name)
    containers = {str(each.place): places.pod_container(name, each).netns for each in store.load(name).plan.pods}
    with ExitStack() as stack:
        with netns.inside(str(NETNS_DIR / name.netns(node_place(NODE)))), Links() as own:
            host = pod_device(own, str(NETNS_DIR / containers[pod]), "eth0").host
            assert host is not None, f"{pod} has no host side"
            for side in (programs.TCX_INGRESS, programs.TCX_EGRESS):
                program = nothing()
                stack.callback(os.close, program)
                stack.callback(os.close, libbpf.link_create(program, host.ifindex, side))
        yield
