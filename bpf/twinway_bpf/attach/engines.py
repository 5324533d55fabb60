"""
Other programs that serve Services or judge pods' packets on this node, found by what they leave in the kernel.

By their devices, the chains and tables of nftables (iptables-nft among them) and of legacy iptables, and pins.
Source: include/uapi/linux/netfilter_ipv4/ip_tables.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twinway.driver import Engine
from twinway_bpf.netlink.netfilter import tables_and_chains

_LEGACY_NAMES = Path("/proc/net/ip_tables_names")
_GET_INFO, _GET_ENTRIES = 64, 65  # IPT_SO_*
_INFO_SIZE, _SIZE_AT = 84, 80  # struct ipt_getinfo, and its field `size`
_HEAD_SIZE = 40  # struct ipt_get_entries, to its entries
_ENTRY_SIZE, _OFFSETS_AT = 112, 88  # struct ipt_entry, and its fields `target_offset` and `next_offset`
_OFFSETS = struct.Struct("=HH")
_TARGET = struct.Struct("=2x29sx30s")  # struct xt_error_target: size, name, revision, data
_U32 = struct.Struct("=I")

_SERVICES = (
    "goes on with the node's own programs and NodePorts; pods' packets are translated before its rules see them"
)
_PODS = "handles the same pods' packets: switch its Services and policies off, or leave twinway out"


@dataclass(frozen=True, slots=True)
class Traces:
    """Names of a node's devices, of tables and chains of netfilter, and of pins in the BPF file system."""

    devices: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    chains: frozenset[str] = frozenset()
    pins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Kind:
    name: str
    advice: str
    traces: Traces
    """Names, or their beginnings where they end in `*`."""


def _kind(name: str, advice: str, **traces: Iterable[str]) -> _Kind:
    return _Kind(name, advice, Traces(**{key: frozenset(value) for key, value in traces.items()}))


_KINDS = (
    _kind("kube-proxy (iptables)", _SERVICES, chains=["KUBE-SERVICES"]),
    _kind("kube-proxy (nftables)", _SERVICES, tables=["kube-proxy"]),
    _kind("kube-proxy (IPVS)", _SERVICES, devices=["kube-ipvs0"]),
    _kind("Cilium", _PODS, devices=["cilium_*", "lxc_health"], pins=["cilium", "cilium_*"]),
    _kind("Calico", _PODS, devices=["cali*", "bpfin.cali"], chains=["cali-*"], tables=["calico"], pins=["calico"]),
    _kind("Antrea", _PODS, devices=["antrea-gw0"]),
    _kind("kube-router", _PODS, chains=["KUBE-ROUTER-*"]),
    _kind("OVN-Kubernetes", _PODS, devices=["ovn-k8s-*"]),
    _kind("Weave Net", _PODS, chains=["WEAVE-NPC*"]),
    _kind("kube-network-policies", _PODS, tables=["kube-network-policies", "kindnet-network-policies"]),
)


def engines(bpffs: Path) -> tuple[Engine, ...]:
    """The engines of this node. What may not be read shows none; nothing is changed, no module is loaded."""
    tables, chains = tables_and_chains()
    return named(
        Traces(
            devices=frozenset(name for _, name in socket.if_nameindex()),
            tables=tables,
            chains=chains | _legacy_chains(),
            pins=_pins(bpffs),
        )
    )


def named(found: Traces) -> tuple[Engine, ...]:
    """The engines that leave such traces, each with all of its own."""
    matched = ((kind, tuple(_evidence(kind.traces, found))) for kind in _KINDS)
    return tuple(Engine(kind.name, evidence, kind.advice) for kind, evidence in matched if evidence)


def _evidence(wanted: Traces, found: Traces) -> Iterable[str]:
    for word in ("device", "table", "chain", "pin"):
        patterns, names = getattr(wanted, f"{word}s"), getattr(found, f"{word}s")
        for pattern in sorted(patterns):
            if match := min((name for name in names if _matches(pattern, name)), default=None):
                yield f"{word} {match}"


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


# Asking for a table of legacy iptables makes it: only those that are there already are asked for.
def _legacy_chains() -> frozenset[str]:
    try:
        tables = _LEGACY_NAMES.read_text(encoding="ascii").split()
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            return frozenset(chain for table in tables for chain in _chains_of(raw, table.encode()))
    except OSError:
        return frozenset()


def _chains_of(raw: socket.socket, table: bytes) -> Iterator[str]:
    info = _option(raw, _GET_INFO, table.ljust(_INFO_SIZE, b"\0"))
    (size,) = _U32.unpack_from(info, _SIZE_AT)
    request = table.ljust(32, b"\0") + _U32.pack(size)
    entries = _option(raw, _GET_ENTRIES, request.ljust(_HEAD_SIZE + size, b"\0"))[_HEAD_SIZE:]
    at = 0
    while at + _ENTRY_SIZE <= len(entries):
        target_at, length = _OFFSETS.unpack_from(entries, at + _OFFSETS_AT)
        kind, name = (
            _TARGET.unpack_from(entries, at + target_at) if target_at + _TARGET.size <= length else (b"", b"")
        )
        # a chain begins with an entry whose target is ERROR, with the chain's name as its data
        if kind.rstrip(b"\0") == b"ERROR":
            yield name.partition(b"\0")[0].decode("utf-8", "replace")
        at += max(length, _ENTRY_SIZE)


# Python's own getsockopt cannot pass the name of a table in.
def _option(raw: socket.socket, option: int, request: bytes) -> bytes:
    answer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint32(len(request))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.getsockopt(raw.fileno(), socket.IPPROTO_IP, option, answer, ctypes.byref(length)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer.raw[: length.value]


def _pins(bpffs: Path) -> frozenset[str]:
    try:
        folders = [bpffs, bpffs / "tc" / "globals"]
        return frozenset(entry.name for folder in folders if folder.is_dir() for entry in folder.iterdir())
    except OSError:
        return frozenset()
