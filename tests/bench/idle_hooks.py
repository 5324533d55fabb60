"""Programs that do nothing, at the hooks that policy at sockets has: what the hooks alone cost."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.places import Lab
from twinway_bpf import libbpf, netns, programs
from twinway_bpf.devices import pod_device
from twinway_lab import cgroups, places, store
from twinway_lab.names import NETNS_DIR, LabName, node_place

NODE = "n1"
PASS, UNSPEC = 1, -1
"""What a cgroup's program and a tcx one return for a packet that they have no opinion of."""


@contextmanager
def idle_hooks(lab: Lab, *pods: str) -> Iterator[None]:
    """Two programs at the node's cgroup and two at the host side of each of `pods` (`NS/POD`), in the block."""
    name = LabName(lab.name)
    with ExitStack() as stack:

        def attach(target: int, kind: int, attach_type: int, verdict: int) -> None:
            program = libbpf.prog_load(kind, attach_type, "bench_idle", _returning(verdict))
            stack.callback(os.close, program)
            stack.callback(os.close, libbpf.link_create(program, target, attach_type))

        group = os.open(cgroups.of_node(name, NODE), os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, group)
        for program in programs.SOCKET_POLICY:
            attach(group, program.kind, program.attach, PASS)
        homes = {str(pod.place): places.pod_home(name, pod).netns for pod in store.load(name).plan.pods}
        with netns.inside(str(NETNS_DIR / name.netns(node_place(NODE)))):
            for pod in pods:
                host = pod_device(str(NETNS_DIR / homes[pod]), "eth0").host
                assert host is not None, f"{pod} has no host side"
                for side in (programs.TCX_INGRESS, programs.TCX_EGRESS):
                    attach(host.ifindex, programs.SCHED_CLS, side, UNSPEC)
        yield


def _returning(value: int) -> bytes:
    return struct.pack("=BBhiBBhi", 0xB4, 0, 0, value, 0x95, 0, 0, 0)  # w0 = value; exit
