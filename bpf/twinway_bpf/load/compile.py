"""
Compile one source to a bundle with BCC. No other module imports `bcc`.

The loader runs this in a process of its own (`python -m twinway_bpf.load.compile SOURCE OUT`), because LLVM takes
a hundred megabytes that a long-lived agent should not keep. BCC creates the maps while it compiles, so the process
needs the privileges to load programs. The maps are freed when it ends.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

from twinway_bpf.load import bundle, programs
from twinway_bpf.load.loader import source_key
from twinway_bpf.load.source import FLAGS, KERNEL, flatten


def compile_source(name: str) -> bundle.Bundle:
    """Compile one source file of `kernel/`. BCC's exceptions pass through; its messages go to stderr."""
    text = flatten(name)
    module = _module(text)
    maps = _maps(module)
    names = {descriptor: decl.name for descriptor, decl in maps.items()}
    codes = {}
    for program in programs.ALL:
        if program.source == name:
            code = module.dump_func(program.name.encode())
            places = bundle.map_places(code, names)
            codes[program.name] = bundle.Code(program.name, bundle.without_descriptors(code, places), places)
    return bundle.Bundle(source_key(name), codes, {decl.name: decl for decl in maps.values()})


def explain(program_name: str) -> None:
    """Load one program through BCC, which prints the verifier's log beside source lines."""
    program = next(program for program in programs.ALL if program.name == program_name)
    module = _module(flatten(program.source))
    module.load_func(program.name, program.kind, attach_type=program.attach or 0xFFFFFFFF)


def _module(text: str) -> Any:
    os.environ["BCC_KERNEL_SOURCE"] = str(KERNEL)
    from bcc import BPF

    return BPF(text=text, cflags=list(FLAGS))


# BCC numbers its maps. Only its C library can list them; it has no Python wrappers for that.
def _maps(module: Any) -> dict[int, bundle.MapDecl]:
    from bcc.libbcc import lib

    numbers = ("fd", "type", "max_entries", "flags")
    for what in (*numbers, "key_size", "leaf_size"):
        call = getattr(lib, f"bpf_table_{what}_id")
        call.argtypes, call.restype = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_size_t
    for what in numbers:
        getattr(lib, f"bpf_table_{what}_id").restype = ctypes.c_int
    lib.bpf_table_name.argtypes, lib.bpf_table_name.restype = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_char_p

    def decl(index: int) -> bundle.MapDecl:
        def fact(what: str) -> int:
            return int(getattr(lib, f"bpf_table_{what}_id")(module.module, index))

        name = lib.bpf_table_name(module.module, index).decode()
        return bundle.MapDecl(
            name, fact("type"), fact("key_size"), fact("leaf_size"), fact("max_entries"), fact("flags")
        )

    count = lib.bpf_num_tables(module.module)
    return {int(lib.bpf_table_fd_id(module.module, index)): decl(index) for index in range(count)}


def main() -> int:
    """`SOURCE OUT` compiles; `--explain PROGRAM` shows why the verifier refuses a program."""
    first, second = sys.argv[1:3]
    if first == "--explain":
        explain(second)
        return 0
    bundle.save(compile_source(first), Path(second))
    return 0


if __name__ == "__main__":
    sys.exit(main())
