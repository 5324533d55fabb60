"""
Run a program under a kernel that lacks some commands of bpf(2), as this one answers for an older one.

    python -m tests.packets.oldkernel NUMBER,NUMBER... PROGRAM WORD...

A seccomp filter answers EINVAL to those commands, which is what a kernel says that never heard of them.
Source: include/uapi/linux/{seccomp,filter,bpf}.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Sequence

LINK_CREATE, BATCHES = 28, (24, 25, 26, 27)
"""Since 5.7; since 5.6."""
SYSTEM_CALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
"""bpf(2) on this machine; None where nobody has looked it up."""

_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_NUMBER, _FIRST_WORD = 0, 16  # of struct seccomp_data
_ALLOW, _EINVAL = 0x7FFF0000, 0x00050000 | 22


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def command(missing: Sequence[int], *words: str) -> list[str]:
    """The command that runs another one without these."""
    return [sys.executable, "-m", "tests.packets.oldkernel", ",".join(map(str, missing)), *words]


def _filter(missing: Sequence[int]) -> bytes:
    count = len(missing)
    steps = [(_LOAD, 0, 0, _NUMBER), (_EQUAL, 0, count + 1, SYSTEM_CALL), (_LOAD, 0, 0, _FIRST_WORD)]
    steps += [(_EQUAL, count - at, 0, number) for at, number in enumerate(missing)]
    steps += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _EINVAL)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def main() -> None:
    """Take the commands away for good, then become the program."""
    missing, *words = sys.argv[1:]
    code = _filter([int(word) for word in missing.split(",")])
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    for words_of_call in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*words_of_call):
            raise OSError(ctypes.get_errno(), "prctl")
    os.execvp(words[0], words)


if __name__ == "__main__":
    main()
