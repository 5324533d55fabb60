"""BPF_PROG_TEST_RUN with the context of a packet in and out: device, mark, GSO."""

from __future__ import annotations

import ctypes
from ctypes import c_uint8 as u8
from ctypes import c_uint32 as u32
from ctypes import c_uint64 as u64
from typing import NamedTuple

from twinway_bpf.load import libbpf

ROOM = 8192


class Context(ctypes.Structure):
    """struct __sk_buff. Source: include/uapi/linux/bpf.h."""

    _fields_ = (
        *((name, u32) for name in ("len", "pkt_type", "mark", "queue_mapping", "protocol")),
        *((name, u32) for name in ("vlan_present", "vlan_tci", "vlan_proto", "priority")),
        *((name, u32) for name in ("ingress_ifindex", "ifindex", "tc_index")),
        ("cb", u32 * 5),
        *((name, u32) for name in ("hash", "tc_classid", "data", "data_end", "napi_id", "family")),
        *((name, u32) for name in ("remote_ip4", "local_ip4")),
        *((name, u32 * 4) for name in ("remote_ip6", "local_ip6")),
        *((name, u32) for name in ("remote_port", "local_port", "data_meta")),
        *((name, u64) for name in ("flow_keys", "tstamp")),
        *((name, u32) for name in ("wire_len", "gso_segs")),
        ("sk", u64),
        ("gso_size", u32),
        ("tstamp_type", u8),
        ("pad", u8 * 3),
        ("hwtstamp", u64),
    )


class Ran(NamedTuple):
    """What a program did."""

    action: int
    packet: bytes
    mark: int
    duration: int
    """Nanoseconds, by the kernel's clock."""


def run(program: int, packet: bytes, context: Context) -> Ran:
    """Run a program on a packet. Redirects are announced and not carried out."""
    done = libbpf.prog_test_run(program, packet, bytes(context), ROOM)
    return Ran(done.retval, done.packet, Context.from_buffer_copy(done.context).mark, done.duration)
