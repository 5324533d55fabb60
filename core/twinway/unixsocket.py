"""Sockets of the file system that only the agent's own user may use."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twinway.errors import ConfigError
from twinway.files import remedy

LONGEST_PATH = 107
"""Bytes of a socket's path. Source: unix(7), sun_path."""


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """
    A listening socket at `path`, mode 0600; one that an earlier process left is replaced.

    It is there in one step: nobody can reach it before its mode is set.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    if len(os.fsencode(scratch)) > LONGEST_PATH:
        raise ConfigError(f"run_dir: {path.parent} is too long for the path of a socket: choose a shorter one")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        scratch.unlink(missing_ok=True)
        server.bind(str(scratch))
        scratch.chmod(0o600)
        server.listen(backlog)
        scratch.replace(path)
    except OSError as error:
        server.close()
        raise ConfigError(f"run_dir: {path}: {error.strerror}: {remedy(error)}") from error
    return server
