"""Print whether this kernel has SCTP: `yes` or `no`."""

from __future__ import annotations

import socket


def main() -> None:
    """Try to create a socket."""
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        print("no")
    else:
        print("yes")


if __name__ == "__main__":
    main()
