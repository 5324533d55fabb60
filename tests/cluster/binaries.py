"""Where the programs of a control plane are: `make kube` builds them once, outside the tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VERSION = "v1.36.3"


def folder() -> Path:
    """The folder of the programs: `TWINWAY_KUBE_BIN`, or one of the user's cache."""
    if named := os.environ.get("TWINWAY_KUBE_BIN"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "twinway" / f"kube-{VERSION}"


def api_server() -> Path | None:
    """kube-apiserver, None before `make kube`."""
    program = folder() / "kube-apiserver"
    return program if program.exists() else None


def streaming_etcd() -> str | None:
    """An etcd that lets the API server stream lists, which takes 3.5.8; None before `make kube`."""
    program = folder() / "etcd"
    return str(program) if program.exists() else None


def debian_etcd() -> str | None:
    """Debian's etcd 3.4, of `etcd-server`."""
    return shutil.which("etcd")
