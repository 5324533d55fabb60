"""What the socket path needs of a kernel and can use, each asked once, by trying."""

from __future__ import annotations

from twinway.driver import Requirement
from twinway_bpf.attach.requirements import must
from twinway_bpf.load import features


def socket_path() -> tuple[Requirement, ...]:
    """Of policy at sockets, and of the guard at devices."""
    return (
        must(
            "socket look-up on packets (5.1)",
            present=features.has_socket_lookup(),
            remedy="use kernel 5.10 or newer",
        ),
    )
