"""All programs, and the types that the kernel needs to load and attach them."""

from __future__ import annotations

from dataclasses import dataclass

# Source: include/uapi/linux/bpf.h, enum bpf_prog_type and enum bpf_attach_type.
SCHED_CLS = 3
CGROUP_SKB = 8
CGROUP_SOCK_ADDR = 18
CGROUP_SOCKOPT = 25

TCX_INGRESS = 46
TCX_EGRESS = 47


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its name in the source. `attach` is 0 where loading needs no attach type."""

    name: str
    source: str
    kind: int
    attach: int = 0


_SOCKET_HOOKS = {
    "tw_connect4": 10,
    "tw_connect6": 11,
    "tw_sendmsg4": 14,
    "tw_sendmsg6": 15,
    "tw_recvmsg4": 19,
    "tw_recvmsg6": 20,
    "tw_getpeername4": 29,
    "tw_getpeername6": 30,
}

SOCKET = tuple(Program(name, "sock.c", CGROUP_SOCK_ADDR, attach) for name, attach in _SOCKET_HOOKS.items())
"""Programs at sockets' calls, attached to a cgroup at `attach`."""

SETSOCKOPT = Program("tw_setsockopt", "opt.c", CGROUP_SOCKOPT, 22)
"""Attached to the same cgroup: keeps sockets from sending frames around the programs at their device."""

SOCKET_POLICY = (
    Program("tw_skb_in", "skb.c", CGROUP_SKB, 0),
    Program("tw_skb_out", "skb.c", CGROUP_SKB, 1),
)
"""Policy on sockets' packets, attached to a cgroup at `attach` while an open connection may be denied."""

GUARD_FROM = Program("tw_guard_from", "guard.c", SCHED_CLS)
GUARD_TO = Program("tw_guard_to", "guard.c", SCHED_CLS)

GUARD_LO = Program("tw_guard_lo", "guard.c", SCHED_CLS)
GUARD_SELF = Program("tw_guard_self", "guard.c", SCHED_CLS)

GUARD = (GUARD_FROM, GUARD_TO, GUARD_LO, GUARD_SELF)
"""At pods under a policy, under sockops: judge new connections, and packets that no socket answers for."""

SOURCE_FROM = Program("tw_source_from", "source.c", SCHED_CLS)
"""At pods without policy, under sockops: checks that they send from their own addresses."""

PARENT_OUT = Program("tw_parent_out", "source.c", SCHED_CLS)
"""At the parent of macvlan and ipvlan pods: drops what went around a pod's programs."""

HOST_FROM = Program("tw_host_from", "tc.c", SCHED_CLS)
HOST_TO = Program("tw_host_to", "tc.c", SCHED_CLS)
UPLINK_IN = Program("tw_uplink_in", "tc.c", SCHED_CLS)
POD_OUT = Program("tw_pod_out", "tc.c", SCHED_CLS)
POD_IN = Program("tw_pod_in", "tc.c", SCHED_CLS)

PACKET = (HOST_FROM, HOST_TO, UPLINK_IN, POD_OUT, POD_IN)
ALL = (*SOCKET, SETSOCKOPT, *PACKET, *SOCKET_POLICY, *GUARD, SOURCE_FROM, PARENT_OUT)
SOURCES = tuple(dict.fromkeys(program.source for program in ALL))
