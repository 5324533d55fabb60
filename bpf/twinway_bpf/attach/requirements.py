"""What every driver needs of a kernel and a node, each probed once, by trying it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from twinway.driver import NodeContext, Requirement
from twinway.errors import Unsupported
from twinway_bpf.connections.sockdiag import SockDiag
from twinway_bpf.connections.users import has_process
from twinway_bpf.load import features
from twinway_bpf.load.pins import BPF_FS_MAGIC, file_system

_CGROUP2_MAGIC = 0x63677270


def found(context: NodeContext, path: Callable[[], tuple[Requirement, ...]]) -> tuple[Requirement, ...]:
    """
    Probe what a driver needs: of the node, of socket hooks, of its `path`, of hooks at devices.

    Without privileges nothing but the node can be probed, and `path` is not called.
    """
    if not features.may_load():
        return _node(context)
    return (*_node(context), *_socket_hooks(), *path(), *_at_devices())


def _node(context: NodeContext) -> tuple[Requirement, ...]:
    return (
        must(
            "privileges",
            present=features.may_load(),
            remedy="run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
        ),
        must(
            "bpffs",
            present=file_system(context.bpffs) == BPF_FS_MAGIC,
            remedy=f"mount -t bpf bpf {context.bpffs.parent}, or set bpffs in the node config",
        ),
        _cgroup(context.cgroup_root),
    )


# A program at an empty cgroup would see nothing, and nothing else would show it.
def _cgroup(path: Path) -> Requirement:
    is_one = path.is_dir() and file_system(path) == _CGROUP2_MAGIC
    said = "holds no process" if is_one else "is no directory of the cgroup v2 hierarchy"
    remedy = (
        f"cgroup_root {path} {said}: set it in the node config to the one that all of the node's pods are below"
    )
    return must("cgroup2", present=is_one and has_process(path), remedy=remedy)


def _socket_hooks() -> tuple[Requirement, ...]:
    return (
        must("cgroup links (5.7)", present=features.has_cgroup_links(), remedy="use kernel 5.10 or newer"),
        must(
            "socket storage (5.2, BTF)",
            present=features.has_socket_storage(),
            remedy="use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
        must("bounded loops (5.3)", present=features.has_bounded_loops(), remedy="use kernel 5.10 or newer"),
        must(
            "socket storage at every socket hook (5.8)",
            present=not features.hooks_without_storage(),
            remedy=f"use kernel 5.10 or newer: none for {', '.join(features.hooks_without_storage())}",
        ),
        must("netns cookies (5.7)", present=features.has_netns_cookie(), remedy="use kernel 5.10 or newer"),
        must("getpeername hooks (5.8)", present=features.has_getpeername(), remedy="use kernel 5.10 or newer"),
        may(
            "netns cookies at setsockopt (5.14)",
            present=features.has_netns_cookie_at_options(),
            without="the host's own programs cannot bypass tc (PACKET_QDISC_BYPASS, AF_XDP), either",
        ),
        may(
            "set_retval (5.18)",
            present=features.has_set_retval(),
            without="a refused connect says EPERM, not ECONNREFUSED",
        ),
        may(
            "batched map calls (5.6)",
            present=features.has_batches(),
            without="tables are written and read an entry a call",
        ),
        may(
            "SOCK_DESTROY (CONFIG_INET_DIAG_DESTROY)",
            present=_can_destroy(),
            without="a connected UDP socket keeps a backend that was removed, or asks no Service that came later",
        ),
    )


def _at_devices() -> tuple[Requirement, ...]:
    return (
        may(
            "netns cookies on packets (6.15)",
            present=features.has_netns_cookie_on_packets(),
            without="on MacVlan and IPvlan a 32-bit program with CAP_NET_RAW can send past its pod's policy",
        ),
        may(
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


def must(feature: str, *, present: bool, remedy: str) -> Requirement:
    """A requirement without which a driver does not start."""
    return Requirement(feature, present, required=True, without=remedy)


def may(feature: str, *, present: bool, without: str) -> Requirement:
    """A feature that is used where it is there."""
    return Requirement(feature, present, required=False, without=without)


@cache
def _can_destroy() -> bool:
    with SockDiag() as diag:
        return diag.can_destroy()
