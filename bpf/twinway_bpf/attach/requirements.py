"""What drivers ask of a kernel and a node, each asked once, by trying."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from twinway.driver import NodeContext, Requirement
from twinway.errors import Unsupported
from twinway_bpf.connections.sockdiag import SockDiag
from twinway_bpf.connections.users import has_process
from twinway_bpf.load import features
from twinway_bpf.load.pins import BPF_FS_MAGIC, file_system

_CGROUP2_MAGIC = 0x63677270


def common(context: NodeContext) -> tuple[Requirement, ...]:
    """What every driver needs: privileges, file systems, socket hooks."""
    # without privileges nothing could be asked of the socket hooks
    return (*_node(context), *(_socket_hooks() if features.may_load() else ()))


def _node(context: NodeContext) -> tuple[Requirement, ...]:
    return (
        _must(
            "privileges",
            present=features.may_load(),
            remedy="run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
        ),
        _must(
            "bpffs",
            present=file_system(context.bpffs) == BPF_FS_MAGIC,
            remedy=f"mount -t bpf bpf {context.bpffs.parent}, or set bpffs in the node config",
        ),
        _cgroup(context.cgroup_root),
    )


# A program at a cgroup that nobody is in would see nothing, and nobody would tell.
def _cgroup(path: Path) -> Requirement:
    is_one = path.is_dir() and file_system(path) == _CGROUP2_MAGIC
    said = "holds no process" if is_one else "is no directory of the cgroup v2 hierarchy"
    remedy = (
        f"cgroup_root {path} {said}: set it in the node config to the one that all of the node's pods are below"
    )
    return _must("cgroup2", present=is_one and has_process(path), remedy=remedy)


def _socket_hooks() -> tuple[Requirement, ...]:
    return (
        _must("cgroup links (5.7)", present=features.has_cgroup_links(), remedy="use kernel 5.10 or newer"),
        _must(
            "socket storage (5.2, BTF)",
            present=features.has_socket_storage(),
            remedy="use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
        _must("bounded loops (5.3)", present=features.has_bounded_loops(), remedy="use kernel 5.10 or newer"),
        _must(
            "socket storage at every socket hook (5.8)",
            present=not features.hooks_without_storage(),
            remedy=f"use kernel 5.10 or newer: none for {', '.join(features.hooks_without_storage())}",
        ),
        _must("netns cookies (5.7)", present=features.has_netns_cookie(), remedy="use kernel 5.10 or newer"),
        _must("getpeername hooks (5.8)", present=features.has_getpeername(), remedy="use kernel 5.10 or newer"),
        _may(
            "netns cookies at setsockopt (5.14)",
            present=features.has_netns_cookie_at_options(),
            without="the host's own programs cannot bypass tc (PACKET_QDISC_BYPASS, AF_XDP), either",
        ),
        _may(
            "set_retval (5.18)",
            present=features.has_set_retval(),
            without="a refused connect says EPERM, not ECONNREFUSED",
        ),
        _may(
            "batched map calls (5.6)",
            present=features.has_batches(),
            without="tables are written and read an entry a call",
        ),
        _may(
            "SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)",
            present=_can_destroy(),
            without="a connected UDP socket keeps a backend that was removed, or asks no Service that came later",
        ),
    )


def socket_path() -> tuple[Requirement, ...]:
    """What policy at sockets needs and uses, the guard's tc hooks included."""
    if not features.may_load():
        return ()
    return (
        _must(
            "socket look-up on packets (5.1)",
            present=features.has_socket_lookup(),
            remedy="use kernel 5.10 or newer",
        ),
        *guard(),
    )


def packet_path() -> tuple[Requirement, ...]:
    """What the tc hooks need and use, where packets are translated."""
    if not features.may_load():
        return ()
    return (
        _must("redirect_neigh (5.10)", present=features.has_redirect_neigh(), remedy="use kernel 5.10 or newer"),
        _may(
            "redirect_peer (5.10)",
            present=features.has_redirect_peer(),
            without="a packet for a pod on veth passes the host's queue once more",
        ),
        _may(
            "coarse clock (5.11)",
            present=features.has_coarse_clock(),
            without="a connection's age is read from the exact clock, which takes longer",
        ),
        *guard(),
    )


def guard() -> tuple[Requirement, ...]:
    """What any tc hook uses."""
    if not features.may_load():
        return ()
    return (
        _may(
            "netns cookies on packets (6.15)",
            present=features.has_netns_cookie_on_packets(),
            without="on MacVlan and IPvlan a 32-bit program with CAP_NET_RAW can send past its pod's policy",
        ),
        _may(
            "tcx (6.6)",
            present=features.has_tcx(),
            without="direct-action filters on clsact, looked at again at every repair",
        ),
    )


def check(requirements: Iterable[Requirement]) -> None:
    """Raise Unsupported for the first must-have that is missing."""
    for requirement in requirements:
        if requirement.required and not requirement.present:
            raise Unsupported(requirement.feature, requirement.without)


def _must(feature: str, *, present: bool, remedy: str) -> Requirement:
    return Requirement(feature, present, required=True, without=remedy)


def _may(feature: str, *, present: bool, without: str) -> Requirement:
    return Requirement(feature, present, required=False, without=without)


@cache
def _can_destroy() -> bool:
    with SockDiag() as diag:
        return diag.can_destroy()
