"""containerd and kubelet on a node."""

from __future__ import annotations

import subprocess
from pathlib import Path
from string import Template

from twinway_testing.kube import binaries, images, plan
from twinway_testing.kube.host import Host
from twinway_testing.kube.output import wait_for
from twinway_testing.kube.pki import Pki

DATA = Path(__file__).parent / "data"
PLUGINS = Path("/usr/lib/cni")


def start(node: Host, pki: Pki) -> None:
    """Start the container runtime with the images of the e2e tests, then kubelet."""
    node.do("cp", "-r", f"{PLUGINS}/.", "/opt/cni/bin/")
    config = _filled("containerd.toml", node.folder, pause=images.PAUSE)
    runtime = node.spawn("containerd", "containerd", "--config", config)
    wait_for(f"containerd of {node.name}", lambda: _answers(node), 60, runtime)
    for archive in images.ARCHIVES:
        import_image(node, binaries.images() / archive)
    config = _filled("kubelet.yaml", node.folder, authority=str(pki.authority), dns=plan.DNS_IP)
    # Three zones: some tests need two nodes in each.
    zone = f"zone-{(int(node.name.removeprefix('node')) - 1) % 3 + 1}"
    node.spawn(
        "kubelet",
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={pki.kubeconfig(node.name)}",
        f"--hostname-override={node.name}",
        f"--node-ip={','.join(node.addresses)}",
        f"--node-labels=topology.kubernetes.io/zone={zone}",
        "--v=2",
    )


def import_image(node: Host, archive: Path) -> None:
    """Give the node's runtime the images of an OCI archive."""
    node.do("ctr", "-n", "k8s.io", "images", "import", archive, stdout=subprocess.DEVNULL)


def _answers(node: Host) -> bool:
    return node.do("ctr", "version", check=False, capture_output=True).returncode == 0


def _filled(name: str, folder: Path, **values: str) -> Path:
    text = Template((DATA / name).read_text()).substitute(values)
    (folder / name).write_text(text)
    return folder / name
