"""
Verify every program on this kernel, from bundles that were compiled elsewhere.

    verify.py BUNDLES RESULT      writes {program: {"processed": N} or {"refused": "the end of the log"}}

This program makes the system call itself instead of through libbpf, because it needs the log of the verifier,
which before 5.16 is the only place with its statistics.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from pathlib import Path

from twinway_bpf.load import features
from twinway_bpf.load.loader import Loader, ensure_bundle
from twinway_bpf.load.pins import Pins
from twinway_bpf.load.programs import ALL, Program

SYS_BPF, PROG_LOAD, LOG_STATISTICS = 321, 5, 4
LICENCE = ctypes.create_string_buffer(b"Dual BSD/GPL")
LAST_WORDS = 400


class LoadAttr(ctypes.Structure):
    """The head of union bpf_attr for BPF_PROG_LOAD. Source: include/uapi/linux/bpf.h."""

    _fields_ = (
        ("prog_type", ctypes.c_uint32),
        ("insn_cnt", ctypes.c_uint32),
        ("insns", ctypes.c_uint64),
        ("license", ctypes.c_uint64),
        ("log_level", ctypes.c_uint32),
        ("log_size", ctypes.c_uint32),
        ("log_buf", ctypes.c_uint64),
        ("kern_version", ctypes.c_uint32),
        ("prog_flags", ctypes.c_uint32),
        ("prog_name", ctypes.c_char * 16),
        ("prog_ifindex", ctypes.c_uint32),
        ("expected_attach_type", ctypes.c_uint32),
    )


def judge(program: Program, instructions: bytes) -> dict[str, int | str]:
    """The verifier's answer about one program."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    log = ctypes.create_string_buffer(1 << 20)
    attr = LoadAttr(
        prog_type=program.kind,
        insn_cnt=len(instructions) // 8,
        insns=ctypes.addressof(code),
        license=ctypes.addressof(LICENCE),
        log_level=LOG_STATISTICS,
        log_size=len(log),
        log_buf=ctypes.addressof(log),
        prog_name=program.name.encode()[:15],
        expected_attach_type=program.attach,
    )
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(SYS_BPF, PROG_LOAD, ctypes.byref(attr), ctypes.sizeof(attr))
    words = log.value.decode(errors="replace")
    processed = re.search(r"processed (\d+) insns", words)
    if descriptor < 0 or not processed:
        return {"refused": f"{os.strerror(ctypes.get_errno())}: {words[-LAST_WORDS:]}"}
    os.close(descriptor)
    return {"processed": int(processed[1])}


def main() -> None:
    """Verify all programs."""
    bundles, result = Path(sys.argv[1]), Path(sys.argv[2])
    loader = Loader(Pins(Path("/sys/fs/bpf/verify")), bundles, {})
    answers = {}
    for program in ALL:
        loader.open_maps(program.source)
        descriptors = {name: table.descriptor for name, table in loader.maps.items()}
        code = ensure_bundle(program.source, bundles).programs[program.name]
        answers[program.name] = judge(program, code.bound(descriptors, features.bits()))
    result.write_text(json.dumps(answers, indent=2))


if __name__ == "__main__":
    main()
