"""
The structs of tw_types.h as ctypes, field for field; `tests/unit/bpf/test_layout.py` proves it.

These are for reading what the kernel holds, and for the proof; `encode` writes bytes directly.
Network-order fields are big-endian types, so that a byte order is never a memory.
"""

from __future__ import annotations

import ctypes
from ctypes import c_uint8 as u8
from ctypes import c_uint16 as u16
from ctypes import c_uint32 as u32
from ctypes import c_uint64 as u64
from enum import IntEnum, IntFlag

be16 = ctypes.c_uint16.__ctype_be__
addr = u8 * 16
"""__be32[4]: sixteen bytes in network order."""


class End(ctypes.Structure):
    """struct tw_end."""

    _fields_ = (("addr", addr), ("port", be16), ("pad", u16))


class FeKey(ctypes.Structure):
    """struct tw_fe_key."""

    _fields_ = (("addr", addr), ("port", be16), ("proto", u8), ("scope", u8))


class Fe(ctypes.Structure):
    """struct tw_fe."""

    _fields_ = (("set", u64), ("count", u32), ("flags", u32))


class SlotKey(ctypes.Structure):
    """struct tw_slot_key."""

    _fields_ = (("set", u64), ("slot", u32), ("pad", u32))


class Be(ctypes.Structure):
    """struct tw_be."""

    _fields_ = (("addr", addr), ("port", be16), ("proto", u8), ("pad", u8 * 5))


class Addr(ctypes.Structure):
    """struct tw_addr."""

    _fields_ = (("addr", addr),)


class Ep(ctypes.Structure):
    """struct tw_ep."""

    _fields_ = (
        ("policy", u64),
        ("ifindex", u32),
        ("kind", u8),
        ("gen", u8),
        ("mac", u8 * 6),
        ("host_mac", u8 * 6),
        ("pad", u16),
        ("stamp", u32),
        ("netns", ctypes.c_int32),
        ("pad2", u32),
    )


class ClassKey(ctypes.Structure):
    """struct tw_class_key."""

    _fields_ = (("prefixlen", u32), ("addr", addr))


class Class(ctypes.Structure):
    """struct tw_class."""

    _fields_ = (("id", u64 * 2),)


class VerdictKey(ctypes.Structure):
    """struct tw_verdict_key."""

    _fields_ = (
        ("prefixlen", u32),
        ("direction", u8),
        ("proto", u8),
        ("pad", u16),
        ("set", u64),
        ("class_id", u64),
        ("port", be16),
        ("tail", u8 * 6),
    )


class Verdict(ctypes.Structure):
    """struct tw_verdict."""

    _fields_ = (("rule", u64), ("action", u32), ("pad", u32))


class CtKey(ctypes.Structure):
    """struct tw_ct_key."""

    _fields_ = (("end", End * 2), ("proto", u8), ("written", u8), ("pad", u8 * 2))


class Ct(ctypes.Structure):
    """struct tw_ct."""

    _fields_ = (
        ("client", End),
        ("peer", End),
        ("backend", u64),
        ("seen", u32),
        ("rev", u32),
        ("fin", u32),
        ("slot", u32),
        ("flags", u16),
        ("pad", u16 * 3),
    )


class ShareKey(ctypes.Structure):
    """struct tw_share_key."""

    _fields_ = (("addr", addr), ("window", u32))


class Share(ctypes.Structure):
    """struct tw_share."""

    _fields_ = (("used", u32), ("full", u32), ("growth", u32), ("way", CtKey * 8))


class Source(ctypes.Structure):
    """struct tw_source."""

    _fields_ = (("addr", addr), ("ifindex", u32), ("stamp", u32), ("places", u32), ("pad", u32))


class Cfg(ctypes.Structure):
    """struct tw_cfg."""

    _fields_ = (
        ("host_netns", u64),
        ("flags", u32),
        ("rev", u32),
        ("places", u32),
        ("probe", u32),
    )


class Notes(ctypes.Structure):
    """struct tw_notes."""

    _fields_ = (("probe_netns", u64), ("probes", u32), ("cookie", u32))


class Sk(ctypes.Structure):
    """struct tw_sk."""

    _fields_ = (("vip", End), ("to", End), ("backend", u64), ("begun", u32), ("pad", u32))


class SkPol(ctypes.Structure):
    """struct tw_skpol."""

    _fields_ = (
        ("verdict", u64),
        ("rule", u64),
    )


class Udp(ctypes.Structure):
    """struct tw_udp."""

    _fields_ = (("seen", u32), ("flags", u8), ("answered", u8), ("pad", u8 * 2), ("slot", u32))


class DeniedKey(ctypes.Structure):
    """struct tw_denied_key."""

    _fields_ = (("rule", u64), ("pod", addr), ("direction", u8), ("pad", u8 * 7))


class Peer(ctypes.Structure):
    """struct tw_peer."""

    _fields_ = (("vip", End), ("to", End), ("backend", u64), ("asked", u32), ("waiting", u32))


class Peers(ctypes.Structure):
    """struct tw_peers."""

    _fields_ = (("peer", Peer * 64), ("place", u8 * 64))


class FeFlag(IntFlag):
    """enum tw_fe_flag."""

    DROPS = 1


class EpKind(IntEnum):
    """enum tw_ep_kind."""

    POD = 1
    NODE = 2


class CtFlag(IntFlag):
    """enum tw_ct_flag."""

    ALIAS = 1
    NAT = 2
    FIRST = 4
    HAIRPIN = 8
    REPLIED = 16
    CLOSING = 32
    FIN_FIRST = 64
    FIN_BOTH = 128
    ASSURED = 256
    RESET = 512


class Limit(IntEnum):
    """enum tw_limit: keys of tw_limit."""

    CT = 0
    UDP = 1


class CfgFlag(IntFlag):
    """enum tw_cfg_flag."""

    PODS_AT_SOCKET = 1
    POLICY_AT_SOCKET = 2
    INITIATORS_KNOWN = 4


class Reason(IntEnum):
    """enum tw_reason: why a packet or a socket call went the way it did."""

    GO_ON = 0
    PASS_NOT_IP = 1
    PASS_NEIGHBOUR = 2
    PASS_FRAGMENT = 3
    PASS_STACK = 4
    PASS_PEER = 5
    PASS_OUT = 6
    PASS_FOREIGN = 7
    PASS_REDIRECTED = 8
    SOCKET_SERVED = 9
    SOCKET_PASSED = 10
    REJECT_NO_BACKEND = 16
    REJECT_NO_PORT = 17
    REJECT_TAKEN = 18
    REJECT_NO_ROOM = 19
    DROP_SHORT = 32
    DROP_FRAGMENT = 33
    DROP_SPOOFED = 34
    DROP_POLICY_INGRESS = 35
    DROP_POLICY_EGRESS = 36
    DROP_SERVICE_OTHER = 37
    DROP_REWRITE = 38
    DROP_NO_ENTRY = 39
    DROP_RACE = 40
    DROP_NOT_IP = 41
    DROP_PROBE = 42
    DROP_NOT_LOCAL = 43


STRUCTS: dict[str, type[ctypes.Structure]] = {
    "tw_end": End,
    "tw_fe_key": FeKey,
    "tw_fe": Fe,
    "tw_slot_key": SlotKey,
    "tw_be": Be,
    "tw_addr": Addr,
    "tw_ep": Ep,
    "tw_class_key": ClassKey,
    "tw_class": Class,
    "tw_verdict_key": VerdictKey,
    "tw_verdict": Verdict,
    "tw_ct_key": CtKey,
    "tw_ct": Ct,
    "tw_share_key": ShareKey,
    "tw_share": Share,
    "tw_source": Source,
    "tw_cfg": Cfg,
    "tw_notes": Notes,
    "tw_sk": Sk,
    "tw_peer": Peer,
    "tw_peers": Peers,
    "tw_skpol": SkPol,
    "tw_udp": Udp,
    "tw_denied_key": DeniedKey,
}
"""Every shared struct by its name in C."""

ENUMS: dict[str, type[IntEnum] | type[IntFlag]] = {
    "TW_EP_": EpKind,
    "TW_CT_": CtFlag,
    "TW_CFG_": CfgFlag,
    "TW_LIMIT_": Limit,
    "TW_": Reason,
}
"""Every shared enum by the prefix of its constants in C."""
