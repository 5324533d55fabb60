"""Load the smallest socket filter there is: proof that the guest's kernel takes BPF programs from us."""

from __future__ import annotations

import ctypes
import os
import sys

SYS_BPF, BPF_PROG_LOAD, SOCKET_FILTER = 321, 5, 1
RETURN_ZERO = bytes.fromhex("b700000000000000 9500000000000000")  # r0 = 0; exit


class LoadAttr(ctypes.Structure):
    """The head of bpf(2)'s attributes for BPF_PROG_LOAD."""

    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
    )


code, licence = ctypes.create_string_buffer(RETURN_ZERO), ctypes.create_string_buffer(b"Dual BSD/GPL")
attr = LoadAttr(SOCKET_FILTER, len(RETURN_ZERO) // 8, ctypes.addressof(code), ctypes.addressof(licence))
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(SYS_BPF, BPF_PROG_LOAD, ctypes.byref(attr), ctypes.sizeof(attr)) < 0:
    sys.exit(f"socket filter: {os.strerror(ctypes.get_errno())}")
sys.stdout.write("socket filter: loaded\n")
