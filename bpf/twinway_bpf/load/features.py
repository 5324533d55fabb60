"""
Probes of what the running kernel can do. None of them compares versions.

The versions in the docstrings say when the kernel gained a feature; backports exist.
"""

from __future__ import annotations

import errno
import os
import struct
from functools import cache

from twinway_bpf.load import libbpf, programs

HAS_SET_RETVAL = 1 << 0
HAS_REDIRECT_PEER = 1 << 1
HAS_COARSE_CLOCK = 1 << 2
HAS_NETNS_COOKIE_AT_OPTIONS = 1 << 3
HAS_NETNS_COOKIE_ON_PACKETS = 1 << 4

# Source: include/uapi/linux/bpf.h, enum bpf_func_id.
_SET_RETVAL = 187
_REDIRECT_PEER = 155
_REDIRECT_NEIGH = 152
_KTIME_GET_COARSE_NS = 160
_GET_NETNS_COOKIE = 122
_SK_STORAGE_GET = 107
_SK_LOOKUP_TCP = 84
_SK_FULLSOCK = 95
_CONNECT4 = 10


@cache
def bits() -> int:
    """The features that the programs branch on, as the bits of tw_features.h."""
    probes = {
        HAS_SET_RETVAL: has_set_retval,
        HAS_REDIRECT_PEER: has_redirect_peer,
        HAS_COARSE_CLOCK: has_coarse_clock,
        HAS_NETNS_COOKIE_AT_OPTIONS: has_netns_cookie_at_options,
        HAS_NETNS_COOKIE_ON_PACKETS: has_netns_cookie_on_packets,
    }
    return sum(bit for bit, probe in probes.items() if probe())


@cache
def has_set_retval() -> bool:
    """bpf_set_retval in socket-address hooks (5.18): a refused connect fails with ECONNREFUSED."""
    return _helper_known(programs.CGROUP_SOCK_ADDR, _CONNECT4, _SET_RETVAL)


@cache
def has_redirect_peer() -> bool:
    """bpf_redirect_peer (5.10): delivers into a pod without a second pass through the host's queue."""
    return _helper_known(programs.SCHED_CLS, 0, _REDIRECT_PEER)


@cache
def has_redirect_neigh() -> bool:
    """bpf_redirect_neigh (5.10): sends out of a device and looks up the neighbour."""
    return _helper_known(programs.SCHED_CLS, 0, _REDIRECT_NEIGH)


@cache
def has_coarse_clock() -> bool:
    """bpf_ktime_get_coarse_ns (5.11): the time of the last tick, read without the hardware clock."""
    return _helper_known(programs.SCHED_CLS, 0, _KTIME_GET_COARSE_NS)


@cache
def has_netns_cookie() -> bool:
    """bpf_get_netns_cookie in socket-address hooks (5.7): tells the host's sockets from those of pods."""
    return _helper_known(programs.CGROUP_SOCK_ADDR, _CONNECT4, _GET_NETNS_COOKIE)


@cache
def has_netns_cookie_at_options() -> bool:
    """bpf_get_netns_cookie at setsockopt (5.14): tells the host's sockets from those of pods there, too."""
    return _helper_known(programs.CGROUP_SOCKOPT, programs.SETSOCKOPT.attach, _GET_NETNS_COOKIE)


@cache
def has_netns_cookie_on_packets() -> bool:
    """bpf_get_netns_cookie in tc programs (6.15): the namespace of a packet's socket."""
    return _helper_known(programs.SCHED_CLS, 0, _GET_NETNS_COOKIE)


@cache
def has_getpeername() -> bool:
    """The getpeername hooks (5.8)."""
    return _loads(programs.CGROUP_SOCK_ADDR, 29, _RETURN_ONE)


@cache
def has_socket_storage() -> bool:
    """Storage on sockets (5.2), which needs BTF support in the kernel."""
    try:
        btf = libbpf.storage_btf(8)
        try:
            os.close(libbpf.map_create(24, "tw_probe", 4, 8, 0, 1, btf=btf))
        finally:
            os.close(btf)
    except OSError:
        return False
    return True


@cache
def hooks_without_storage() -> tuple[str, ...]:
    """Names of programs whose hooks cannot reach a socket's storage (bpf_sk_storage_get: 5.2 to 5.8 by hook)."""
    hooks = (*programs.SOCKET, *programs.SOCKET_POLICY, programs.GUARD_FROM)
    return tuple(hook.name for hook in hooks if not _helper_known(hook.kind, hook.attach, _SK_STORAGE_GET))


@cache
def has_socket_lookup() -> bool:
    """bpf_sk_lookup_tcp and bpf_sk_fullsock on sockets' packets (5.1): find the socket of a packet."""
    return all(_helper_known(programs.CGROUP_SKB, 0, helper) for helper in (_SK_LOOKUP_TCP, _SK_FULLSOCK))


@cache
def has_bounded_loops() -> bool:
    """Loops that the verifier proves to end (5.3)."""
    return _loads(programs.SCHED_CLS, 0, _LOOP)


@cache
def has_batches() -> bool:
    """Calls that read or write many entries of a map (5.6)."""
    table = libbpf.map_create(_HASH, "tw_probe", 4, 4, 1, 0)
    try:
        libbpf.map_update_batch(table, bytes(4), bytes(4), 1)
    except OSError:
        return False
    finally:
        os.close(table)
    return True


@cache
def has_tcx() -> bool:
    """
    Links at tcx (6.6), which need no qdisc and have an order among programs.

    Probed with a link to a device that cannot exist: a kernel with tcx answers ENODEV, others EINVAL.
    """
    prog = libbpf.prog_load(programs.SCHED_CLS, 0, "tw_probe", _RETURN_ONE)
    try:
        os.close(libbpf.link_create(prog, 0x7FFFFFFF, programs.TCX_INGRESS))
    except OSError as error:
        return error.errno == errno.ENODEV
    finally:
        os.close(prog)
    return True


@cache
def has_cgroup_links() -> bool:
    """Links of programs to cgroups (5.7). Probed with a descriptor of another file: EBADF if links are known."""
    prog = libbpf.prog_load(programs.CGROUP_SOCK_ADDR, _CONNECT4, "tw_probe", _RETURN_ONE)
    null = os.open("/dev/null", os.O_RDONLY)
    try:
        os.close(libbpf.link_create(prog, null, _CONNECT4))
    except OSError as error:
        return error.errno == errno.EBADF
    finally:
        os.close(null)
        os.close(prog)
    return True


@cache
def may_load() -> bool:
    """Whether this process may load programs."""
    return _loads(programs.SCHED_CLS, 0, _RETURN_ONE)


def _insn(code: int, registers: int, offset: int, imm: int) -> bytes:
    return struct.pack("=BBhi", code, registers, offset, imm)


_RETURN_ONE = _insn(0xB7, 0, 0, 1) + _insn(0x95, 0, 0, 0)
# r0 = 0; do r0 += 1 while r0 < 8; return r0
_LOOP = _insn(0xB7, 0, 0, 0) + _insn(0x07, 0, 0, 1) + _insn(0xA5, 0, -2, 8) + _insn(0x95, 0, 0, 0)
_HASH = 1  # BPF_MAP_TYPE_HASH


# The verifier's messages for a helper that does not exist, or not for programs of this type.
_UNKNOWN_HELPER = ("invalid func", "unknown func", "cannot use helper")


# The probe calls the helper with invalid arguments. A kernel that knows the helper refuses the arguments.
def _helper_known(kind: int, attach: int, helper: int) -> bool:
    code = _insn(0x85, 0, 0, helper) + _RETURN_ONE
    try:
        os.close(libbpf.prog_load(kind, attach, "tw_probe", code, log_size=1 << 16))
    except libbpf.RefusedError as error:
        return not any(word in error.log for word in _UNKNOWN_HELPER)
    return True


def _loads(kind: int, attach: int, code: bytes) -> bool:
    try:
        os.close(libbpf.prog_load(kind, attach, "tw_probe", code))
    except OSError:
        return False
    return True
