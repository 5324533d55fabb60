"""Every program there is: where it stands, and what the kernel wants to know to load and attach it."""

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
    """A program by its name in the source; `attach` is 0 where the kernel does not ask at load time."""

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
"""Socket hooks, attached to a cgroup at `attach`."""

SETSOCKOPT = Program("tw_setsockopt", "opt.c", CGROUP_SOCKOPT, 22)
"""Beside the socket hooks, attached to the same cgroup: no socket's frames go past the programs at its device."""

SOCKET_POLICY = (
    Program("tw_skb_in", "skb.c", CGROUP_SKB, 0),
    Program("tw_skb_out", "skb.c", CGROUP_SKB, 1),
)
"""Policy on sockets' packets, attached to a cgroup at `attach` while what goes on may be denied."""

GUARD_FROM = Program("tw_guard_from", "guard.c", SCHED_CLS)
GUARD_TO = Program("tw_guard_to", "guard.c", SCHED_CLS)

GUARD_LO = Program("tw_guard_lo", "guard.c", SCHED_CLS)
GUARD_SELF = Program("tw_guard_self", "guard.c", SCHED_CLS)

GUARD = (GUARD_FROM, GUARD_TO, GUARD_LO, GUARD_SELF)
"""Beside policy at sockets: what begins, and what no socket answers for, at pods under a policy."""

SOURCE_FROM = Program("tw_source_from", "source.c", SCHED_CLS)
"""Beside policy at sockets, at pods under none: what they send bears their own address."""

PARENT_OUT = Program("tw_parent_out", "source.c", SCHED_CLS)
"""At the parent of pods' macvlans and ipvlans: nothing leaves that went around a pod's programs."""

HOST_FROM = Program("tw_host_from", "tc.c", SCHED_CLS)
HOST_TO = Program("tw_host_to", "tc.c", SCHED_CLS)
UPLINK_IN = Program("tw_uplink_in", "tc.c", SCHED_CLS)
POD_OUT = Program("tw_pod_out", "tc.c", SCHED_CLS)
POD_IN = Program("tw_pod_in", "tc.c", SCHED_CLS)

PACKET = (HOST_FROM, HOST_TO, UPLINK_IN, POD_OUT, POD_IN)
ALL = (*SOCKET, SETSOCKOPT, *PACKET, *SOCKET_POLICY, *GUARD, SOURCE_FROM, PARENT_OUT)
SOURCES = tuple(dict.fromkeys(program.source for program in ALL))
