"""
The calls of libbpf.so.1 that load, pin, link and fill, through ctypes.

Every call raises OSError with the kernel's errno. Structs of options begin with their own size,
by which a newer libbpf knows which fields the caller has.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Any, NamedTuple, TypeVar

_NOEXIST = 1  # BPF_NOEXIST


class _MapCreateOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("btf_fd", c_uint32),
        ("btf_key_type_id", c_uint32),
        ("btf_value_type_id", c_uint32),
        ("btf_vmlinux_value_type_id", c_uint32),
        ("inner_map_fd", c_uint32),
        ("map_flags", c_uint32),
        ("map_extra", c_uint64),
        ("numa_node", c_uint32),
        ("map_ifindex", c_uint32),
    )


class _ProgLoadOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("attempts", c_int),
        ("expected_attach_type", c_uint32),
        ("prog_btf_fd", c_uint32),
        ("prog_flags", c_uint32),
        ("prog_ifindex", c_uint32),
        ("kern_version", c_uint32),
        ("attach_btf_id", c_uint32),
        ("attach_prog_fd", c_uint32),
        ("attach_btf_obj_fd", c_uint32),
        ("fd_array", c_void_p),
        ("func_info", c_void_p),
        ("func_info_cnt", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("line_info", c_void_p),
        ("line_info_cnt", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("log_level", c_uint32),
        ("log_size", c_uint32),
        ("log_buf", c_char_p),
    )


class _LinkCreateOpts(ctypes.Structure):
    _fields_ = (("sz", c_size_t), ("flags", c_uint32), ("pad", c_uint32))


_F_BEFORE = 1 << 3


class _TestRunOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_void_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


class MapInfo(ctypes.Structure):
    """The head of `struct bpf_map_info`. Source: include/uapi/linux/bpf.h."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", ctypes.c_char * 16),
    )


class ProgInfo(ctypes.Structure):
    """`struct bpf_prog_info` up to `verified_insns` (5.16; 0 where the kernel does not fill it)."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", ctypes.c_ubyte * 8),
        ("jited_prog_len", c_uint32),
        ("xlated_prog_len", c_uint32),
        ("jited_prog_insns", c_uint64),
        ("xlated_prog_insns", c_uint64),
        ("load_time", c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", c_uint64),
        ("name", ctypes.c_char * 16),
        ("ifindex", c_uint32),
        ("gpl_compatible", c_uint32),
        ("netns_dev", c_uint64),
        ("netns_ino", c_uint64),
        ("nr_jited_ksyms", c_uint32),
        ("nr_jited_func_lens", c_uint32),
        ("jited_ksyms", c_uint64),
        ("jited_func_lens", c_uint64),
        ("btf_id", c_uint32),
        ("func_info_rec_size", c_uint32),
        ("func_info", c_uint64),
        ("nr_func_info", c_uint32),
        ("nr_line_info", c_uint32),
        ("line_info", c_uint64),
        ("jited_line_info", c_uint64),
        ("nr_jited_line_info", c_uint32),
        ("line_info_rec_size", c_uint32),
        ("jited_line_info_rec_size", c_uint32),
        ("nr_prog_tags", c_uint32),
        ("prog_tags", c_uint64),
        ("run_time_ns", c_uint64),
        ("run_cnt", c_uint64),
        ("recursion_misses", c_uint64),
        ("verified_insns", c_uint32),
    )


class LinkInfo(ctypes.Structure):
    """The head of `struct bpf_link_info`, with the two words of a tcx link (ifindex, attach type)."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("prog_id", c_uint32),
        ("pad", c_uint32),
        ("word0", c_uint32),
        ("word1", c_uint32),
        ("rest", c_uint64 * 8),
    )


Info = TypeVar("Info", MapInfo, ProgInfo, LinkInfo)


@cache
def _lib() -> Any:
    lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
    # libbpf prints to stderr by default; errno and the log say the same
    lib.libbpf_set_print(None)
    lib.btf__new_empty.restype = c_void_p
    lib.btf__add_int.argtypes = (c_void_p, c_char_p, c_size_t, c_int)
    lib.btf__load_into_kernel.argtypes = (c_void_p,)
    lib.btf__fd.argtypes = (c_void_p,)
    lib.btf__free.argtypes = (c_void_p,)
    lib.btf__add_struct.argtypes = (c_void_p, c_char_p, c_uint32)
    return lib


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno() or -result
        raise OSError(number, os.strerror(number))
    return result


def map_create(  # noqa: PLR0913, PLR0917 (the system call's own parameters)
    kind: int, name: str, key_size: int, value_size: int, max_entries: int, flags: int, *, btf: int = 0
) -> int:
    """Create a map and return its descriptor. `btf` is one of `storage_btf`: types 1 and 2 are key and value."""
    opts = _MapCreateOpts(sz=ctypes.sizeof(_MapCreateOpts), map_flags=flags)
    if btf:
        opts.btf_fd, opts.btf_key_type_id, opts.btf_value_type_id = btf, 1, 2
    return _checked(
        _lib().bpf_map_create(kind, name.encode(), key_size, value_size, max_entries, ctypes.byref(opts))
    )


def storage_btf(value_size: int) -> int:
    """
    Descriptor of a BTF object: type 1 is a 4-byte integer, type 2 a struct of `value_size` bytes.

    The kernel refuses socket storage without BTF, but it looks at the sizes alone.
    """
    lib = _lib()
    btf = lib.btf__new_empty()
    try:
        _checked(lib.btf__add_int(btf, b"int", 4, 1))
        _checked(lib.btf__add_struct(btf, b"tw", value_size))
        _checked(lib.btf__load_into_kernel(btf))
        return os.dup(lib.btf__fd(btf))
    finally:
        lib.btf__free(btf)


def prog_load(kind: int, attach: int, name: str, code: bytes, log_size: int = 0) -> int:
    """
    Load a program and return its descriptor.

    With `log_size` above 0, a refusal raises RefusedError with the verifier's log.
    """
    log = ctypes.create_string_buffer(log_size) if log_size else None
    opts = _ProgLoadOpts(sz=ctypes.sizeof(_ProgLoadOpts), attempts=1, expected_attach_type=attach)
    if log is not None:
        opts.log_level, opts.log_size, opts.log_buf = 1, log_size, ctypes.addressof(log)
    result = _lib().bpf_prog_load(
        kind, name.encode()[:15], b"Dual BSD/GPL", code, c_size_t(len(code) // 8), ctypes.byref(opts)
    )
    if result < 0 and log is not None:
        number = ctypes.get_errno() or -result
        raise RefusedError(number, log.value.decode(errors="replace"))
    return _checked(result)


def link_create(prog: int, target: int, attach: int, *, first: bool = False) -> int:
    """
    Attach a program to a cgroup's descriptor or a device's index (in the caller's namespace); return the link.

    With `first` (tcx alone) the program runs before those that are attached already.
    """
    opts = _LinkCreateOpts(sz=ctypes.sizeof(_LinkCreateOpts), flags=_F_BEFORE if first else 0)
    return _checked(_lib().bpf_link_create(prog, target, attach, ctypes.byref(opts)))


def link_update(link: int, prog: int) -> None:
    """Replace a link's program, atomically."""
    _checked(_lib().bpf_link_update(link, prog, None))


def link_detach(link: int) -> None:
    """Detach a link's program, even where other descriptors or pins hold the link."""
    _checked(_lib().bpf_link_detach(link))


def obj_pin(descriptor: int, path: str) -> None:
    """Pin an object on a BPF file system."""
    _checked(_lib().bpf_obj_pin(descriptor, path.encode()))


def obj_get(path: str) -> int:
    """A descriptor of the object that is pinned at `path`."""
    return _checked(_lib().bpf_obj_get(path.encode()))


def map_info(descriptor: int) -> MapInfo:
    """What the kernel says of a map."""
    return _info(descriptor, MapInfo())


def prog_info(descriptor: int) -> ProgInfo:
    """What the kernel says of a loaded program."""
    return _info(descriptor, ProgInfo())


def prog_by_id(number: int) -> int:
    """A descriptor of the loaded program with this id."""
    return _checked(_lib().bpf_prog_get_fd_by_id(c_uint32(number)))


def link_info(descriptor: int) -> LinkInfo:
    """What the kernel says of a link."""
    return _info(descriptor, LinkInfo())


def _info(descriptor: int, info: Info) -> Info:
    size = c_uint32(ctypes.sizeof(info))
    _checked(_lib().bpf_obj_get_info_by_fd(descriptor, ctypes.byref(info), ctypes.byref(size)))
    return info


def map_lookup(descriptor: int, key: bytes, size: int) -> bytes:
    """The value of one key, `size` bytes: of a per-CPU map, those of all CPUs. Raises KeyError."""
    value = ctypes.create_string_buffer(size)
    if _lib().bpf_map_lookup_elem(descriptor, key, value) < 0:
        if ctypes.get_errno() == 2:
            raise KeyError(key)
        _checked(-1)
    return value.raw


def map_update(descriptor: int, key: bytes, value: bytes) -> None:
    """Write one entry, whether the key exists or not."""
    _checked(_lib().bpf_map_update_elem(descriptor, key, value, c_uint64(0)))


def map_insert(descriptor: int, key: bytes, value: bytes) -> bool:
    """Write a new entry. False if the key exists already; then nothing is written."""
    if _lib().bpf_map_update_elem(descriptor, key, value, c_uint64(_NOEXIST)) < 0:
        if ctypes.get_errno() == errno.EEXIST:
            return False
        _checked(-1)
    return True


def map_delete(descriptor: int, key: bytes) -> bool:
    """Remove one entry; False if there was none."""
    if _lib().bpf_map_delete_elem(descriptor, key) < 0:
        if ctypes.get_errno() == 2:
            return False
        _checked(-1)
    return True


def map_next_key(descriptor: int, key: bytes | None, size: int) -> bytes | None:
    """The key after `key`, or the first; None at the end."""
    following = ctypes.create_string_buffer(size)
    if _lib().bpf_map_get_next_key(descriptor, key, following) < 0:
        if ctypes.get_errno() == 2:
            return None
        _checked(-1)
    return following.raw


def map_update_batch(descriptor: int, keys: bytes, values: bytes, count: int) -> int:
    """Write `count` entries and return their number. Raises BatchError at the first that fails."""
    done = c_uint32(count)
    if _lib().bpf_map_update_batch(descriptor, keys, values, ctypes.byref(done), None) < 0:
        number = ctypes.get_errno()
        raise BatchError(number, min(done.value, count))
    return int(done.value)


def map_lookup_batch(
    descriptor: int, cursor: bytes | None, sizes: tuple[int, int], count: int
) -> tuple[bytes, bytes, int, bytes | None]:
    """Up to `count` entries after `cursor`: keys, values, their number, and the next cursor (None at the end)."""
    key_size, value_size = sizes
    keys = ctypes.create_string_buffer(key_size * count)
    values = ctypes.create_string_buffer(value_size * count)
    following = ctypes.create_string_buffer(max(key_size, 8))
    done = c_uint32(count)
    result = _lib().bpf_map_lookup_batch(descriptor, cursor, following, keys, values, ctypes.byref(done), None)
    ended = result < 0 and ctypes.get_errno() == 2
    if result < 0 and not ended:
        _checked(result)
    got = done.value
    return keys.raw[: got * key_size], values.raw[: got * value_size], got, None if ended else following.raw


class TestRun(NamedTuple):
    """What a program did with a packet."""

    retval: int
    packet: bytes
    context: bytes
    """The context as the program left it."""
    duration: int
    """Nanoseconds that the run took."""


def prog_test_run(prog: int, packet: bytes, context: bytes, room: int) -> TestRun:
    """
    Run a program once on a packet, with `context` for its `struct __sk_buff` (BPF_PROG_TEST_RUN).

    `room`: bytes that the packet may have afterwards.
    """
    given, left = ctypes.create_string_buffer(packet, len(packet)), ctypes.create_string_buffer(room)
    before = ctypes.create_string_buffer(context, len(context))
    after = ctypes.create_string_buffer(len(context))
    opts = _TestRunOpts(sz=ctypes.sizeof(_TestRunOpts), repeat=1)
    opts.data_in, opts.data_size_in = ctypes.addressof(given), len(packet)
    opts.data_out, opts.data_size_out = ctypes.addressof(left), room
    opts.ctx_in, opts.ctx_size_in = ctypes.addressof(before), len(context)
    opts.ctx_out, opts.ctx_size_out = ctypes.addressof(after), len(context)
    _checked(_lib().bpf_prog_test_run_opts(prog, ctypes.byref(opts)))
    retval = ctypes.c_int32(opts.retval).value
    return TestRun(retval, left.raw[: opts.data_size_out], after.raw, int(opts.duration))


class BatchError(OSError):
    """A batch that failed; its first `done` entries were written."""

    def __init__(self, number: int, done: int) -> None:
        """`number` is the errno of the entry that failed."""
        super().__init__(number, os.strerror(number))
        self.done = done


class RefusedError(OSError):
    """A program that the kernel refused; `log` is the verifier's."""

    def __init__(self, number: int, log: str) -> None:
        super().__init__(number, os.strerror(number))
        self.log = log
