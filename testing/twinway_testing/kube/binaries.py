"""Where the programs of a Kubernetes cluster are: `make kube` builds them once, outside the tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

VERSION = "v1.36.3"


def cache() -> Path:
    """The folder of this user's cache in which everything below stands."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinway"


def folder() -> Path:
    """The folder of the programs: `TWINWAY_KUBE_BIN`, or one of the user's cache."""
    if named := os.environ.get("TWINWAY_KUBE_BIN"):
        return Path(named)
    return cache() / f"kube-{VERSION}"


def images() -> Path:
    """The folder of the image archives that are made from the programs."""
    return folder() / "images"


def definitions() -> Path:
    """The CustomResourceDefinition of ClusterNetworkPolicy."""
    return folder() / "clusternetworkpolicies.yaml"


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
