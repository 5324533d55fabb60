"""BPF_PROG_TEST_RUN with the context of a packet in and out: device, mark, GSO."""

from __future__ import annotations

import ctypes
import os
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


def run(program: int, packet: bytes, context: Context) -> Ran:
    """One run of a program on a packet; redirects are announced and not carried out."""
    given = ctypes.create_string_buffer(packet, len(packet))
    left = ctypes.create_string_buffer(ROOM)
    after = Context()
    opts = libbpf._TestRunOpts(sz=ctypes.sizeof(libbpf._TestRunOpts), repeat=1)
    opts.data_in, opts.data_size_in = ctypes.addressof(given), len(packet)
    opts.data_out, opts.data_size_out = ctypes.addressof(left), ROOM
    opts.ctx_in, opts.ctx_size_in = ctypes.addressof(context), ctypes.sizeof(context)
    opts.ctx_out, opts.ctx_size_out = ctypes.addressof(after), ctypes.sizeof(after)
    if libbpf._lib().bpf_prog_test_run_opts(program, ctypes.byref(opts)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return Ran(ctypes.c_int32(opts.retval).value, left.raw[: opts.data_size_out], after.mark)
