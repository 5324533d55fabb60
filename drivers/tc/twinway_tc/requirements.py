"""What the packet path needs of a kernel and can use, each asked once, by trying."""

from __future__ import annotations

from twinway.driver import Requirement
from twinway_bpf.attach.requirements import may, must
from twinway_bpf.load import features


def packet_path() -> tuple[Requirement, ...]:
    """Of tc programs that translate packets and deliver them."""
    return (
        must("redirect_neigh (5.10)", present=features.has_redirect_neigh(), remedy="use kernel 5.10 or newer"),
        may(
            "redirect_peer (5.10)",
            present=features.has_redirect_peer(),
            without="a packet for a pod on veth passes the host's queue once more",
        ),
        may(
            "coarse clock (5.11)",
            present=features.has_coarse_clock(),
            without="a connection's age is read from the exact clock, which takes longer",
        ),
    )
