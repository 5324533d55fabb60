"""Run inside the image's root file system: nothing that the agent or a command imports is missing."""

import ctypes
import importlib
import pkgutil
from pathlib import Path

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_incluster_config, load_kube_config
from pyroute2 import IPRoute
from rich.table import Table

from twinway_bpf.load.loader import ensure_bundle
from twinway_bpf.load.programs import SOURCES
from twinway_cni.plugin import plugin_path

for name in ("twinway", "twinway_bpf", "twinway_tc", "twinway_sockops", "twinway_cni"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        importlib.import_module(module.name)
for source in SOURCES:
    ensure_bundle(source, Path("/nowhere"))
ApiClient(Configuration()).close()
ctypes.CDLL("libbpf.so.1")
plugin_path()
assert all((IPRoute, Table, load_incluster_config, load_kube_config))  # noqa: S101 (imported for their own imports)
